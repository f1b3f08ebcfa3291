"""Version 2: one hierarchy for all controllers."""

import os
from pathlib import Path

from scow.kernel.cgroups.base import Stats, below, members, number, remove_tree, table
from scow.kernel.syscalls import checked, libc

_MAX = (1 << 64) - 1
_IN_MODIFY = 2


class V2:
    """Manager of version 2."""

    version = 2

    def __init__(self, root: Path) -> None:
        self._root = root

    def _group(self, path: str) -> Path:
        return below(self._root, path)

    def create(self, path: str) -> None:
        """See Manager."""
        group = self._group(path)
        for step in reversed([p for p in (group, *group.parents) if self._root in p.parents or p == self._root][1:]):
            if step != self._root:
                step.mkdir(exist_ok=True)
            try:
                controllers = (step / "cgroup.controllers").read_text().split()
            except OSError:
                controllers = []
            for name in controllers:
                try:
                    (step / "cgroup.subtree_control").write_text("+" + name)
                except OSError:
                    continue  # a group with processes of its own cannot hand on some controllers
        group.mkdir(exist_ok=True)

    def stats(self, path: str) -> Stats:
        """See Manager."""
        group = self._group(path)
        if not group.exists():
            raise FileNotFoundError(f"no control group {path}")
        cpu = table(group / "cpu.stat")
        limit = number(group / "memory.max")
        sizes, counts = _devices(group / "io.stat")
        pids_limit = number(group / "pids.max")
        return Stats(
            version=2, cpu_total=cpu.get("usage_usec", 0) * 1000, cpu_user=cpu.get("user_usec", 0) * 1000,
            cpu_system=cpu.get("system_usec", 0) * 1000, periods=cpu.get("nr_periods", 0), throttled=cpu.get("nr_throttled", 0),
            throttled_time=cpu.get("throttled_usec", 0) * 1000, memory_usage=number(group / "memory.current"),
            memory_max=number(group / "memory.peak"), memory_limit=0 if limit >= _MAX else limit,
            memory_failures=table(group / "memory.events").get("oom", 0), memory=table(group / "memory.stat"),
            pids=number(group / "pids.current"), pids_limit=pids_limit, bytes_by_device=sizes, operations_by_device=counts,
        )  # fmt: skip

    def frozen(self, path: str) -> bool:
        """See Manager."""
        return table(self._group(path) / "cgroup.events").get("frozen", 0) == 1

    def freeze(self, path: str, on: bool) -> None:
        """See Manager."""
        (self._group(path) / "cgroup.freeze").write_text("1" if on else "0")

    def lift_quota(self, path: str) -> None:
        """See Manager."""
        (self._group(path) / "cpu.max").write_text("max")

    def pids(self, path: str) -> list[int]:
        """See Manager."""
        return members(self._group(path))

    def oom_kills(self, path: str) -> int:
        """See Manager."""
        return table(self._group(path) / "memory.events").get("oom_kill", 0)

    def oom_watch(self, path: str) -> int:
        """See Manager: an inotify descriptor on memory.events, readable at every change of it (compare `oom_kills`)."""
        fd = checked(int(libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)))
        try:
            checked(int(libc.inotify_add_watch(fd, os.fsencode(self._group(path) / "memory.events"), _IN_MODIFY)), path)
        except OSError:
            os.close(fd)
            raise
        return fd

    def delete(self, path: str) -> None:
        """See Manager."""
        remove_tree(self._group(path))


_NAMES = (("rbytes", "read", 0), ("wbytes", "write", 0), ("rios", "read", 1), ("wios", "write", 1))


def _devices(path: Path) -> tuple[tuple[tuple[int, int, str, int], ...], tuple[tuple[int, int, str, int], ...]]:
    rows: tuple[list[tuple[int, int, str, int]], list[tuple[int, int, str, int]]] = ([], [])
    try:
        lines = path.read_text().splitlines()
    except OSError:
        lines = []
    for line in lines[:4096]:
        device, *pairs = line.split()
        major, _, minor = device.partition(":")
        if not (major.isdigit() and minor.isdigit()):
            continue
        values = dict(pair.partition("=")[::2] for pair in pairs)
        for key, name, which in _NAMES:
            if values.get(key, "").isdigit():
                rows[which].append((int(major), int(minor), name, int(values[key])))
    return tuple(rows[0]), tuple(rows[1])
