"""Exit codes by descriptor."""

import fcntl
import os
import select
import signal

from scow.kernel import pidfd, spawn


def ended(fd: int) -> None:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    assert poll.poll(60_000)


def test_reap_and_signal() -> None:
    fd = pidfd.open_pid(spawn.spawn(["/bin/sh", "-c", "exit 7"], {}))
    ended(fd)
    assert pidfd.collect(fd) == 7
    os.close(fd)
    fd = pidfd.open_pid(spawn.spawn(["/bin/sleep", "1000"], {}))
    assert pidfd.collect(fd) is None
    pidfd.send_signal(fd, signal.SIGKILL)
    ended(fd)
    assert pidfd.reap(fd) == 137
    assert pidfd.exit_info(fd) in (137, None)
    os.close(fd)


def test_spawn_passes_only_named_descriptors() -> None:
    read, write = os.pipe2(os.O_CLOEXEC)
    high = fcntl.fcntl(read, fcntl.F_DUPFD_CLOEXEC, 200)
    fd = pidfd.open_pid(spawn.spawn(["/bin/ls", "/proc/self/fd"], {1: write}))
    os.close(write)
    ended(fd)
    assert pidfd.reap(fd) == 0
    with open(read) as file:
        found = file.read().split()
    assert {"0", "1", "2"} <= set(found)
    assert str(high) not in found
    os.close(high)
    os.close(fd)
