"""What dockerd checks of a container before it makes it, with dockerd's texts.

Called by containers at create (`validate`, on a configuration whose defaults are filled in) and at update (`validate_resources`).
Mounts are checked by `volumes/mounts.py`.
"""

import ipaddress
import os
import re
import resource
from collections.abc import Iterable, Mapping
from typing import Any

from scow.errors import InvalidArgument
from scow.kernel import caps, protocols
from scow.model.container import ContainerConfig, HealthConfig, HostConfig, RestartPolicy
from scow.opts import devices as device_opts
from scow.opts import signals
from scow.opts import ulimits as ulimit_opts
from scow.opts.units import parse_cpu_list
from scow.runtime import security

MIN_MEMORY = 6 << 20
_MAX_MOUNTS = 500
_MAX_LOG_OPTIONS = 64 << 10
_MAX_HOSTNAME = 64
_ID_OR_NAME = re.compile(r"[^:]+\Z")
_MS = 1_000_000


def _bad(text: str) -> InvalidArgument:
    return InvalidArgument(text)


def validate(host: HostConfig, config: ContainerConfig, version: object = None) -> list[str]:
    """Refuse what dockerd refuses; the warnings that go with an accepted request. Raises InvalidArgument."""
    warnings: list[str] = []
    _counts(host, config)
    _config(config)
    _restart_policy(host)
    _modes(host, config)
    if host.network_mode == "host" and any(host.port_bindings.values()):
        warnings.append("Published ports are discarded when using host network mode")
    if any(port.endswith("/sctp") for port in host.port_bindings) and not protocols.has_sctp():
        warnings.append(protocols.no_sctp("The container"))
    warnings += validate_resources(host)
    _limits(host)
    security.parse(host.security_opt, host.privileged)
    caps.choose(host.cap_add, host.cap_drop, host.privileged, caps.bounding())
    _sysctls(host)
    _ports(host, config)
    _isolation(host)
    _names(host)
    return warnings


def _counts(host: HostConfig, config: ContainerConfig) -> None:
    """No container needs more; the engine or the runtime would be busy with it for seconds."""
    for what, found, limit in (
        ("environment variables", config.env, 10_000), ("labels", config.labels, 20_000), ("volumes", config.volumes, _MAX_MOUNTS),
        ("bind mounts", host.binds, _MAX_MOUNTS), ("mounts", host.mounts, _MAX_MOUNTS), ("tmpfs mounts", host.tmpfs, _MAX_MOUNTS),
        ("volumes-from", host.volumes_from, 100), ("extra hosts", host.extra_hosts, 10_000), ("DNS servers", host.dns, 100),
        ("DNS search domains", host.dns_search, 100), ("DNS options", host.dns_options, 100), ("links", host.links, 500),
        ("published ports", host.port_bindings, 4096), ("ulimits", host.ulimits, 100), ("sysctls", host.sysctls, 1000),
        ("devices", host.devices, 1000), ("device rules", host.device_cgroup_rules, 1000), ("security options", host.security_opt, 100),
        ("capabilities", [*host.cap_add, *host.cap_drop], 1000), ("log options", host.log_config.config, 1000),
        ("annotations", host.annotations, 10_000),
    ):  # fmt: skip
        if len(found) > limit:
            raise _bad(f"too many {what}: {len(found)} (at most {limit})")
    if sum(map(len, host.log_config.config.values())) > _MAX_LOG_OPTIONS:
        raise _bad(f"the log options are too long (at most {_MAX_LOG_OPTIONS} characters)")


def _config(config: ContainerConfig) -> None:
    for entry in config.env:
        if not entry or entry.startswith("="):
            raise _bad(f"invalid environment variable: {entry}")
        if "\0" in entry:
            raise _bad("invalid environment variable: it contains a NUL byte")
    for part in [*(config.cmd or ()), *(config.entrypoint or ())]:
        if "\0" in part:
            raise _bad("invalid command: it contains a NUL byte")
    if config.working_dir and not config.working_dir.startswith("/"):
        raise _bad(f"the working directory '{config.working_dir}' is invalid, it needs to be an absolute path")
    if "\0" in config.working_dir:
        raise _bad("the working directory is invalid: it contains a NUL byte")
    if len(config.hostname) > 0:
        _hostname(config.hostname)
    if config.stop_signal:
        signals.parse(config.stop_signal)
    _health(config.healthcheck)


