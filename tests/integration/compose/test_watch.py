"""`watch`: files come into running containers, deletions and whole folders, too; images are built anew."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.compose import Project
from tests.support.engine import until

FILE = """
services:
  web:
    build: {dockerfile_inline: "FROM busybox\\nCOPY src /src\\nCOPY made /made"}
    command: sh -c 'date +%s%N >/started; exec sleep 1000'
    stop_signal: KILL
    develop:
      watch:
        - {action: sync, path: ./src, target: /src, ignore: ["*.log"], initial_sync: true}
        - {action: sync+restart, path: ./conf, target: /conf}
        - {action: sync+exec, path: ./hook, target: /hook, exec: {command: "sh -c 'cat /hook/* >/hooked'"}}
        - {action: rebuild, path: ./made}
"""


@contextmanager
def watching(project: Project, *args: str) -> Iterator["subprocess.Popen[bytes]"]:
    run = project.begin(*args)
    try:
        assert run.stderr is not None
        for line in run.stderr:
            if b"Watch enabled" in line:
                break
        yield run
    finally:
        run.send_signal(signal.SIGINT)
        _, err = run.communicate(timeout=60)
        assert b"Traceback" not in err, err


def inside(project: Project, command: str) -> str:
    return project("exec", "-T", "web", "sh", "-c", command, code=None).out


@pytest.mark.slow
def test_changes_of_files_reach_the_container(project: Project) -> None:
    for name in ("src", "conf", "hook", "made"):
        (project.folder / name).mkdir()
    (project.folder / "src/old").write_text("old")
    (project.folder / "made/version").write_text("1")
    project.file(FILE)
    with watching(project, "watch"):
        (project.folder / "src/a/b").mkdir(parents=True)
        for number in range(200):
            (project.folder / f"src/a/b/{number}").write_text(str(number))
        (project.folder / "src/x.log").write_text("")
        (project.folder / "src/old").unlink()
        until(lambda: inside(project, "ls /src/a/b | wc -l; ls /src") == "200\na", seconds=60)
        before = inside(project, "cat /started")
        (project.folder / "conf/c").write_text("c")
        until(lambda: inside(project, "cat /conf/c; cat /started") not in ("", "c\n" + before, before), seconds=60)
        (project.folder / "hook/h").write_text("told")
        until(lambda: inside(project, "cat /hooked") == "told", seconds=60)
        ids = project.ids()
        (project.folder / "made/version").write_text("2")
        until(lambda: inside(project, "cat /made/version") == "2", seconds=60)
        until(lambda: len(project.ids()) == 1 and not project.ids() & ids, seconds=60)
    project("down", "-t", "0")


def test_up_watches_too_and_syncs_at_the_beginning(project: Project) -> None:
    (project.folder / "src").mkdir()
    (project.folder / "src/a").write_text("new")
    project.file(
        """
services:
  web:
    image: busybox
    command: sleep 1000
    stop_signal: KILL
    develop: {watch: [{action: sync, path: ./src, target: /src, initial_sync: true}]}
"""
    )
    with watching(project, "up", "--watch"):
        until(lambda: inside(project, "cat /src/a") == "new", seconds=60)
        (project.folder / "src/a").write_text("newer")
        until(lambda: inside(project, "cat /src/a") == "newer", seconds=60)
