"""`scow build` through BuildKit's doors: a session that serves what the engine asks for, and a build on `/grpc` that the engine's (or
dockerd's) Dockerfile frontend makes. Works with any engine that has them.
"""

import asyncio
import json
import os
import secrets
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from typing import Any

from scow.build.dockerfile.errors import excerpt
from scow.build.session import http2, messages, rpc
from scow.cli.command import Cli, ExitCode
from scow.cli.commands.builder import classic, context, display, outputs
from scow.cli.commands.builder.outputs import Output
from scow.cli.commands.builder.services import Given, Services
from scow.cli.flags import Options
from scow.client.transport import Connection
from scow.errors import InvalidArgument, ScowError
from scow.opts import env as envlib
from scow.opts import ulimits
from scow.opts.mounts import fields_of
from scow.reference import Reference

_CONTROL = "/moby.buildkit.v1.Control"
_BRIDGE = "/moby.buildkit.v1.frontend.LLBBridge"
_CHUNK = 256 * 1024
_QUESTIONS = {"check": "frontend.lint", "outline": "frontend.outline", "targets": "frontend.targets", "build": ""}


def build(cli: Cli, options: Options, where: str) -> int:
    """Build; the exit status is 1 for a build that failed."""
    with ExitStack() as stack:
        plan = Plan(cli, options, where, stack)
        try:
            return asyncio.run(Build(cli, options, plan).run())
        except http2.ConnectionLost as exc:
            raise ScowError(f"the engine closed the connection: {exc.message}") from None


# ---- what is asked ---------------------------------------------------------------------------------------------------------------


class Plan:
    """The command line as BuildKit's attributes, and what the session may give. Raises ScowError."""

    def __init__(self, cli: Cli, options: Options, where: str, stack: ExitStack) -> None:
        self.given = Given()
        self.attrs: dict[str, str] = {}
        self.question = _question(options)
        self._stack = stack
        self._context(options, where)
        self._attributes(cli, options)
        for word in options.list("secret"):
            name, read = _secret(word)
            self.given.secrets[name] = read
        for word in options.list("ssh"):
            name, path = _agent(word)
            self.given.agents[name] = path
        self.outputs = self._outputs(options)
        for number, output in enumerate(self.outputs):
            if output.dest is not None:
                self.given.outputs[str(number)] = outputs.taker(output)
        self.imports = [_cache(word) for word in options.list("cache-from")]
        self.exports = [_cache(word) for word in options.list("cache-to")]

    def _context(self, options: Options, where: str) -> None:
        given = options.text("file")
        self.attrs["filename"] = os.path.basename(given) if given and given != "-" else "Dockerfile"
        if where == "-":
            if given == "-":
                raise ScowError("invalid argument: can't use stdin for both build context and dockerfile")
            self._stream(sys.stdin.buffer.read(), given)
            return
        if context.is_git(where) or context.is_url(where):
            self.attrs["context"] = where
            if given and given != "-":
                self.attrs["filename"] = given
        else:
            if not os.path.isdir(where):
                raise ScowError(f'unable to prepare context: path "{where}" not found')
            self.given.folders["context"] = os.path.realpath(where)
        if given == "-":
            self._dockerfile(sys.stdin.buffer.read())
        elif "context" not in self.attrs:
            path = os.path.abspath(given) if given else os.path.join(where, "Dockerfile")
            if not given and not os.path.exists(path) and os.path.exists(os.path.join(where, "dockerfile")):
                path = os.path.join(where, "dockerfile")
            if not os.path.exists(path):
                raise ScowError(f"failed to read dockerfile: open {os.path.basename(path)}: no such file or directory")
            self.attrs["filename"] = os.path.basename(path)
            self.given.folders["dockerfile"] = (
                os.path.dirname(os.path.realpath(path)) if os.path.islink(path) else os.path.dirname(path) or "."
            )
        self.given.folders = {name: os.path.realpath(path) for name, path in self.given.folders.items()}

    def _stream(self, data: bytes, given: str) -> None:
        """Standard input: a Dockerfile, or an archive that is unpacked into a temporary directory."""
        if not context.is_archive(data[:512]):
            if given:
                raise ScowError("ambiguous Dockerfile source: both stdin and flag correspond to Dockerfiles")
            self._dockerfile(data)
            self.given.folders["context"] = self._folder()
            return
        folder = self._folder()
        context.unpack(data, folder)
        self.given.folders |= {"context": folder, "dockerfile": os.path.join(folder, os.path.dirname(given))}

    def _folder(self) -> str:
        return self._stack.enter_context(tempfile.TemporaryDirectory(prefix="scow-build"))

    def _dockerfile(self, data: bytes) -> None:
        folder = self._folder()
        with open(os.path.join(folder, "Dockerfile"), "wb") as file:
            file.write(data)
        self.given.folders["dockerfile"] = folder
        self.attrs |= {"filename": "Dockerfile"}
        if "context" in self.attrs:
            self.attrs["dockerfilekey"] = "dockerfile"

    def _attributes(self, cli: Cli, options: Options) -> None:
        attrs = self.attrs
        for name, value in classic.build_args(cli, options).items():
            if value is not None:
                attrs[f"build-arg:{name}"] = value
        if options.flag("reproducible"):
            attrs.setdefault("build-arg:SOURCE_DATE_EPOCH", os.environ.get("SOURCE_DATE_EPOCH") or "0")
        for name, value in envlib.mapping(options.list("label")).items():
            attrs[f"label:{name}"] = value
        for key, flag in (("target", "target"), ("cgroup-parent", "cgroup-parent")):
            if options.text(flag):
                attrs[key] = options.text(flag)
        if options.text("platform"):
            attrs["platform"] = options.text("platform")
        if options.flag("no-cache"):
            attrs["no-cache"] = ""
        elif options.list("no-cache-filter"):
            attrs["no-cache"] = ",".join(options.list("no-cache-filter"))
        if options.flag("pull"):
            attrs["image-resolve-mode"] = "pull"
        if options.text("network") not in ("", "default"):
            attrs["force-network-mode"] = options.text("network")
        if options.list("add-host"):
            attrs["add-hosts"] = ",".join(word.replace(":", "=", 1) if "=" not in word else word for word in options.list("add-host"))
        if options.number("shm-size"):
            attrs["shm-size"] = str(options.number("shm-size"))
        if options.list("ulimit"):
            limits = [ulimits.parse(word) for word in options.list("ulimit")]
            attrs["ulimit"] = ",".join(f"{name}={soft}:{hard}" for name, soft, hard in limits)
        if self.question:
            attrs["requestid"] = self.question
        if options.flag("explain"):
            attrs["scow.explain"] = "1"
        for word in options.list("attest"):
            kind = dict(part.partition("=")[::2] for part in fields_of(word)).get("type", "")
            attrs[f"attest:{kind}"] = ",".join(part for part in fields_of(word) if not part.startswith("type="))
        for kind in ("provenance", "sbom"):
            value = options.text(kind)
            if value and value != "false":
                attrs[f"attest:{kind}"] = "" if value == "true" else value
        for word in options.list("build-context"):
            self._named(word)

    def _named(self, word: str) -> None:
        name, has, value = word.partition("=")
        if not has or not name or not value:
            raise ScowError(f"invalid context value: {word}, expected key=value")
        if "://" in value or context.is_git(value):
            self.attrs[f"context:{name}"] = value
            return
        if not os.path.isdir(value):
            raise ScowError(f"invalid build context {name}={value}: no such directory")
        self.attrs[f"context:{name}"] = f"local:{name}"
        self.given.folders[name] = os.path.realpath(value)

    def _outputs(self, options: Options) -> list[Output]:
        words = [outputs.parse(word) for word in options.list("output")]
        tags = [str(_tagged(word)) for word in options.list("tag")]
        attrs: dict[str, str] = {}
        if tags:
            attrs["name"] = ",".join(tags)
        if options.flag("push"):
            attrs["push"] = "true"
        for word in options.list("annotation"):
            key, _, value = word.partition("=")
            attrs[f"annotation.{key}" if ":" not in key else f"annotation-{key.replace(':', '.', 1)}"] = value
        if options.flag("reproducible"):
            attrs["rewrite-timestamp"] = "true"
        if self.question:
            return []
        if not words:
            return [Output("image", attrs)]
        return [Output(one.kind, attrs | one.attrs, one.dest) if one.kind in ("image", "oci", "docker") else one for one in words]


