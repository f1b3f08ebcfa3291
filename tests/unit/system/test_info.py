import pytest

from scow.kernel.cgroups.support import Support
from scow.system import info
from scow.system.names import ENGINE_VERSION


def test_the_id_is_kept(tmp_path):
    first = info.engine_id(tmp_path / "id")
    assert len(first) == 36
    assert info.engine_id(tmp_path / "id") == first
    (tmp_path / "id").write_text("broken")
    assert info.engine_id(tmp_path / "id") != "broken"


def test_the_document():
    facts = info.Facts("id", "/data", limits=Support(pids=False, read_bps=False), no_new_privileges=True, insecure=("reg:5000",))
    counts = info.Counts(containers=5, running=2, paused=1, images=3, listeners=4)
    found = info.info(facts, counts, 7, {"LocalNodeState": "inactive"}, now_ns=lambda: 1_000_000_000)
    assert (found["Containers"], found["ContainersStopped"], found["NEventsListener"], found["NGoroutines"]) == (5, 2, 4, 7)
    assert (found["MemoryLimit"], found["PidsLimit"], found["ServerVersion"]) == (True, False, ENGINE_VERSION)
    assert found["Warnings"] == ["WARNING: No blkio throttle.read_bps_device support"]
    assert "name=no-new-privileges" in found["SecurityOptions"]
    assert found["RegistryConfig"]["IndexConfigs"]["reg:5000"]["Secure"] is False
    assert found["SystemTime"] == "1970-01-01T00:00:01Z"
    assert found["MemTotal"] > 0
    assert found["NFd"] > 0


@pytest.mark.parametrize(("version", "has"), [("1", False), ("2", True)])
def test_cgroup_namespaces_are_told_on_v2(version, has):
    found = info.info(info.Facts("id", "/data", cgroup_version=version), info.Counts(), 1, {})
    assert ("name=cgroupns" in found["SecurityOptions"]) is has
