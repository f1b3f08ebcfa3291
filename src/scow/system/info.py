"""What `/info` says: the machine, the engine, its counters and options."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scow.ids import new_id
from scow.kernel.cgroups.support import Support
from scow.system.names import ENGINE_VERSION, SCOW_VERSION
from scow.units import rfc3339nano

_LOG_DRIVERS = ["journald", "json-file", "local", "none", "syslog"]
_NETWORK_DRIVERS = ["bridge", "host", "ipvlan", "macvlan", "null"]
_HUB = "https://index.docker.io/v1/"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the daemon's options and start-up decided."""

    engine_id: str
    data_root: str
    storage_driver: str = "overlay2"
    driver_status: list[list[str]] = field(default_factory=list)
    cgroup_version: str = "1"
    limits: Support = Support()
    default_runtime: str = "crun"
    runtimes: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    runtime_version: str = ""
    init_version: str = ""
    logging_driver: str = "json-file"
    labels: tuple[str, ...] = ()
    live_restore: bool = True
    debug: bool = False
    init_binary: str = "tini"
    pools: tuple[dict[str, Any], ...] = ()
    seccomp: str = "builtin"
    no_new_privileges: bool = False
    mirrors: tuple[str, ...] = ()
    insecure: tuple[str, ...] = ()
    volume_drivers: tuple[str, ...] = ("local",)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Counts:
    """How much of everything there is."""

    containers: int = 0
    running: int = 0
    paused: int = 0
    images: int = 0
    listeners: int = 0


def engine_id(path: Path) -> str:
    """The engine's id, made once and kept in `path`."""
    try:
        text = path.read_text().strip()
    except OSError:
        text = ""
    if len(text) != 36:
        digits = new_id()[:32]
        text = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:32]))
        path.write_text(text + "\n")
    return text


def operating_system() -> tuple[str, str]:
    """(pretty name, version) of the host."""
    for name in ("/etc/os-release", "/usr/lib/os-release"):
        try:
            lines = Path(name).read_text().splitlines()
        except OSError:
            continue
        values = dict(line.partition("=")[::2] for line in lines if "=" in line)
        return values.get("PRETTY_NAME", "Linux").strip('"'), values.get("VERSION_ID", "").strip('"')
    return "Linux", ""


def memory_total() -> int:
    """Bytes of memory of the host."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return 0


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def info(facts: Facts, counts: Counts, tasks: int, swarm: Mapping[str, Any], now_ns: Callable[[], int] = time.time_ns) -> dict[str, Any]:
    """The document of /info at the newest API version. `tasks`: how many run in the daemon; `swarm`: what the swarm says of this node."""
    uname = os.uname()
    pretty, version = operating_system()
    have = facts.limits
    security = [f"name=seccomp,profile={facts.seccomp}"]
    if facts.cgroup_version == "2":
        security.append("name=cgroupns")
    if facts.no_new_privileges:
        security.append("name=no-new-privileges")
    unsafe = sorted({"127.0.0.0/8", "::1/128"})
    return {
        "ID": facts.engine_id,
        "Containers": counts.containers,
        "ContainersRunning": counts.running,
        "ContainersPaused": counts.paused,
        "ContainersStopped": counts.containers - counts.running - counts.paused,
        "Images": counts.images,
        "Driver": facts.storage_driver,
        "DriverStatus": facts.driver_status,
        "Plugins": {"Volume": list(facts.volume_drivers), "Network": _NETWORK_DRIVERS, "Authorization": None, "Log": _LOG_DRIVERS},
        "MemoryLimit": have.memory,
        "SwapLimit": have.swap,
        "CpuCfsPeriod": have.quota,
        "CpuCfsQuota": have.quota,
        "CPUShares": have.shares,
        "CPUSet": have.cpuset,
        "PidsLimit": have.pids,
        "IPv4Forwarding": _flag("/proc/sys/net/ipv4/ip_forward"),
        "Debug": facts.debug,
        "NFd": _descriptors(),
        "OomKillDisable": have.oom_control,
        "NGoroutines": tasks,
        "SystemTime": rfc3339nano(now_ns()),
        "LoggingDriver": facts.logging_driver,
        "CgroupDriver": "cgroupfs",
        "CgroupVersion": facts.cgroup_version,
        "NEventsListener": counts.listeners,
        "KernelVersion": uname.release,
        "OperatingSystem": pretty,
        "OSVersion": version,
        "OSType": "linux",
        "Architecture": uname.machine,
        "IndexServerAddress": _HUB,
        "RegistryConfig": {
            "InsecureRegistryCIDRs": unsafe,
            "IndexConfigs": {
                "docker.io": {"Name": "docker.io", "Mirrors": list(facts.mirrors), "Secure": True, "Official": True},
                **{name: {"Name": name, "Mirrors": [], "Secure": False, "Official": False} for name in facts.insecure},
            },
            "Mirrors": list(facts.mirrors),
        },
        "NCPU": os.cpu_count() or 1,
        "MemTotal": memory_total(),
        "GenericResources": None,
        "DockerRootDir": facts.data_root,
        "HttpProxy": "",
        "HttpsProxy": "",
        "NoProxy": "",
        "Name": uname.nodename,
        "Labels": list(facts.labels),
        "ExperimentalBuild": False,
        "ServerVersion": ENGINE_VERSION,
        "Runtimes": {name: dict(value) for name, value in facts.runtimes.items()},
        "DefaultRuntime": facts.default_runtime,
        "Swarm": dict(swarm),
        "LiveRestoreEnabled": facts.live_restore,
        "Isolation": "",
        "InitBinary": facts.init_binary,
        "ContainerdCommit": {"ID": f"none (scow keeper {SCOW_VERSION})"},
        "RuncCommit": {"ID": facts.runtime_version or "unknown"},
        "InitCommit": {"ID": facts.init_version or "unknown"},
        "SecurityOptions": security,
        "ProductLicense": "",
        "DefaultAddressPools": [{"Base": pool["base"], "Size": pool["size"]} for pool in facts.pools],
        "FirewallBackend": {"Driver": "nftables"},
        "CDISpecDirs": [],
        "DiscoveredDevices": [],
        "Warnings": [*_missing(have, facts.cgroup_version), *facts.warnings],
    }


def _missing(have: Support, version: str) -> list[str]:
    """dockerd's sentences for limits that are not to be had; none for those that no host of this version has."""
    second = version == "2"
    rows = [
        (have.memory, "memory limit"), (have.swap, "swap limit"), (have.oom_control or second, "oom kill disable"),
        (have.quota, "cpu cfs quota"), (have.quota, "cpu cfs period"), (have.shares, "cpu shares"), (have.cpuset, "cpuset"),
        (have.weight or not second, "io.weight"), (have.device_weight or not second, "io.weight (per device)"),
    ]  # fmt: skip
    for there, one, two in (
        (have.read_bps, "read_bps", "rbps"), (have.write_bps, "write_bps", "wbps"),
        (have.read_iops, "read_iops", "riops"), (have.write_iops, "write_iops", "wiops"),
    ):  # fmt: skip
        rows.append((there, f"io.max ({two})" if second else f"blkio throttle.{one}_device"))
    return [f"WARNING: No {what} support" for there, what in rows if not there]


def _flag(path: str) -> bool:
    try:
        return Path(path).read_text().strip() == "1"
    except OSError:
        return False
