"""`scow registry …` as a program: a server process (in a network namespace if told), and the commands beside it."""

import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.support.cli import SCOW
from tests.support.engine import until


def run(*args: str, root: Path, stdin: bytes = b"", code: int = 0) -> "subprocess.CompletedProcess[bytes]":
    """One command on a registry's directory."""
    done = subprocess.run([SCOW, "registry", *args, "--root", root], input=stdin, capture_output=True, timeout=180, check=False)
    assert done.returncode == code, (args, done)
    return done


def free_port() -> int:
    """A port of loopback that nobody has now."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


class Program:
    """A server process for a `with` block; `address` is where it listens."""

    def __init__(self, root: Path, *flags: str, prefix: Sequence[str] = (), port: int = 0) -> None:
        self.root = root
        self.port = port or free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._log = root.with_suffix(".log")
        self._argv = [*prefix, str(SCOW), "registry", "serve", "--root", str(root), "--listen", self.address, *flags]
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """What the server has said."""
        return self._log.read_text()

    def start(self) -> None:
        """Run until it listens."""
        before = len(self.log) if self._log.exists() else 0
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until(lambda: "registry listens on" in self.log[before:] or self.process.poll() is not None, what="the server")
        assert self.process.poll() is None, self.log

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(60)

    def __enter__(self) -> "Program":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(60)
