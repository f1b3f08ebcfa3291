"""Limits that a kernel does not have."""

from dataclasses import fields
from typing import Any

import pytest

from scow.errors import InvalidArgument
from scow.kernel.cgroups.support import Support
from scow.model.container import HostConfig, ThrottleDevice, WeightDevice
from scow.runtime.fitting import fitted

NOTHING = Support(**{one.name: False for one in fields(Support)})


def test_what_the_kernel_has_stays() -> None:
    host = HostConfig(memory=64 << 20, memory_swappiness=5, blkio_weight=300, pids_limit=10, oom_kill_disable=False, cpu_quota=5000)
    assert fitted(host, Support()) == (host, [])


@pytest.mark.parametrize(
    ("asked", "left", "told"),
    [
        (
            {"memory": 1, "memory_swap": 2},
            {"memory": 0, "memory_swap": -1},
            "memory limit capabilities or the cgroup is not mounted. Limit",
        ),
        ({"memory_swappiness": 5}, {"memory_swappiness": None}, "Memory swappiness discarded."),
        ({"memory_reservation": 5}, {"memory_reservation": 0}, "memory soft limit capabilities"),
        ({"oom_kill_disable": True}, {"oom_kill_disable": None}, "Your kernel does not support OomKillDisable. OomKillDisable discarded."),
        ({"pids_limit": 5}, {"pids_limit": None}, "PIDs limit discarded."),
        ({"cpu_shares": 5}, {"cpu_shares": 0}, "Shares discarded."),
        ({"cpu_quota": 5, "cpu_period": 6}, {"cpu_quota": 0, "cpu_period": 0}, "CPU period/quota discarded."),
        ({"cpuset_cpus": "0"}, {"cpuset_cpus": ""}, "Cpuset discarded."),
        (
            {"blkio_weight": 300},
            {"blkio_weight": 0},
            "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.",
        ),
        ({"blkio_weight_device": [WeightDevice("/dev/null", 10)]}, {"blkio_weight_device": []}, "Weight-device discarded."),
        ({"blkio_device_write_iops": [ThrottleDevice("/dev/null", 10)]}, {"blkio_device_write_iops": []}, "IOPS write limit discarded."),
    ],
)
def test_what_it_lacks_is_left_out_and_told(asked: dict[str, Any], left: dict[str, Any], told: str) -> None:
    host, warnings = fitted(HostConfig(**asked), NOTHING)
    assert {name: getattr(host, name) for name in left} == left
    assert len(warnings) == 1
    assert told in warnings[0]


def test_what_limits_nothing_is_left_out_silently() -> None:
    assert fitted(HostConfig(oom_kill_disable=False, pids_limit=-1), NOTHING) == (HostConfig(), [])


def test_kernel_memory_is_ignored() -> None:
    assert fitted(HostConfig(kernel_memory=1024, kernel_memory_tcp=5), Support()) == (HostConfig(), [])


def test_memory_without_swap_and_cpus() -> None:
    host, warnings = fitted(HostConfig(memory=1, memory_swap=2), Support(swap=False))
    assert (host.memory, host.memory_swap) == (1, -1)
    assert warnings == ["Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap."]
    with pytest.raises(InvalidArgument, match="NanoCPUs can not be set"):
        fitted(HostConfig(nano_cpus=1), NOTHING)
