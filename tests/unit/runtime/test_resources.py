"""Limits as the specification has them."""

from scow.model.container import HostConfig, WeightDevice
from scow.runtime import resources


def test_nothing_asked_nothing_said():
    assert resources.build(HostConfig()) == {}


def test_all_of_them():
    host = HostConfig(
        memory=1,
        memory_reservation=2,
        memory_swap=3,
        memory_swappiness=0,
        oom_kill_disable=True,
        cpu_period=4,
        cpu_quota=-1,
        cpuset_mems="0",
        blkio_weight_device=[WeightDevice("/dev/null", 10)],
        pids_limit=5,
    )
    assert resources.build(host) == {
        "memory": {"limit": 1, "reservation": 2, "swap": 3, "swappiness": 0, "disableOOMKiller": True},
        "cpu": {"period": 4, "mems": "0"},
        "blockIO": {"weightDevice": [{"major": 1, "minor": 3, "weight": 10}]},
        "pids": {"limit": 5},
    }


def test_an_update_lifts_the_limit_of_processes() -> None:
    for unlimited in (0, -1):
        assert resources.for_update(HostConfig(pids_limit=unlimited))["pids"]["limit"] == 4_194_304
    assert resources.for_update(HostConfig(pids_limit=3)) == {"pids": {"limit": 3}}
    assert resources.for_update(HostConfig()) == {}


def test_a_quota_is_lifted_by_an_update_and_is_nothing_at_a_start():
    assert resources.build(HostConfig(cpu_quota=-1)) == {}
    assert resources.for_update(HostConfig(cpu_quota=-5)) == {"cpu": {"quota": -1}}
