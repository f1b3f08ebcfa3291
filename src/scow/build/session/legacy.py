"""`POST /build?version=2`: BuildKit through the old endpoint, as docker CLIs without buildx and Go programs use it.

The client's session (`session=`) brings files, secrets and logins; progress comes back as JSON lines whose `aux` is an encoded
StatusResponse. Stores nothing. Called by `api/routes/build.py` through the service.
"""

import asyncio
import base64
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scow.build.session import progress
from scow.build.session.control import Control
from scow.build.session.messages import V1
from scow.errors import InvalidArgument, Unsupported

_CLIENT, _UPLOAD = "client-session", "upload-request"
_KNOWN_OUTPUTS = ("local", "tar", "image", "moby", "docker", "oci")

Write = Callable[[dict[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class LegacyRequest:
    """The parameters of the endpoint. `build_args` may have nulls: those are left to the Dockerfile."""

    session: str
    build_id: str = ""
    remote: str = ""
    dockerfile: str = ""
    tags: Sequence[str] = ()
    build_args: Mapping[str, str | None] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    cache_from: Sequence[str] = ()
    outputs: Sequence[Mapping[str, Any]] = ()
    target: str = ""
    platform: str = ""
    network: str = ""
    extra_hosts: Sequence[str] = ()
    cgroup_parent: str = ""
    shm_size: int = 0
    no_cache: bool = False
    pull: bool = False


def solve_request(request: LegacyRequest) -> Any:
    """The SolveRequest that says the same. Raises InvalidArgument, Unsupported."""
    if not request.session:
        raise InvalidArgument("a build with BuildKit needs a session: `docker buildx build` opens one")
    if request.remote == _UPLOAD or not request.remote:
        raise Unsupported("a context in the request's body is for the classic builder (version=1): BuildKit reads it through the session")
    options: dict[str, str] = {"image-resolve-mode": "pull" if request.pull else "default"}
    texts = {"target": request.target, "filename": request.dockerfile, "platform": request.platform, "cgroup-parent": request.cgroup_parent}
    options |= {key: value for key, value in texts.items() if value}
    if request.remote != _CLIENT:
        options["context"] = request.remote
    options |= {f"build-arg:{key}": value for key, value in request.build_args.items() if value is not None}
    options |= {f"label:{key}": value for key, value in request.labels.items()}
    if request.no_cache:
        options["no-cache"] = ""
    if request.network not in ("", "default"):
        options["force-network-mode"] = request.network
    if request.extra_hosts:
        options["add-hosts"] = ",".join(host.replace(":", "=", 1) for host in request.extra_hosts)
    if request.shm_size:
        options["shm-size"] = str(request.shm_size)
    made = V1.SolveRequest(
        Ref=request.build_id or secrets.token_hex(16), Session=request.session, Frontend="dockerfile.v0", FrontendAttrs=options
    )
    for ref in request.cache_from:
        made.Cache.Imports.add(Type="registry", Attrs={"ref": ref})
    if request.build_args.get("BUILDKIT_INLINE_CACHE") == "1":
        made.Cache.Exports.add(Type="inline")
    if len(request.outputs) > 1:
        raise InvalidArgument("multiple outputs not supported")
    for output in request.outputs:
        kind, attrs = str(output.get("Type") or ""), output.get("Attrs") or {}
        if kind == "cacheonly":
            continue
        if kind not in _KNOWN_OUTPUTS or not isinstance(attrs, Mapping):
            raise InvalidArgument(f"unknown output type {kind[:50]!r}")
        made.Exporters.add(Type="moby" if kind == "image" else kind, Attrs={str(key): str(value) for key, value in attrs.items()})
    if not request.outputs:
        made.Exporters.add(Type="moby", Attrs={"name": ",".join(request.tags)} if request.tags else {})
    return made


async def build(control: Control, request: LegacyRequest, write: Write) -> None:
    """Build, telling `write` each JSON object. Raises what the build raises."""
    wanted = solve_request(request)

    async def story() -> None:
        found = await control.builds.get(wanted.Ref)
        async for response in progress.responses(found.job.progress.subscribe()):
            await write({"id": "moby.buildkit.trace", "aux": base64.b64encode(response.SerializeToString()).decode()})

    async with asyncio.TaskGroup() as group:
        told = group.create_task(story())
        try:
            reply = await control.solve(wanted, None)
        except Exception as error:
            await asyncio.wait({told}, timeout=10)
            told.cancel()
            failed: Exception | None = error
        else:
            failed = None
    if failed is not None:
        raise failed
    image = reply.ExporterResponse.get("containerimage.config.digest") or reply.ExporterResponse.get("containerimage.digest")
    if image:
        await write({"id": "moby.image.id", "aux": {"ID": image}})
