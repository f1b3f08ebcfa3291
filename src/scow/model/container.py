"""Container requests: what is created, where it runs, how it is updated, what is executed in it."""

from dataclasses import dataclass, field
from typing import Any

from scow.model.codec import key
from scow.model.network import NetworkingConfig


@dataclass(frozen=True, slots=True)
class HealthConfig:
    """A health check; times are nanoseconds, 0 = inherit from the image or Docker's default."""

    test: list[str] = field(default_factory=list)
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True)
class ContainerConfig:
    """The part of a container that an image may give too."""

    hostname: str = ""
    domainname: str = ""
    user: str = ""
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    exposed_ports: dict[str, dict[str, Any]] = field(default_factory=dict)
    tty: bool = False
    open_stdin: bool = False
    stdin_once: bool = False
    env: list[str] = field(default_factory=list)
    cmd: list[str] | None = key("Cmd", None, strs=True)
    healthcheck: HealthConfig | None = None
    args_escaped: bool = False
    image: str = ""
    volumes: dict[str, dict[str, Any]] = field(default_factory=dict)
    working_dir: str = ""
    entrypoint: list[str] | None = key("Entrypoint", None, strs=True)
    network_disabled: bool = False
    mac_address: str = ""
    on_build: list[str] | None = None
    labels: dict[str, str] = field(default_factory=dict)
    stop_signal: str = ""
    stop_timeout: int | None = None
    shell: list[str] | None = key("Shell", None, strs=True)


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """When the engine starts a container again: name is "", no, always, unless-stopped or on-failure."""

    name: str = ""
    maximum_retry_count: int = 0


@dataclass(frozen=True, slots=True)
class LogConfig:
    """The log driver and its options."""

    type: str = ""
    config: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PortBinding:
    """One published address of a container port."""

    host_ip: str = key("HostIp", "")
    host_port: str = ""


@dataclass(frozen=True, slots=True)
class Ulimit:
    """A resource limit; -1 = unlimited."""

    name: str = ""
    soft: int = 0
    hard: int = 0


@dataclass(frozen=True, slots=True)
class DeviceMapping:
    """A device of the host in the container."""

    path_on_host: str = ""
    path_in_container: str = ""
    cgroup_permissions: str = ""


@dataclass(frozen=True, slots=True)
class DeviceRequest:
    """A request to a device driver (GPUs, CDI)."""

    driver: str = ""
    count: int = 0
    device_ids: list[str] = key("DeviceIDs", factory=list)
    capabilities: list[list[str]] = field(default_factory=list)
    options: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WeightDevice:
    """A block device's weight."""

    path: str = ""
    weight: int = 0


@dataclass(frozen=True, slots=True)
class ThrottleDevice:
    """A block device's rate, bytes or operations a second."""

    path: str = ""
    rate: int = 0


@dataclass(frozen=True, slots=True)
class BindOptions:
    """Options of a bind mount."""

    propagation: str = ""
    non_recursive: bool = False
    create_mountpoint: bool = False
    read_only_non_recursive: bool = False
    read_only_force_recursive: bool = False


@dataclass(frozen=True, slots=True)
class VolumeDriver:
    """The driver of a volume made for a mount."""

    name: str = ""
    options: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VolumeOptions:
    """Options of a volume mount."""

    no_copy: bool = False
    labels: dict[str, str] = field(default_factory=dict)
    driver_config: VolumeDriver | None = None
    subpath: str = ""


@dataclass(frozen=True, slots=True)
class ImageOptions:
    """Options of an image mount."""

    subpath: str = ""


