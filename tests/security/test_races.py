"""Containers that change their paths while the engine works in them: the engine stays inside, however the race ends.

Each race is tried for a bounded number of times; a try that the container wins or loses gives the same verdict.
"""

import contextlib
import io
import os
import tarfile

import pytest

from tests.support.boxes import attempt, execute, image, shell
from tests.support.engine import until
from tests.support.tars import entry, folder, symlink, tarball

TAR = {"Content-Type": "application/x-tar"}
TRIES = 8


@pytest.fixture
def host(tmp_path):
    """A directory of the host that must stay as it is: what it holds is a secret."""
    place = tmp_path / "host"
    (place / "sub").mkdir(parents=True)
    (place / "secret").write_text("of the host")
    (place / "sub" / "secret").write_text("of the host")
    yield place
    assert sorted(os.listdir(place)) == ["secret", "sub"]
    assert os.listdir(place / "sub") == ["secret"]
    assert (place / "secret").read_text() == "of the host"


def swapper(engine, host, **config):
    """A container in which /x/d is by turns a directory, a link to `host`, a link to /proc/1/root, a fifo, a device."""
    script = f"""
        mkdir -p /x/real /x/e; echo mine > /x/real/secret; mkdir -p {host}/sub
        echo mine > {host}/secret; echo mine > {host}/sub/secret
        cd /x; touch ready
        while true; do
            cp -a real d; mv d old; ln -s {host} d; rm -rf old d
            ln -s /proc/1/root{host} d; rm d
            ln -s ../../../../../..{host} d; rm d
            mkfifo d; rm d; mknod d b 7 0; rm d; mknod d c 1 5; rm d
            mkdir d; mkdir d/sub; mkfifo d/secret; rm d/secret; ln -s {host}/secret d/secret; rm -rf d
        done 2>/dev/null"""
    made = engine.container("sh", "-c", script, **config)
    until(lambda: execute(engine, made, "test", "-e", "/x/ready")[0] == 0, what="the container's start")
    return made


def contents(data):
    """Every file of a tar stream, cut or whole."""
    found = []
    with contextlib.suppress(tarfile.TarError), tarfile.open(fileobj=io.BytesIO(data), mode="r|") as tar:
        found.extend(tar.extractfile(member).read() for member in tar if member.isfile())
    return found


@pytest.mark.parametrize("pid", ["", "host"])
def test_copies_from_and_into_a_container_that_swaps_its_paths(engine, host, pid):
    made = swapper(engine, host, HostConfig={"PidMode": pid, "NetworkMode": "none"})
    into = tarball(folder("sub"), entry("sub/pwned", b"x"), entry("pwned", b"x"), symlink("link", str(host)))
    for _ in range(TRIES):
        for path in ("/x/d", "/x/d/", "/x/d/.", "/x/d/secret", "/x"):
            reply = engine.api("GET", f"/containers/{made}/archive?path={path}")
            assert reply.status in (200, 400, 404), reply
            assert all(b"of the host" not in data for data in contents(reply.body))
            assert b"of the host" not in reply.body
        for path in ("/x/d", "/x/d/sub", f"/proc/1/root{host}"):
            reply = engine.api("PUT", f"/containers/{made}/archive?path={path}", into, TAR)
            assert reply.status in (200, 400, 403, 404), reply
    reply = engine.api("HEAD", f"/containers/{made}/archive?path=/proc/1/root{host}/secret")
    assert reply.status in (200, 404)
    reply = engine.api("GET", f"/containers/{made}/export")
    assert b"of the host" not in reply.body
    engine.api("DELETE", f"/containers/{made}?force=1")


def test_a_commit_while_paths_change_holds_only_the_containers_own(engine, host):
    (host / "secret").write_text("of the host")
    made = swapper(engine, host, HostConfig={"NetworkMode": "none", "Binds": [f"{host}:/bound:ro"], "Tmpfs": {"/quiet": ""}})
    execute(engine, made, "sh", "-c", "echo a-secret-of-the-moment > /quiet/s; echo kept > /kept; echo in-shm > /dev/shm/s")
    other = engine.container("sh", "-c", "echo of-another > /mine; sleep 1000")
    for number in range(2):
        pause = number % 2
        reply = engine.api("POST", f"/commit?container={made}&repo=raced&tag=t{number}&pause={pause}", {})
        assert reply.status == 201, reply
        saved = engine.api("GET", f"/images/raced:t{number}/get").body
        for secret in (b"of the host", b"a-secret-of-the-moment", b"in-shm", b"of-another"):
            assert secret not in saved
        assert b"kept\n" in saved
    for ref in (made, other):
        engine.api("DELETE", f"/containers/{ref}?force=1")
    for number in range(2):
        assert engine.api("DELETE", f"/images/raced:t{number}").status == 200


