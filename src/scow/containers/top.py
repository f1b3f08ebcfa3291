"""`docker top`: the host's own `ps`, reduced to the processes of a container. Runs no program of the container's."""

import asyncio
import contextlib
import os
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from scow.containers.container import Container
from scow.containers.lifecycle import Status
from scow.errors import Conflict, Internal, InvalidArgument
from scow.kernel import pidfd, spawn

if TYPE_CHECKING:
    from scow.containers.parts import Parts

_FORBIDDEN = re.compile(r"\s+([^\s]*)=\s*(PID[^\s]*)")
_MAX_ARGS = 1024
_MAX_OUTPUT = 16 << 20
_SECONDS = 20.0


def check_args(text: str) -> list[str]:
    """The words of `ps_args`. Raises InvalidArgument for what would hide the PID column or is too long."""
    if len(text) > _MAX_ARGS or "\0" in text:
        raise InvalidArgument("ps arguments are too long")
    # ps -o user=PID prints a column of another kind under the name that rows are found by
    for found in _FORBIDDEN.finditer(text):
        if found[1] != "pid":
            raise InvalidArgument(f'specifying "{found[1]}={found[2]}" is not allowed')
    return text.split() or ["-ef"]


def parse(output: str, pids: Iterable[int]) -> dict[str, Any]:
    """Titles and rows of ps's output whose PID is in `pids`. Raises InvalidArgument when there is no PID column."""
    lines = output.splitlines()
    titles = lines[0].split() if lines else []
    if "PID" not in titles:
        raise InvalidArgument("Couldn't find PID field in ps output")
    at, last = titles.index("PID"), len(titles) - 1
    wanted = {str(pid) for pid in pids}
    rows: list[list[str]] = []
    follows = False
    for line in lines[1:]:
        fields = line.split()
        if not fields:
            continue
        if len(fields) > at and fields[at] in wanted:
            rows.append([*fields[:last], " ".join(fields[last:])])
            follows = True
        elif follows and fields[at : at + 1] == ["-"]:  # threads (ps -m) follow their process
            rows.append([*fields[:last], " ".join(fields[last:])])
        else:
            follows = False
    return {"Titles": titles, "Processes": rows}


async def capture(argv: list[str], seconds: float = _SECONDS, limit: int = _MAX_OUTPUT) -> tuple[int, bytes, bytes]:
    """Run a host program: (exit code, stdout, stderr). Raises Internal when it can't run, takes too long or writes too much."""
    loop = asyncio.get_running_loop()
    ends: list[int] = []
    pid_fd = -1
    buffers = (bytearray(), bytearray())
    try:
        out_read, out_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        ends += [out_read, out_write]
        err_read, err_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        ends += [err_read, err_write]
        for fd in (out_write, err_write):
            os.set_blocking(fd, True)
        try:
            pid = spawn.spawn(argv, {1: out_write, 2: err_write})
        except OSError as exc:
            raise Internal(f"{argv[0]}: {exc.strerror}") from exc
        pid_fd = pidfd.open_pid(pid)
        for fd in (out_write, err_write):
            os.close(fd)
            ends.remove(fd)
        done: asyncio.Future[None] = loop.create_future()
        open_ends = {out_read, err_read}

        def ready(fd: int, buffer: bytearray) -> None:
            try:
                data = os.read(fd, 1 << 16)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            buffer += data
            if not data or len(buffer) > limit:
                loop.remove_reader(fd)
                open_ends.discard(fd)
                if (not open_ends or len(buffer) > limit) and not done.done():
                    done.set_result(None)

        for fd, buffer in ((out_read, buffers[0]), (err_read, buffers[1])):
            loop.add_reader(fd, ready, fd, buffer)
        exited = asyncio.Event()
        loop.add_reader(pid_fd, exited.set)
        try:
            async with asyncio.timeout(seconds):
                await done
                if len(buffers[0]) > limit:
                    raise Internal(f"{argv[0]} wrote too much")
                await exited.wait()
        except TimeoutError as exc:
            raise Internal(f"{argv[0]} took too long") from exc
        finally:
            for fd in (out_read, err_read, pid_fd):
                loop.remove_reader(fd)
            if not exited.is_set():
                with contextlib.suppress(ProcessLookupError):
                    pidfd.send_signal(pid_fd, 9)
        return pidfd.reap(pid_fd) or 0, bytes(buffers[0]), bytes(buffers[1])
    finally:
        for fd in ends:
            os.close(fd)
        if pid_fd >= 0:
            os.close(pid_fd)


class TopService:
    """Lists the processes of containers."""

    def __init__(self, parts: "Parts") -> None:
        self._parts = parts

    async def top(self, container: Container, ps_args: str = "") -> dict[str, Any]:
        """Docker's top reply. Raises Conflict (not running), InvalidArgument (arguments that ps refuses)."""
        args = check_args(ps_args)
        if not container.state.running:
            raise Conflict(f"container {container.id} is not running")
        if container.state.status is Status.RESTARTING:
            raise Conflict(f"Container {container.id} is restarting, wait until the container is running")
        pids = sorted(await self._parts.tasks.pids(container.id))
        code, out, err = await capture(["ps", *args, "-q", ",".join(map(str, pids))]) if pids else (1, b"", b"")
        if code:
            code, out, err = await capture(["ps", *args])
        if code:
            raise InvalidArgument(f"ps: {err.decode('utf-8', 'replace').strip()[:500] or f'exit status {code}'}")
        container.announce("top")
        return parse(out.decode("utf-8", "replace"), pids)
