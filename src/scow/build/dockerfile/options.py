"""What a conversion is asked with, what it asks of the engine, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from scow.build.dockerfile.tree import Tree
from scow.build.llb.ops import Definition, HostIP, Network, Platform, Ulimit

PROXY_ARGS = frozenset(
    name for upper in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY") for name in (upper, upper.lower())
)
"""Arguments that need no ARG, and are in neither the history nor the cache key."""


@dataclass(frozen=True, slots=True)
class Options:
    """Everything that is asked for, of one platform. `no_cache`: None = use the cache, () = nowhere, else stages without it."""

    target: str = ""
    build_args: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    platform: Platform = Platform()
    build_platform: Platform = Platform()
    explicit_platform: bool = False
    show_platform: bool = False
    """Several platforms are built: names of vertices begin with theirs."""
    no_cache: tuple[str, ...] | None = None
    cache_namespace: str = ""
    hostname: str = ""
    network: Network = Network.DEFAULT
    extra_hosts: tuple[HostIP, ...] = ()
    shm_size: int = 0
    ulimits: tuple[Ulimit, ...] = ()
    cgroup_parent: str = ""
    epoch: int | None = None
    """SOURCE_DATE_EPOCH in seconds."""
    filename: str = "Dockerfile"
    excludes: tuple[str, ...] = ()
    """Patterns of the main context's .dockerignore, for the check of copied files."""
    all_stages: bool = False


@dataclass(slots=True, eq=False)
class Source:
    """A tree from outside of the file: the main or a named context, or an image. `paths` gathers what is read of it."""

    tree: Tree | None
    config: Mapping[str, Any] | None = None
    """The image's config (OCI JSON), when it is one."""
    paths: set[str] = field(default_factory=set)


class Resolver(Protocol):
    """What a conversion needs of the engine."""

    async def image_config(self, ref: str, platform: Platform, what: str) -> tuple[str, Mapping[str, Any]]:
        """The reference with its digest, and the config (OCI JSON), of the image that a full reference names; `what` is shown meanwhile.
        Raises ScowError."""

    async def named_context(self, name: str, platform: Platform | None) -> Source | None:
        """What --build-context gives for a name (familiar form, no `:latest`), or None."""

    async def main_context(self) -> Source:
        """The build context."""


@dataclass(frozen=True, slots=True)
class Converted:
    """The graph of one target, and the config of its image (OCI JSON with Docker's fields; history ends with this build's rows)."""

    definition: Definition
    config: dict[str, Any]
    base_config: Mapping[str, Any] | None
    target: str
    used_stages: tuple[str, ...]


def follow_paths(paths: set[str]) -> list[str]:
    """Paths for a context's `followpaths`, relative; empty = everything."""
    if not paths or "/" in paths:
        return []
    return sorted(path.lstrip("/") for path in paths)
