"""`scow build` through BuildKit's doors: a session that serves what the engine asks for, and a build on `/grpc` that the engine's (or
dockerd's) Dockerfile frontend makes. Works with any engine that has them.
"""

import asyncio
import json
import os
import secrets
import socket
import threading
from collections.abc import Coroutine
from contextlib import ExitStack
from typing import Any

from scow.build.dockerfile.errors import excerpt
from scow.build.session import http2, messages, rpc
from scow.cli.command import Cli, ExitCode
from scow.cli.commands.builder import classic, display
from scow.cli.commands.builder.plan import Plan
from scow.cli.commands.builder.services import Services
from scow.cli.flags import Options
from scow.client.transport import Connection
from scow.errors import ScowError

_CONTROL = "/moby.buildkit.v1.Control"
_BRIDGE = "/moby.buildkit.v1.frontend.LLBBridge"
_CHUNK = 256 * 1024


def build(cli: Cli, options: Options, where: str) -> int:
    """Build; the exit status is 1 for a build that failed."""
    with ExitStack() as stack:
        plan = Plan(cli, options, where, stack)
        try:
            return asyncio.run(Build(cli, options, plan).run())
        except http2.ConnectionLost as exc:
            raise ScowError(f"the engine closed the connection: {exc.message}") from None


# ---- the build -------------------------------------------------------------------------------------------------------------------


def _upgraded(cli: Cli, path: str, headers: dict[str, Any]) -> tuple[socket.socket, bytes]:
    """A socket that speaks HTTP/2 from now on, and what it has said already."""
    client = cli.redial()
    lines = {"Connection": "Upgrade", "Upgrade": "h2c"}
    many = headers.pop("X-Docker-Expose-Session-Grpc-Method", [])
    response = client.call("POST", path, None, None, {**lines, **headers, **_repeated(many)})
    if response.status not in (101, 200):
        raise ScowError("the engine does not offer BuildKit: use DOCKER_BUILDKIT=0")
    connection = response.hijack()
    early = b""
    while connection.buffered():
        early += connection.recv(_CHUNK)
    if connection.plain():
        found = socket.socket(fileno=os.dup(connection.fileno()))
        connection.close()
        return found, early
    return _pumped(connection), early


def _repeated(methods: list[str]) -> dict[str, str]:
    """Several header lines of one name, as one entry of a dict."""
    return {"X-Docker-Expose-Session-Grpc-Method": "\r\nX-Docker-Expose-Session-Grpc-Method: ".join(methods)} if methods else {}


def _pumped(connection: Connection) -> socket.socket:
    """A plain socket before a connection of TLS or ssh: two threads carry the bytes."""
    ours, theirs = socket.socketpair()

    def outward() -> None:
        try:
            while data := theirs.recv(_CHUNK):
                connection.send(data)
        except OSError:
            pass
        connection.close()

    def inward() -> None:
        try:
            while data := connection.recv(_CHUNK):
                theirs.sendall(data)
            theirs.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    for work in (outward, inward):
        threading.Thread(target=work, daemon=True).start()
    return ours


def _failed(error: BaseException) -> rpc.RpcError:
    return rpc.RpcError(rpc.UNKNOWN, getattr(error, "message", "") or str(error) or type(error).__name__)


