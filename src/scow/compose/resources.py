"""Limits and devices of a service as the Engine API names them: a part of HostConfig. Pure. Called by `create.py`."""

from __future__ import annotations

from scow.compose.model.build import Ulimit
from scow.compose.model.deploy import DeviceRequest
from scow.compose.model.service import Device, Service

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    Json = dict[str, Any]


def resources(service: Service) -> Json:
    """The limits of HostConfig: those of the service, those of `deploy` over them; nothing for what is not given."""
    memory, reserved, cpus, pids = service.mem_limit, service.mem_reservation, service.cpus, service.pids_limit
    requests = [_request(one, ["gpu"]) for one in service.gpus]
    if service.deploy:
        limits, reservations = service.deploy.resources.limits, service.deploy.resources.reservations
        if limits:
            memory, cpus, pids = limits.memory or memory, limits.cpus or cpus, limits.pids or pids
        if reservations:
            reserved = reservations.memory or reserved
            requests += [_request(one, []) for one in reservations.devices]
    found: Json = {
        "Memory": memory,
        "MemoryReservation": reserved,
        "MemorySwap": service.memswap_limit,
        "NanoCpus": round(cpus * 1_000_000_000),
        "CpuShares": service.cpu_shares,
        "CpuPeriod": service.cpu_period,
        "CpuQuota": service.cpu_quota,
        "CpuRealtimePeriod": service.cpu_rt_period,
        "CpuRealtimeRuntime": service.cpu_rt_runtime,
        "CpusetCpus": service.cpuset,
        "CpuCount": service.cpu_count,
        "CpuPercent": int(service.cpu_percent),
        "PidsLimit": pids,
        "OomKillDisable": service.oom_kill_disable,
        "MemorySwappiness": service.mem_swappiness,
        "Ulimits": [_ulimit(name, one) for name, one in service.ulimits.items()],
        "Devices": [_device(one) for one in service.devices if not _cdi(one)],
        "DeviceCgroupRules": list(service.device_cgroup_rules),
        "DeviceRequests": [*requests, *_cdi_requests(service.devices)],
    }
    blkio = service.blkio_config
    if blkio:
        found["BlkioWeight"] = blkio.weight
        found["BlkioWeightDevice"] = [{"Path": one.path, "Weight": one.weight} for one in blkio.weight_device]
        for name, devices in (
            ("BlkioDeviceReadBps", blkio.device_read_bps),
            ("BlkioDeviceReadIOps", blkio.device_read_iops),
            ("BlkioDeviceWriteBps", blkio.device_write_bps),
            ("BlkioDeviceWriteIOps", blkio.device_write_iops),
        ):
            found[name] = [{"Path": one.path, "Rate": one.rate} for one in devices]
    return {name: value for name, value in found.items() if value}


def _ulimit(name: str, one: Ulimit) -> Json:
    return {"Name": name, "Soft": one.single or one.soft, "Hard": one.single or one.hard}


def _cdi(one: Device) -> bool:
    """`vendor.com/class=name`: a device that the engine looks up."""
    return not one.source.startswith("/") and "=" in one.source


def _cdi_requests(devices: tuple[Device, ...]) -> list[Json]:
    names = [one.source for one in devices if _cdi(one)]
    return [{"Driver": "cdi", "DeviceIDs": names}] if names else []


def _device(one: Device) -> Json:
    return {"PathOnHost": one.source, "PathInContainer": one.target or one.source, "CgroupPermissions": one.permissions or "rwm"}


def _request(one: DeviceRequest, capabilities: list[str]) -> Json:
    return {
        "Driver": one.driver,
        "Count": one.count if one.count or one.device_ids else -1,
        "DeviceIDs": list(one.device_ids),
        "Capabilities": [[*(one.capabilities or capabilities)]] if one.capabilities or capabilities else [],
        "Options": dict(one.options),
    }
