"""Building images: `POST /build` (the classic builder; `version=2` is BuildKit through the old endpoint), and cancelling."""

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any

from scow.api import errors, streams
from scow.api.call import Call
from scow.api.router import Router
from scow.build.classic.request import ClassicRequest, Limits
from scow.errors import InvalidArgument, ScowError
from scow.http.messages import Response, StreamWriter

if TYPE_CHECKING:
    from scow.build.classic.service import ClassicBuilder
    from scow.build.service import BuildService

_MAX_HEADER = 1 << 20


class Lines:
    """Progress of a build: the head goes out with the first line, so that what is wrong with the request is a plain error before."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._writer: StreamWriter | None = None

    @property
    def begun(self) -> bool:
        """Whether the head is on its way."""
        return self._writer is not None

    async def write(self, line: dict[str, Any]) -> None:
        """Send one JSON object."""
        if self._writer is None:
            self._writer = await self._call.stream()
        await self._writer.write(streams.json_line(line))

    async def end(self) -> None:
        """The build is done."""
        if self._writer is None:
            self._writer = await self._call.stream()
        await self._writer.end()


def _mapping(call: Call, name: str) -> dict[str, Any]:
    """A parameter that is a JSON object of texts (or nulls). Raises InvalidArgument."""
    value = _json(call, name, {})
    if not isinstance(value, dict) or any(not isinstance(one, str | None) for one in value.values()):
        raise InvalidArgument(f"invalid value for {name}: a JSON object of strings is needed")
    return value


def _json(call: Call, name: str, default: Any) -> Any:
    text = call.query.text(name)
    if not text:
        return default
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"invalid value for {name}: {error}") from None
    return default if value is None else value


def _texts(call: Call, name: str) -> tuple[str, ...]:
    value = _json(call, name, [])
    if not isinstance(value, list) or any(not isinstance(one, str) for one in value):
        raise InvalidArgument(f"invalid value for {name}: a JSON list of strings is needed")
    return tuple(value)


def _ulimits(call: Call) -> tuple[dict[str, Any], ...]:
    value = _json(call, "ulimits", [])
    if not isinstance(value, list) or any(not isinstance(one, dict) for one in value):
        raise InvalidArgument("invalid value for ulimits: a JSON list of objects is needed")
    return tuple(value)


def _registries(call: Call) -> dict[str, dict[str, Any]]:
    """The X-Registry-Config header; what cannot be decoded counts as absent, as in Docker."""
    text = call.request.headers.get("x-registry-config", "")
    if not text or len(text) > _MAX_HEADER:
        return {}
    try:
        value = json.loads(base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        return {}
    return {str(host): auth for host, auth in value.items() if isinstance(auth, dict)} if isinstance(value, dict) else {}


def _request(call: Call) -> ClassicRequest:
    query = call.query
    if query.boolean("squash"):
        raise InvalidArgument("squash is only supported with experimental mode: build with BuildKit and one COPY --from instead")
    return ClassicRequest(
        dockerfile=query.text("dockerfile"),
        remote=query.text("remote"),
        tags=tuple(query.all("t")),
        build_args=_mapping(call, "buildargs"),
        labels={key: value or "" for key, value in _mapping(call, "labels").items()},
        cache_from=_texts(call, "cachefrom"),
        target=query.text("target"),
        platform=query.text("platform") if call.version >= 32 else "",
        quiet=query.boolean("q"),
        no_cache=query.boolean("nocache"),
        pull=query.boolean("pull"),
        remove=query.boolean("rm", True) or query.boolean("forcerm"),
        force_remove=query.boolean("forcerm"),
        build_id=query.text("buildid"),
        limits=Limits(
            memory=query.integer("memory"),
            memory_swap=query.integer("memswap"),
            cpu_shares=query.integer("cpushares"),
            cpu_period=query.integer("cpuperiod"),
            cpu_quota=query.integer("cpuquota"),
            cpuset_cpus=query.text("cpusetcpus"),
            cpuset_mems=query.text("cpusetmems"),
            cgroup_parent=query.text("cgroupparent"),
            shm_size=query.integer("shmsize"),
            ulimits=_ulimits(call),
            network_mode=query.text("networkmode"),
            extra_hosts=tuple(host for text in query.all("extrahosts") for host in text.split(",") if host),
            security_opt=_texts(call, "securityopt"),
        ),
        registries=_registries(call),
    )


def _buildkit(call: Call) -> dict[str, Any]:
    """The parameters of a build with BuildKit: the fields of a LegacyRequest."""
    query = call.query
    outputs = _json(call, "outputs", [])
    if not isinstance(outputs, list) or any(not isinstance(one, dict) for one in outputs):
        raise InvalidArgument("invalid value for outputs: a JSON list of objects is needed")
    return {
        "session": query.text("session"),
        "build_id": query.text("buildid"),
        "remote": query.text("remote"),
        "dockerfile": query.text("dockerfile"),
        "tags": tuple(query.all("t")),
        "build_args": _mapping(call, "buildargs"),
        "labels": {key: value or "" for key, value in _mapping(call, "labels").items()},
        "cache_from": _texts(call, "cachefrom"),
        "outputs": tuple(outputs),
        "target": query.text("target"),
        "platform": query.text("platform"),
        "network": query.text("networkmode"),
        "extra_hosts": tuple(host for text in query.all("extrahosts") for host in text.split(",") if host),
        "cgroup_parent": query.text("cgroupparent"),
        "shm_size": query.integer("shmsize"),
        "no_cache": query.boolean("nocache"),
        "pull": query.boolean("pull"),
    }


class Routes:
    """Handlers; made once by `register`."""

    def __init__(self, classic: "ClassicBuilder", builds: "BuildService") -> None:
        self._classic, self._builds = classic, builds

    async def build(self, call: Call) -> Response | None:
        """POST /build."""
        version = call.query.text("version") or "1"
        if version not in ("1", "2"):
            raise InvalidArgument(f'invalid version "{version}"')
        lines = Lines(call)
        try:
            if version == "2":
                await self._builds.legacy(_buildkit(call), lines.write)
            else:
                await self._classic.build(_request(call), call.request.body, lines.write)
        except ScowError as error:
            if not lines.begun:
                raise
            text = errors.in_stream(error, "POST /build")
            code = getattr(error, "exit_code", None)
            await lines.write({"errorDetail": {**({"code": code} if code else {}), "message": text}, "error": text})
        await lines.end()
        return None

    def cancel(self, call: Call) -> Response:
        """POST /build/cancel."""
        self._classic.cancel(call.query.required("id"))
        return Response(200)


def register(router: Router, classic: "ClassicBuilder", builds: "BuildService") -> None:
    """Add the routes."""
    on = Routes(classic, builds)
    router.add("POST", "/build", on.build, cancel=True, follow=True)
    router.add("POST", "/build/cancel", on.cancel)
