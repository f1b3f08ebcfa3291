"""Limits that this kernel cannot hold are left out and told, as dockerd does: a container made elsewhere starts here, too.

Called by containers at create and update, before `checks`. Sentences are dockerd's.
"""

import dataclasses
from typing import Any

from scow.errors import InvalidArgument
from scow.kernel.cgroups.support import Support
from scow.model.container import HostConfig

_KERNEL = "Your kernel does not support"
_MOUNTED = "or the cgroup is not mounted."
_LISTS = (
    ("blkio_device_read_bps", "read_bps", "BPS Block I/O read limit", "Block I/O BPS read limit"),
    ("blkio_device_write_bps", "write_bps", "BPS Block I/O write limit", "Block I/O BPS write limit"),
    ("blkio_device_read_iops", "read_iops", "IOPS Block read limit", "Block I/O IOPS read limit"),
    ("blkio_device_write_iops", "write_iops", "IOPS Block write limit", "Block I/O IOPS write limit"),
)


def fitted(host: HostConfig, have: Support) -> tuple[HostConfig, list[str]]:
    """The configuration without limits that are not to be had, and what the user is told of each. Raises InvalidArgument for `--cpus`,
    which dockerd does not leave out."""
    # kernel memory has no limit of its own since API 1.42: ignored, as in dockerd
    changes: dict[str, Any] = {"kernel_memory": 0, "kernel_memory_tcp": 0} if host.kernel_memory or host.kernel_memory_tcp else {}
    told: list[str] = []

    def drop(sentence: str, **values: Any) -> None:
        changes.update(values)
        if sentence:
            told.append(sentence)

    if host.memory > 0 and not have.memory:
        drop(f"{_KERNEL} memory limit capabilities {_MOUNTED} Limitation discarded.", memory=0, memory_swap=-1)
    elif host.memory > 0 and host.memory_swap != -1 and not have.swap:
        drop(f"{_KERNEL} swap limit capabilities {_MOUNTED} Memory limited without swap.", memory_swap=-1)
    if host.memory_swappiness is not None and not have.swappiness:
        drop(f"{_KERNEL} memory swappiness capabilities {_MOUNTED} Memory swappiness discarded.", memory_swappiness=None)
    if host.memory_reservation > 0 and not have.reservation:
        drop(f"{_KERNEL} memory soft limit capabilities {_MOUNTED} Limitation discarded.", memory_reservation=0)
    if host.oom_kill_disable is not None and not have.oom_control:
        drop(f"{_KERNEL} OomKillDisable. OomKillDisable discarded." if host.oom_kill_disable else "", oom_kill_disable=None)
    if host.pids_limit is not None and not have.pids:
        sentence = f"{_KERNEL} PIDs limit capabilities {_MOUNTED} PIDs limit discarded."
        drop(sentence if host.pids_limit > 0 else "", pids_limit=None)
    if host.nano_cpus > 0 and not have.quota:
        raise InvalidArgument("NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not mounted")
    if host.cpu_shares > 0 and not have.shares:
        drop(f"{_KERNEL} CPU shares {_MOUNTED} Shares discarded.", cpu_shares=0)
    if (host.cpu_period or host.cpu_quota) and not have.quota:
        drop(f"{_KERNEL} CPU CFS scheduler. CPU period/quota discarded.", cpu_period=0, cpu_quota=0)
    if (host.cpuset_cpus or host.cpuset_mems) and not have.cpuset:
        drop(f"{_KERNEL} cpuset {_MOUNTED} Cpuset discarded.", cpuset_cpus="", cpuset_mems="")
    if host.blkio_weight > 0 and not have.weight:
        drop(f"{_KERNEL} Block I/O weight {_MOUNTED} Weight discarded.", blkio_weight=0)
    if host.blkio_weight_device and not have.device_weight:
        drop(f"{_KERNEL} Block I/O weight_device {_MOUNTED} Weight-device discarded.", blkio_weight_device=[])
    for name, kind, limit, what in _LISTS:
        if getattr(host, name) and not getattr(have, kind):
            drop(f"{_KERNEL} {limit} {_MOUNTED} {what} discarded.", **{name: []})
    return (dataclasses.replace(host, **changes) if changes else host), told
