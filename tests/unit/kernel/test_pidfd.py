"""Exit codes by descriptor."""

import fcntl
import os
import select
import signal
import subprocess

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


def test_a_zombie_of_another_parent_tells_its_code() -> None:
    script = "exec 3<&0; sh -c 'read x <&3; exit 7' & echo $!; exec sleep 60 >/dev/null"  # what `exec` leaves behind does not reap
    with subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None and parent.stdin is not None
        fd = pidfd.open_pid(int(parent.stdout.readline()))
        try:
            assert pidfd.exit_info(fd) is None and not pidfd.ended(fd)
            parent.stdin.close()
            assert select.select([fd], [], [], 60)[0]
            assert pidfd.collect(fd) == 7
        finally:
            os.close(fd)
            parent.kill()


def test_a_copy_of_a_descriptor() -> None:
    reader, writer = os.pipe()
    process = pidfd.open_pid(os.getpid())
    try:
        copy = pidfd.descriptor(process, writer)
        os.write(copy, b"x")
        os.close(copy)
        assert os.read(reader, 1) == b"x"
    finally:
        for fd in (reader, writer, process):
            os.close(fd)