def _hostname(name: str) -> None:
    if len(name) > _MAX_HOSTNAME or "\0" in name or "/" in name or any(c.isspace() for c in name):
        raise _bad(f"invalid hostname format: {name}")


def _health(check: HealthConfig | None) -> None:
    if check is None:
        return
    for name, value in (
        ("Interval", check.interval), ("Timeout", check.timeout), ("StartPeriod", check.start_period),
        ("StartInterval", check.start_interval),
    ):  # fmt: skip
        if value < 0 or 0 < value < _MS:
            raise _bad(f"{name} in Healthcheck cannot be less than 1ms")
    if check.retries < 0:
        raise _bad("Retries in Healthcheck cannot be negative")
    if check.test and check.test[0] not in ("", "NONE", "CMD", "CMD-SHELL"):
        raise _bad(f"Unknown type '{check.test[0]}' in HEALTHCHECK (try CMD)")


def check_restart_policy(policy: RestartPolicy) -> None:
    """Names and counts. Raises InvalidArgument."""
    name, count = policy.name, policy.maximum_retry_count
    if name in ("always", "unless-stopped", "no"):
        if count != 0:
            tail = "" if count > 0 else " and cannot be negative"
            raise _bad(f"invalid restart policy: maximum retry count can only be used with 'on-failure'{tail}")
    elif name == "on-failure":
        if count < 0:
            raise _bad("invalid restart policy: maximum retry count cannot be negative")
    elif name == "":
        if count != 0:
            raise _bad("invalid restart policy: maximum retry count can only be used with 'on-failure'")
    else:
        raise _bad(f"invalid restart policy: unknown policy '{name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'")


def _restart_policy(host: HostConfig) -> None:
    check_restart_policy(host.restart_policy)
    if host.auto_remove and host.restart_policy.name not in ("", "no"):
        raise _bad("can't create 'AutoRemove' container with restart policy")


def _modes(host: HostConfig, config: ContainerConfig) -> None:
    def mode(value: str, plain: tuple[str, ...], what: str, joins: bool) -> None:
        if value in ("", *plain):
            return
        if joins and value.startswith("container:") and _ID_OR_NAME.match(value.removeprefix("container:")):
            return
        raise _bad(f"invalid {what} mode: {value}")

    mode(host.ipc_mode, ("private", "host", "shareable", "none"), "IPC", True)
    mode(host.pid_mode, ("host",), "PID", True)
    mode(host.uts_mode, ("host",), "UTS", False)
    mode(host.cgroupns_mode, ("private", "host"), "cgroup namespace", False)
    mode(host.userns_mode, ("host",), "userns", False)
    if host.uts_mode == "host" and (config.hostname or config.domainname):
        raise _bad("conflicting options: hostname and the UTS mode")
    network = host.network_mode
    if network == "container" or (network.startswith("container:") and not network.removeprefix("container:").strip()):
        raise _bad("Invalid network mode: invalid container format container:<name|id>")
    if network.startswith("container:"):
        if config.hostname:
            raise _bad("conflicting options: hostname and the network mode")
        if host.links:
            raise _bad("conflicting options: container type network can't be used with links. This would result in undefined behavior")
        if host.dns:
            raise _bad("conflicting options: dns and the network mode")
        if host.extra_hosts:
            raise _bad("conflicting options: custom host-to-IP mapping and the network mode")
        if host.port_bindings or host.publish_all_ports:
            raise _bad("conflicting options: port publishing and the container type network mode")
        if config.exposed_ports:
            raise _bad("conflicting options: port exposing and the container type network mode")
    if network == "host" and host.links:
        raise _bad("conflicting options: host type networking can't be used with links. This would result in undefined behavior")
    if config.mac_address and (network == "host" or network.startswith("container:")):
        raise _bad("conflicting options: mac-address and the network mode")


def _cpu_sets(cpus: str, mems: str) -> None:
    for text, what, name, present in (
        (cpus, "CPUs", "cpus", "/sys/devices/system/cpu/online"),
        (mems, "memory nodes", "mems", "/sys/devices/system/node/online"),
    ):
        if not text:
            continue
        try:
            wanted = parse_cpu_list(text)
        except ValueError:
            raise _bad(f"Invalid value {text} for cpuset {name}: invalid format: {text}") from None
        try:
            with open(present) as file:
                online = file.read().strip()
        except OSError:
            online = "0"
        if not wanted <= parse_cpu_list(online):
            raise _bad(f"Requested {what} are not available - requested {text}, available: {online}")


