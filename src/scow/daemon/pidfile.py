"""One daemon for each pair of roots: locks on both, and the pid file."""

import contextlib
import fcntl
import os
from pathlib import Path

from scow.errors import Unavailable


class Lock:
    """An exclusive lock on `<root>/scowd.lock`, held until `release` or the end of the process."""

    def __init__(self, root: Path) -> None:
        """Raises Unavailable when another daemon holds it, or the root cannot be made."""
        try:
            root.mkdir(parents=True, exist_ok=True, mode=0o711)
            self._fd = os.open(root / "scowd.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as exc:
            raise Unavailable(f"cannot use the folder {root}: {exc.strerror}") from exc
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            os.close(self._fd)
            raise Unavailable(
                f"another scowd is running with {root}: stop it first, or give this one its own --data-root and --exec-root"
            ) from exc

    def release(self) -> None:
        """Let the next daemon in."""
        os.close(self._fd)


def write(path: Path) -> None:
    """Put our pid there. Raises Unavailable when the process named in it is a living daemon."""
    try:
        other = int(path.read_text().strip() or "0")
    except (OSError, ValueError):
        other = 0
    if other not in (0, os.getpid()) and _is_daemon(other):
        raise Unavailable(f"process with PID {other} is still running: pid file {path} found, make sure scowd is not running or delete it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_name(f"{path.name}.{os.getpid()}")
        scratch.write_text(f"{os.getpid()}\n")
        scratch.replace(path)
    except OSError as exc:
        raise Unavailable(f"failed to create pid file {path}: {exc.strerror}") from exc


def _is_daemon(pid: int) -> bool:
    try:
        return b"scowd" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def remove(path: Path) -> None:
    """Take the pid file away if it is ours."""
    with contextlib.suppress(OSError, ValueError):
        if int(path.read_text().strip()) == os.getpid():
            path.unlink()
