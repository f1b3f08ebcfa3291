"""Figures of a running container in the shape of `GET /containers/{id}/stats`.

Called by containers/stats.py, which adds id, name, read and preread times and the sample before (`precpu_stats`). Synchronous, some 0.3 ms.
"""

import os
from pathlib import Path
from typing import Any

from scow.kernel.cgroups import Manager, Stats
from scow.runtime.resources import PIDS_MAX

_CLOCK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_MAX_INTERFACES = 1024
_NET = (
    ("rx_bytes", 0), ("rx_packets", 1), ("rx_errors", 2), ("rx_dropped", 3),
    ("tx_bytes", 8), ("tx_packets", 9), ("tx_errors", 10), ("tx_dropped", 11),
)  # fmt: skip


def empty() -> dict[str, Any]:
    """What is told of a container that does not run."""
    return {
        "pids_stats": {}, "blkio_stats": _blkio(Stats(0)) | {"io_service_bytes_recursive": None, "io_serviced_recursive": None},
        "num_procs": 0, "storage_stats": {}, "cpu_stats": no_cpu(), "memory_stats": {},
    }  # fmt: skip


def no_cpu() -> dict[str, Any]:
    """The `precpu_stats` of a first sample."""
    return {
        "cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0},
        "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
    }


def sample(manager: Manager, cgroup: str, pid: int | None = None) -> dict[str, Any]:
    """One sample of the group `cgroup`; `pid` is a process whose network namespace is the container's own (None = no `networks`).

    Raises FileNotFoundError when the container is gone.
    """
    found = manager.stats(cgroup)
    doc: dict[str, Any] = {
        "pids_stats": _pids(found),
        "blkio_stats": _blkio(found),
        "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": _cpu(found),
        "memory_stats": _memory(found),
    }
    if pid is not None:
        networks = interfaces(pid)
        if networks:
            doc["networks"] = networks
    return doc


def _pids(found: Stats) -> dict[str, int]:
    doc = {"current": found.pids}
    if 0 < found.pids_limit < PIDS_MAX:
        doc["limit"] = found.pids_limit
    return doc


def _cpu(found: Stats) -> dict[str, Any]:
    usage: dict[str, Any] = {"total_usage": found.cpu_total}
    if found.per_cpu:
        usage["percpu_usage"] = list(found.per_cpu)
    usage |= {"usage_in_kernelmode": found.cpu_system, "usage_in_usermode": found.cpu_user}
    return {
        "cpu_usage": usage,
        "system_cpu_usage": system_cpu(),
        "online_cpus": len(found.per_cpu) or os.cpu_count() or 1,
        "throttling_data": {"periods": found.periods, "throttled_periods": found.throttled, "throttled_time": found.throttled_time},
    }


def _memory(found: Stats) -> dict[str, Any]:
    doc: dict[str, Any] = {"usage": found.memory_usage}
    if found.version == 1:
        doc["max_usage"] = found.memory_max
        if found.memory_failures:
            doc["failcnt"] = found.memory_failures
    doc["stats"] = found.memory
    doc["limit"] = found.memory_limit or total_memory()
    return doc


def _blkio(found: Stats) -> dict[str, Any]:
    def rows(table: tuple[tuple[int, int, str, int], ...]) -> list[dict[str, Any]] | None:
        return [{"major": major, "minor": minor, "op": op.lower(), "value": value} for major, minor, op, value in table] or None

    doc: dict[str, Any] = {
        "io_service_bytes_recursive": rows(found.bytes_by_device), "io_serviced_recursive": rows(found.operations_by_device),
    }  # fmt: skip
    names = ("io_queue_recursive", "io_service_time_recursive", "io_wait_time_recursive", "io_merged_recursive", "io_time_recursive")
    return doc | dict.fromkeys((*names, "sectors_recursive"))


def system_cpu() -> int:
    """Nanoseconds all processors of this host have spent, idle time included."""
    with open("/proc/stat") as file:
        parts = file.readline().split()
    return sum(int(part) for part in parts[1:8]) * _CLOCK_NS


def total_memory() -> int:
    """Bytes of memory this host has."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def interfaces(pid: int, proc: Path = Path("/proc")) -> dict[str, dict[str, int]]:
    """Counters by interface of the network namespace of `pid`, without the loopback; empty when the process is gone."""
    try:
        with open(proc / str(pid) / "net" / "dev") as file:
            lines = file.readlines(1 << 20)[2:]
    except OSError:
        return {}
    result = {}
    for line in lines[:_MAX_INTERFACES]:
        name, _, rest = line.rpartition(":")
        name, values = name.strip(), rest.split()
        if name == "lo" or len(values) < 16:
            continue
        result[name] = {key: int(values[index]) for key, index in _NET}
    return result
