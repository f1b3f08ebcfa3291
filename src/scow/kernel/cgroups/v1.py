"""Version 1 (and hybrid): one hierarchy for each controller below /sys/fs/cgroup."""

import os
from pathlib import Path

from scow.kernel.cgroups.base import Stats, below, members, number, remove_tree, table

_CONTROLLERS = (
    "cpuset", "cpu", "cpuacct", "blkio", "memory", "devices", "freezer", "net_cls", "perf_event", "net_prio", "hugetlb", "pids", "rdma",
    "systemd", "unified",
)  # fmt: skip
_CLOCK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_UNLIMITED = 0x7FFFFFFFFFFFF000


class V1:
    """Manager of version 1."""

    version = 1

    def __init__(self, root: Path) -> None:
        self._root = root

    def _group(self, controller: str, path: str) -> Path:
        return below(self._root / controller, path)

    def _hierarchies(self) -> list[Path]:
        # cpu and cpuacct may be links to one hierarchy.
        seen: dict[Path, None] = {}
        for name in _CONTROLLERS:
            place = self._root / name
            if place.is_dir():
                seen.setdefault(place.resolve(), None)
        return list(seen)

    def create(self, path: str) -> None:
        """See Manager."""
        for place in self._hierarchies():
            group = below(place, path)
            missing = [p for p in (group, *group.parents) if place in p.parents and not p.exists()]
            for step in reversed(missing):
                step.mkdir(exist_ok=True)
                if place.name.startswith("cpuset") or (place / "cpuset.cpus").exists():
                    for name in ("cpuset.cpus", "cpuset.mems"):
                        try:
                            (step / name).write_text((step.parent / name).read_text())
                        except OSError:
                            continue

    def stats(self, path: str) -> Stats:
        """See Manager."""
        cpu, memory = self._group("cpuacct", path), self._group("memory", path)
        if not cpu.exists() and not memory.exists():
            raise FileNotFoundError(f"no control group {path}")
        used = table(cpu / "cpuacct.stat")
        throttle = table(self._group("cpu", path) / "cpu.stat")
        try:
            per_cpu = tuple(int(part) for part in (cpu / "cpuacct.usage_percpu").read_text().split())
        except (OSError, ValueError):
            per_cpu = ()
        pids = self._group("pids", path)
        blkio = self._group("blkio", path)
        limit = number(memory / "memory.limit_in_bytes")
        return Stats(
            version=1, cpu_total=number(cpu / "cpuacct.usage"), cpu_user=used.get("user", 0) * _CLOCK_NS,
            cpu_system=used.get("system", 0) * _CLOCK_NS, per_cpu=per_cpu, periods=throttle.get("nr_periods", 0),
            throttled=throttle.get("nr_throttled", 0), throttled_time=throttle.get("throttled_time", 0),
            memory_usage=number(memory / "memory.usage_in_bytes"), memory_max=number(memory / "memory.max_usage_in_bytes"),
            memory_limit=0 if limit >= _UNLIMITED else limit, memory_failures=number(memory / "memory.failcnt"),
            memory=table(memory / "memory.stat"), pids=number(pids / "pids.current"), pids_limit=number(pids / "pids.max"),
            bytes_by_device=_devices(blkio, "io_service_bytes"), operations_by_device=_devices(blkio, "io_serviced"),
        )  # fmt: skip

    def frozen(self, path: str) -> bool:
        """See Manager."""
        try:
            return (self._group("freezer", path) / "freezer.state").read_text().strip() in ("FROZEN", "FREEZING")
        except OSError:
            return False

    def freeze(self, path: str, on: bool) -> None:
        """See Manager."""
        (self._group("freezer", path) / "freezer.state").write_text("FROZEN" if on else "THAWED")

    def lift_quota(self, path: str) -> None:
        """See Manager."""
        (self._group("cpu", path) / "cpu.cfs_quota_us").write_text("-1")

    def pids(self, path: str) -> list[int]:
        """See Manager."""
        for name in ("pids", "memory", "devices", "freezer"):
            group = self._group(name, path)
            if group.exists():
                return members(group)
        return []

    def oom_kills(self, path: str) -> int:
        """See Manager."""
        return table(self._group("memory", path) / "memory.oom_control").get("oom_kill", 0)

    def oom_watch(self, path: str) -> int:
        """See Manager."""
        group = self._group("memory", path)
        event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        try:
            control = os.open(group / "memory.oom_control", os.O_RDONLY | os.O_CLOEXEC)
            try:
                (group / "cgroup.event_control").write_text(f"{event} {control}")
            finally:
                os.close(control)
        except OSError:
            os.close(event)
            raise
        return event

    def delete(self, path: str) -> None:
        """See Manager."""
        error: OSError | None = None
        for place in self._hierarchies():
            try:
                remove_tree(below(place, path))
            except OSError as failure:
                error = failure
        if error is not None:
            raise error


def _devices(group: Path, name: str) -> tuple[tuple[int, int, str, int], ...]:
    for stem in ("blkio.bfq.", "blkio.throttle."):
        rows = []
        for suffix in ("_recursive", ""):
            try:
                lines = (group / f"{stem}{name}{suffix}").read_text().splitlines()
            except OSError:
                continue
            for line in lines[:4096]:
                parts = line.replace(":", " ").split()
                if len(parts) == 4 and parts[0].isdigit() and parts[1].isdigit() and parts[3].isdigit():
                    rows.append((int(parts[0]), int(parts[1]), parts[2], int(parts[3])))
            break
        if rows:
            return tuple(rows)
    return ()
