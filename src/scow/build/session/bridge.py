"""moby.buildkit.v1.frontend.LLBBridge: what a client's gateway calls while its build is open. buildx builds everything through it.

A call names its build in a header. Results are handed out as references, and built when they are read, evaluated or exported.
"""

import contextlib
import os
import posixpath
import stat
from typing import Any

from scow import aio, log
from scow.build import gomatch
from scow.build.llb import ops, wire
from scow.build.session import caps, rpc
from scow.build.session.builds import Answer, Build, Builds, Reference
from scow.build.session.engine import Engine, FrontendRequest
from scow.build.session.messages import CAPS, FSUTIL, GATEWAY, PB
from scow.build.solver.types import VertexWarning
from scow.errors import InvalidArgument, NotFound, Unsupported
from scow.kernel import inroot

logger = log.get(__name__)

_BUILD_ID = "buildkit-controlapi-buildid"
_MAX_READ = 32 << 20
_MAX_ENTRIES = 100_000
_NO_CONTAINERS = "this engine does not run containers for a build's client (gateway.exec): put the command into a RUN step"


class Bridge:
    """The service; one for all builds."""

    def __init__(self, builds: Builds, engine: Engine) -> None:
        self._builds, self._engine = builds, engine

    async def _build(self, call: rpc.Call) -> Build:
        id = call.value(_BUILD_ID)
        if not id:
            raise InvalidArgument("a call of the gateway without a build")
        return await self._builds.get(id)

    # --- about the engine

    async def ping(self, request: Any, call: rpc.Call) -> Any:
        """What this engine can."""
        await self._build(call)
        return GATEWAY.PongResponse(
            FrontendAPICaps=[CAPS.APICap(ID=id, Enabled=True) for id in caps.FRONTEND],
            LLBCaps=[CAPS.APICap(ID=id, Enabled=True) for id in caps.LLB],
            Workers=self._engine.workers(),
        )

    async def inputs(self, request: Any, call: rpc.Call) -> Any:
        """The graphs that the client gave along with its Solve."""
        build = await self._build(call)
        made = GATEWAY.InputsResponse()
        for name, definition in build.inputs.items():
            made.Definitions[name].CopyFrom(wire.encode(definition))
        return made

    # --- building

    async def solve(self, request: Any, call: rpc.Call) -> Any:
        """Build a graph, or what a frontend makes of its options."""
        build = await self._build(call)
        if request.Frontend:
            inputs = {name: wire.decode(one) for name, one in request.FrontendInputs.items()}
            imports = tuple((one.Type, dict(one.Attrs)) for one in request.CacheImports)
            asked = FrontendRequest(request.Frontend, dict(request.FrontendOpt), inputs, imports, build)
            answer = await self._engine.frontend(asked)
        else:
            answer = Answer({"": build.reference(wire.decode(request.Definition))})
        if request.Evaluate:
            for reference in answer.references.values():
                if reference is not None:
                    await reference.tree()
        made = GATEWAY.SolveResponse()
        self._result(made.result, answer, request.allowResultArrayRef)
        if request.Final:
            build.finish(answer, None)
        return made

    @staticmethod
    def _result(made: Any, answer: Answer, array: bool) -> None:
        for key, value in answer.metadata.items():
            made.metadata[key] = value

        def wired(reference: Reference | None) -> Any:
            if reference is None:
                return GATEWAY.Ref()
            return GATEWAY.Ref(**{"id": reference.id, "def": wire.encode(reference.definition)})

        if list(answer.references) == [""]:
            only = answer.references[""]
            if array:
                made.ref.CopyFrom(wired(only))
            else:
                made.refDeprecated = only.id if only else ""
        elif array:
            made.refs.SetInParent()
            for name, reference in answer.references.items():
                made.refs.refs[name].CopyFrom(wired(reference))
        else:
            made.refsDeprecated.SetInParent()
            for name, reference in answer.references.items():
                made.refsDeprecated.refs[name] = reference.id if reference else ""

    async def evaluate(self, request: Any, call: rpc.Call) -> Any:
        """Build a result now."""
        await (await self._build(call)).find(request.Ref).tree()
        return GATEWAY.EvaluateResponse()

    async def return_(self, request: Any, call: rpc.Call) -> Any:
        """The gateway is done: its result, or its error."""
        build = await self._build(call)
        if request.HasField("error") and request.error.code:
            details = tuple((one.type_url, one.value) for one in request.error.details)
            build.finish(None, rpc.RpcError(request.error.code, request.error.message, details))
            return GATEWAY.ReturnResponse()
        found: dict[str, str] = {}
        kind = request.result.WhichOneof("result")
        if kind == "ref":
            found[""] = request.result.ref.id
        elif kind == "refDeprecated":
            found[""] = request.result.refDeprecated
        elif kind == "refs":
            found |= {name: one.id for name, one in request.result.refs.refs.items()}
        elif kind == "refsDeprecated":
            found |= dict(request.result.refsDeprecated.refs)
        references = {name: build.find(id) if id else None for name, id in found.items()}
        build.finish(Answer(references or {"": None}, dict(request.result.metadata)), None)
        return GATEWAY.ReturnResponse()

    async def warn(self, request: Any, call: rpc.Call) -> Any:
        """A warning that the gateway adds to the build's progress."""
        build = await self._build(call)
        info = None
        if request.HasField("info"):
            info = ops.SourceInfo(request.info.filename, request.info.data, request.info.language or "Dockerfile")
        place = wire.location(PB.Location(ranges=request.ranges)) if request.ranges else None
        short, detail = request.short.decode(errors="replace"), tuple(line.decode(errors="replace") for line in request.detail)
        build.job.progress.tell(VertexWarning(request.digest, request.level, short, detail, request.url, info, place))
        return GATEWAY.WarnResponse()

    # --- images and sources

    async def resolve_image_config(self, request: Any, call: rpc.Call) -> Any:
        """The configuration of an image."""
        build = await self._build(call)
        platform = _platform(request.Platform) if request.HasField("Platform") else None
        ref, digest, config = await self._engine.image_config(build, request.Ref, platform, request.ResolveMode, request.LogName)
        return GATEWAY.ResolveImageConfigResponse(Digest=digest, Config=config, Ref=ref)

    async def resolve_source_meta(self, request: Any, call: rpc.Call) -> Any:
        """What is known of a source before it is fetched: of images only, other sources are echoed."""
        build = await self._build(call)
        made = GATEWAY.ResolveSourceMetaResponse()
        made.Source.CopyFrom(request.Source)
        identifier = request.Source.identifier
        if identifier.startswith(ops.IMAGE):
            platform = _platform(request.Platform) if request.HasField("Platform") else None
            name = identifier.removeprefix(ops.IMAGE)
            ref, digest, config = await self._engine.image_config(build, name, platform, request.ResolveMode, request.LogName)
            made.Source.identifier = ops.IMAGE + ref
            made.Image.Digest, made.Image.Config = digest, config
        return made

    # --- reading results

    async def read_file(self, request: Any, call: rpc.Call) -> Any:
        """A file of a result, or a part of it."""
        build = await self._build(call)
        offset, length = request.Range.Offset, request.Range.Length
        if offset < 0 or length < 0:
            raise InvalidArgument("a range below zero")
        async with self._engine.view(await build.find(request.Ref).tree()) as root:
            data = await aio.in_pool(_read, str(root), request.FilePath, offset, length)
        return GATEWAY.ReadFileResponse(Data=data)

    async def read_dir(self, request: Any, call: rpc.Call) -> Any:
        """The entries of a directory of a result, by a pattern of their names."""
        build = await self._build(call)
        async with self._engine.view(await build.find(request.Ref).tree()) as root:
            entries = await aio.in_pool(_list, str(root), request.DirPath, request.IncludePattern)
        return GATEWAY.ReadDirResponse(entries=entries)

    async def stat_file(self, request: Any, call: rpc.Call) -> Any:
        """What a path of a result is."""
        build = await self._build(call)
        async with self._engine.view(await build.find(request.Ref).tree()) as root:
            found = await aio.in_pool(_stat, str(root), request.Path)
        return GATEWAY.StatFileResponse(stat=found)

    # --- what there is not

    async def new_container(self, request: Any, call: rpc.Call) -> Any:
        """Not offered."""
        raise Unsupported(_NO_CONTAINERS)

    async def release_container(self, request: Any, call: rpc.Call) -> Any:
        """Nothing to release."""
        return GATEWAY.ReleaseContainerResponse()

    async def exec_process(self, call: rpc.Call) -> None:
        """Not offered. Clients open the stream early and close it unused."""
        if await call.read() is not None:
            raise Unsupported(_NO_CONTAINERS)


