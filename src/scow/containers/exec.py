"""More processes in a running container: create, start (attached by a handed-over socket, or detached), resize, inspect.

Instances live in memory, ten minutes past their end; the keeper holds the processes. `TaskManager.on_exec_exit` ends in `exited`.
Health checks run here too (`run`), without an instance that clients could see.
"""

import asyncio
import contextlib
import socket
import struct
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from scow import ids, log
from scow.aio import in_pool
from scow.containers import detach
from scow.containers.container import Container
from scow.containers.lifecycle import Status
from scow.errors import Conflict, Internal, InvalidArgument, NotFound, ScowError
from scow.kernel import caps
from scow.model.container import ExecCreate, ExecStart
from scow.runtime.task import Attachment, StartFailed, Stdio
from scow.runtime.users import resolve_user

if TYPE_CHECKING:
    from scow.containers.parts import Parts
    from scow.runtime.task import Exit

logger = log.get(__name__)

KEEP_SECONDS = 600.0
_MAX_UNSTARTED = 4096
_MAX_ENDED = 20_000
_MAX_EARLIER = 1000
_ORPHAN_SECONDS = 10.0
_WRITE_SECONDS = 5.0
_OUTPUT_SECONDS = 1.0
_LAUNCH_SECONDS = 10.0
_SIGKILL = 9
_SIZE_LIMIT = 65535


@dataclass(slots=True, eq=False)
class Exec:
    """One process asked for. `exit_code` is None until it has ended."""

    id: str
    container: Container
    request: ExecCreate
    keys: bytes
    pid: int = 0
    started: bool = False
    running: bool = False
    exit_code: int | None = None
    ended_at: float = 0.0  # time.monotonic()
    launched: asyncio.Event = field(default_factory=asyncio.Event)  # the start has succeeded or failed

    @property
    def tty(self) -> bool:
        return self.request.tty


def check_running(container: Container, verb: str = "exec") -> None:
    """Raises Conflict with Docker's texts unless the container runs and isn't paused."""
    status = container.state.status
    if status is Status.PAUSED:
        raise Conflict(f"container {container.id} is paused, unpause the container before {verb}")
    if status is Status.RESTARTING:
        raise Conflict(f"Container {container.id} is restarting, wait until the container is running")
    if status is not Status.RUNNING:
        raise Conflict(f"container {container.id} is not running")


def merge_env(base: list[str], changes: list[str]) -> list[str]:
    """`base` with variables replaced, added, or (a name without `=`) removed."""
    out: dict[str, str] = {}
    for entry in [*base, *changes]:
        name, sep, _ = entry.partition("=")
        if sep:
            out[name] = entry
        else:
            out.pop(name, None)
    return list(out.values())


def process_of(container: Container, spec: dict[str, Any], request: ExecCreate) -> dict[str, Any]:
    """The OCI process for an exec: the container's own, changed by the request. Raises InvalidArgument (unknown user)."""
    process: dict[str, Any] = dict(spec["process"])
    own = {entry.partition("=")[0] for entry in container.config.env}
    env = [entry for entry in process.get("env", []) if (name := entry.partition("=")[0]) in own or name not in ("HOME", "TERM")]
    if request.tty and "TERM" not in own:
        env.append("TERM=xterm")
    env = merge_env(env, request.env)
    home = next((entry for entry in process.get("env", []) if entry.startswith("HOME=")), "")
    if request.user:
        user = resolve_user(container.rootfs, request.user, container.host.group_add)
        process["user"] = {"uid": user.uid, "gid": user.gid, "additionalGids": list(user.groups)}
        home = f"HOME={user.home}"
    if home and not any(entry.startswith("HOME=") for entry in env):
        env.append(home)
    process["env"] = env
    process["args"] = list(request.cmd)
    process["terminal"] = request.tty
    process.pop("consoleSize", None)
    if request.working_dir:
        process["cwd"] = request.working_dir
    own_caps = process.get("capabilities") or {}
    allowed = list(own_caps.get("bounding") or [])
    if request.privileged:
        available = caps.bounding()
        allowed = [name for name in caps.NAMES if name in available]
    if request.privileged or request.user:
        # as execve does it: only root gets more than the bounding set
        root = not process.get("user", {}).get("uid", 0)
        process["capabilities"] = {"bounding": allowed, **({"effective": allowed, "permitted": allowed} if root else {})}
    if request.privileged:
        process.pop("apparmorProfile", None)
    return process


