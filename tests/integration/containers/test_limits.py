"""Limits that the kernel holds or does not hold: what a container starts with and what an update changes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from scow.kernel import cgroups
from tests.support.engine import Engine, can_run

pytestmark = pytest.mark.skipif(bool(can_run()), reason=can_run() or "runs")


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as made:
        made.busybox()
        yield made


def quota(engine: Engine, id: str) -> str:
    pid = engine.api("GET", f"/containers/{id}/json").json["State"]["Pid"]
    lines = [line.split(":", 2) for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()]
    root = Path("/sys/fs/cgroup")
    if cgroups.detect().unified:
        return (root / lines[-1][2].strip("/") / "cpu.max").read_text().split()[0].replace("max", "-1")
    group = next(path for _, names, path in lines if "cpu" in names.split(","))
    return (root / "cpu" / group.strip("/") / "cpu.cfs_quota_us").read_text().strip()


def test_a_quota_is_set_and_lifted(engine: Engine) -> None:
    id = engine.container("sleep", "1000", HostConfig={"CpuQuota": -1})
    assert quota(engine, id) == "-1"
    for value in (20_000, -1, 30_000):
        reply = engine.api("POST", f"/containers/{id}/update", {"CpuQuota": value})
        assert reply.status == 200, reply.body
        assert quota(engine, id) == str(value)


def test_what_the_kernel_cannot_limit_is_told_and_the_container_starts(engine: Engine) -> None:
    asked = {"BlkioWeight": 300, "BlkioWeightDevice": [{"Path": "/dev/null", "Weight": 100}], "KernelMemory": 1024}
    made = engine.api("POST", "/containers/create", {"Image": "busybox", "Cmd": ["true"], "HostConfig": asked})
    assert made.status == 201, made.body
    kept = engine.api("GET", f"/containers/{made.json['Id']}/json").json["HostConfig"]
    assert ("Weight discarded." in str(made.json["Warnings"])) is (kept["BlkioWeight"] == 0)
    if not cgroups.detect().unified:
        assert engine.api("POST", f"/containers/{made.json['Id']}/start").status == 204
