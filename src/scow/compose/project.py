"""The model of a compose project: every attribute of the compose specification in its long form, after interpolation and merging.

Attributes are named as in the files. Fields stand in the order in which the compose plugin writes them into its hash of a service
(`hash.py`); `codec.py` reads and writes the classes by their annotations, so the names of types below have a meaning:
`Bytes` counts bytes, `Duration` nanoseconds, `Cpus` CPUs. "", 0, False, () and {} stand for "not given" where None is not allowed.
Made by `load/loader.py`, read by everyone else in `compose/`.
"""

from __future__ import annotations

from scow.compose.records import field, record, replace

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    Extensions = dict[str, Any]

Bytes = int
Duration = int
Cpus = float
Mode = int  # of a file, as a number
OptOut = bool  # true where nothing is given
Count = int  # of devices: -1 is all
Words = tuple[str, ...]
Command = tuple[str, ...]  # words of a command line; where None is allowed it means "the image's", () means "none"
Test = tuple[str, ...]  # words of a health check; one text is run by a shell
Mapping = dict[str, str]
Environment = dict[str, str | None]  # None: to be taken from the client's environment, and unset there
Hosts = dict[str, tuple[str, ...]]  # name -> addresses
External = bool


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


@record(frozen=True, slots=True, kw_only=True)
class Hook:
    """A command of a service's life: `pre_start`, `post_start`, `pre_stop`, or what a watch runs."""

    command: Command | None = None
    image: str = ""
    user: str = ""
    privileged: bool = False
    working_dir: str = ""
    environment: Environment = field(default_factory=dict)
    per_replica: bool = False
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class Watch:
    """One rule of `develop.watch`; `action` is sync, rebuild, restart, sync+restart or sync+exec."""

    path: str = ""
    action: str = ""
    target: str = ""
    exec: Hook | None = None
    include: Words = ()
    ignore: Words = ()
    initial_sync: bool = False
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class Develop:
    watch: tuple[Watch, ...] = ()
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class WeightDevice:
    path: str = ""
    weight: int = 0
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class ThrottleDevice:
    path: str = ""
    rate: Bytes = 0
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class Blkio:
    weight: int = 0
    weight_device: tuple[WeightDevice, ...] = ()
    device_read_bps: tuple[ThrottleDevice, ...] = ()
    device_read_iops: tuple[ThrottleDevice, ...] = ()
    device_write_bps: tuple[ThrottleDevice, ...] = ()
    device_write_iops: tuple[ThrottleDevice, ...] = ()
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class CredentialSpec:
    config: str = ""
    file: str = ""
    registry: str = ""
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class Dependency:
    """`condition` is service_started, service_healthy or service_completed_successfully."""

    condition: str = "service_started"
    restart: bool = False
    extensions: Extensions = field(default_factory=dict)
    required: bool = True


@record(frozen=True, slots=True, kw_only=True)
class DeviceRequest:
    """Devices by capability, as GPUs; `count` -1 is all, 0 not given."""

    capabilities: Words = ()
    driver: str = ""
    count: Count = 0
    device_ids: Words = ()
    options: Mapping = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class GenericResource:
    kind: str = ""
    value: int = 0


@record(frozen=True, slots=True, kw_only=True)
class DiscreteResource:
    discrete_resource_spec: GenericResource | None = None
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class Resource:
    cpus: Cpus = 0.0
    memory: Bytes = 0
    pids: int = 0
    devices: tuple[DeviceRequest, ...] = ()
    generic_resources: tuple[DiscreteResource, ...] = ()
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class Resources:
    limits: Resource | None = None
    reservations: Resource | None = None
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class UpdateConfig:
    parallelism: int | None = None
    delay: Duration = 0
    failure_action: str = ""
    monitor: Duration = 0
    max_failure_ratio: Cpus = 0.0
    order: str = ""
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    condition: str = ""
    delay: Duration | None = None
    max_attempts: int | None = None
    window: Duration | None = None
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class Preference:
    spread: str = ""
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class Placement:
    constraints: Words = ()
    preferences: tuple[Preference, ...] = ()
    max_replicas_per_node: int = 0
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class Deploy:
    mode: str = ""
    replicas: int | None = None
    labels: Mapping = field(default_factory=dict)
    update_config: UpdateConfig | None = None
    rollback_config: UpdateConfig | None = None
    resources: Resources = field(default_factory=Resources)
    restart_policy: RestartPolicy | None = None
    placement: Placement = field(default_factory=Placement)
    endpoint_mode: str = ""
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class Device:
    source: str = ""
    target: str = ""
    permissions: str = ""
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class Provider:
    type: str = ""
    options: dict[str, Words] = field(default_factory=dict)
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class EnvFile:
    """A file of variables; `format` "" is .env's, "raw" is without quotes and interpolation. `path` is absolute."""

    path: str = ""
    required: bool = True
    format: str = ""


@record(frozen=True, slots=True, kw_only=True)
class Extends:
    file: str = ""
    service: str = ""


