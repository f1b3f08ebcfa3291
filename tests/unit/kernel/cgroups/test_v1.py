"""Version 1 on a fake tree."""

import pytest

from scow.kernel.cgroups import V1


@pytest.fixture
def root(tmp_path):
    files = {
        "cpuacct/docker/c1/cpuacct.usage": "500\n",
        "cpuacct/docker/c1/cpuacct.usage_percpu": "200 300 \n",
        "cpuacct/docker/c1/cpuacct.stat": "user 1\nsystem 2\n",
        "cpu/docker/c1/cpu.stat": "nr_periods 3\nnr_throttled 2\nthrottled_time 1\n",
        "memory/docker/c1/memory.usage_in_bytes": "10\n",
        "memory/docker/c1/memory.limit_in_bytes": "9223372036854771712\n",
        "memory/docker/c1/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n",
        "memory/docker/c1/memory.stat": "cache 3\n",
        "pids/docker/c1/pids.current": "1\n",
        "pids/docker/c1/pids.max": "max\n",
        "pids/docker/c1/cgroup.procs": "7\n",
        "blkio/docker/c1/blkio.throttle.io_service_bytes_recursive": "8:0 Read 5\n8:0 Write 6\nTotal 11\n",
        "freezer/docker/c1/freezer.state": "FROZEN\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_reads(root):
    manager = V1(root)
    found = manager.stats("/docker/c1")
    assert (found.cpu_total, found.per_cpu, found.periods, found.throttled) == (
        500,
        (200, 300),
        3,
        2,
    ) and found.cpu_system == 2 * found.cpu_user > 0
    assert (found.memory_usage, found.memory_limit, found.pids, found.pids_limit) == (10, 0, 1, (1 << 64) - 1)
    assert found.bytes_by_device == ((8, 0, "Read", 5), (8, 0, "Write", 6))
    assert manager.frozen("/docker/c1") and manager.pids("/docker/c1") == [7] and manager.oom_kills("/docker/c1") == 4
    with pytest.raises(FileNotFoundError):
        manager.stats("/docker/none")


def test_a_quota_is_lifted(root):
    V1(root).lift_quota("/docker/c1")
    assert (root / "cpu/docker/c1/cpu.cfs_quota_us").read_text() == "-1"


def test_create_and_delete_in_every_hierarchy(root):
    manager = V1(root)
    manager.create("/docker/new/inner")
    assert (root / "pids/docker/new/inner").is_dir() and (root / "memory/docker/new/inner").is_dir()
    manager.delete("/docker/new")
    assert not (root / "pids/docker/new").exists()
