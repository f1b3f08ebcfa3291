"""Figures in Docker's shape, from fake groups."""

from dataclasses import replace

from scow.kernel.cgroups.base import Stats
from scow.runtime import stats


class Fake:
    version = 1

    def __init__(self, found):
        self.found = found

    def stats(self, path):
        return self.found


def test_version_1():
    found = Stats(
        1,
        cpu_total=30,
        cpu_user=10,
        cpu_system=20,
        per_cpu=(10, 20),
        periods=1,
        memory_usage=5,
        memory_max=9,
        memory_limit=100,
        memory={"cache": 1},
        pids=2,
        pids_limit=30,
        bytes_by_device=((8, 0, "Read", 77),),
    )
    doc = stats.sample(Fake(found), "/docker/x")
    assert doc["cpu_stats"]["cpu_usage"] == {
        "total_usage": 30,
        "percpu_usage": [10, 20],
        "usage_in_kernelmode": 20,
        "usage_in_usermode": 10,
    }
    assert (
        doc["cpu_stats"]["online_cpus"] == 2
        and doc["cpu_stats"]["system_cpu_usage"] > 0
        and doc["cpu_stats"]["throttling_data"]["periods"] == 1
    )
    assert doc["memory_stats"] == {"usage": 5, "max_usage": 9, "stats": {"cache": 1}, "limit": 100} and doc["pids_stats"] == {
        "current": 2,
        "limit": 30,
    }
    lifted = stats.sample(Fake(replace(found, pids_limit=4_194_304)), "/docker/x")
    assert lifted["pids_stats"] == {"current": 2}
    assert doc["blkio_stats"]["io_service_bytes_recursive"] == [{"major": 8, "minor": 0, "op": "read", "value": 77}]
    assert doc["blkio_stats"]["sectors_recursive"] is None and "networks" not in doc


def test_version_2_has_no_limit_of_its_own():
    doc = stats.sample(Fake(Stats(2, cpu_total=1)), "/docker/x")
    assert (
        doc["memory_stats"]["limit"] == stats.total_memory()
        and "max_usage" not in doc["memory_stats"]
        and "percpu_usage" not in doc["cpu_stats"]["cpu_usage"]
    )


def test_interfaces(tmp_path):
    (tmp_path / "7/net").mkdir(parents=True)
    row = " ".join(str(n) for n in range(1, 17))
    (tmp_path / "7/net/dev").write_text(f"head\nhead\n    lo: {row}\n  eth0: {row}\n broken: 1\n")
    assert stats.interfaces(7, tmp_path) == {
        "eth0": {
            "rx_bytes": 1,
            "rx_packets": 2,
            "rx_errors": 3,
            "rx_dropped": 4,
            "tx_bytes": 9,
            "tx_packets": 10,
            "tx_errors": 11,
            "tx_dropped": 12,
        }
    }
    assert stats.interfaces(8, tmp_path) == {} and stats.empty()["memory_stats"] == {}
