"""What a client of `POST /build` asks for, and the limits of its step containers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Limits:
    """What a RUN step's container is held to; 0 and "" are no limit. Sizes in bytes, periods in microseconds."""

    memory: int = 0
    memory_swap: int = 0
    cpu_shares: int = 0
    cpu_period: int = 0
    cpu_quota: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    cgroup_parent: str = ""
    shm_size: int = 0
    ulimits: tuple[Mapping[str, Any], ...] = ()
    network_mode: str = ""
    extra_hosts: tuple[str, ...] = ()
    security_opt: tuple[str, ...] = ()

    def host_config(self) -> dict[str, Any]:
        """The HostConfig of a step's container."""
        return {
            "Memory": self.memory,
            "MemorySwap": self.memory_swap,
            "CpuShares": self.cpu_shares,
            "CpuPeriod": self.cpu_period,
            "CpuQuota": self.cpu_quota,
            "CpusetCpus": self.cpuset_cpus,
            "CpusetMems": self.cpuset_mems,
            "CgroupParent": self.cgroup_parent,
            "ShmSize": self.shm_size,
            "Ulimits": [dict(limit) for limit in self.ulimits],
            "NetworkMode": self.network_mode or "default",
            "ExtraHosts": list(self.extra_hosts),
            "SecurityOpt": list(self.security_opt),
        }


@dataclass(frozen=True, slots=True)
class ClassicRequest:
    """The query of `POST /build`, decoded. `build_args` with None take no value; `auth(host)` gives an X-Registry-Auth text."""

    dockerfile: str = ""
    remote: str = ""
    tags: tuple[str, ...] = ()
    build_args: Mapping[str, str | None] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    cache_from: tuple[str, ...] = ()
    target: str = ""
    platform: str = ""
    quiet: bool = False
    no_cache: bool = False
    pull: bool = False
    remove: bool = True
    force_remove: bool = False
    build_id: str = ""
    limits: Limits = Limits()
    registries: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Docker's AuthConfig by registry, as the X-Registry-Config header has them. Never logged."""
