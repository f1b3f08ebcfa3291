"""Finds the program that `--init` puts in front of the container's: tini, catatonit or docker-init, linked statically."""

import functools
import os

from scow.errors import Unsupported

_CANDIDATES = (
    "/usr/libexec/docker/docker-init", "/usr/local/bin/docker-init", "/usr/bin/docker-init", "/usr/bin/tini-static", "/sbin/tini-static",
    "/usr/bin/catatonit", "/usr/libexec/podman/catatonit", "/usr/libexec/catatonit/catatonit", "/usr/local/bin/tini-static",
)  # fmt: skip


@functools.cache
def _found(candidates: tuple[str, ...]) -> str | None:
    return next((path for path in candidates if os.access(path, os.X_OK)), None)


def find(candidates: tuple[str, ...] = _CANDIDATES) -> str:
    """Its path on this host. Raises Unsupported when none is installed."""
    path = _found(candidates)
    if path is None:
        _found.cache_clear()
        raise Unsupported("no init program is installed on this host: install tini or catatonit, or run without --init")
    return path