def read_spec(container: Container) -> dict[str, Any]:
    """The OCI configuration of the running container. Raises Conflict when its bundle is gone."""
    try:
        found: dict[str, Any] = orjson.loads((container.bundle / "config.json").read_bytes())
    except (OSError, ValueError) as exc:
        check_running(container)  # it ended meanwhile
        why = f"{exc.strerror or exc}" if isinstance(exc, OSError) else "it is no JSON"
        raise Conflict(
            f"container {container.id} runs, but what the runtime needs to know of it was damaged ({container.bundle}/config.json: "
            f"{why.lower()}): restart the container"
        ) from exc
    return found


class ExecService:
    """All execs of the engine."""

    def __init__(self, parts: "Parts") -> None:
        self._parts = parts
        self._execs: OrderedDict[str, Exec] = OrderedDict()
        self._ended: OrderedDict[str, Exec] = OrderedDict()
        self._private: dict[str, asyncio.Future[int]] = {}
        self._earlier: OrderedDict[str, tuple[str, int]] = OrderedDict()  # ended ones that an earlier daemon had started
        parts.on_ended.append(self.container_ended)
        parts.tasks.on_exec_exit = self.exited
        parts.tasks.on_detach = self.detached

    # --- create and look up

    def create(self, container: Container, request: ExecCreate) -> str:
        """Take a request; the id. Raises InvalidArgument (no command, bad keys or size), Conflict (not running, paused)."""
        if not request.cmd:
            raise InvalidArgument("No exec command specified")
        check_running(container)
        if request.console_size and (len(request.console_size) != 2 or not all(0 <= side <= _SIZE_LIMIT for side in request.console_size)):
            raise InvalidArgument("invalid console size")
        if any("\0" in text for text in (*request.cmd, *request.env, request.user, request.working_dir)):
            raise InvalidArgument("invalid argument: a NUL byte in the command, its environment, user or directory")
        made = Exec(ids.new_id(), container, request, detach.parse(request.detach_keys))
        self._collect()
        self._execs[made.id] = made
        container.exec_ids.add(made.id)
        container.announce(f"exec_create: {' '.join(request.cmd)}", {"execID": made.id})
        return made.id

    def get(self, exec_id: str) -> Exec:
        """Raises NotFound."""
        found = self._execs.get(exec_id) or self._ended.get(exec_id)
        if found is None:
            key = ids.by_prefix([*self._execs, *self._ended], exec_id)
            found = (self._execs.get(key) or self._ended.get(key)) if key else None
        if found is None:
            raise NotFound(f"No such exec instance: {exec_id}")
        return found

    def ready(self, exec_id: str) -> Exec:
        """The exec, if it can be started now: what the API asks before it hijacks. Raises NotFound, Conflict."""
        found = self.get(exec_id)
        if found.exit_code is not None:
            raise Conflict(f"Error: Exec command {found.id} has already run")
        if found.started:
            raise Conflict(f"Error: Exec command {found.id} is already running")
        check_running(found.container)
        return found

    def inspect(self, exec_id: str) -> dict[str, Any]:
        """Docker's exec inspect; of one that an earlier daemon had started only how it ended. Raises NotFound."""
        if exec_id in self._earlier:
            container_id, code = self._earlier[exec_id]
            return {"ID": exec_id, "Running": False, "ExitCode": code, "ContainerID": container_id, "CanRemove": True, "Pid": 0}
        found = self.get(exec_id)
        request = found.request
        process: dict[str, Any] = {
            "tty": request.tty,
            "entrypoint": request.cmd[0],
            "arguments": request.cmd[1:],
            "privileged": request.privileged,
        }
        if request.user:
            process["user"] = request.user
        return {
            "ID": found.id,
            "Running": found.running,
            "ExitCode": found.exit_code,
            "ProcessConfig": process,
            "OpenStdin": request.attach_stdin,
            "OpenStderr": request.attach_stderr,
            "OpenStdout": request.attach_stdout,
            "CanRemove": found.exit_code is not None,
            "ContainerID": found.container.id,
            "DetachKeys": "",
            "Pid": found.pid,
        }

    # --- start

    async def start(self, exec_id: str, request: ExecStart, sock: socket.socket | None, early: bytes = b"") -> None:
        """Start the process; with `sock` (taken over, also on failure) attached to it.

        Detached (`sock` is None): raises NotFound, Conflict, StartFailed, InvalidArgument. Attached: what goes wrong is written into the
        stream, and the exit code says so.
        """
        spare: socket.socket | None = None
        try:
            found = self.ready(exec_id)
            found.started = True
            if sock is not None:
                spare = sock.dup()
            await self._launch(found, request, sock, early)
        except ScowError as exc:
            if sock is None:
                raise
            with contextlib.suppress(OSError):
                sock.close()
            if spare is not None:
                tty = found.tty
                await self._tell(spare, exc.message, tty)
        finally:
            if spare is not None:
                spare.close()

    async def _launch(self, found: Exec, request: ExecStart, sock: socket.socket | None, early: bytes) -> None:
        create, container = found.request, found.container
        size = request.console_size or create.console_size
        rows, cols = (size[0], size[1]) if len(size) == 2 and all(0 <= side <= _SIZE_LIMIT for side in size) else (0, 0)
        stdio = Stdio(tty=create.tty, stdin=create.attach_stdin and sock is not None, stdin_once=True, rows=rows, cols=cols)
        attachments = []
        if sock is not None:
            attachments.append(
                Attachment(
                    sock=sock,
                    early=early,
                    stdin=create.attach_stdin,
                    stdout=create.attach_stdout,
                    stderr=create.attach_stderr,
                    mux=not create.tty,
                    detach_keys=found.keys if create.tty else b"",
                )
            )
        container.announce(f"exec_start: {' '.join(create.cmd)}", {"execID": found.id})
        try:
            process = await in_pool(lambda: process_of(container, read_spec(container), create))
            if create.tty and rows and cols:
                process["consoleSize"] = {"height": rows, "width": cols}
            started = await self._parts.tasks.exec(container.id, found.id, process, stdio, attachments)
        except StartFailed as exc:
            self._finish(found, exc.exit_code)
            raise
        except ScowError:
            self._finish(found, 126)
            raise
        except Exception as exc:
            logger.exception("an exec could not be started")
            self._finish(found, 126)
            raise Internal("the exec could not be started") from exc
        if found.exit_code is None:
            found.running, found.pid = True, started.pid
        found.launched.set()

    @staticmethod
    async def _tell(sock: socket.socket, text: str, tty: bool) -> None:
        """Write why a start failed into the client's stream, and end it."""
        data = f"{text}\r\n".encode()
        if not tty:
            data = struct.pack(">BxxxI", 1, len(data)) + data
        sock.setblocking(False)
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_WRITE_SECONDS):
                await asyncio.get_running_loop().sock_sendall(sock, data)
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_WR)

    async def resize(self, exec_id: str, rows: int, cols: int) -> None:
        """Set the terminal's size. Raises NotFound, Conflict (no process, or none any more)."""
        found = self.get(exec_id)
        if found.started and not found.running:  # its output may be on the way before its start has returned
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAUNCH_SECONDS):
                    await found.launched.wait()
        if not found.running:
            raise Conflict(f"exec {found.id} is not running")
        if found.tty:
            await self._parts.tasks.exec_resize(found.container.id, found.id, rows, cols)

    # --- end

    def exited(self, container_id: str, exec_id: str, exit: "Exit") -> None:
        """`TaskManager.on_exec_exit`."""
        waiting = self._private.pop(exec_id, None)
        if waiting is not None:
            if not waiting.done():
                waiting.set_result(exit.code)
            return
        found = self._execs.get(exec_id)
        if found is None and exec_id not in self._ended:
            self._earlier[exec_id] = (container_id, exit.code)
            if len(self._earlier) > _MAX_EARLIER:
                self._earlier.popitem(last=False)
        elif found is not None and found.exit_code is None:
            self._finish(found, exit.code)
            found.container.announce("exec_die", {"execID": found.id, "exitCode": str(exit.code)})

    def detached(self, container_id: str, exec_id: str) -> None:
        """`TaskManager.on_detach`: a client left by its detach keys; `exec_id` is "" for the container itself."""
        if not exec_id:
            container = self._parts.store.by_id(container_id)
            if container is not None:
                container.announce("detach")
            return
        found = self._execs.get(exec_id)
        if found is not None:
            found.container.announce("exec_detach", {"execID": found.id})

    def _finish(self, found: Exec, code: int) -> None:
        found.exit_code, found.running, found.pid, found.ended_at = code, False, 0, time.monotonic()
        found.launched.set()
        found.container.exec_ids.discard(found.id)
        self._execs.pop(found.id, None)
        self._ended[found.id] = found
        self._collect()

    def container_ended(self, container: Container) -> None:
        """The container's process is gone: its execs are, or will be reported in a moment."""
        container.exec_ids.clear()
        for found in [one for one in self._execs.values() if one.container is container]:
            if found.started:
                self._parts.supervisor.start(self._give_up(found), f"exec {found.id[:12]}")
            else:
                del self._execs[found.id]

    async def _give_up(self, found: Exec) -> None:
        await asyncio.sleep(_ORPHAN_SECONDS)
        if found.exit_code is None:
            self._finish(found, 128 + _SIGKILL)

    def _collect(self) -> None:
        """Forget the ended after a while, and the oldest of those never started when there are very many."""
        limit = time.monotonic() - KEEP_SECONDS
        while self._ended:
            oldest = next(iter(self._ended.values()))
            if oldest.ended_at > limit and len(self._ended) <= _MAX_ENDED:
                break
            del self._ended[oldest.id]
        if len(self._execs) > _MAX_UNSTARTED:
            idle = [one for one in self._execs.values() if not one.started]
            for one in idle[: max(0, len(idle) - _MAX_UNSTARTED)]:
                one.container.exec_ids.discard(one.id)
                del self._execs[one.id]

    # --- inside the engine

    async def run(self, container: Container, cmd: list[str], timeout: float, limit: int) -> tuple[int | None, bytes]:
        """Run a command as the container's user and collect up to `limit` bytes of what it writes.

        (exit code, output); the code is None after `timeout` seconds, when the process is killed. Raises StartFailed, Conflict.
        """
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        exec_id = ids.new_id()
        future: asyncio.Future[int] = loop.create_future()
        self._private[exec_id] = future
        output = bytearray()

        async def collect() -> None:
            with contextlib.suppress(OSError):
                while data := await loop.sock_recv(ours, 65536):
                    output.extend(data[: max(0, limit - len(output))])

        reading = self._parts.supervisor.start(collect(), f"output {exec_id[:12]}")
        try:
            process = await in_pool(lambda: process_of(container, read_spec(container), ExecCreate(cmd=cmd)))
            attachment = Attachment(sock=theirs, early=b"", stdin=False, stdout=True, stderr=True, mux=False, detach_keys=b"")
            await self._parts.tasks.exec(container.id, exec_id, process, Stdio(tty=False, stdin=False, stdin_once=False), [attachment])
            try:
                async with asyncio.timeout(timeout):
                    code = await future
            except TimeoutError:
                with contextlib.suppress(ScowError):
                    await self._parts.tasks.exec_signal(container.id, exec_id, _SIGKILL)
                return None, bytes(output)
            # a child that was left behind may hold the output open: what counts has been written
            await asyncio.wait({reading}, timeout=_OUTPUT_SECONDS)
            return code, bytes(output)
        finally:
            reading.cancel()
            self._private.pop(exec_id, None)
            ours.close()
            theirs.close()
