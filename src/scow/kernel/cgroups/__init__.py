"""Control groups of containers: which version this host has, and one manager for both.

Paths are as in config.json's `cgroupsPath` (`/docker/<id>`); the runtime makes the groups, this reads, freezes, watches and removes them.
Used by `runtime/stats.py`, containers (pause state, out-of-memory notice, clean-up) and system info.
"""

import functools
from dataclasses import dataclass
from pathlib import Path

from scow.kernel import mounts
from scow.kernel.cgroups.base import Manager, Stats
from scow.kernel.cgroups.v1 import V1
from scow.kernel.cgroups.v2 import V2

__all__ = ["V1", "V2", "Layout", "Manager", "Stats", "detect", "manager", "tune"]

ROOT = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Layout:
    """What is mounted: `name` is `v1`, `hybrid` (version 1 with version 2 beside it) or `v2`."""

    name: str

    @property
    def unified(self) -> bool:
        """Whether version 2 is the one in use."""
        return self.name == "v2"

    @property
    def version(self) -> int:
        """1 or 2, as `docker info` says it."""
        return 2 if self.unified else 1


@functools.cache
def detect(root: Path = ROOT) -> Layout:
    """Look at the mount once."""
    if (root / "cgroup.controllers").exists():
        return Layout("v2")
    return Layout("hybrid" if (root / "unified" / "cgroup.procs").exists() else "v1")


def manager(root: Path = ROOT) -> Manager:
    """The manager for this host."""
    return V2(root) if detect(root).unified else V1(root)


def tune(root: Path = ROOT) -> list[str]:
    """Ask for fast attaching (favordynmods) in every hierarchy below `root`: without it the first process of a new group waits for an RCU
    period. The mount points that took it; a refusal is harmless."""
    taken = []
    for row in mounts.mountinfo():
        if row.fstype not in ("cgroup", "cgroup2") or not (row.target == str(root) or row.target.startswith(f"{root}/")):
            continue
        options = row.super_options.split(",")
        if "favordynmods" in options:
            taken.append(row.target)
            continue
        data = ",".join([o for o in options if o not in ("rw", "ro")] + ["favordynmods"])
        try:
            mounts.mount("none", row.target, row.fstype, mounts.MS_REMOUNT, data)
            taken.append(row.target)
        except OSError:
            continue
    return taken
