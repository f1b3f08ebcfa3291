"""`ExecOp`: one process on a tree, with its mounts.

Trees that are read are mounted read-only or under a layer that is thrown away; only mounts with an output are kept. Secrets lie in a tmpfs
for the time of the step and are part of nothing that is stored.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from scow import aio
from scow.build.executor import Mount, Run
from scow.build.llb.ops import EMPTY, ExecMount, ExecOp, MountKind, Network, ProxyEnv, Security, Vertex, digest_of
from scow.build.ops.kit import Kit
from scow.build.refs import Draft, TreeRef, new_id
from scow.build.solver.cachestore import combine
from scow.build.solver.types import BuildError, CacheMap, Dependency, JobContext, Read, Result
from scow.errors import Forbidden, InvalidArgument, NotFound, Unsupported
from scow.kernel import inroot, mounts

LOG_LIMIT = 2 << 20
TAIL = 64 << 10
_READ_ONLY = ("rbind", "ro", "rprivate")
_SECRETS_SIZE = 16 << 20


class Exec:
    """Runs a step."""

    weight = 1

    def __init__(self, kit: Kit, vertex: Vertex, op: ExecOp) -> None:
        self._kit = kit
        self._op = op
        self._vertex = vertex
        self._inputs = len(vertex.inputs)

    async def cache_map(self, job: JobContext) -> CacheMap:
        """By command, environment, mounts and root; trees that are only read count by what is read. Proxies do not count."""
        deps = [Dependency() for _ in range(self._inputs)]
        for number in range(self._inputs):
            uses = [mount for mount in self._op.mounts if mount.input == number]
            content = bool(uses) and all(mount.dest != "/" and mount.output == EMPTY and mount.kind == MountKind.BIND for mount in uses)
            if content:
                deps[number] = Dependency(content=True, reads=tuple(Read(mount.selector or "/", follow=True) for mount in uses))
        return CacheMap("exec " + digest_of(replace(self._op, proxy_env=None), (), self._vertex.platform), tuple(deps))

    async def exec(self, job: JobContext, inputs: Sequence[Result]) -> list[Result]:
        """Run it; the outputs."""
        op = self._op
        self._check(job)
        step = _Step(self._kit, op, job, inputs)
        output = Output(job.log)
        try:
            async with step.stack:
                root, mounted = await step.prepare()
                environment = [*op.env, *proxies(op.proxy_env), *await step.secret_environment(), *step.agent()]
                run = Run(
                    root,
                    op.args,
                    environment,
                    op.cwd or "/",
                    op.user,
                    op.hostname,
                    [f"{one.host}:{one.ip}" for one in op.extra_hosts],
                    op.network,
                    op.security,
                    mounted,
                    op.ulimits,
                    op.cgroup_parent,
                    op.shm_size,
                    step.read_only,
                )
                ended = await self._kit.executor.run(run, output.take)
                if ended.code not in (op.valid_exit_codes or (0,)) or ended.message:
                    raise self._failed(ended.code, ended.oom, ended.message, output)
            return await step.commit()
        finally:
            await step.discard()

    def _check(self, job: JobContext) -> None:
        op = self._op
        if missing := next((one for one in op.devices if not one.optional), None):  # the words are BuildKit's; there is no CDI here
            raise Unsupported(f'required device "{missing.name[:200]}" is not registered: this engine offers no CDI devices to builds')
        for wanted, name in ((op.network == Network.HOST, "network.host"), (op.security == Security.INSECURE, "security.insecure")):
            if wanted and not (name in self._kit.entitlements and job.allowed(name)):
                hint = f"allow it with --allow {name}" if name in self._kit.entitlements else "the engine's configuration forbids it"
                raise Forbidden(f"{name} is not allowed: {hint}")
        if not op.args:
            raise InvalidArgument("a step needs a command")

    def _failed(self, code: int, oom: bool, message: str, output: Output) -> BuildError:
        command = " ".join(self._op.args)
        if len(command) > 2000:
            command = command[:2000] + "…"
        text = f'process "{command}" did not complete successfully: '
        if message:
            text += message
        else:
            text += f"exit code: {code}" + (": it was killed because its memory limit was reached (out of memory)" if oom else "")
        return BuildError(text, exit_code=code, output=output.tail())


class Output:
    """Passes a step's output on, up to a limit, and keeps its end."""

    def __init__(self, log: Callable[[bytes, int], None]) -> None:
        self._log = log
        self._size = 0
        self._tail: deque[bytes] = deque()
        self._kept = 0

    def take(self, stream: int, data: bytes) -> None:
        """The next piece."""
        self._tail.append(data[-TAIL:])
        self._kept += len(self._tail[-1])
        while self._kept - len(self._tail[0]) >= TAIL:
            self._kept -= len(self._tail.popleft())
        if self._size > LOG_LIMIT:
            return
        self._size += len(data)
        if self._size > LOG_LIMIT:
            data = data[: len(data) - (self._size - LOG_LIMIT)]
            data += b"\n[output clipped, log limit 2MiB reached]\n"
        self._log(data, stream)

    def tail(self) -> bytes:
        """The last output."""
        return b"".join(self._tail)[-TAIL:]


