"""Which limits this kernel's control groups can hold: files that are there, since configurations leave single ones out (`blkio.weight` went
with Linux 5.0). Read once. Asked before a container is made or changed (`runtime/fitting.py`) and by system info."""

import functools
from dataclasses import dataclass, fields
from pathlib import Path

_MOST_GROUPS = 64


@dataclass(frozen=True, slots=True)
class Support:
    """One field for each kind of limit."""

    memory: bool = True
    swap: bool = True
    reservation: bool = True
    swappiness: bool = True
    oom_control: bool = True
    pids: bool = True
    shares: bool = True
    quota: bool = True
    cpuset: bool = True
    weight: bool = True
    device_weight: bool = True
    read_bps: bool = True
    write_bps: bool = True
    read_iops: bool = True
    write_iops: bool = True


_V1 = {
    "memory": "memory/memory.limit_in_bytes",
    "swap": "memory/memory.memsw.limit_in_bytes",
    "reservation": "memory/memory.soft_limit_in_bytes",
    "swappiness": "memory/memory.swappiness",
    "oom_control": "memory/memory.oom_control",
    "pids": "pids/cgroup.procs",  # the root group has no pids.max
    "shares": "cpu/cpu.shares",
    "quota": "cpu/cpu.cfs_quota_us",
    "cpuset": "cpuset/cpuset.cpus",
    "weight": "blkio/blkio.weight",
    "device_weight": "blkio/blkio.weight_device",
    "read_bps": "blkio/blkio.throttle.read_bps_device",
    "write_bps": "blkio/blkio.throttle.write_bps_device",
    "read_iops": "blkio/blkio.throttle.read_iops_device",
    "write_iops": "blkio/blkio.throttle.write_iops_device",
}
_V2 = {
    "memory": "memory", "swap": "memory", "reservation": "memory", "pids": "pids", "shares": "cpu", "quota": "cpu", "cpuset": "cpuset",
    "weight": "io", "device_weight": "io", "read_bps": "io", "write_bps": "io", "read_iops": "io", "write_iops": "io",
}  # fmt: skip


@functools.cache
def support(root: Path = Path("/sys/fs/cgroup")) -> Support:
    """What the hierarchies at `root` can limit."""
    try:
        controllers = (root / "cgroup.controllers").read_text().split()
    except OSError:
        return Support(**{name: (root / file).exists() for name, file in _V1.items()})
    found = {field.name: _V2.get(field.name) in controllers for field in fields(Support)}
    # the root group has no limits itself: those below tell, where a controller has been handed on to any
    found["swap"] &= _below(root, "memory.max", ("memory.swap.max",))
    weighs = _below(root, "io.max", ("io.weight", "io.bfq.weight"))
    return Support(**{**found, "weight": found["weight"] and weighs, "device_weight": found["device_weight"] and weighs})


def _below(root: Path, known: str, wanted: tuple[str, ...]) -> bool:
    """Whether groups that have the file `known` have one of `wanted`, too; yes where no group has it."""
    try:
        groups = [group for group in sorted(root.iterdir())[:_MOST_GROUPS] if (group / known).exists()]
    except OSError:
        return True
    return not groups or any((groups[0] / name).exists() for name in wanted)
