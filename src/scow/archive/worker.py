"""The helper process: takes jobs from descriptor 3, one after the other, works below a chroot, answers with a report.

Started by `workers.py` as `python -IS`; imports the standard library, `kernel` and its own package. A job is one JSON object with
descriptors attached; the answer one JSON object. It dies with the daemon's main thread (PDEATHSIG), and is killed to break a job off.
`jobs.py` has what it can do.
"""

import contextlib
import errno
import importlib
import json
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable
from typing import cast

from scow.archive.chroot import Job
from scow.archive.jobs import JOBS
from scow.archive.tar import Malformed
from scow.kernel import syscalls

_JOB_FD = 3
_PDEATHSIG = 1
_MAX_FDS = 128
_LIBC = syscalls.libc


def _job(name: str) -> Callable[[Job, list[int]], Job]:
    """A job of `jobs.py`, or `package.module:function` of a package above (the builder's copies and digests of trees)."""
    module, colon, function = name.partition(":")
    if not colon:
        return JOBS[name]
    return cast(Callable[[Job, list[int]], Job], getattr(importlib.import_module(module), function))


def run(job: Job, fds: list[int]) -> Job:
    """Do one job; what goes wrong becomes part of the answer."""
    try:
        return _job(job["job"])(job, fds)
    except Malformed as error:
        return {"error": "malformed", "message": str(error), "once": True}
    except OSError as error:
        name = f" {os.fsdecode(error.filename)!r}" if isinstance(error.filename, (str, bytes)) else ""
        text = (error.strerror or str(error)).lower() if error.errno is not None else str(error)
        return {"error": "os", "errno": error.errno or errno.EIO, "message": text + name[:300], "once": True}
    except (ValueError, OverflowError, MemoryError, RecursionError) as error:
        return {"error": "malformed", "message": f"the archive cannot be handled: {error}", "once": True}
    finally:
        for fd in fds:
            os.close(fd)


def receive(sock: socket.socket) -> tuple[Job, list[int]] | None:
    """The next job, or None when the daemon has gone."""
    try:
        head, fds, _, _ = socket.recv_fds(sock, 4, _MAX_FDS)
        if len(head) < 4:
            return None
        data = b""
        need = struct.unpack("=I", head)[0]
        while len(data) < need:
            more = sock.recv(need - len(data))
            if not more:
                return None
            data += more
    except ConnectionError:  # it died without having read our last answer
        return None
    return json.loads(data), fds


def main() -> None:
    """Serve jobs until the daemon closes the socket or a job has spent the process."""
    _LIBC.prctl(_PDEATHSIG, signal.SIGKILL)
    syscalls.keep_heap(4 << 20, 8 << 20)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.umask(0)
    sys.setswitchinterval(0.001)
    sock = socket.socket(fileno=_JOB_FD)
    while (got := receive(sock)) is not None:
        _reap()
        job, fds = got
        if job.get("pid") or job.get("private"):
            # the job will spend its process. A copy of this one costs 3 ms, a new one 100 ms of processor time
            if not _in_copy(sock, job, fds):
                return
            continue
        answer = run(job, fds)
        if not _answer(sock, answer) or answer.get("once"):
            return


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _answer(sock: socket.socket, answer: Job) -> bool:
    data = json.dumps(answer).encode()
    try:
        sock.sendall(struct.pack("=I", len(data)) + data)
    except OSError:
        return False
    return True


def _in_copy(sock: socket.socket, job: Job, fds: list[int]) -> bool:
    """Do a job in a copy of this process, which ends with it; False when it did not answer."""
    read, write = os.pipe2(os.O_CLOEXEC)
    copy = os.fork()  # noqa: TID251  no threads here, and little memory
    if copy == 0:
        try:
            _LIBC.prctl(_PDEATHSIG, signal.SIGKILL)
            answer = run(job, fds)
            answer.pop("once", None)
            if _answer(sock, answer):
                os.write(write, b"1")
        finally:
            os._exit(0)
    for fd in (write, *fds):
        os.close(fd)
    # its end takes longer than many a job (the kernel takes its mounts apart): not waited for
    done = os.read(read, 1) == b"1"
    os.close(read)
    return done