def validate_resources(r: HostConfig, update: bool = False) -> list[str]:
    """Limits that contradict each other or that this host cannot give. Raises InvalidArgument; returns warnings."""
    warnings: list[str] = []
    for name in ("memory_reservation", "cpu_shares", "cpu_period"):
        if getattr(r, name) < 0:
            raise _bad(f"invalid value for {name.replace('_', ' ')}: it cannot be negative")
    if r.memory and r.memory < MIN_MEMORY:
        raise _bad("Minimum memory limit allowed is 6MB")
    if r.memory > 0 and r.memory_swap > 0 and r.memory_swap < r.memory:
        raise _bad("Minimum memoryswap limit should be larger than memory limit, see usage")
    if r.memory == 0 and r.memory_swap > 0 and not update:
        raise _bad("You should always set the Memory limit when using Memoryswap limit, see usage")
    if r.memory_swap < -1:
        raise _bad("Invalid memoryswap limit: use -1 for unlimited swap")
    if r.memory_swappiness is not None and not -1 <= r.memory_swappiness <= 100:
        raise _bad(f"Invalid value: {r.memory_swappiness}, valid memory swappiness range is 0-100")
    if r.memory_reservation and r.memory_reservation < MIN_MEMORY:
        raise _bad("Minimum memory reservation allowed is 6MB")
    if r.memory > 0 and r.memory_reservation > 0 and r.memory < r.memory_reservation:
        raise _bad("Minimum memory limit can not be less than memory reservation limit, see usage")
    if r.nano_cpus:
        if r.cpu_period > 0:
            raise _bad("Conflicting options: Nano CPUs and CPU Period cannot both be set")
        if r.cpu_quota > 0:
            raise _bad("Conflicting options: Nano CPUs and CPU Quota cannot both be set")
        count = os.cpu_count() or 1
        if r.nano_cpus < 0 or r.nano_cpus > count * 1_000_000_000:
            raise _bad(f"range of CPUs is from 0.01 to {count}.00, as there are only {count} CPUs available")
    if r.cpu_period and not 1000 <= r.cpu_period <= 1_000_000:
        raise _bad("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
    if r.cpu_quota and r.cpu_quota > 0 and r.cpu_quota < 1000:
        raise _bad("CPU cfs quota can not be less than 1ms (i.e. 1000)")
    if r.cpu_percent:
        warnings.append("linux does not support CPU percent. Percent discarded.")
    _cpu_sets(r.cpuset_cpus, r.cpuset_mems)
    if r.blkio_weight and not 10 <= r.blkio_weight <= 1000:
        raise _bad("Range of blkio weight is from 10 to 1000")
    if r.cpu_realtime_period and r.cpu_realtime_runtime > r.cpu_realtime_period:
        raise _bad("cpu real-time runtime cannot be higher than cpu real-time period")
    if r.io_maximum_bandwidth or r.io_maximum_iops:
        which = "maximum IO bandwidth" if r.io_maximum_bandwidth else "maximum IOPs"
        raise _bad(f"Invalid QoS settings: linux does not support configuration of {which}")
    if r.oom_kill_disable and not r.memory:
        warnings.append(
            "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources."
        )
    return warnings


def _limits(host: HostConfig) -> None:
    if not -1000 <= host.oom_score_adj <= 1000:
        raise _bad(f"Invalid value {host.oom_score_adj}, range for oom score adj is [-1000, 1000]")
    if host.shm_size < 0:
        raise _bad("SHM size can not be less than 0")
    may_raise = "CAP_SYS_RESOURCE" in caps.effective()
    for limit in host.ulimits:
        ulimit_opts.check(limit.name, limit.soft, limit.hard)
        number = getattr(resource, "RLIMIT_" + limit.name.upper(), None)
        if number is None or may_raise:
            continue
        own = resource.getrlimit(number)[1]
        if own != resource.RLIM_INFINITY and (limit.hard < 0 or limit.hard > own):
            raise _bad(
                f"ulimit {limit.name}={limit.soft}:{limit.hard} is above this engine's own hard limit of {own}, and it may not raise it "
                "(CAP_SYS_RESOURCE is missing): ask for less, or start the engine with a higher limit"
            )
    for device in host.devices:
        device_opts.check_permissions(device.cgroup_permissions)
        if device.path_in_container and not device.path_in_container.startswith("/"):
            raise _bad(f"{device.path_in_container} is not an absolute path")
        if not device.path_on_host.startswith("/"):
            raise _bad(f"{device.path_on_host} is not an absolute path")
    for rule in host.device_cgroup_rules:
        device_opts.parse_rule(rule)
    if host.device_requests:
        names = host.device_requests[0]
        raise _bad(f'could not select device driver "{names.driver}" with capabilities: {_go_lists(names.capabilities)}')


def _go_lists(value: list[list[str]]) -> str:
    return "[" + " ".join("[" + " ".join(inner) + "]" for inner in value) + "]"


_IPC_SYSCTLS = frozenset(f"kernel.{n}" for n in ["msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced"])


def _sysctls(host: HostConfig) -> None:
    for name, value in host.sysctls.items():
        dotted = name.replace("/", ".")
        if "\0" in name + value or ".." in dotted or not name:
            raise _bad(f'sysctl "{name}" is not in a separate kernel namespace')
        if dotted in _IPC_SYSCTLS or dotted.startswith("fs.mqueue."):
            if host.ipc_mode == "host":
                raise _bad(f'sysctl "{name}" is not allowed in the hosts ipc namespace')
        elif dotted.startswith("net."):
            if host.network_mode == "host":
                raise _bad(f'sysctl "{name}" not allowed in host network namespace')
        elif dotted in ("kernel.domainname", "kernel.hostname"):
            if host.uts_mode == "host" or dotted.endswith("hostname"):
                raise _bad(f'sysctl "{name}" is not allowed as it conflicts with the OCI "hostname" field or the hosts UTS namespace')
        else:
            raise _bad(f'sysctl "{name}" is not in a separate kernel namespace')


def parse_port(text: str) -> tuple[int, int, str]:
    """(first, last, protocol) of `80`, `80/udp`, `8000-8010/tcp`. Raises ValueError with the reason."""
    numbers, _, protocol = text.partition("/")
    protocol = protocol.lower() or "tcp"
    if protocol not in ("tcp", "udp", "sctp"):
        raise ValueError(f"invalid proto: {protocol}")
    first, dash, last = numbers.partition("-")
    values = []
    for part in (first, last) if dash else (first, first):
        if not (part.isascii() and part.isdigit() and len(part) <= 5 and int(part) <= 65535):
            raise ValueError(f"invalid port: {text}")
        values.append(int(part))
    if values[1] < values[0]:
        raise ValueError(f"invalid range specified for port: {text}")
    return values[0], values[1], protocol


def _ports(host: HostConfig, config: ContainerConfig) -> None:
    for name in config.exposed_ports:
        try:
            parse_port(name)
        except ValueError as error:
            raise _bad(f"invalid port specification: {error}") from None
    bindings: Mapping[str, Iterable[Any]] = host.port_bindings
    for name, entries in bindings.items():
        try:
            first, last, _ = parse_port(name)
        except ValueError:
            raise _bad(f'invalid port specification: "{name}"') from None
        if first == 0 or first != last:
            raise _bad(f'invalid port specification: "{name}"')
        for entry in entries or ():
            if entry.host_port:
                try:
                    parse_port(entry.host_port)
                    if "/" in entry.host_port:
                        raise ValueError("a protocol does not belong here")
                except ValueError:
                    raise _bad(f'invalid port specification: "{entry.host_port}"') from None


def _names(host: HostConfig) -> None:
    for entry in host.extra_hosts:
        name, colon, address = entry.partition(":")
        if not colon or not name:
            raise _bad(f'bad format for add-host: "{entry}"')
        if address != "host-gateway" and not _is_address(address.removeprefix("[").removesuffix("]")):
            raise _bad(f'invalid IP address in add-host: "{address}"')
    for server in host.dns:
        if not _is_address(server):
            raise _bad(f"invalid IP address: {server}")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _isolation(host: HostConfig) -> None:
    if host.isolation and host.isolation.lower() != "default":
        raise _bad(f"invalid isolation '{host.isolation}' on linux")
    parent = host.cgroup_parent
    if "\0" in parent or ".." in parent.split("/"):
        raise _bad(f"invalid cgroup parent: {parent}")
    if host.storage_opt:
        raise _bad("--storage-opt is supported only for overlay over xfs with 'pquota' mount option")
    for name in host.annotations:
        if not name:
            raise _bad("invalid Annotations: the empty string is not permitted as an annotation key")
