"""Start programs with posix_spawn: no fork of a large process, default signals, only the wanted descriptors. Nothing is stored."""

import fcntl
import os
import signal
from collections.abc import Mapping, Sequence

# Python ignores these; a program (and the container below it) must not inherit that.
_DEFAULT_SIGNALS = [signal.SIGPIPE, signal.SIGXFSZ]
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def spawn(argv: Sequence[str], fds: Mapping[int, int], env: Mapping[str, str] | None = None, new_session: bool = False) -> int:
    """Start `argv` with descriptors {number in the child: ours}; 0-2 not named are /dev/null. The pid, or OSError."""
    lifted: list[int] = []
    actions: list[tuple[int, int, int] | tuple[int, int, str, int, int]] = []
    try:
        for target, ours in fds.items():
            # a source among the targets would be overwritten by an earlier dup2
            if ours < 16:
                ours = fcntl.fcntl(ours, fcntl.F_DUPFD_CLOEXEC, 16)
                lifted.append(ours)
            actions.append((os.POSIX_SPAWN_DUP2, ours, target))
        actions.extend((os.POSIX_SPAWN_OPEN, number, "/dev/null", os.O_RDWR, 0) for number in range(3) if number not in fds)
        return os.posix_spawnp(
            argv[0],
            list(argv),
            dict(env) if env is not None else {"PATH": PATH},
            file_actions=actions,
            setsid=new_session,
            setsigmask=[],
            setsigdef=_DEFAULT_SIGNALS,
        )
    finally:
        for fd in lifted:
            os.close(fd)
