"""Errors of the engine as gRPC statuses. A failed step carries its vertex and its place in the Dockerfile, so that clients print the lines.

The details are BuildKit's typed errors: JSON under a type name that Go clients have registered. Used by the server of `/grpc`.
"""

import base64
import errno
import json
from typing import Any

from scow import errors, log
from scow.build.llb.ops import Location, SourceInfo
from scow.build.session import rpc
from scow.build.solver.types import BuildError

logger = log.get(__name__)

_TYPES = "github.com/moby/buildkit/errdefs."
_CODES: dict[type[errors.ScowError], int] = {
    errors.InvalidArgument: rpc.INVALID,
    errors.Unauthorized: rpc.UNAUTHENTICATED,
    errors.Forbidden: rpc.DENIED,
    errors.NotFound: rpc.NOT_FOUND,
    errors.Conflict: rpc.PRECONDITION,
    errors.Unsupported: rpc.UNIMPLEMENTED,
    errors.Unavailable: rpc.UNAVAILABLE,
    errors.DataLoss: rpc.INTERNAL,
    errors.Internal: rpc.INTERNAL,
}
_MAX_SOURCE = 1 << 20


def of(error: BaseException) -> rpc.RpcError:
    """The status of an error. What nobody foresaw is logged here, once."""
    if isinstance(error, rpc.RpcError):
        return error
    if isinstance(error, BuildError):
        return rpc.RpcError(rpc.UNKNOWN, error.message, details(error))
    if isinstance(error, errors.ScowError):
        found = next((code for cls in type(error).__mro__ if (code := _CODES.get(cls)) is not None), rpc.UNKNOWN)
        # "unimplemented" would make clients believe that the whole method is missing and try something else
        return rpc.RpcError(rpc.UNKNOWN if found == rpc.UNIMPLEMENTED else found, error.message, details(error))
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return rpc.RpcError(rpc.EXHAUSTED, "no space left on device: free some, or run `docker builder prune`")
    logger.error("a build call failed", exc_info=error)
    return rpc.RpcError(rpc.INTERNAL, f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)


def details(error: BaseException) -> tuple[tuple[str, bytes], ...]:
    """Vertex and places of an error that has them (`vertex`, `infos`, `locations` as of a BuildError)."""
    found: list[tuple[str, bytes]] = []
    if vertex := getattr(error, "vertex", ""):
        found.append(_typed("Vertex", {"digest": vertex}))
    infos: tuple[SourceInfo, ...] = getattr(error, "infos", ())
    found += [
        _typed("Source", {"info": _info(infos[place.source]), "ranges": _ranges(place)})
        for place in getattr(error, "locations", ())
        if 0 <= place.source < len(infos) and len(infos[place.source].data) <= _MAX_SOURCE
    ]
    return tuple(found)


def _typed(name: str, value: dict[str, Any]) -> tuple[str, bytes]:
    return f"{_TYPES}{name}+json", json.dumps(value).encode()


def _info(info: SourceInfo) -> dict[str, Any]:
    return {"filename": info.filename, "data": base64.b64encode(info.data).decode(), "language": info.language}


def _ranges(place: Location) -> list[dict[str, Any]]:
    return [
        {"start": {"line": one.start, "character": one.start_character}, "end": {"line": one.end, "character": one.end_character}}
        for one in place.ranges
    ]
