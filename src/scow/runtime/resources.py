"""Limits of a container as `linux.resources`, for its start (`spec.py`) and for `update`."""

import os
from typing import Any

from scow.errors import InvalidArgument
from scow.model.container import HostConfig, ThrottleDevice

CPU_PERIOD = 100_000
PIDS_MAX = 4_194_304  # the most processes Linux can have


def build(host: HostConfig) -> dict[str, Any]:
    """The limits of `host` (adapted by `checks.adapt`), without device rules. Raises InvalidArgument: a block device that is none."""
    doc: dict[str, Any] = {}
    memory: dict[str, Any] = {}
    if host.memory > 0:
        memory["limit"] = host.memory
    if host.memory_reservation > 0:
        memory["reservation"] = host.memory_reservation
    if host.memory_swap:
        memory["swap"] = host.memory_swap
    if host.memory_swappiness is not None and host.memory_swappiness >= 0:
        memory["swappiness"] = host.memory_swappiness
    if host.oom_kill_disable:
        memory["disableOOMKiller"] = True
    if memory:
        doc["memory"] = memory
    cpu: dict[str, Any] = {}
    if host.nano_cpus > 0:
        cpu["period"] = CPU_PERIOD
        cpu["quota"] = host.nano_cpus * CPU_PERIOD // 1_000_000_000
    if host.cpu_shares > 0:
        cpu["shares"] = host.cpu_shares
    for key, value in (
        ("period", host.cpu_period), ("quota", max(host.cpu_quota, 0)), ("realtimePeriod", host.cpu_realtime_period),
        ("realtimeRuntime", host.cpu_realtime_runtime), ("cpus", host.cpuset_cpus), ("mems", host.cpuset_mems),
    ):  # fmt: skip
        cpu |= {key: value} if value else {}
    if cpu:
        doc["cpu"] = cpu
    if host.pids_limit is not None:
        doc["pids"] = {"limit": max(host.pids_limit, 0)}  # crun takes 0 for unlimited and fails with -1
    block: dict[str, Any] = {}
    if host.blkio_weight:
        block["weight"] = host.blkio_weight
    if host.blkio_weight_device:
        block["weightDevice"] = [_device(w.path) | {"weight": w.weight} for w in host.blkio_weight_device]
    for key, devices in (
        ("throttleReadBpsDevice", host.blkio_device_read_bps), ("throttleWriteBpsDevice", host.blkio_device_write_bps),
        ("throttleReadIOPSDevice", host.blkio_device_read_iops), ("throttleWriteIOPSDevice", host.blkio_device_write_iops),
    ):  # fmt: skip
        if devices:
            block |= {key: _throttles(devices)}
    if block:
        doc["blockIO"] = block
    return doc


def for_update(host: HostConfig) -> dict[str, Any]:
    """The limits of `host` for a container that runs: what was limited before becomes unlimited too. Raises as `build`."""
    doc = build(host)
    if host.cpu_quota < 0:
        doc.setdefault("cpu", {})["quota"] = -1
    if doc.get("pids") == {"limit": 0}:
        doc["pids"] = {"limit": PIDS_MAX}  # crun's update leaves the old limit at 0
    return doc


def _throttles(devices: list[ThrottleDevice]) -> list[dict[str, int]]:
    return [_device(device.path) | {"rate": device.rate} for device in devices]


def _device(path: str) -> dict[str, int]:
    try:
        info = os.stat(path)
    except (OSError, ValueError):
        raise InvalidArgument(f"no such file or directory: {path}") from None
    return {"major": os.major(info.st_rdev), "minor": os.minor(info.st_rdev)}
