"""`scow image bootstrap` against an engine: the image runs, and is the same again."""

import shutil
from pathlib import Path

import pytest

from tests.support.cli import Cli

pytestmark = pytest.mark.skipif(shutil.which("dpkg") is None, reason="needs dpkg")


def test_busybox_of_the_packages_of_this_machine(scow: Cli) -> None:
    made = scow("image", "bootstrap", "-t", "mine:1", "busybox")
    assert "made: mine:1" in made.err
    assert scow("image", "inspect", "--format", "{{.Id}}", "mine:1").out == made.out
    assert scow("run", "--rm", "mine:1", "sh", "-c", "id -u && ls /usr/bin/env && echo $PATH").lines[0] == "0"
    again = scow("image", "bootstrap", "-q", "-t", "mine:2", "busybox")
    assert (again.out, again.err) == (made.out, "")
    assert "scow image bootstrap busybox" in scow("history", "mine:1").out


def test_an_archive_instead(scow: Cli, tmp_path: Path) -> None:
    target = tmp_path / "image.tar"
    made = scow("image", "bootstrap", "-q", "-o", str(target), "-t", "archived:1", "busybox")
    assert scow("load", "-q", "-i", str(target)).out == "Loaded image: archived:1"
    assert scow("image", "inspect", "--format", "{{.Id}}", "archived:1").out == made.out


def test_what_it_cannot_make_is_a_sentence(scow: Cli) -> None:
    for words, sentence in (
        (["alpine"], "alpine: bootstrap knows busybox and debian[:suite]"),
        (["busybox:1"], "bootstrap knows busybox and debian[:suite]"),
        (["debian:"], "bootstrap knows busybox and debian[:suite]"),
        (["debian:--help"], "no suite of Debian"),
        (["-t", "UPPER", "busybox"], "invalid reference format"),
        (["-o", "/nowhere/x", "busybox"], "open /nowhere/x: no such file or directory"),
    ):
        assert sentence in scow("image", "bootstrap", *words, code=1).err


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(shutil.which("mmdebstrap") is None, reason="needs mmdebstrap")
def test_debian_is_the_same_twice(scow: Cli, tmp_path: Path) -> None:
    first, second = (scow("image", "bootstrap", "-q", "-o", str(tmp_path / name), "debian").out for name in ("1", "2"))
    assert first == second
    scow("load", "-q", "-i", str(tmp_path / "1"))
    assert scow("run", "--rm", "debian", "dpkg", "--audit").out == ""