def _tagged(word: str) -> str:
    try:
        return Reference.parse(word).tagged().full()
    except InvalidArgument as exc:
        raise ScowError(f'invalid tag "{word}": {exc.message}') from None


def _question(options: Options) -> str:
    asked = "check" if options.flag("check") else options.text("call")
    if asked not in _QUESTIONS:
        raise ScowError(f"invalid --call {asked}: use build, check, outline or targets")
    return _QUESTIONS[asked]


def _secret(word: str) -> tuple[str, Callable[[], bytes]]:
    fields = dict(part.partition("=")[::2] for part in fields_of(word))
    kind, name = fields.get("type", ""), fields.get("id", "")
    path, variable = fields.get("src") or fields.get("source") or "", fields.get("env", "")
    if unknown := sorted(set(fields) - {"type", "id", "src", "source", "env"}):
        raise ScowError(f"unexpected key '{unknown[0]}' in '{word}'")
    if kind not in ("", "file", "env"):
        raise ScowError(f'unsupported secret type "{kind}"')
    if not name:
        raise ScowError("invalid secret: id is needed (--secret id=name,src=file)")
    if kind == "env" or variable or (not path and name in os.environ):
        value = os.environ.get(variable or path or name)
        if value is None:
            raise ScowError(f"the environment has no {variable or path or name} for the secret {name}")
        return name, lambda: value.encode("utf-8", "surrogateescape")
    where = path or name
    if not os.path.isfile(where):
        raise ScowError(f"failed to stat {where}: no such file")
    return name, lambda: context.read_file(where)


def _agent(word: str) -> tuple[str, str]:
    name, has, paths = word.partition("=")
    path = paths if has else os.environ.get("SSH_AUTH_SOCK", "")
    if not path:
        raise ScowError(f"invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set (--ssh {name})")
    if not os.path.exists(path):
        raise ScowError(f"ssh agent {path}: no such file")
    import stat

    if not stat.S_ISSOCK(os.stat(path).st_mode):
        raise ScowError(f"--ssh {name}: {path} is a key; add it to an agent (ssh-add) and forward that")
    return name or "default", path


def _cache(word: str) -> tuple[str, dict[str, str]]:
    if "=" not in word:
        return "registry", {"ref": word}
    fields = dict(part.partition("=")[::2] for part in fields_of(word))
    kind = fields.pop("type", "")
    if not kind:
        raise ScowError(f'type required form> "{word}"')
    return kind, fields


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

    def __init__(self, cli: Cli, options: Options, plan: Plan) -> None:
        self.cli, self.options, self.plan = cli, options, plan
        self.ref = secrets.token_hex(16)
        self.session = secrets.token_hex(16)
        self.quiet = options.flag("quiet")
        mode = options.text("progress") or cli.env("BUILDKIT_PROGRESS") or "auto"
        self.display = display.make(mode, self.quiet or bool(plan.question))

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
