"""Runs the process of a step: a container without a row, on a mounted tree, with its output given as it comes.

The root and the sources of mounts are the caller's (`ops/exec.py`); this makes the OCI document, the network and the bundle, waits, and
takes everything away. What a crash leaves, the boot of the engine removes: tasks without a container are killed, sandboxes without one
released. Stored: `<run>/bundles/<id>`, `<run>/build/<id>` while it runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from scow import aio, log
from scow.aio import Unwind
from scow.build import stubs
from scow.build.llb.ops import Network, Security, Ulimit
from scow.build.networks import MODES, Net, Networks
from scow.errors import InvalidArgument, ScowError
from scow.ids import new_id
from scow.kernel import inroot
from scow.logdrivers.plan import LogPlan
from scow.model import container as model
from scow.model.oci import SpecMount
from scow.network.service import NetworkService
from scow.runtime import spec as oci
from scow.runtime.task import Attachment, Exit, StartFailed, Stdio, TaskManager, TaskSpec
from scow.runtime.users import resolve_user

logger = log.get(__name__)

_HEAD = 8
_MAX_FRAME = 16 << 20
_READ = 128 << 10
_ENGINE_FILES = (("resolv.conf", "/etc/resolv.conf"), ("hostname", "/etc/hostname"), ("hosts", "/etc/hosts"))


@dataclass(frozen=True, slots=True)
class Defaults:
    """What steps take from the daemon's options. `seccomp`: a profile's text, "unconfined", "" = the built-in one."""

    seccomp: str = ""
    shm_size: int = 64 << 20
    ulimits: tuple[model.Ulimit, ...] = ()
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    host_gateway: str = ""
    cgroup_parent: str = ""


@dataclass(frozen=True, slots=True)
class Mount:
    """What is mounted into a step. `source` is on this host; its kind decides the kind of the place."""

    destination: str
    source: str
    type: str = "bind"
    options: tuple[str, ...] = ("rbind", "rprivate")


@dataclass(frozen=True, slots=True)
class Run:
    """One process."""

    root: Path
    args: Sequence[str]
    env: Sequence[str] = ()
    cwd: str = "/"
    user: str = ""
    hostname: str = ""
    extra_hosts: Sequence[str] = ()
    """`name:address`."""
    network: Network = Network.DEFAULT
    security: Security = Security.SANDBOX
    mounts: Sequence[Mount] = ()
    ulimits: Sequence[Ulimit] = ()
    cgroup_parent: str = ""
    shm_size: int = 0
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """How it ended. `message` is set when it could not be started."""

    code: int
    oom: bool = False
    message: str = ""


@dataclass(slots=True)
class _Live:
    future: asyncio.Future[Exit]
    starting: asyncio.Task[Exception | None] | None = field(default=None)


class Executor:
    """Runs steps. Make it after the container service: it listens to the task manager's exits in front of that."""

    def __init__(self, run: Path, tasks: TaskManager, network: NetworkService, defaults: Defaults) -> None:
        self._run = run
        self._bundles = run / "bundles"
        self._tasks = tasks
        self._networks = Networks(run / "build", network, defaults)
        self.defaults = defaults
        self._live: dict[str, _Live] = {}
        self._work = aio.Supervisor("build steps")
        self._next = tasks.on_exit
        tasks.on_exit = self._on_exit

    def _on_exit(self, id: str, exit: Exit) -> None:
        live = self._live.get(id)
        if live is None:
            self._next(id, exit)
        elif not live.future.done():
            live.future.set_result(exit)

    async def run(self, wanted: Run, output: Callable[[int, bytes], None]) -> Ended:
        """Run a process to its end; `output(1 or 2, data)` gets what it writes. Cancelled: it is killed, and all is gone when this returns.

        Raises InvalidArgument (user, mounts), Internal."""
        id = new_id()
        live = self._live[id] = _Live(asyncio.get_running_loop().create_future())
        unwind = Unwind()
        unwind.push(self._live.pop, id, None)
        try:
            return await self._ran(id, live, wanted, output, unwind)
        finally:
            if live.starting is not None and not live.future.done():
                await self._kill(id, live)
            # names, cgroup and network follow behind the answer, the places of mounts before it
            await unwind.undo()

    async def _ran(self, id: str, live: _Live, wanted: Run, output: Callable[[int, bytes], None], unwind: Unwind) -> Ended:
        later = Unwind()
        unwind.push(self._later, id, later)
        hosts = [self._host(entry) for entry in wanted.extra_hosts]
        net = await self._networks.take(wanted.network, wanted.security, wanted.hostname, hosts)
        (unwind if net.plain else later).push(self._networks.give, net)
        made: list[stubs.Stub] = []
        unwind.push(aio.in_pool, stubs.remove, str(wanted.root), made)
        document = await aio.in_pool(self._document, id, wanted, net, made)
        later.push(self._delete, id)
        ours, theirs = socket.socketpair()
        reader = self._work.start(_read_frames(ours, output), "output")
        try:
            await aio.in_pool(_write, self._bundles / id / "config.json", document)
            task = TaskSpec(id, self._bundles / id, "", Stdio(), LogPlan("none", None), [Attachment(theirs, mux=True)])
            live.starting = self._work.start(self._start(task), "start")
            await asyncio.wait({live.starting})
            error = live.starting.result()
            if isinstance(error, StartFailed):
                live.future.cancel()
                return Ended(error.exit_code, message=_start_text(error.message))
            if error is not None:
                live.future.cancel()
                raise error
            ended = await live.future
            await asyncio.wait({reader}, timeout=_DRAIN_SECONDS)
            return Ended(ended.code, ended.oom)
        finally:
            theirs.close()
            if not reader.done():
                reader.cancel()
                await asyncio.wait({reader})

    async def _start(self, task: TaskSpec) -> Exception | None:
        try:
            await self._tasks.run(task)
        except (ScowError, OSError) as error:
            return error
        return None

    async def _kill(self, id: str, live: _Live) -> None:
        if live.starting is not None and not live.starting.done():
            await asyncio.wait({live.starting})
        if live.starting is None or live.starting.result() is not None or live.future.done():
            return
        with contextlib.suppress(ScowError):
            await self._tasks.signal(id, signal.SIGKILL, all=True)
            await self._tasks.signal(id, signal.SIGKILL)
        await asyncio.wait({live.future}, timeout=_KILL_SECONDS)

    def _later(self, id: str, later: Unwind) -> None:
        self._work.start(aio.behind(later.undo), f"clean {id[:12]}")

    async def _delete(self, id: str) -> None:
        await self._tasks.delete(id, ended=True)

    def _host(self, entry: str) -> str:
        name, _, address = entry.partition(":")
        return f"{name}:{self.defaults.host_gateway or address}" if address == "host-gateway" and self.defaults.host_gateway else entry

    def _document(self, id: str, wanted: Run, net: Net, made: list[stubs.Stub]) -> bytes:
        root = str(wanted.root)
        (self._bundles / id).mkdir(parents=True, mode=0o711)
        insecure = wanted.security == Security.INSECURE
        stubs.ensure_directory(root, wanted.cwd or "/")
        mounted = [*wanted.mounts]
        taken = {mount.destination for mount in mounted}
        engine = [(net.files / name, target) for name, target in _ENGINE_FILES if target not in taken and (net.files / name).exists()]
        mounted += [Mount(target, str(source), options=("rbind", "ro", "rprivate")) for source, target in engine]
        places: list[SpecMount] = []
        own = [mount.destination.rstrip("/") + "/" for mount in mounted]
        for mount in mounted:
            destination = mount.destination
            below = any(destination.rstrip("/") + "/" != other and destination.startswith(other) for other in own)
            if not below:  # the place of what lies below another mount is in that mount
                try:
                    destination = inroot.landing(root, destination)
                except OSError as error:
                    raise InvalidArgument(f"cannot mount at {mount.destination}: {(error.strerror or str(error)).lower()}") from None
                if destination == "/":
                    raise InvalidArgument(f"cannot mount at {mount.destination}: it leads to the root of the step")
                made += stubs.make(root, destination, mount.type == "tmpfs" or os.path.isdir(mount.source))
            places.append(SpecMount(destination, mount.source, mount.type, mount.options))
        host = model.HostConfig(
            network_mode=MODES[wanted.network],
            cgroupns_mode="private",
            ipc_mode="private",
            privileged=insecure,
            shm_size=wanted.shm_size or self.defaults.shm_size,
            ulimits=[model.Ulimit(name=one.name, soft=one.soft, hard=one.hard) for one in wanted.ulimits],
            cgroup_parent=wanted.cgroup_parent or self.defaults.cgroup_parent,
            readonly_rootfs=wanted.read_only,
            security_opt=[f"seccomp={self.defaults.seccomp}"] if self.defaults.seccomp and not insecure else [],
        )
        user = resolve_user(wanted.root, wanted.user)
        spec = oci.SpecInput(
            id=id,
            config=model.ContainerConfig(),
            host=host,
            process_args=wanted.args,
            env=wanted.env,
            cwd=wanted.cwd or "/",
            user=user,
            rootfs=root,
            mounts=places,
            netns=net.netns,
            hostname=net.hostname,
            default_ulimits=self.defaults.ulimits,
        )
        return orjson.dumps(oci.build(spec))

    async def close(self) -> None:
        """Let cleaning finish; steps have been cancelled before."""
        await self._work.drain(10)
        await self._work.close()
        await self._networks.close()


_DRAIN_SECONDS = 5.0
_KILL_SECONDS = 30.0


def _start_text(message: str) -> str:
    """What the runtime said, without the words about containers that users of a build do not know."""
    _, found, cause = message.removesuffix(": unknown").partition("unable to start container process: ")
    return f"unable to start the process: {cause}" if found else message.removeprefix("failed to create task for container: ")


def _write(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)


async def _read_frames(sock: socket.socket, output: Callable[[int, bytes], None]) -> None:
    """Take the frames of a container's output from a socket until its end; closes it."""
    loop = asyncio.get_running_loop()
    sock.setblocking(False)
    held = bytearray()
    with sock:
        while True:
            try:
                data = await loop.sock_recv(sock, _READ)
            except ConnectionError:
                return
            if not data:
                return
            held += data
            at = 0
            while len(held) - at >= _HEAD:
                stream, size = struct.unpack_from(">BxxxL", held, at)
                if size > _MAX_FRAME:
                    return
                if len(held) - at - _HEAD < size:
                    break
                output(2 if stream == 2 else 1, bytes(held[at + _HEAD : at + _HEAD + size]))
                at += _HEAD + size
            del held[:at]