def proxies(env: ProxyEnv | None) -> list[str]:
    """The proxy variables, in both spellings."""
    if env is None:
        return []
    found = []
    for name in ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"):
        if value := getattr(env, name):
            found += [f"{name.upper()}={value}", f"{name}={value}"]
    return found


class _Step:
    """The mounts of one run."""

    def __init__(self, kit: Kit, op: ExecOp, job: JobContext, inputs: Sequence[Result]) -> None:
        self._kit = kit
        self._op = op
        self._job = job
        self._inputs = inputs
        self._drafts: list[Draft] = []
        self._outputs: dict[int, Draft | TreeRef | None] = {}
        self.stack = AsyncExitStack()
        self.read_only = False
        self._place = kit.refs.run / f"step-{new_id()}"
        self._binds = 0
        self._secrets: Path | None = None
        self._agent = ""

    def _input(self, mount: ExecMount) -> Result:
        if mount.input == EMPTY:
            return None
        if not 0 <= mount.input < len(self._inputs):
            raise BuildError(f"a mount names the input {mount.input}, which the step does not have")
        return self._inputs[mount.input]

    async def prepare(self) -> tuple[Path, list[Mount]]:
        """The root and the other mounts. Everything is taken away with the stack, results wait for `commit`."""
        root_mount = next((mount for mount in self._op.mounts if mount.dest.rstrip("/") == ""), None)
        if root_mount is None:
            raise BuildError("a step needs a root")
        self.stack.push_async_callback(self._remove_place)
        root = await self._root(root_mount)
        mounted: list[Mount] = []
        for mount in self._op.mounts:
            if mount is not root_mount:
                made = await self._mount(mount)
                if made is not None:
                    mounted.append(made)
        return root, mounted

    def _describe(self, mount: ExecMount) -> str:
        return f"mount {mount.dest} from exec {' '.join(self._op.args)}"[:500]

    async def _draft(self, mount: ExecMount, init: bool) -> Path:
        parent = await self._kit.frozen(self._input(mount))
        draft = self._kit.refs.draft(parent, description=self._describe(mount))
        self._drafts.append(draft)
        if mount.output >= 0:
            self._outputs[mount.output] = draft
        return await draft.tree(init)

    async def _root(self, mount: ExecMount) -> Path:
        self.read_only = mount.readonly
        tree = await self._draft(mount, True)
        if not mount.selector.strip("/"):
            return tree
        return await aio.in_pool(_inside, tree, mount.selector)

    async def _mount(self, mount: ExecMount) -> Mount | None:
        match mount.kind:
            case MountKind.TMPFS:
                size = (f"size={mount.size}",) if mount.size > 0 else ()
                return Mount(mount.dest, "tmpfs", "tmpfs", ("nosuid", "nodev", *size))
            case MountKind.SECRET:
                return await self._secret(mount)
            case MountKind.SSH:
                return await self._ssh(mount)
            case MountKind.CACHE:
                return await self._cache(mount)
        return await self._bind(mount)

    async def _bind(self, mount: ExecMount) -> Mount:
        if mount.readonly:
            tree = await self.stack.enter_async_context(self._kit.refs.view(self._input(mount)))
            if mount.output >= 0:
                found = self._input(mount)
                self._outputs[mount.output] = found if isinstance(found, TreeRef) else None
            return Mount(mount.dest, str(await aio.in_pool(_inside, tree, mount.selector)), options=_READ_ONLY)
        result = self._input(mount)
        if isinstance(result, TreeRef) and result.directory is not None and mount.output == EMPTY:
            tree = await self._over(result.directory)
        else:
            tree = await self._draft(mount, False)
        return Mount(mount.dest, str(await aio.in_pool(_inside, tree, mount.selector)))

    async def _over(self, directory: Path) -> Path:
        """A directory under a layer that is thrown away."""
        base = self._place / f"over{len(self._drafts)}-{self._next()}"

        def make() -> Path:
            for name in ("upper", "work", "tree"):
                (base / name).mkdir(parents=True)
            lower = directory.stat()
            os.chown(base / "upper", lower.st_uid, lower.st_gid)
            os.chmod(base / "upper", lower.st_mode & 0o7777)
            mounts.overlay(
                Path("/"),
                [str(directory).lstrip("/")],
                str(base / "upper").lstrip("/"),
                str(base / "work").lstrip("/"),
                base / "tree",
                ["index=off"],
            )
            return base / "tree"

        return await aio.in_pool(make)

    def _next(self) -> int:
        self._binds += 1
        return self._binds

    async def _cache(self, mount: ExecMount) -> Mount:
        result = self._input(mount)
        key = mount.cache_id or mount.dest
        fill = None
        if isinstance(result, TreeRef):
            key = combine(key, await self._kit.content(result, Dependency()))

            async def fill(place: Path) -> None:
                async with self._kit.refs.view(result) as source:
                    await self._kit.copy_all(source, place)

        description = f"cached mount {mount.dest} from exec {' '.join(self._op.args)}"[:500]
        directory = await self.stack.enter_async_context(self._kit.caches.use(key, mount.sharing, fill, description))
        # other steps may change this directory meanwhile: what the selector leads to now is pinned by a mount of its own
        source = await aio.in_pool(self._pin, directory, mount.selector)
        return Mount(mount.dest, str(source), options=_READ_ONLY if mount.readonly else ("rbind", "rprivate"))

    def _pin(self, directory: Path, selector: str) -> Path:
        if not selector.strip("/"):
            return directory
        with inroot.root_fd(directory) as top:
            try:
                fd = inroot.open_fd(top, selector, os.O_PATH)
            except OSError as error:
                raise NotFound(f'"{selector}": {(error.strerror or str(error)).lower()}') from None
        try:
            place = self._place / f"pin{self._next()}"
            self._place.mkdir(exist_ok=True, parents=True)
            if os.path.isdir(f"/proc/self/fd/{fd}"):
                place.mkdir()
            else:
                place.touch()
            mounts.bind(f"/proc/self/fd/{fd}", place)
            return place
        except FileNotFoundError:  # another step removed it since it was opened
            raise NotFound(f'"{selector}": no such file or directory') from None
        finally:
            os.close(fd)

    async def _secret_bytes(self, id: str, optional: bool) -> bytes | None:
        for session in dict.fromkeys(self._job.sessions):
            with contextlib.suppress(NotFound):
                return await self._kit.client().secret(session, id)
        if optional:
            return None
        raise NotFound(f"secret {id}: not found")

    async def secret_environment(self) -> list[str]:
        """Variables that are secrets."""
        found = []
        for one in self._op.secret_env:
            data = await self._secret_bytes(one.id, one.optional)
            if data is not None:
                found.append(f"{one.name}={data.decode('utf-8', 'surrogateescape')}")
        return found

    def agent(self) -> list[str]:
        """Where programs look for the ssh agent, when there is one and the step says nothing itself."""
        if not self._agent or any(entry.startswith("SSH_AUTH_SOCK=") for entry in self._op.env):
            return []
        return [f"SSH_AUTH_SOCK={self._agent}"]

    async def _secret(self, mount: ExecMount) -> Mount | None:
        data = await self._secret_bytes(mount.id, mount.optional)
        if data is None:
            return None
        number = self._next()

        def write(content: bytes) -> Path:
            if self._secrets is None:
                place = self._place / "secrets"
                place.mkdir(parents=True)
                mounts.mount(
                    "tmpfs", place, "tmpfs", mounts.MS_NOSUID | mounts.MS_NODEV | mounts.MS_NOEXEC, f"mode=0700,size={_SECRETS_SIZE}"
                )
                self._secrets = place
            file = self._secrets / str(number)
            fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                view = memoryview(content)
                while view:
                    view = view[os.write(fd, view) :]
                os.fchown(fd, mount.uid, mount.gid)
                os.fchmod(fd, mount.mode & 0o777)
            finally:
                os.close(fd)
            return file

        return Mount(mount.dest, str(await aio.in_pool(write, data)), options=_READ_ONLY)

    async def _ssh(self, mount: ExecMount) -> Mount | None:
        for session in dict.fromkeys(self._job.sessions):
            with contextlib.suppress(NotFound):
                path = await self.stack.enter_async_context(self._kit.client().ssh(session, mount.id))
                os.chown(path, mount.uid, mount.gid)
                os.chmod(path, mount.mode & 0o777 or 0o600)
                self._agent = self._agent or mount.dest
                return Mount(mount.dest, str(path))
        if mount.optional:
            return None
        raise NotFound(f'unset ssh forward key "{mount.id or "default"}": give the build --ssh {mount.id or "default"}')

    async def commit(self) -> list[Result]:
        """The outputs as trees."""
        made: list[Result] = []
        for output in range(max(self._outputs, default=-1) + 1):
            found = self._outputs.get(output)
            made.append(await found.commit() if isinstance(found, Draft) else found)
            if isinstance(found, Draft):
                self._drafts.remove(found)
        return made

    async def discard(self) -> None:
        """Throw away what is not committed."""
        for draft in self._drafts:
            await draft.discard()

    async def _remove_place(self) -> None:
        if self._place.exists():
            await aio.in_pool(_remove, self._place)


def _inside(tree: Path, selector: str) -> Path:
    """The host's path of a part of a tree, links followed inside the tree. Raises NotFound."""
    if not selector.strip("/"):
        return tree
    try:
        with inroot.root_fd(tree) as top:
            fd = inroot.open_fd(top, selector, os.O_PATH)
    except OSError as error:
        text = "not found" if isinstance(error, FileNotFoundError | NotADirectoryError) else (error.strerror or str(error)).lower()
        raise NotFound(f'"{selector}": {text}') from None
    try:
        return Path(os.readlink(f"/proc/self/fd/{fd}"))
    finally:
        os.close(fd)


def _remove(place: Path) -> None:
    for target in mounts.below(place):
        with contextlib.suppress(OSError):
            mounts.unmount_any(target)
    shutil.rmtree(place, ignore_errors=True)