class Build:
    """One build, from its session to its result."""

    def __init__(self, cli: Cli, options: Options, plan: Plan, shown: display.Display | None = None) -> None:
        """`shown`: a display of the caller's, where several builds share one."""
        self.cli, self.options, self.plan = cli, options, plan
        self.ref = secrets.token_hex(16)
        self.session = secrets.token_hex(16)
        self.quiet = options.flag("quiet")
        mode = options.text("progress") or cli.env("BUILDKIT_PROGRESS") or "auto"
        self.display = shown or display.make(mode, self.quiet or bool(plan.question))

    async def run(self) -> int:
        """The whole of it."""
        services = Services(self.cli, self.plan.given)
        server = rpc.Server({}, _failed, services.methods())
        headers: dict[str, Any] = {
            "X-Docker-Expose-Session-Uuid": self.session,
            "X-Docker-Expose-Session-Name": os.path.basename(os.getcwd()) or "scow",
            "X-Docker-Expose-Session-Sharedkey": self._shared_key(),
            "X-Docker-Expose-Session-Grpc-Method": sorted(services.methods()),
        }
        sock, early = await asyncio.to_thread(_upgraded, self.cli, "/session", headers)
        doors, first = await asyncio.to_thread(_upgraded, self.cli, "/grpc", {})
        channel = rpc.Channel.on(doors, first)
        try:
            async with asyncio.TaskGroup() as group:
                serving = group.create_task(server.run(sock, early))
                await channel.open()
                try:
                    return await self._build(channel)
                finally:
                    channel.close()
                    serving.cancel()
        except BaseExceptionGroup as several:
            raise _first(several) from None
        finally:
            await server.close()

    def _shared_key(self) -> str:
        import hashlib

        place = self.plan.given.folders.get("context", "")
        return hashlib.sha256(f"{os.uname().nodename}:{place}".encode()).hexdigest()

    async def _build(self, channel: rpc.Channel) -> int:
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._watch(channel))
            solving = group.create_task(_outcome(channel.unary(f"{_CONTROL}/Solve", self._request(), messages.V1.SolveResponse)))
            asking = group.create_task(_outcome(self._frontend(channel)))
            await asyncio.wait([asking, solving], return_when=asyncio.FIRST_COMPLETED)
            failed = next((task.result()[1] for task in (asking, solving) if task.done() and task.result()[1]), None)
            if failed is None:
                failed = (await asking)[1] or (await solving)[1]
            await asyncio.wait([watching, *([solving] if asking.done() else [])], timeout=5)
            for task in (watching, asking, solving):
                task.cancel()
        self.display.end()
        if failed is not None:
            if not isinstance(failed, rpc.RpcError):
                raise failed
            raise ExitCode(1, self._error(failed))
        if self.plan.question:
            return self._answered(asking.result()[0])
        return self._done(dict(solving.result()[0].ExporterResponse))

    def _request(self) -> Any:
        request = messages.V1.SolveRequest(Ref=self.ref, Session=self.session, FrontendAttrs=self.plan.attrs)
        allowed = set(self.options.list("allow"))
        if self.options.text("network") == "host":
            allowed.add("network.host")
        request.Entitlements.extend(sorted(allowed))
        if len(self.plan.outputs) == 1:
            only = self.plan.outputs[0]
            request.ExporterDeprecated = "moby" if only.kind == "image" else only.kind
            request.ExporterAttrsDeprecated.update(only.attrs)
        for one in self.plan.outputs:
            request.Exporters.add(Type="moby" if one.kind == "image" else one.kind, Attrs=one.attrs)
        for kind, attrs in self.plan.imports:
            request.Cache.Imports.add(Type=kind, Attrs=attrs)
        for kind, attrs in self.plan.exports:
            request.Cache.Exports.add(Type=kind, Attrs=attrs)
        return request

    async def _frontend(self, channel: rpc.Channel) -> dict[str, bytes]:
        """Let the frontend make the graph, and say that it is the result; its metadata."""
        request = messages.GATEWAY.SolveRequest(Frontend="dockerfile.v0", FrontendOpt=self.plan.attrs, allowResultArrayRef=True)
        for kind, attrs in self.plan.imports:
            request.CacheImports.add(Type=kind, Attrs=attrs)
        try:
            answer = await self._call(channel, "Solve", request, messages.GATEWAY.SolveResponse)
        except rpc.RpcError as exc:
            status = messages.RPC.Status(code=exc.code, message=exc.message)
            for name, value in exc.details:
                status.details.add(type_url=name, value=value)
            await self._call(channel, "Return", messages.GATEWAY.ReturnRequest(error=status), messages.GATEWAY.ReturnResponse)
            raise
        await self._call(channel, "Return", messages.GATEWAY.ReturnRequest(result=answer.result), messages.GATEWAY.ReturnResponse)
        return dict(answer.result.metadata)

    async def _call(self, channel: rpc.Channel, method: str, request: Any, reply: Any) -> Any:
        call = channel.begin(f"{_BRIDGE}/{method}", {"buildkit-controlapi-buildid": self.ref})
        try:
            await call.send(request)
            await call.finish()
            data = await call.read()
            await call.read()
            call.check()
        finally:
            call.reset()
        return reply.FromString(data or b"")

    async def _watch(self, channel: rpc.Channel) -> None:
        call = channel.begin(f"{_CONTROL}/Status")
        try:
            await call.send(messages.V1.StatusRequest(Ref=self.ref))
            await call.finish()
            async with asyncio.TaskGroup() as group:
                drawing = group.create_task(self._redraw())
                while (data := await call.read()) is not None:
                    self.display.feed(messages.V1.StatusResponse.FromString(data))
                drawing.cancel()
        except* (rpc.RpcError, http2.ConnectionLost):
            pass
        finally:
            call.reset()

    async def _redraw(self) -> None:
        while True:
            await asyncio.sleep(0.2)
            self.display.drawn()

    def _error(self, error: rpc.RpcError) -> str:
        text = self.display.failure()
        for name, value in error.details:
            if not name.endswith(".Source+json"):
                continue
            try:
                source = json.loads(value)
                import base64

                data = base64.b64decode(source["info"]["data"]).decode("utf-8", "replace")
                place = source["ranges"][0]
                text += excerpt(data, source["info"]["filename"], place["start"]["line"], place["end"]["line"]) + "\n"
            except (ValueError, KeyError, IndexError, TypeError):
                continue
        return f"{text}ERROR: failed to build: failed to solve: {error.message}"

    def _answered(self, metadata: dict[str, bytes]) -> int:
        data = metadata.get("result.json" if self.options.text("progress") == "rawjson" else "result.txt", b"")
        self.cli.out(data.decode("utf-8", "replace"))
        code = metadata.get("result.statuscode", b"0")
        return int(code) if code.isdigit() else 1

    def _done(self, facts: dict[str, str]) -> int:
        cli, options = self.cli, self.options
        cli.err(self.display.warned() if not self.quiet else "")
        if options.flag("explain"):
            cli.out(self.display.explained())
        if self.plan.kept and facts.get("cache.manifest"):
            self.plan.keep_cache(facts["cache.manifest"])
        image = facts.get("containerimage.config.digest") or facts.get("containerimage.digest", "")
        if options.text("iidfile"):
            classic.write_file(options.text("iidfile"), image.encode())
        if options.text("metadata-file"):
            found: dict[str, Any] = {"buildx.build.ref": f"default/default/{self.ref}", **facts}
            for key, value in facts.items():
                if key.startswith("buildx.build.provenance") or key.endswith(".descriptor"):
                    try:
                        found[key] = json.loads(value)
                    except ValueError:
                        pass
            classic.write_file(options.text("metadata-file"), json.dumps(found, indent=2, sort_keys=True).encode())
        if self.quiet and image:
            cli.out(f"{image}\n")
        return 0


async def _outcome(work: Coroutine[Any, Any, Any]) -> tuple[Any, ScowError | None]:
    """What a call gave, or its error: one failed call must not hide the other's error."""
    try:
        return await work, None
    except ScowError as exc:
        return None, exc


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    for one in group.exceptions:
        return _first(one) if isinstance(one, BaseExceptionGroup) else one
    return ScowError("the build failed")
