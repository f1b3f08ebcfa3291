"""Merging what the user asked for with the image's configuration and the engine's defaults: pure functions on model dataclasses."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from scow.containers.parts import Defaults
from scow.errors import InvalidArgument
from scow.ids import short
from scow.model.container import ContainerConfig, CreateRequest, HealthConfig, HostConfig, LogConfig, RestartPolicy
from scow.model.network import EndpointSettings

MASKED_PATHS = (
    "/proc/asound /proc/acpi /proc/interrupts /proc/kcore /proc/keys /proc/latency_stats /proc/timer_list /proc/timer_stats /proc/sched_debug "
    "/proc/scsi /sys/firmware /sys/devices/virtual/powercap"
).split()
READONLY_PATHS = "/proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger".split()

_CONFIG_FIELDS = tuple(field.name for field in dataclasses.fields(ContainerConfig))


def own_config(request: CreateRequest) -> ContainerConfig:
    """The ContainerConfig part of a create request."""
    return ContainerConfig(**{name: getattr(request, name) for name in _CONFIG_FIELDS})


def _env_name(entry: str) -> str:
    return entry.split("=", 1)[0]


def _health(own: HealthConfig | None, image: HealthConfig | None) -> HealthConfig | None:
    if own is None or image is None:
        return own or image
    inherited = {
        field.name: getattr(own, field.name) or getattr(image, field.name) for field in dataclasses.fields(HealthConfig)
    }
    return HealthConfig(**inherited)


def with_image(own: ContainerConfig, image: ContainerConfig) -> ContainerConfig:
    """The user's configuration completed from the image's. Raises InvalidArgument when there is nothing to run."""
    cmd, entrypoint = own.cmd, own.entrypoint
    if not entrypoint:
        if not cmd:
            cmd = image.cmd
        if entrypoint is None:
            entrypoint = image.entrypoint
    if entrypoint == [""]:  # how a client says "no entry point"
        entrypoint = None
    if not entrypoint and not cmd:
        raise InvalidArgument("no command specified")
    own_names = {_env_name(entry) for entry in own.env}
    env = [*own.env, *(entry for entry in image.env if _env_name(entry) not in own_names)]
    return dataclasses.replace(
        own,
        user=own.user or image.user,
        exposed_ports={**image.exposed_ports, **own.exposed_ports},
        env=env,
        cmd=cmd,
        entrypoint=entrypoint,
        healthcheck=_health(own.healthcheck, image.healthcheck),
        volumes={**image.volumes, **own.volumes},
        working_dir=own.working_dir or image.working_dir,
        labels={**image.labels, **own.labels},
        stop_signal=own.stop_signal or image.stop_signal,
        on_build=None,
    )


def host_defaults(host: HostConfig, defaults: Defaults, cgroup_v2: bool) -> HostConfig:
    """HostConfig with every default of the engine filled in. Lists that the client left out are those dockerd shows."""
    changes: dict[str, Any] = {
        "network_mode": {"": "bridge", "default": "bridge"}.get(host.network_mode, host.network_mode),
        "restart_policy": host.restart_policy if host.restart_policy.name else RestartPolicy("no", host.restart_policy.maximum_retry_count),
        "shm_size": host.shm_size or defaults.shm_size,
        "ipc_mode": host.ipc_mode or defaults.ipc_mode,
        "runtime": host.runtime or defaults.runtime,
        "log_config": host.log_config,
    }
    if not host.log_config.type:
        changes["log_config"] = LogConfig(defaults.log.type, {**defaults.log.config, **host.log_config.config})
    elif host.log_config.type == defaults.log.type:
        changes["log_config"] = LogConfig(host.log_config.type, {**defaults.log.config, **host.log_config.config})
    if not host.cgroupns_mode:
        private = cgroup_v2 and not host.privileged
        changes["cgroupns_mode"] = defaults.cgroupns_mode or ("private" if private else "host")
    if defaults.ulimits:
        named = {limit.name for limit in host.ulimits}
        changes["ulimits"] = [*host.ulimits, *(limit for limit in defaults.ulimits if limit.name not in named)]
    unconfined = host.privileged or "systempaths=unconfined" in host.security_opt
    if "systempaths=unconfined" in host.security_opt:
        changes["security_opt"] = [option for option in host.security_opt if option != "systempaths=unconfined"]
    if host.masked_paths is None:
        changes["masked_paths"] = [] if unconfined else list(MASKED_PATHS)
    if host.readonly_paths is None:
        changes["readonly_paths"] = [] if unconfined else list(READONLY_PATHS)
    if host.memory > 0 and host.memory_swap == 0:
        changes["memory_swap"] = host.memory * 2  # as dockerd: as much swap as memory
    if host.init is None and defaults.init:
        changes["init"] = True
    return dataclasses.replace(host, **changes)


def hostname(config: ContainerConfig, host: HostConfig, container_id: str, own_hostname: str) -> ContainerConfig:
    """The configuration with its host name: the short id, or the host's own in the host's network."""
    if config.hostname or host.network_mode.startswith("container:"):
        return config
    name = own_hostname if host.network_mode == "host" or host.uts_mode == "host" else short(container_id)
    return dataclasses.replace(config, hostname=name)


def endpoints(host: HostConfig, config: ContainerConfig, asked: Mapping[str, EndpointSettings]) -> dict[str, EndpointSettings]:
    """The networks a container belongs to, by the names the user gave; the service resolves ids to names."""
    mode = host.network_mode
    if mode.startswith("container:") or config.network_disabled:
        return {}
    known = {("bridge" if name == "default" else name): settings for name, settings in asked.items()}
    if not known:
        known = {mode: EndpointSettings()}
    if config.mac_address and mode in known and not known[mode].mac_address:
        known[mode] = dataclasses.replace(known[mode], mac_address=config.mac_address)
    return known


def command(config: ContainerConfig) -> tuple[str, tuple[str, ...]]:
    """(path, args) of the process: entry point, then command."""
    words = [*(config.entrypoint or []), *(config.cmd or [])]
    return words[0], tuple(words[1:])
