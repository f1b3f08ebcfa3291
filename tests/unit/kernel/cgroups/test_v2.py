"""Version 2 on a fake tree."""

import pytest

from scow.errors import InvalidArgument
from scow.kernel.cgroups import V2, Layout, detect


@pytest.fixture
def root(tmp_path):
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids")
    group = tmp_path / "docker/c1"
    group.mkdir(parents=True)
    for name, text in {
        "cpu.stat": "usage_usec 5\nuser_usec 2\nsystem_usec 3\nnr_periods 7\nnr_throttled 1\nthrottled_usec 4\n",
        "memory.current": "100\n",
        "memory.max": "max\n",
        "memory.stat": "anon 1\nfile 2\n",
        "memory.events": "oom 2\noom_kill 1\n",
        "pids.current": "3\n",
        "pids.max": "20\n",
        "io.stat": "8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0\nodd line\n",
        "cgroup.events": "populated 1\nfrozen 1\n",
        "cgroup.procs": "4\n2\n",
        "cgroup.freeze": "0\n",
    }.items():
        (group / name).write_text(text)
    (group / "inner").mkdir()
    (group / "inner/cgroup.procs").write_text("9\n")
    return tmp_path


def test_reads(root):
    manager = V2(root)
    found = manager.stats("/docker/c1")
    assert (found.cpu_total, found.cpu_user, found.cpu_system, found.throttled_time) == (5000, 2000, 3000, 4000)
    assert (found.memory_usage, found.memory_limit, found.memory["file"], found.pids, found.pids_limit) == (100, 0, 2, 3, 20)
    assert found.bytes_by_device == ((8, 0, "read", 10), (8, 0, "write", 20)) and found.operations_by_device[1] == (8, 0, "write", 2)
    assert manager.frozen("/docker/c1") and manager.pids("/docker/c1") == [2, 4, 9] and manager.oom_kills("/docker/c1") == 1
    manager.lift_quota("/docker/c1")
    assert (root / "docker/c1/cpu.max").read_text() == "max"
    manager.freeze("/docker/c1", True)
    assert (root / "docker/c1/cgroup.freeze").read_text() == "1"


def test_absence(root):
    manager = V2(root)
    with pytest.raises(FileNotFoundError):
        manager.stats("/docker/none")
    assert not manager.frozen("/none") and manager.pids("/none") == [] and manager.oom_kills("/none") == 0
    manager.delete("/docker/none")
    manager.create("/docker/new")
    manager.delete("/docker/new")
    assert not (root / "docker/new").exists()
    for bad in ("/", "../x", "/docker/../../x"):
        with pytest.raises(InvalidArgument):
            manager.delete(bad)


def test_detection(root, tmp_path):
    assert detect(root) == Layout("v2") and detect(root).unified
    other = tmp_path / "hybrid"
    (other / "unified").mkdir(parents=True)
    (other / "unified/cgroup.procs").touch()
    assert detect(other).name == "hybrid" and detect(other).version == 1
