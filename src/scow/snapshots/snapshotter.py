"""What a snapshotter promises.

A committed snapshot is a layer on top of its parent, named by its chain id, and never changes. An active one is a writable layer, named by
a key (a container's id, or an unpack in progress).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Change:
    """One path that a writable layer changes: kind "A" added, "C" changed, "D" deleted."""

    path: str
    kind: str


@dataclass(frozen=True, slots=True)
class Committed:
    """Facts of a committed layer: `size` bytes of file contents, `tar_size` of its plain tar, which `blob` holds (compressed or not)."""

    name: str
    parent: str
    diff_id: str
    size: int
    tar_size: int
    blob: str
    compression: str


class Snapshotter(Protocol):
    """Stacks layers. Every method that touches a tree is a coroutine."""

    def layer(self, name: str) -> Committed | None:
        """The committed layer `name`, or None."""

    def layers(self) -> list[Committed]:
        """Every committed layer."""

    def exists(self, key: str) -> bool:
        """Whether there is a snapshot of this name or key."""

    async def prepare(self, key: str, parent: str, unpack: bool = False) -> Path:
        """Make an active snapshot on `parent` ("" = nothing); the directory of its own files. `unpack`: it dies with the daemon."""

    async def commit(self, key: str, layer: Committed) -> None:
        """Make an active snapshot the committed one `layer.name`."""

    async def remove(self, key: str) -> None:
        """Remove a snapshot; absent is fine. Raises Conflict when another one stands on it."""

    def trees(self, key: str) -> list[Path]:
        """The directories that make up a snapshot, the top one first."""

    async def mount(self, key: str, target: Path) -> None:
        """Mount an active snapshot; mounted already is fine."""

    async def mount_layers(self, name: str, target: Path) -> None:
        """Mount a committed layer with all below it, read-only; mounted already is fine. Raises NotFound."""

    async def unmount(self, target: Path) -> None:
        """Unmount it; not mounted is fine."""

    async def usage(self, key: str) -> int:
        """Bytes of the files in the writable layer."""

    async def changes(self, key: str) -> list[Change]:
        """What the writable layer changes."""

    def pack(self, key: str) -> dict[str, Any]:
        """The archive job that writes the writable layer as a tar with whiteouts."""

    async def recover(self, keep: set[str]) -> None:
        """Remove what a crash left: unpacks, directories without a row, active snapshots whose key is not in `keep`."""
