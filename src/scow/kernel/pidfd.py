"""Processes by descriptor: open, signal, and learn how one ended, as its parent or not. Nothing is stored."""

import contextlib
import fcntl
import os
import select
import signal
import struct

from scow.kernel.syscalls import checked, libc

_GET_INFO = (3 << 30) | (64 << 16) | (0xFF << 8) | 11  # PIDFD_GET_INFO, first published size
_INFO_EXIT = 1 << 3
_GETFD = 438  # pidfd_getfd, the same number on every architecture


def open_pid(pid: int) -> int:
    """A pidfd (close-on-exec) of `pid`; ProcessLookupError when there is none."""
    return os.pidfd_open(pid)


def send_signal(fd: int, signum: int) -> None:
    """Signal the process; ProcessLookupError when it has ended."""
    signal.pidfd_send_signal(fd, signum)


def ended(fd: int) -> bool:
    """Whether the process has ended."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


def exit_code(status: int) -> int:
    """Shell-style code (128+signal) of a wait status."""
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def descriptor(fd: int, number: int) -> int:
    """A copy of the process's descriptor `number`, close-on-exec. Raises OSError."""
    return checked(libc.syscall(_GETFD, fd, number, 0))


def reap(fd: int) -> int | None:
    """Exit code if the process is our ended child (it is reaped), else None."""
    try:
        info = os.waitid(os.P_PIDFD, fd, os.WEXITED | os.WNOHANG)
    except OSError:
        return None
    if info is None:
        return None
    return info.si_status if info.si_code == os.CLD_EXITED else 128 + info.si_status


def exit_info(fd: int) -> int | None:
    """Exit code of an ended process that is not ours: its parent has yet to reap it, or has (Linux 6.15 tells); else None."""
    code = _zombie_code(fd)
    return _reaped_code(fd) if code is None else code


def _zombie_code(fd: int) -> int | None:
    """From /proc, while the process waits for its parent."""
    try:
        with open(f"/proc/self/fdinfo/{fd}") as file:
            pid = next((int(line.split()[1]) for line in file if line.startswith("Pid:")), 0)
        if pid <= 0 or not ended(fd):
            return None
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        return exit_code(int(fields[49])) if fields[0] == "Z" else None
    except (OSError, ValueError, IndexError):
        return None


def _reaped_code(fd: int) -> int | None:
    buffer = bytearray(64)
    struct.pack_into("Q", buffer, 0, _INFO_EXIT)
    try:
        fcntl.ioctl(fd, _GET_INFO, buffer)
    except OSError:
        return None
    if not struct.unpack_from("Q", buffer, 0)[0] & _INFO_EXIT:
        return None
    return exit_code(struct.unpack_from("i", buffer, 60)[0])


def collect(fd: int) -> int | None:
    """Exit code by whichever way the kernel offers now; None: still running, or not to be learned (yet)."""
    code = reap(fd)
    return exit_info(fd) if code is None else code


def reap_orphans(names: frozenset[str], ours: frozenset[int]) -> int:
    """Reap ended children named as in `names` that came to us when their parent died, but not the pids of `ours`; how many."""
    count = 0
    with contextlib.suppress(OSError):
        for thread in os.listdir("/proc/self/task"):
            with open(f"/proc/self/task/{thread}/children") as file:
                children = [int(word) for word in file.read().split()]
            for pid in children:
                with contextlib.suppress(OSError, ValueError, IndexError):
                    with open(f"/proc/{pid}/stat") as file:
                        head, _, tail = file.read().rpartition(")")
                    if tail.split()[0] == "Z" and pid not in ours and head.partition("(")[2] in names:
                        os.waitpid(pid, os.WNOHANG)
                        count += 1
    return count
