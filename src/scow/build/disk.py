"""Whether the build cache is on the disk: steps write without waiting for it, so a host that goes down takes the last of them with it.

Stored: table `build_state`, row `boot`: the boot that wrote last, and whether all of that is on the disk ("clean").
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from scow import aio, log
from scow.kernel import syscalls
from scow.metadata import Database

logger = log.get(__name__)


class Disk:
    """Used by `refs.py` and `recovery.py`."""

    def __init__(self, db: Database, root: Path) -> None:
        self._table = db.table("build_state")
        self._root = root
        self._dirty = False

    def written(self) -> None:
        """Something was made that is not on the disk yet."""
        if not self._dirty:
            self._dirty = True
            self._table.put("boot", {"id": _boot(), "clean": False})

    def torn(self) -> bool:
        """Whether the host went down before everything was on the disk."""
        state = self._table.get("boot")
        torn = state is not None and state["id"] != _boot() and not state["clean"]
        if torn:
            logger.warning("the host went down without a shutdown of this engine: the build cache begins anew")
        return torn

    async def sync(self) -> None:
        """Wait for the disk."""
        if self._dirty:
            await aio.in_pool(syscalls.sync_filesystem, str(self._root))

    async def close(self) -> None:
        """The engine goes down: everything is on the disk."""
        if self._dirty:
            with contextlib.suppress(OSError):
                await self.sync()
                self._table.put("boot", {"id": _boot(), "clean": True})


def _boot() -> str:
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()
