"""A service, and what stands in its attributes but for `build` and `deploy`."""

from __future__ import annotations

from scow.compose.model.build import Build, FileUse, Ulimit
from scow.compose.model.deploy import Deploy, DeviceRequest
from scow.compose.records import field, record

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from scow.compose.model.kinds import Bytes, Command, Cpus, Duration, Environment, Extensions, Hosts, Mapping, OptOut, Test, Words


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
    """What `watch` does for a service."""

    watch: tuple[Watch, ...] = ()
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class WeightDevice:
    """A block device's share of input and output, 10 to 1000."""

    path: str = ""
    weight: int = 0
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class ThrottleDevice:
    """A block device's limit: bytes a second, or operations a second."""

    path: str = ""
    rate: Bytes = 0
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class Blkio:
    """Shares and limits of block devices; `weight` 10 to 1000, 0 the engine's default."""

    weight: int = 0
    weight_device: tuple[WeightDevice, ...] = ()
    device_read_bps: tuple[ThrottleDevice, ...] = ()
    device_read_iops: tuple[ThrottleDevice, ...] = ()
    device_write_bps: tuple[ThrottleDevice, ...] = ()
    device_write_iops: tuple[ThrottleDevice, ...] = ()
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class CredentialSpec:
    """Credentials for Windows containers: one of the three."""

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
class Device:
    """A device of the host and its place in the container; `permissions` of r, w and m."""

    source: str = ""
    target: str = ""
    permissions: str = ""
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class Provider:
    """What makes the service in place of containers, see `providers.py`."""

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
    """Another service that this one is put on; `file` "" is the same file."""

    file: str = ""
    service: str = ""


@record(frozen=True, slots=True, kw_only=True)
class Healthcheck:
    """How health is found out; None is the image's or the engine's own."""

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
    """The log driver and its options."""

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
    """How a path of the host is mounted; `recursive` is enabled, disabled, writable or readonly."""

    selinux: str = ""
    propagation: str = ""
    create_host_path: OptOut = False
    recursive: str = ""
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class VolumeOptions:
    """How a volume is mounted; `subpath` is a folder in it."""

    labels: Mapping = field(default_factory=dict)
    nocopy: bool = False
    subpath: str = ""
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class TmpfsOptions:
    """The size and the mode of a file system in memory."""

    size: Bytes = 0
    mode: int = 0
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class ImageOptions:
    """`subpath` is a folder in the image."""

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
