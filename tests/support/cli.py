"""Command line clients against an engine: one call, a call in the background, a call on a terminal."""

import contextlib
import os
import pty
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.engine import ROOT, Engine

SECONDS = 120.0
SCOW = str(ROOT / ".venv/bin/scow")
_ENV = {"DOCKER_CONTEXT": "", "DOCKER_API_VERSION": "", "DOCKER_TLS_VERIFY": "", "BUILDKIT_PROGRESS": "plain", "DOCKER_CLI_HINTS": "false"}


@dataclass(frozen=True)
class Done:
    """A finished call. Output is text without the spaces around it; `raw` is standard output as it came."""

    code: int
    raw: bytes
    err: str

    @property
    def out(self) -> str:
        """Standard output."""
        return self.raw.decode(errors="replace").strip()

    @property
    def lines(self) -> list[str]:
        """Its lines."""
        return self.out.splitlines()


class Cli:
    """`cli("ps", "-a")` runs the program against the engine and expects the exit code 0, or another one: `code=1`, or any: `code=None`."""

    def __init__(self, engine: Engine, program: str) -> None:
        self.engine = engine
        self.program = program
        unset = {"DOCKER_CONTEXT", "DOCKER_API_VERSION", "DOCKER_TLS_VERIFY"}
        self.env = {key: value for key, value in {**os.environ, **_ENV}.items() if key not in unset}
        self.env["DOCKER_HOST"] = f"unix://{engine.socket}"

    def __call__(
        self, *args: str, code: int | None = 0, stdin: bytes = b"", cwd: Path | None = None, env: dict[str, str] | None = None
    ) -> Done:
        full = {**self.env, **(env or {})}
        found = subprocess.run([self.program, *args], input=stdin, capture_output=True, env=full, cwd=cwd, timeout=SECONDS, check=False)
        done = Done(found.returncode, found.stdout, found.stderr.decode(errors="replace").strip())
        assert code is None or done.code == code, (args, done)
        return done

    @contextlib.contextmanager
    def background(self, *args: str) -> Iterator[subprocess.Popen[bytes]]:
        """The running call; ended at the end of the block."""
        with subprocess.Popen(
            [self.program, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.env
        ) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()

    @contextlib.contextmanager
    def terminal(self, *args: str) -> Iterator["Terminal"]:
        """The call on a terminal of its own."""
        ours, theirs = pty.openpty()
        process = subprocess.Popen([self.program, *args], stdin=theirs, stdout=theirs, stderr=theirs, env=self.env, start_new_session=True)
        os.close(theirs)
        try:
            yield Terminal(ours, process)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()
            os.close(ours)


class Terminal:
    """The user's side of a terminal."""

    def __init__(self, fd: int, process: subprocess.Popen[bytes]) -> None:
        self._fd = fd
        self._process = process
        self._seen = b""

    def type(self, data: bytes) -> None:
        """Press keys."""
        os.write(self._fd, data)

    def expect(self, text: bytes) -> bytes:
        """Read until `text` shows; what came before it."""
        end = time.monotonic() + SECONDS
        while text not in self._seen:
            ready, _, _ = select.select([self._fd], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"{text!r} did not show up: {self._seen!r}"
            try:
                data = os.read(self._fd, 4096)
            except OSError:
                data = b""
            assert data, f"the terminal closed before {text!r}: {self._seen!r}"
            self._seen += data
        before, _, self._seen = self._seen.partition(text)
        return before

    def wait(self) -> int:
        """The exit code of the program."""
        end = time.monotonic() + SECONDS
        while self._process.poll() is None:
            ready, _, _ = select.select([self._fd], [], [], 0.05)
            if ready:
                with contextlib.suppress(OSError):
                    self._seen += os.read(self._fd, 4096)
            assert time.monotonic() < end, f"it did not end: {self._seen!r}"
        return self._process.returncode


def docker_program() -> str | None:
    """The docker CLI of this machine."""
    return shutil.which("docker")


def has_plugin(name: str) -> bool:
    """Whether the docker CLI has this plugin."""
    program = docker_program()
    return program is not None and subprocess.run([program, name, "version"], capture_output=True, timeout=60, check=False).returncode == 0
