"""What a container, or the image it comes from, could use to get out: nothing of the host is seen or changed."""

import io
import os
import tarfile

import pytest

from tests.support.engine import busybox_tar, can_run, engines

pytestmark = pytest.mark.skipif(bool(can_run()), reason=can_run() or "an engine can run")


@pytest.fixture(scope="module")
def engine():
    yield from engines()


def run(engine, *cmd, **config):
    """(exit code, output) of a container."""
    made = engine.container(*cmd, **config)
    code = engine.wait(made)
    return code, engine.logs(made).decode()


def image(engine, name, links=(), files=()):
    """busybox with more links (path, target), replacing what is there, and files."""
    out = io.BytesIO()
    gone = {path for path, _ in links} | {path for path, _ in files}
    with tarfile.open(fileobj=io.BytesIO(busybox_tar())) as old, tarfile.open(fileobj=out, mode="w") as new:
        for member in old:
            path = member.name.strip("./")
            if path not in gone and not any(path.startswith(g + "/") for g in gone):
                new.addfile(member, old.extractfile(member) if member.isreg() else None)
        for path, target in links:
            entry = tarfile.TarInfo(path)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            new.addfile(entry)
        for path, data in files:
            entry = tarfile.TarInfo(path)
            entry.size = len(data)
            new.addfile(entry, io.BytesIO(data))
    reply = engine.api("POST", f"/images/create?fromSrc=-&repo={name}&tag=latest", out.getvalue(), {"Content-Type": "application/x-tar"})
    assert reply.status == 200, reply.body
    return name + ":latest"


def test_only_the_standard_streams_are_inherited(engine):
    code, out = run(engine, "sh", "-c", "ls /proc/1/fd; ls -l /proc/1/fd")
    assert code == 0 and set(out.split("\n")[:4]) <= {"0", "1", "2", "3", "total 0"} and "scow" not in out and "cgroup" not in out


def test_default_limits_of_power(engine):
    _, out = run(engine, "cat", "/proc/self/status")
    status = dict(line.split(":\t", 1) for line in out.splitlines() if ":\t" in line)
    assert {int(status["Cap" + name], 16) for name in ("Eff", "Prm", "Bnd")} == {0xA80425FB} and status["Seccomp"] == "2"
    assert int(status["CapInh"], 16) == int(status["CapAmb"], 16) == 0


@pytest.mark.parametrize(
    "command",
    [
        "echo x > /proc/sysrq-trigger",
        "echo 1 > /proc/sys/kernel/printk",
        "mount -t tmpfs x /home",
        "mknod /disk b 254 0 && head -c 1 /disk",
        "unshare -U true",
        "mount -o remount,rw /sys",
        "umount /proc/keys",
        "mkdir /sys/fs/cgroup/$([ -d /sys/fs/cgroup/memory ] && echo memory/)x",
        "chroot / nsenter -t 1 -m true && test $(ls /proc | grep -c '^[0-9]') -gt 50",
    ],
)
def test_what_an_ordinary_container_may_not_do(engine, command):
    code, out = run(engine, "sh", "-c", command + " && echo escaped-$((1+1))")
    assert code != 0 and "escaped-2" not in out


@pytest.mark.parametrize("path", ["proc", "dev", "sys"])
def test_an_image_with_a_link_for_a_mount_point_reaches_nothing(engine, tmp_path, path):
    ref = image(engine, f"evil-{path}", links=[(path, str(tmp_path))])
    made = engine.create("ls", Image=ref)
    engine.api("POST", f"/containers/{made}/start")
    engine.wait(made)
    assert os.listdir(tmp_path) == []


def test_links_for_the_engines_files_stay_inside(engine, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    ref = image(engine, "evil-files", links=[("etc/hosts", str(victim)), ("etc/resolv.conf", str(victim)), ("etc/passwd", str(victim))])
    made = engine.create("sh", "-c", "echo mine > /etc/hosts", Image=ref)
    engine.api("POST", f"/containers/{made}/start")
    engine.wait(made)
    assert victim.read_text() == "untouched" and victim.stat().st_nlink == 1


def test_volume_and_working_directory_through_links_stay_inside(engine, tmp_path):
    ref = image(engine, "evil-dirs", links=[("out", str(tmp_path))])
    (tmp_path / "secret").write_text("host")
    made = engine.create("sh", "-c", "cat /out/secret", Image=ref, HostConfig={"Binds": ["evilvol:/out"]}, WorkingDir="/out/work")
    engine.api("POST", f"/containers/{made}/start")
    assert engine.wait(made) != 0 and b"host" not in engine.logs(made)
    assert os.listdir(tmp_path) == ["secret"]
    engine.api("DELETE", f"/containers/{made}?force=1")
    assert engine.api("DELETE", "/volumes/evilvol").status == 204


def test_masks_cannot_be_pulled_away(engine):
    code, out = run(
        engine,
        "sh",
        "-c",
        "for f in /proc/kcore /proc/keys /proc/timer_list; do [ -e $f ] && head -c 10 $f | wc -c; done; ls /sys/firmware | wc -l",
    )
    assert code == 0 and set(out.split()) == {"0"}


def test_a_container_does_not_see_the_mounts_of_another(engine, tmp_path):
    engine.container(HostConfig={"Binds": [f"{tmp_path}:/very-own"], "Tmpfs": {"/very-own-tmpfs": ""}})
    assert "very-own" not in run(engine, "cat", "/proc/mounts")[1]