@record(frozen=True, slots=True, kw_only=True)
class Healthcheck:
    test: Test = ()
    timeout: Duration | None = None
    interval: Duration | None = None
    retries: int | None = None
    start_period: Duration | None = None
    start_interval: Duration | None = None
    disable: bool = False
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class Logging:
    driver: str = ""
    options: Mapping = field(default_factory=dict)
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class ModelUse:
    """The variables that tell a service where a model is and what it is called."""

    endpoint_var: str = ""
    model_var: str = ""
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A service in a network."""

    priority: int = 0
    aliases: Words = ()
    gw_priority: int = 0
    interface_name: str = ""
    ipv4_address: str = ""
    ipv6_address: str = ""
    link_local_ips: Words = ()
    mac_address: str = ""
    driver_opts: Mapping = field(default_factory=dict)
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class Port:
    """`published` is "", a port or a range to pick one from."""

    name: str = ""
    mode: str = ""
    host_ip: str = ""
    target: int = 0
    published: str = ""
    protocol: str = ""
    app_protocol: str = ""
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class BindOptions:
    selinux: str = ""
    propagation: str = ""
    create_host_path: OptOut = False
    recursive: str = ""
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class VolumeOptions:
    labels: Mapping = field(default_factory=dict)
    nocopy: bool = False
    subpath: str = ""
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class TmpfsOptions:
    size: Bytes = 0
    mode: int = 0
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class ImageOptions:
    subpath: str = ""
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class Mount:
    """`type` is bind, volume, tmpfs, image, npipe or cluster; `source` an absolute path, or a name at the top level, "" for an anonymous
    volume."""

    type: str = ""
    source: str = ""
    target: str = ""
    read_only: bool = False
    consistency: str = ""
    bind: BindOptions | None = None
    volume: VolumeOptions | None = None
    tmpfs: TmpfsOptions | None = None
    image: ImageOptions | None = None
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class Service:
    """One service. `environment` holds what `env_file` named, too."""

    name: str = ""
    profiles: Words = ()
    annotations: Mapping = field(default_factory=dict)
    attach: bool | None = None
    build: Build | None = None
    develop: Develop | None = None
    blkio_config: Blkio | None = None
    cap_add: Words = ()
    cap_drop: Words = ()
    cgroup_parent: str = ""
    cgroup: str = ""
    cpu_count: int = 0
    cpu_percent: Cpus = 0.0
    cpu_period: int = 0
    cpu_quota: int = 0
    cpu_rt_period: int = 0
    cpu_rt_runtime: int = 0
    cpus: Cpus = 0.0
    cpuset: str = ""
    cpu_shares: int = 0
    command: Command | None = None
    configs: tuple[FileUse, ...] = ()
    container_name: str = ""
    credential_spec: CredentialSpec | None = None
    depends_on: dict[str, Dependency] = field(default_factory=dict)
    deploy: Deploy | None = None
    device_cgroup_rules: Words = ()
    devices: tuple[Device, ...] = ()
    dns: Words = ()
    dns_opt: Words = ()
    dns_search: Words = ()
    dockerfile: str = ""
    domainname: str = ""
    entrypoint: Command | None = None
    provider: Provider | None = None
    environment: Environment = field(default_factory=dict)
    env_file: tuple[EnvFile, ...] = ()
    expose: Words = ()
    extends: Extends | None = None
    external_links: Words = ()
    extra_hosts: Hosts = field(default_factory=dict)
    group_add: Words = ()
    gpus: tuple[DeviceRequest, ...] = ()
    hostname: str = ""
    healthcheck: Healthcheck | None = None
    image: str = ""
    init: bool | None = None
    ipc: str = ""
    isolation: str = ""
    labels: Mapping = field(default_factory=dict)
    label_file: Words = ()
    links: Words = ()
    logging: Logging | None = None
    log_driver: str = ""
    log_opt: Mapping = field(default_factory=dict)
    mem_limit: Bytes = 0
    mem_reservation: Bytes = 0
    memswap_limit: Bytes = 0
    mem_swappiness: Bytes = 0
    mac_address: str = ""
    models: dict[str, ModelUse | None] = field(default_factory=dict)
    net: str = ""
    network_mode: str = ""
    networks: dict[str, Endpoint | None] = field(default_factory=dict)
    oom_kill_disable: bool = False
    oom_score_adj: int = 0
    pid: str = ""
    pids_limit: int = 0
    platform: str = ""
    ports: tuple[Port, ...] = ()
    privileged: bool = False
    pull_policy: str = ""
    pull_refresh_after: str = ""
    read_only: bool = False
    restart: str = ""
    runtime: str = ""
    scale: int | None = None
    secrets: tuple[FileUse, ...] = ()
    security_opt: Words = ()
    shm_size: Bytes = 0
    stdin_open: bool = False
    stop_grace_period: Duration | None = None
    stop_signal: str = ""
    storage_opt: Mapping = field(default_factory=dict)
    sysctls: Mapping = field(default_factory=dict)
    tmpfs: Words = ()
    tty: bool = False
    ulimits: dict[str, Ulimit] = field(default_factory=dict)
    use_api_socket: bool = False
    user: str = ""
    userns_mode: str = ""
    uts: str = ""
    volume_driver: str = ""
    volumes: tuple[Mount, ...] = ()
    volumes_from: Words = ()
    working_dir: str = ""
    pre_start: tuple[Hook, ...] = ()
    post_start: tuple[Hook, ...] = ()
    pre_stop: tuple[Hook, ...] = ()
    extensions: Extensions = field(default_factory=dict)

    @property
    def replicas(self) -> int:
        """How many containers are wanted."""
        if self.scale is not None:
            return self.scale
        return self.deploy.replicas if self.deploy and self.deploy.replicas is not None else 1


@record(frozen=True, slots=True, kw_only=True)
class IpamPool:
    subnet: str = ""
    gateway: str = ""
    ip_range: str = ""
    aux_addresses: Mapping = field(default_factory=dict)
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class Ipam:
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


Secret = FileObject
Config = FileObject


@record(frozen=True, slots=True, kw_only=True)
class Model:
    """An AI model that the engine's model runner serves."""

    name: str = ""
    model: str = ""
    context_size: int = 0
    runtime_flags: Words = ()
    extensions: Extensions = field(default_factory=dict)


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
