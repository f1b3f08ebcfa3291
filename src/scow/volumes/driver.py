"""What a volume driver is: where the files of a volume are. Rows, users, locks and events are the service's business.

`local.py` is the engine's own, `remote.py` speaks to plugins. `tests/contract/test_volume_driver.py` runs on both.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from scow.errors import Internal


class MountFailed(Internal):
    """A volume could not be mounted."""


@dataclass(frozen=True, slots=True)
class Found:
    """A volume as its driver knows it; `mountpoint` "" = not mounted now, `created_ns` 0 = unknown."""

    name: str
    mountpoint: str = ""
    created_ns: int = 0
    status: dict[str, Any] | None = None


class VolumeDriver(Protocol):
    """One kind of volume. All calls may be made twice; what is absent is fine for `unmount`."""

    @property
    def name(self) -> str:
        """As `Volume.driver` has it."""

    async def scope(self) -> str:
        """`local`, or `global` where the volume is the same on every node."""

    def check(self, name: str, options: Mapping[str, str]) -> None:
        """Refuse a name or options. Raises InvalidArgument."""

    async def create(self, name: str, options: Mapping[str, str]) -> None:
        """Make a volume; one that is there stays as it is. Raises ScowError."""

    async def remove(self, name: str) -> None:
        """Remove a volume with its files. Raises ScowError."""

    async def get(self, name: str) -> Found | None:
        """One volume, None if the driver has none of that name. Raises Unavailable where nobody answers."""

    async def list(self) -> list[Found]:
        """Every volume of the driver. Raises ScowError."""

    async def mount(self, name: str, options: Mapping[str, str], user: str) -> Path:
        """Make the files accessible to `user`, and say where they are. Raises MountFailed."""

    async def unmount(self, name: str, options: Mapping[str, str], user: str, last: bool) -> None:
        """`user` needs them no more; `last`: nobody else of this host does. Raises ScowError, OSError."""
