"""What a container, or the image it comes from, could use to get out: nothing of the host is seen or changed."""

import os
import tarfile

import pytest

from tests.support.boxes import attempt, image, run
from tests.support.engine import until
from tests.support.tars import entry, hardlink, tarball


def test_default_limits_of_power(engine):
    _, out = run(engine, "cat", "/proc/self/status")
    status = dict(line.split(":\t", 1) for line in out.splitlines() if ":\t" in line)
    assert {int(status["Cap" + name], 16) for name in ("Eff", "Prm", "Bnd")} == {0xA80425FB} and status["Seccomp"] == "2"
    assert int(status["CapInh"], 16) == int(status["CapAmb"], 16) == 0


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


def test_engine_files_and_volumes_land_where_dangling_links_lead(engine, tmp_path):
    """A link that leads to nothing is followed inside the image and its target made there, as Docker does it."""
    (tmp_path / "bound").write_text("from the host")
    links = [
        ("etc/resolv.conf", "../run/systemd/stub.conf"),
        ("etc/hosts", "/gone/hosts"),
        ("data", "/mnt/data"),
        ("single", str(tmp_path / "x")),
    ]
    ref = image(engine, "dangling", links=links)
    binds = [f"{tmp_path}/bound:/single", "landed:/data"]
    script = "cat /run/systemd/stub.conf /gone/hosts >/dev/null && cat /single && touch /mnt/data/x && mount"
    code, out = run(engine, "sh", "-c", script, Image=ref, HostConfig={"Binds": binds, "Tmpfs": {"/data/below": ""}})
    assert code == 0, out
    assert out.startswith("from the host") and " on /mnt/data " in out and " on /mnt/data/below " in out and f" on {tmp_path}/x " in out
    assert sorted(os.listdir(tmp_path)) == ["bound"]
    assert engine.api("DELETE", "/volumes/landed").status == 204


@pytest.mark.parametrize("target", ["/proc/1/root", "../../../../..", "/", "loop", "/proc/self/fd", "/dev"])
def test_a_mount_target_that_is_a_link_stays_inside(engine, tmp_path, target):
    """The mount is made somewhere in the container or refused: never on the host, and what lies there is not covered."""
    (tmp_path / "mark").write_text("host")
    ref = image(engine, "evil-target", links=[("loop" if target == "loop" else "target", target)])
    before = len(engine.mounts())
    attempt(engine, "true", Image=ref, HostConfig={"Binds": [f"{tmp_path}:/target/deep"]})
    attempt(engine, "true", Image=ref, HostConfig={"Binds": [f"{tmp_path}:/target"]})
    attempt(engine, "true", Image=ref, HostConfig={"Tmpfs": {"/target/etc": ""}})
    if target == "loop":
        assert attempt(engine, "true", Image=ref, HostConfig={"Tmpfs": {"/loop/x": ""}})[0] == 400
    assert os.listdir(tmp_path) == ["mark"]
    until(lambda: len(engine.mounts()) <= before, what="the mounts' end")
    assert os.path.exists("/etc/hosts")


def test_masks_of_an_image_that_has_links_in_their_place(engine, tmp_path):
    (tmp_path / "victim").write_text("untouched")
    ref = image(engine, "evil-masks", links=[("mask", str(tmp_path / "victim")), ("up", "../../../..")])
    masks = {"MaskedPaths": ["/mask", "/up/etc/shadow", "/proc/../mask"], "ReadonlyPaths": ["/mask", "/up"]}
    attempt(engine, "sh", "-c", "echo x > /mask", Image=ref, HostConfig=masks)
    assert (tmp_path / "victim").read_text() == "untouched"
    (tmp_path / "victim").write_text("writable still")


def test_an_image_is_mounted_read_only_and_kept(engine):
    ref = image(engine, "mounted-image", files=[("hello", b"from an image")])
    made = engine.create(
        "sh",
        "-c",
        "cat /m/hello; touch /m/x || mount -o remount,rw /m || echo read-only",
        HostConfig={"Mounts": [{"Type": "image", "Source": ref, "Target": "/m"}]},
    )
    assert engine.api("DELETE", f"/images/{ref}").status == 409
    for _ in range(2):
        assert engine.api("POST", f"/containers/{made}/start").status == 204
        assert engine.wait(made) == 0
    assert engine.logs(made).decode().count("from an image") == 2 and engine.logs(made).decode().count("read-only") >= 2
    assert engine.api("DELETE", f"/containers/{made}").status == 204
    assert engine.api("DELETE", f"/images/{ref}").status == 200
    missing = {"Image": "busybox", "HostConfig": {"Mounts": [{"Type": "image", "Source": "no-such-image", "Target": "/m"}]}}
    assert engine.api("POST", "/containers/create", missing).status == 400


def test_device_nodes_land_inside_whatever_links_say(engine, tmp_path):
    ref = image(engine, "evil-nodes", links=[("node", str(tmp_path)), ("up", "../../../.."), ("file", str(tmp_path / "node"))])
    for path in (
        "/node/null",
        f"/up{tmp_path}/null",
        "/../../../.." + str(tmp_path) + "/null",
        "/file",
        "/proc/1/root" + str(tmp_path) + "/null",
    ):
        device = {"PathOnHost": "/dev/null", "PathInContainer": path, "CgroupPermissions": "rwm"}
        attempt(engine, "true", Image=ref, HostConfig={"Devices": [device]})
    assert os.listdir(tmp_path) == []


def test_what_cannot_be_unpacked_in_a_container_is_the_archives_fault(engine):
    """Over the engine's mounts, across volumes, into /sys: a 4xx with a sentence, and the container goes on."""
    made = engine.container(HostConfig={"Binds": ["across:/v"]})
    for path, members in {
        "/etc": [entry("hosts", b"x")],
        "/": [entry("etc", b"x")],
        "/sys/fs": [entry("x", b"x")],
        "/v": [hardlink("h", "../bin/busybox")],
        "/./": [entry("v/f", b"x"), hardlink("etc/h", "v/f")],
        "/bin/": [entry("n", type=tarfile.CHRTYPE, device=(1 << 13, 1))],
    }.items():
        reply = engine.api("PUT", f"/containers/{made}/archive?path={path}", tarball(*members), {"Content-Type": "application/x-tar"})
        assert 400 <= reply.status < 500, (path, reply)
        assert reply.json["message"]
    assert engine.inspect(made)["State"]["Running"]
    engine.api("DELETE", f"/containers/{made}?force=1")
    assert engine.api("DELETE", "/volumes/across").status == 204
