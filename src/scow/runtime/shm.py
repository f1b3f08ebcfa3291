"""The /dev/shm of containers that others may join (`--ipc shareable`): a tmpfs at <container directory>/mounts/shm, bound into each.

Called by containers: `mount` before the first start, `unmount` after the end. Synchronous.
"""

from pathlib import Path

from scow.kernel import mounts


def path(directory: Path) -> Path:
    """Where it is for the container of that directory."""
    return directory / "mounts" / "shm"


def mount(directory: Path, size: int) -> Path:
    """Mount it (once) with `size` bytes; the path to bind at /dev/shm. Raises OSError."""
    place = path(directory)
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    if str(place) not in mounts.below(place):
        flags = mounts.MS_NOSUID | mounts.MS_NODEV | mounts.MS_NOEXEC
        mounts.mount("shm", place, "tmpfs", flags, f"mode=1777,size={size}")
    return place


def unmount(directory: Path) -> None:
    """Unmount it; absent is fine."""
    mounts.unmount_any(path(directory))