def _platform(message: Any) -> ops.Platform:
    return ops.Platform(message.OS, message.Architecture, message.Variant, message.OSVersion, tuple(message.OSFeatures))


@contextlib.contextmanager
def _opened(root: str, path: str, flags: int) -> Any:
    try:
        with inroot.root_fd(root) as top:
            fd = inroot.open_fd(top, path.lstrip("/") or ".", flags | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NotFound(f"{path}: no such file or directory") from None
    except OSError as error:
        raise InvalidArgument(f"{path}: {error.strerror}") from None
    try:
        yield fd
    finally:
        os.close(fd)


def _read(root: str, path: str, offset: int, length: int) -> bytes:
    with _opened(root, path, os.O_RDONLY | os.O_NONBLOCK) as fd:
        facts = os.fstat(fd)
        if not stat.S_ISREG(facts.st_mode):
            raise InvalidArgument(f"{path}: not a file")
        wanted = min(length or facts.st_size, max(facts.st_size - offset, 0))
        if wanted > _MAX_READ:
            raise InvalidArgument(f"{path}: bigger than {_MAX_READ} bytes")
        return os.pread(fd, wanted, offset)


def go_mode(mode: int) -> int:
    """Unix mode bits as Go's FileMode."""
    kinds = {stat.S_IFDIR: 1 << 31, stat.S_IFLNK: 1 << 27, stat.S_IFBLK: 1 << 26, stat.S_IFIFO: 1 << 25, stat.S_IFSOCK: 1 << 24}
    made = mode & 0o777 | kinds.get(stat.S_IFMT(mode), 0)
    if stat.S_ISCHR(mode):
        made |= 1 << 26 | 1 << 21
    for bit, go in ((stat.S_ISUID, 23), (stat.S_ISGID, 22), (stat.S_ISVTX, 20)):
        made |= (1 << go) if mode & bit else 0
    return made


def _described(path: str, facts: os.stat_result, link: str) -> Any:
    return FSUTIL.Stat(
        path=path,
        mode=go_mode(facts.st_mode),
        uid=facts.st_uid,
        gid=facts.st_gid,
        size=facts.st_size,
        modTime=facts.st_mtime_ns,
        linkname=link,
    )


def _stat(root: str, path: str) -> Any:
    parent, name = posixpath.split(path.rstrip("/") or "/")
    with _opened(root, parent, os.O_PATH) as fd:
        if not name or name in (".", ".."):
            return _described(path, os.fstat(fd), "")
        try:
            facts = os.stat(name, dir_fd=fd, follow_symlinks=False)
            return _described(name, facts, os.readlink(name, dir_fd=fd) if stat.S_ISLNK(facts.st_mode) else "")
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound(f"{path}: no such file or directory") from None


def _list(root: str, path: str, pattern: str) -> list[Any]:
    with _opened(root, path, os.O_RDONLY | os.O_DIRECTORY) as fd:
        try:
            wanted = gomatch.compile(pattern) if pattern else None
        except ValueError as error:
            raise InvalidArgument(f"{pattern}: {error}") from None
        found: list[Any] = []
        for name in sorted(os.listdir(fd)):
            if wanted is not None and not wanted.match(name):
                continue
            if len(found) >= _MAX_ENTRIES:
                raise InvalidArgument(f"{path}: more than {_MAX_ENTRIES} entries")
            facts = os.stat(name, dir_fd=fd, follow_symlinks=False)
            found.append(_described(name, facts, os.readlink(name, dir_fd=fd) if stat.S_ISLNK(facts.st_mode) else ""))
        return found