def test_mount_places_that_are_swapped_during_the_start(engine, host):
    """The place of a mount lies in a volume that another container changes: nothing of the host comes to light there."""
    swap = f"mkdir -p a/b; mv a x; ln -s {'../' * 12} a; rm a; ln -s / a; rm a; mv x a; rm -rf a"
    script = f"cd /v; touch ready; while true; do {swap}; done 2>/dev/null"
    other = engine.container("sh", "-c", script, HostConfig={"Binds": ["raced:/v"], "NetworkMode": "none"})
    until(lambda: execute(engine, other, "test", "-e", "/v/ready")[0] == 0, what="the container's start")
    look = f"cat {host}/secret /v/a/b{host}/secret /v/a{host}/secret; ls /v/a/b /v/a 2>/dev/null"
    for number in range(TRIES):
        binds = ["raced:/v", "inner:/v/a/b"] if number % 2 else ["raced:/v", f"{host}/sub:/v/a/b:ro"]
        _, out = attempt(engine, "sh", "-c", look, HostConfig={"Binds": binds, "NetworkMode": "none"})
        assert "of the host" not in out
        assert "scow-tests" not in out
        mount = {"Type": "volume", "Source": "raced", "Target": "/m", "VolumeOptions": {"Subpath": "a/b"}}
        _, out = attempt(engine, "sh", "-c", f"ls /m; cat /m{host}/secret", HostConfig={"Mounts": [mount], "NetworkMode": "none"})
        assert "of the host" not in out
        assert "etc" not in out.split()
    engine.api("DELETE", f"/containers/{other}?force=1")
    for name in ("raced", "inner"):
        assert engine.api("DELETE", f"/volumes/{name}").status in (204, 404)


def test_a_start_shows_nothing_to_a_container_that_shares_its_processes(engine):
    """What /proc says of the runtime while it starts another container leads nowhere on the host."""
    look = "cat $p/root/etc/shadow; ls $p/fd/*/ $p/cwd/ $p/root/"
    one = engine.container("sh", "-c", f"while true; do for p in /proc/[0-9]*; do {{ {look}; }} >> /seen; done; done 2>/dev/null")
    for _ in range(4):
        code, _ = shell(engine, "true", HostConfig={"PidMode": f"container:{one}", "NetworkMode": "none"})
        assert code == 0
        assert execute(engine, one, "true")[0] == 0
    with open("/etc/shadow", "rb") as file:
        shadow = file.read().splitlines()[0]
    seen = contents(engine.api("GET", f"/containers/{one}/archive?path=/seen").body)
    assert seen and shadow not in seen[0]
    assert not {b"srv", b"config.json", b"scow.sock"} & set(seen[0].split())
    engine.api("DELETE", f"/containers/{one}?force=1")


def test_no_program_of_the_container_resolves_names_for_a_copy(engine, tmp_path):
    """An image that brings its own name service: a copy with owners looks users up without running anything of it."""
    touched = "touch /etc/nss-ran"
    links = [("etc/ld.so.preload", "/evil.so"), ("lib/libnss_files.so.2", "/evil.so"), ("lib64/libnss_files.so.2", "/evil.so")]
    files = [("etc/nsswitch.conf", b"passwd: evil\ngroup: evil\n"), ("evil.so", b"#!/bin/sh\n" + touched.encode())]
    ref = image(engine, "evil-nss", links=links, files=files)
    made = engine.container(Image=ref, User="user")
    data = tarball(entry("f", b"x", uid=5, gid=6))
    assert engine.api("PUT", f"/containers/{made}/archive?path=/tmp&copyUIDGID=1", data, TAR).status == 200
    code, out = execute(engine, made, "stat", "-c", "%u:%g", "/tmp/f")
    assert (code, out) == (0, "1000:1000\n")
    assert engine.api("GET", f"/containers/{made}/archive?path=/etc/nss-ran").status == 404
    engine.api("DELETE", f"/containers/{made}?force=1")


def test_volumes_are_filled_from_the_image_and_from_nowhere_else(engine, host):
    """A new volume at a link of the image that leads out: neither does it get the host's files, nor do they get its owner and mode."""
    mode = os.stat(host).st_mode
    ref = image(
        engine, "evil-fill", links=[("fill", str(host)), ("up", "../" * 12 + str(host).lstrip("/")), ("proc-root", f"/proc/1/root{host}")]
    )
    for path in ("/fill", "/up", "/proc-root", "/fill/sub"):
        _, out = attempt(engine, "sh", "-c", f"ls {path}; cat {path}/secret", Image=ref, HostConfig={"Binds": [f"filled:{path}"]})
        assert "of the host" not in out
        assert engine.api("DELETE", "/volumes/filled").status in (204, 404)
    assert os.stat(host).st_mode == mode


def test_a_volume_whose_data_is_replaced_by_a_link(engine, host):
    """What a container does to the files of a volume never moves the volume: its top stays the engine's directory."""
    code, out = shell(engine, f"rmdir /v; rm -rf /v; mv /v /w; ln -s {host} /v/link; ls -la /v/", HostConfig={"Binds": ["moved:/v"]})
    assert "link" in out
    code, out = shell(engine, "cat /v/link/secret", HostConfig={"Binds": ["moved:/v"]})
    assert code != 0 and "of the host" not in out
    mount = {"Type": "volume", "Source": "moved", "Target": "/m", "VolumeOptions": {"Subpath": "link"}}
    _, out = attempt(engine, "cat", "/m/secret", HostConfig={"Mounts": [mount]})
    assert "of the host" not in out
    assert engine.api("DELETE", "/volumes/moved").status == 204
