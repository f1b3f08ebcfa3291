"""The project, and what has a name at the top level of its files besides services."""

from __future__ import annotations

from scow.compose.model.service import Service
from scow.compose.records import field, record, replace

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from scow.compose.model.kinds import Extensions, External, Mapping, Words


@record(frozen=True, slots=True, kw_only=True)
class IpamPool:
    """A subnet, its gateway, the range that addresses are taken from, addresses that others have."""

    subnet: str = ""
    gateway: str = ""
    ip_range: str = ""
    aux_addresses: Mapping = field(default_factory=dict)
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class Ipam:
    """How a network gets its addresses; `driver` "" is the engine's."""

    driver: str = ""
    config: tuple[IpamPool, ...] = ()
    options: Mapping = field(default_factory=dict)
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class Network:
    """`name` is the engine's (`project_key` where the file gives none)."""

    name: str = ""
    driver: str = ""
    driver_opts: Mapping = field(default_factory=dict)
    ipam: Ipam = field(default_factory=Ipam)
    external: External = False
    internal: bool = False
    attachable: bool = False
    labels: Mapping = field(default_factory=dict)
    enable_ipv4: bool | None = None
    enable_ipv6: bool | None = None
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class Volume:
    """`name` is the engine's (`project_key` where the file gives none)."""

    name: str = ""
    driver: str = ""
    driver_opts: Mapping = field(default_factory=dict)
    external: External = False
    labels: Mapping = field(default_factory=dict)
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class FileObject:
    """A secret or a config: from a file (absolute path), a variable of the client's environment, a text, or the engine's own."""

    name: str = ""
    file: str = ""
    environment: str = ""
    content: str = ""
    external: External = False
    labels: Mapping = field(default_factory=dict)
    driver: str = ""
    driver_opts: Mapping = field(default_factory=dict)
    template_driver: str = ""
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class Model:
    """An AI model that the engine's model runner serves."""

    name: str = ""
    model: str = ""
    context_size: int = 0
    runtime_flags: Words = ()
    extensions: Extensions = field(default_factory=dict)


Secret = FileObject
Config = FileObject


@record(frozen=True, slots=True, kw_only=True)
class Project:
    """The whole: what is wanted. `services` are the enabled ones, `disabled` those whose profiles are off; `environment` is what the files
    were interpolated with (the client's variables over those of .env files); `from_env_files` the variables that services with an
    `x-on-change` have of their env_file alone, by service; `warnings` are sentences for the user."""

    name: str
    working_dir: str = ""
    files: tuple[str, ...] = ()
    env_files: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    services: dict[str, Service] = field(default_factory=dict)
    disabled: dict[str, Service] = field(default_factory=dict)
    networks: dict[str, Network] = field(default_factory=dict)
    volumes: dict[str, Volume] = field(default_factory=dict)
    secrets: dict[str, Secret] = field(default_factory=dict)
    configs: dict[str, Config] = field(default_factory=dict)
    models: dict[str, Model] = field(default_factory=dict)
    from_env_files: dict[str, dict[str, str]] = field(default_factory=dict)
    extensions: Extensions = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def with_services(self, services: dict[str, Service]) -> Project:
        """The same project with other services."""
        return replace(self, services=services)