@dataclass(frozen=True, slots=True)
class TmpfsOptions:
    """Options of a tmpfs mount."""

    size_bytes: int = 0
    mode: int = 0
    options: list[list[str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Mount:
    """A mount in the long form; type is bind, volume, tmpfs, image, npipe or cluster."""

    type: str = ""
    source: str = ""
    target: str = ""
    read_only: bool = False
    consistency: str = ""
    bind_options: BindOptions | None = None
    volume_options: VolumeOptions | None = None
    image_options: ImageOptions | None = None
    tmpfs_options: TmpfsOptions | None = None


@dataclass(frozen=True, slots=True)
class HostConfig:
    """The part of a container that depends on the host, limits included."""

    # limits (also in UpdateRequest)
    cpu_shares: int = 0
    memory: int = 0
    nano_cpus: int = key("NanoCpus", 0)
    cgroup_parent: str = ""
    blkio_weight: int = 0
    blkio_weight_device: list[WeightDevice] = field(default_factory=list)
    blkio_device_read_bps: list[ThrottleDevice] = field(default_factory=list)
    blkio_device_write_bps: list[ThrottleDevice] = field(default_factory=list)
    blkio_device_read_iops: list[ThrottleDevice] = key("BlkioDeviceReadIOps", factory=list)
    blkio_device_write_iops: list[ThrottleDevice] = key("BlkioDeviceWriteIOps", factory=list)
    cpu_period: int = 0
    cpu_quota: int = 0
    cpu_realtime_period: int = 0
    cpu_realtime_runtime: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    devices: list[DeviceMapping] = field(default_factory=list)
    device_cgroup_rules: list[str] = field(default_factory=list)
    device_requests: list[DeviceRequest] = field(default_factory=list)
    kernel_memory: int = 0
    kernel_memory_tcp: int = key("KernelMemoryTCP", 0)
    memory_reservation: int = 0
    memory_swap: int = 0
    memory_swappiness: int | None = None
    oom_kill_disable: bool | None = None
    pids_limit: int | None = None
    ulimits: list[Ulimit] = field(default_factory=list)
    cpu_count: int = 0
    cpu_percent: int = 0
    io_maximum_iops: int = key("IOMaximumIOps", 0)
    io_maximum_bandwidth: int = key("IOMaximumBandwidth", 0)
    # the rest
    binds: list[str] = field(default_factory=list)
    container_id_file: str = key("ContainerIDFile", "")
    log_config: LogConfig = field(default_factory=LogConfig)
    network_mode: str = ""
    port_bindings: dict[str, list[PortBinding]] = field(default_factory=dict)
    restart_policy: RestartPolicy = field(default_factory=RestartPolicy)
    auto_remove: bool = False
    volume_driver: str = ""
    volumes_from: list[str] = field(default_factory=list)
    mounts: list[Mount] = field(default_factory=list)
    console_size: list[int] = field(default_factory=lambda: [0, 0])
    annotations: dict[str, str] = field(default_factory=dict)
    cap_add: list[str] = key("CapAdd", factory=list, strs=True)
    cap_drop: list[str] = key("CapDrop", factory=list, strs=True)
    cgroupns_mode: str = ""
    dns: list[str] = field(default_factory=list)
    dns_options: list[str] = field(default_factory=list)
    dns_search: list[str] = field(default_factory=list)
    extra_hosts: list[str] = field(default_factory=list)
    group_add: list[str] = field(default_factory=list)
    ipc_mode: str = ""
    cgroup: str = ""
    links: list[str] = field(default_factory=list)
    oom_score_adj: int = 0
    pid_mode: str = ""
    privileged: bool = False
    publish_all_ports: bool = False
    readonly_rootfs: bool = False
    security_opt: list[str] = field(default_factory=list)
    storage_opt: dict[str, str] = field(default_factory=dict)
    tmpfs: dict[str, str] = field(default_factory=dict)
    uts_mode: str = key("UTSMode", "")
    userns_mode: str = ""
    shm_size: int = 0
    sysctls: dict[str, str] = field(default_factory=dict)
    runtime: str = ""
    init: bool | None = None
    isolation: str = ""
    masked_paths: list[str] | None = None
    readonly_paths: list[str] | None = None


@dataclass(frozen=True, slots=True)
class CreateRequest(ContainerConfig):
    """Body of POST /containers/create: the configuration's own fields, and two more."""

    host_config: HostConfig | None = None
    networking_config: NetworkingConfig | None = None


@dataclass(frozen=True, slots=True)
class Takeover:
    """Body of POST /scow/containers/{id}/takeover: whose ports and names; `names` by network."""

    from_: str = key("From", "")
    names: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UpdateRequest:
    """Body of POST /containers/{id}/update; 0, "" and None leave a limit as it is."""

    cpu_shares: int = 0
    memory: int = 0
    nano_cpus: int = key("NanoCpus", 0)
    blkio_weight: int = 0
    cpu_period: int = 0
    cpu_quota: int = 0
    cpu_realtime_period: int = 0
    cpu_realtime_runtime: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    kernel_memory: int = 0
    memory_reservation: int = 0
    memory_swap: int = 0
    pids_limit: int | None = None
    restart_policy: RestartPolicy = field(default_factory=RestartPolicy)


@dataclass(frozen=True, slots=True)
class ExecCreate:
    """Body of POST /containers/{id}/exec."""

    user: str = ""
    privileged: bool = False
    tty: bool = False
    console_size: list[int] = field(default_factory=list)
    attach_stdin: bool = False
    attach_stderr: bool = False
    attach_stdout: bool = False
    detach: bool = False
    detach_keys: str = ""
    env: list[str] = field(default_factory=list)
    working_dir: str = ""
    cmd: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ExecStart:
    """Body of POST /exec/{id}/start."""

    detach: bool = False
    tty: bool = False
    console_size: list[int] = field(default_factory=list)
