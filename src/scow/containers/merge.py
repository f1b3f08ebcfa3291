"""Merging what the user asked for with the image's configuration and the engine's defaults: pure functions on model dataclasses."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from scow.containers.parts import Defaults
from scow.errors import InvalidArgument
from scow.ids import short
from scow.kernel import cgroups
from scow.model.container import ContainerConfig, CreateRequest, HealthConfig, HostConfig, LogConfig, RestartPolicy
from scow.model.network import EndpointSettings
from scow.runtime.checks import parse_port
from scow.runtime.spec import MASKED_PATHS, READONLY_PATHS

_CONFIG_FIELDS = tuple(field.name for field in dataclasses.fields(ContainerConfig))


def own_config(request: CreateRequest) -> ContainerConfig:
    """The ContainerConfig part of a create request."""
    return ContainerConfig(**{name: getattr(request, name) for name in _CONFIG_FIELDS})


def _env_name(entry: str) -> str:
    return entry.split("=", 1)[0]


def _health(own: HealthConfig | None, image: HealthConfig | None) -> HealthConfig | None:
    if own is None or image is None:
        return own or image
    inherited = {field.name: getattr(own, field.name) or getattr(image, field.name) for field in dataclasses.fields(HealthConfig)}
    return HealthConfig(**inherited)


def _single_ports(ports: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Exposed ports with ranges (`4000-4001/udp`) as their ports; what is no port stays, to be refused by the checks."""
    found: dict[str, dict[str, Any]] = {}
    for name, value in ports.items():
        try:
            first, last, protocol = parse_port(name)
        except ValueError:
            first, last, protocol = 0, 0, ""
        found |= {f"{number}/{protocol}": value for number in range(first, last + 1)} if first < last else {name: value}
    return found


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
        exposed_ports=_single_ports({**image.exposed_ports, **own.exposed_ports}),
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


def host_defaults(host: HostConfig, defaults: Defaults) -> HostConfig:
    """HostConfig with what daemon.json gives and then Docker's own defaults filled in."""
    changes: dict[str, Any] = {"runtime": host.runtime or defaults.runtime}
    if not host.log_config.type or host.log_config.type == defaults.log.type:
        changes["log_config"] = LogConfig(defaults.log.type, {**defaults.log.config, **host.log_config.config})
    for name in ("shm_size", "ipc_mode", "cgroupns_mode", "cgroup_parent"):
        changes[name] = getattr(host, name) or getattr(defaults, name)
    if defaults.ulimits:
        named = {limit.name for limit in host.ulimits}
        changes["ulimits"] = [*host.ulimits, *(limit for limit in defaults.ulimits if limit.name not in named)]
    if host.init is None and defaults.init:
        changes["init"] = True
    if host.network_mode in ("", "default"):
        changes["network_mode"] = "bridge"
    if not changes["cgroupns_mode"]:
        changes["cgroupns_mode"] = "private" if cgroups.detect().unified and not host.privileged else "host"
    if not host.restart_policy.name:
        changes["restart_policy"] = RestartPolicy("no", host.restart_policy.maximum_retry_count)
    if host.memory > 0 and host.memory_swap == 0:
        changes["memory_swap"] = host.memory * 2  # as much swap as memory, as dockerd
    if host.memory_swappiness == -1:
        changes["memory_swappiness"] = None
    if host.pids_limit is not None and host.pids_limit <= 0:
        changes["pids_limit"] = None  # no limit
    if not host.oom_kill_disable:
        changes["oom_kill_disable"] = None if cgroups.detect().unified else False  # cgroup v2 has no such switch
    open_paths = host.privileged or "systempaths=unconfined" in host.security_opt
    if host.masked_paths is None:
        changes["masked_paths"] = None if open_paths else list(MASKED_PATHS)
    if host.readonly_paths is None:
        changes["readonly_paths"] = None if open_paths else list(READONLY_PATHS)
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
