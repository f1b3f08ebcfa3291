"""Which limits a host can hold."""

from dataclasses import fields
from pathlib import Path

from scow.kernel.cgroups.support import Support, support


def test_version_1_says_it_by_files(tmp_path: Path) -> None:
    for file in ("memory/memory.limit_in_bytes", "memory/memory.swappiness", "pids/cgroup.procs", "blkio/blkio.throttle.read_bps_device"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    found = support(tmp_path)
    assert {one.name for one in fields(Support) if getattr(found, one.name)} == {"memory", "swappiness", "pids", "read_bps"}


def test_version_2_says_it_by_controllers_and_by_groups_below(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu io memory")
    for file in ("one/io.max", "one/memory.max", "one/memory.swap.max"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    found = support(tmp_path)
    wanted = {"memory", "swap", "reservation", "shares", "quota", "read_bps", "write_bps", "read_iops", "write_iops"}
    assert {one.name for one in fields(Support) if getattr(found, one.name)} == wanted


def test_version_2_without_groups_has_what_its_controllers_have(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("io memory")
    assert support(tmp_path).weight
    assert support(tmp_path).swap
    assert not support(tmp_path).swappiness
