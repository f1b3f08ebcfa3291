"""How a service's image is built, and what a build and a container both take: limits, configs and secrets."""

from __future__ import annotations

from scow.compose.records import field, record

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from scow.compose.model.kinds import Bytes, Environment, Extensions, Hosts, Mapping, Mode, Words


@record(frozen=True, slots=True, kw_only=True)
class Ssh:
    """A key or agent socket for a build; path "" is the agent of the client's environment."""

    id: str
    path: str = ""


@record(frozen=True, slots=True, kw_only=True)
class Ulimit:
    """One limit: `single` for both, or `soft` and `hard`."""

    single: int = 0
    soft: int = 0
    hard: int = 0
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class FileUse:
    """A config or secret in a service (or a build): `source` names it at the top level."""

    source: str = ""
    target: str = ""
    uid: str = ""
    gid: str = ""
    mode: Mode | None = None
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class Build:
    """How a service's image is built. `context` is an absolute path or a URL; `dockerfile` is relative to it."""

    context: str = ""
    dockerfile: str = ""
    dockerfile_inline: str = ""
    entitlements: Words = ()
    args: Environment = field(default_factory=dict)
    provenance: str = ""
    sbom: str = ""
    ssh: tuple[Ssh, ...] = ()
    labels: Mapping = field(default_factory=dict)
    cache_from: Words = ()
    cache_to: Words = ()
    no_cache: bool = False
    no_cache_filter: Words = ()
    additional_contexts: Mapping = field(default_factory=dict)
    pull: bool = False
    extra_hosts: Hosts = field(default_factory=dict)
    isolation: str = ""
    network: str = ""
    target: str = ""
    secrets: tuple[FileUse, ...] = ()
    shm_size: Bytes = 0
    tags: Words = ()
    ulimits: dict[str, Ulimit] = field(default_factory=dict)
    platforms: Words = ()
    privileged: bool = False
    extensions: Extensions = field(default_factory=dict)
