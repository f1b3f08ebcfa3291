"""The images that bootstrap makes, with the package manager played here."""

import hashlib
import io
import json
import tarfile

import pytest

from scow.bootstrap import apt, archive, busybox, debian
from scow.bootstrap.apt import Source
from scow.errors import ScowError

MAIN = Source("http://user:secret@mirror.example/debian/", "bookworm", "main", "/k.gpg")
UPDATES = Source("http://mirror.example/debian/", "bookworm-updates", "main")
SECURITY = Source("http://mirror.example/debian-security/", "bookworm-security", "main")


def test_an_archive_that_load_takes(tmp_path):
    made = busybox.lay_down(tmp_path / "layer", b"program", ["sh", "ls", "busybox", "/bin/ls"], 1_000_000)
    again = busybox.lay_down(tmp_path / "layer2", b"program", ["ls", "sh"], 1_000_000)
    assert made.digest == again.digest
    base = archive.Base(made, ("busybox:latest",), ("sh",), "scow image bootstrap busybox", "busybox-static 1", "amd64")
    data = b"".join(archive.pieces(base))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        manifest = json.load(tar.extractfile("manifest.json"))[0]
        config = tar.extractfile(manifest["Config"]).read()
        layer = tar.extractfile(manifest["Layers"][0]).read()
    assert f"sha256:{hashlib.sha256(config).hexdigest()}" == archive.image_id(base)
    document = json.loads(config)
    assert document["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}"]
    assert document["created"] == "1970-01-12T13:46:40Z"
    assert document["config"]["Cmd"] == ["sh"]
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        assert tar.extractfile("bin/sh").read() == b"program"
        assert tar.extractfile("usr/bin/env").read() == b"program"
        assert tar.getmember("tmp").mode == 0o1777


def test_a_program_that_is_no_busybox_is_a_sentence():
    with pytest.raises(ScowError, match="busybox can't be asked for its applets"):
        busybox.applets_of(b"no program")


def test_sources_of_the_host_are_turned_to_the_suite():
    other = Source("http://example.org/apt", "stable-tools", "main")
    found = debian.choose([MAIN, UPDATES, SECURITY, other], "bookworm", "trixie")
    assert [source.release for source in found] == ["trixie", "trixie-updates", "trixie-security"]
    assert [source.release for source in debian.choose([MAIN, UPDATES, SECURITY], "bookworm", "sid")] == ["sid"]
    with pytest.raises(ScowError, match="name no Debian bookworm"):
        debian.choose([other, SECURITY], "bookworm", "bookworm")


def test_an_image_gets_no_passwords():
    assert MAIN.line() == "deb [signed-by=/k.gpg] http://user:secret@mirror.example/debian/ bookworm main"
    assert MAIN.line(public=True) == "deb http://mirror.example/debian/ bookworm main"


def test_what_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(apt, "find", lambda _program: "")
    with pytest.raises(ScowError, match="apt-get install mmdebstrap"):
        debian.make("", tmp_path, print)
    with pytest.raises(ScowError, match="no apt-get"):
        apt.sources()
    with pytest.raises(ScowError, match="busybox-static is not installed, and there is no apt-get"):
        busybox.make(tmp_path, print)
    for wrong in ("-x", "Book", "a b", "../x", "--version"):
        with pytest.raises(ScowError, match="no suite of Debian"):
            debian.make(wrong, tmp_path, print)


def test_a_host_that_is_no_debian_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(debian, "_OS_RELEASE", tmp_path / "os-release")
    (tmp_path / "os-release").write_text('ID=fedora\nPRETTY_NAME="Fedora Linux 41"\n')
    monkeypatch.setattr(apt, "find", lambda program: f"/bin/{program}")
    monkeypatch.setattr(debian.os, "geteuid", lambda: 0)
    with pytest.raises(ScowError, match="this machine is Fedora Linux 41"):
        debian.make("", tmp_path, print)


def test_a_program_that_fails_says_why(tmp_path):
    with pytest.raises(ScowError, match=r"sh failed with status 3: first\nsecond"):
        apt.run(["sh", "-c", "echo first >&2; echo second >&2; exit 3"])
    told: list[str] = []
    with pytest.raises(ScowError, match=r"sh failed with status 4: on the way"):
        apt.run(["sh", "-c", "echo on the way; exit 4"], told.append)
    assert told == ["on the way"]
    apt.run(["printf", "%s", "a\\0b"], binary_to=tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"a\\0b"
    with pytest.raises(ScowError, match="no-such-program is not installed here"):
        apt.run(["no-such-program"])
