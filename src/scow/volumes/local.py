"""The `local` volume driver: a directory, or with the options type, device and o whatever mount(2) can put there, mounted on use.

Called by `service.py` alone; synchronous, run in the thread pool.
"""

import contextlib
import os
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path

from scow import ids
from scow.errors import Conflict, Internal, InvalidArgument
from scow.kernel import mounts

OPTIONS = frozenset({"type", "o", "device", "size"})
_TRASH = ".removed-"
_FLAGS = {
    "ro": mounts.MS_RDONLY, "nosuid": mounts.MS_NOSUID, "nodev": mounts.MS_NODEV, "noexec": mounts.MS_NOEXEC, "sync": 16,
    "dirsync": 128, "noatime": 1024, "nodiratime": 2048, "bind": mounts.MS_BIND, "rbind": mounts.MS_BIND | mounts.MS_REC,
    "relatime": 1 << 21, "strictatime": 1 << 24, "mand": 64,
}  # fmt: skip
_CLEARS = {"rw": mounts.MS_RDONLY, "suid": mounts.MS_NOSUID, "dev": mounts.MS_NODEV, "exec": mounts.MS_NOEXEC, "async": 16, "atime": 1024,
           "diratime": 2048, "norelatime": 1 << 21, "nostrictatime": 1 << 24, "nomand": 64, "defaults": 0}  # fmt: skip


class MountFailed(Internal):
    """A volume could not be mounted."""


def check_options(options: Mapping[str, str]) -> None:
    """Raises InvalidArgument with dockerd's texts."""
    for key in options:
        if key not in OPTIONS:
            raise InvalidArgument(f'invalid option: "{key}"')
    if "size" in options:
        raise InvalidArgument("quota size requested but no quota support")
    if options:
        for key in ("device", "type"):
            if not options.get(key):
                raise InvalidArgument(f'missing required option: "{key}"')


def parse_options(text: str) -> tuple[int, str]:
    """Flags and data of mount(2) for `o`."""
    flags, data = 0, []
    for word in text.split(","):
        if word in _FLAGS:
            flags |= _FLAGS[word]
        elif word in _CLEARS:
            flags &= ~_CLEARS[word]
        elif word:
            data.append(word)
    return flags, ",".join(data)


class LocalDriver:
    """Directories below `root`: <root>/<name>/_data."""

    name = "local"

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, name: str) -> Path:
        """Where the files of a volume are."""
        return self._root / name / "_data"

    def create(self, name: str) -> None:
        """Make the directory; an existing one stays. Raises OSError."""
        self._root.mkdir(mode=0o701, parents=True, exist_ok=True)
        place = self.path(name)
        place.parent.mkdir(mode=0o701, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            place.mkdir(mode=0o755)
            place.chmod(0o755)

    def mounted(self, name: str) -> bool:
        """Whether something is mounted at the volume."""
        return str(self.path(name)) in mounts.below(self.path(name))

    def mount(self, name: str, options: Mapping[str, str]) -> None:
        """Mount what the options say, unless it is mounted. Raises MountFailed with the kernel's reason."""
        self.create(name)
        if not options or self.mounted(name):
            return
        target = self.path(name)
        flags, data = parse_options(options.get("o", ""))
        kind, device = options["type"], options["device"]
        if kind in ("nfs", "nfs4") and "addr=" in data:
            data = _resolve_address(data)
        try:
            mounts.mount(device, target, "" if flags & mounts.MS_BIND else kind, flags, data)
            if flags & mounts.MS_BIND and flags & ~(mounts.MS_BIND | mounts.MS_REC):
                # The first call of a bind ignores every other flag.
                mounts.mount("", target, "", flags | mounts.MS_REMOUNT, "")
        except (OSError, ValueError) as error:
            reason = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
            self.unmount(name)
            shown = f", data: {data}" if data else ""
            raise MountFailed(
                f"error while mounting volume '{target}': failed to mount local volume {name}: "
                f"mount {device}:{target}{shown}: {reason.lower()}"
            ) from None

    def unmount(self, name: str) -> None:
        """Unmount all there is; absent is fine."""
        target = self.path(name)
        for place in mounts.below(target):
            mounts.unmount_any(place)

    def remove(self, name: str) -> None:
        """Remove the files. Raises Conflict while something stays mounted there (never deletes through a mount)."""
        place = self._root / name
        if not place.exists():
            return
        self.unmount(name)
        if mounts.below(place):
            raise Conflict(f"remove {name}: volume is in use: something is mounted below {place}")
        trash = self._root / (_TRASH + ids.new_id())
        place.rename(trash)
        _remove_tree(trash)

    def sweep(self) -> None:
        """Finish removals that a crash interrupted."""
        with contextlib.suppress(OSError):
            for entry in list(os.scandir(self._root)):
                if entry.name.startswith(_TRASH) and not mounts.below(entry.path):
                    _remove_tree(Path(entry.path))

    def size(self, name: str) -> int:
        """Bytes of the volume's files, each inode once; -1 when it cannot be read."""
        total, seen = 0, set()
        pending = [str(self.path(name))]
        while pending:
            try:
                with os.scandir(pending.pop()) as entries:
                    for entry in entries:
                        info = entry.stat(follow_symlinks=False)
                        if entry.is_dir(follow_symlinks=False):
                            pending.append(entry.path)
                        if info.st_nlink > 1 and not entry.is_dir(follow_symlinks=False):
                            if info.st_ino in seen:
                                continue
                            seen.add(info.st_ino)
                        total += info.st_size if not entry.is_dir(follow_symlinks=False) else 0
            except OSError:
                continue
        return total


def _remove_tree(path: Path) -> None:
    def again(function: object, name: str, error: object) -> None:
        # Immutable or vanished entries: the rest goes on.
        return

    shutil.rmtree(path, onerror=again)
    if path.exists():
        raise OSError(f"some files of the volume could not be removed: {path}")


def _resolve_address(data: str) -> str:
    words = []
    for word in data.split(","):
        key, _, value = word.partition("=")
        if key == "addr":
            with contextlib.suppress(OSError):
                word = "addr=" + socket.getaddrinfo(value, None, type=socket.SOCK_STREAM)[0][4][0]  # type: ignore[operator]
        words.append(word)
    return ",".join(words)
