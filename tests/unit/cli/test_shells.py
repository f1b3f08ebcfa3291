"""Completion in real shells: what is typed and completed on a terminal is what the engine gets."""

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fakes.wire import FakeEngine, reply

SRC = str(Path(__file__).resolve().parents[3] / "src")
PROGRAM = "import sys; sys.path.insert(0, sys.argv.pop(1)); sys.argv[0] = 'scow'; from scow.cli.main import run; run()"
SECONDS = 120
ROUTES = {
    "GET /containers/json": reply(200, [{"Id": "a" * 64, "Names": ["/website"]}, {"Id": "b" * 64, "Names": ["/other"]}]),
    "GET /images/json": reply(200, [{"Id": "sha256:" + "c" * 64, "RepoTags": ["shop:blue"]}]),
    "GET /volumes": reply(200, {"Volumes": [{"Name": "documents"}, {"Name": "pictures"}]}),
    "GET /networks": reply(200, [{"Name": "frontend"}, {"Name": "bridge"}]),
    "POST /containers/website/stop": reply(204),
    "DELETE /images/shop:blue": reply(200, []),
    "DELETE /volumes/documents": reply(204),
    "DELETE /networks/frontend": reply(204),
}
# what is typed, what the tab adds, what the engine is asked
LINES = [
    ("scow stop we", "bsite", "POST /containers/website/stop"),
    ("scow rmi sho", "p", "DELETE /images/shop:blue"),
    ("scow volume rm doc", "uments", "DELETE /volumes/documents"),
    ("scow network rm fro", "ntend", "DELETE /networks/frontend"),
]
START = {
    "bash": (["bash", "--norc", "-i"], "source <(scow completion bash)"),
    "zsh": (["zsh", "-f", "-i"], "autoload -U compinit; compinit -u -D; source <(scow completion zsh)"),
    "fish": (["fish", "--no-config", "-i"], "scow completion fish | source"),
}


class Shell:
    """A shell on a terminal."""

    def __init__(self, argv: list[str], env: dict[str, str]) -> None:
        self.ours, theirs = pty.openpty()
        self.process = subprocess.Popen(["setsid", "-w", "-c", *argv], env=env, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        self.seen = b""

    def type(self, text: str) -> None:
        os.write(self.ours, text.encode())

    def expect(self, probe) -> None:
        end = time.monotonic() + SECONDS
        while not probe():
            if select.select([self.ours], [], [], 0.1)[0]:
                self.seen += os.read(self.ours, 65536)
            assert time.monotonic() < end, self.seen

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.ours)


@pytest.mark.parametrize("name", START)
def test_names_are_completed(tmp_path, name):
    argv, load = START[name]
    if shutil.which(name) is None:
        pytest.skip(f"needs {name}")
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "scow"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -IS -c "{PROGRAM}" {SRC} "$@"\n')
    program.chmod(0o755)
    with FakeEngine(tmp_path / "s", dict(ROUTES)) as engine:
        env = {
            "PATH": f"{tmp_path}/bin:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "DOCKER_HOST": engine.url,
            "TERM": "vt100",
            "PS1": "$ ",
        }
        shell = Shell(argv, env)
        try:
            shell.type(load + "; echo rea''dy\r")
            shell.expect(lambda: b"ready" in shell.seen)
            for typed, _, asked in LINES:
                before = len(engine.seen)
                shell.type(typed)
                shell.expect(lambda typed=typed: typed.split()[-1].encode() in shell.seen)
                shell.type("\t")
                shell.expect(lambda before=before: len(engine.seen) > before)  # the completion asks the engine
                shell.type("\r")
                shell.expect(lambda asked=asked: any(one.startswith(asked) for one in engine.seen))
        finally:
            shell.close()


@pytest.mark.parametrize("name", START)
def test_the_scripts_are_valid(tmp_path, name):
    if shutil.which(name) is None:
        pytest.skip(f"needs {name}")
    script = subprocess.run(
        [sys.executable, "-IS", "-c", PROGRAM, SRC, "completion", name], capture_output=True, check=True, timeout=SECONDS
    )
    path = tmp_path / "script"
    path.write_bytes(script.stdout)
    done = subprocess.run([name, "-n", str(path)], capture_output=True, timeout=SECONDS, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
