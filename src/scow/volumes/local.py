"""The `local` volume driver: a directory, or with the options type, device and o whatever mount(2) can put there, mounted on use.

Called by `service.py` alone. What may wait runs in the thread pool; mounts from servers, which may hang for minutes, in their own threads.
"""

import contextlib
import errno
import os
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path

from scow import aio, ids
from scow.errors import Conflict, InvalidArgument
from scow.kernel import mounts
from scow.volumes.driver import Found, MountFailed
from scow.volumes.names import check_name

OPTIONS = frozenset({"type", "o", "device", "size"})
_TRASH = ".removed-"
_FLAGS = {
    "ro": mounts.MS_RDONLY, "nosuid": mounts.MS_NOSUID, "nodev": mounts.MS_NODEV, "noexec": mounts.MS_NOEXEC, "sync": 16,
    "dirsync": 128, "noatime": 1024, "nodiratime": 2048, "bind": mounts.MS_BIND, "rbind": mounts.MS_BIND | mounts.MS_REC,
    "relatime": 1 << 21, "strictatime": 1 << 24, "mand": 64,
}  # fmt: skip
_CLEARS = {"rw": mounts.MS_RDONLY, "suid": mounts.MS_NOSUID, "dev": mounts.MS_NODEV, "exec": mounts.MS_NOEXEC, "async": 16, "atime": 1024,
           "diratime": 2048, "norelatime": 1 << 21, "nostrictatime": 1 << 24, "nomand": 64, "defaults": 0}  # fmt: skip
_KINDS = {"private": mounts.MS_PRIVATE, "shared": mounts.MS_SHARED, "slave": mounts.MS_SLAVE, "unbindable": mounts.MS_UNBINDABLE}
_PROPAGATION = _KINDS | {f"r{name}": flag | mounts.MS_REC for name, flag in _KINDS.items()}
_REMOTE = frozenset({"nfs", "nfs4", "cifs", "smb3"})
_SECRETS = frozenset({"password", "pass", "password2"})


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


def parse_options(text: str) -> tuple[int, str, int]:
    """Flags, data and propagation flags of mount(2) for `o`."""
    flags, data, spread = 0, [], 0
    for word in text.split(","):
        if word in _FLAGS:
            flags |= _FLAGS[word]
        elif word in _CLEARS:
            flags &= ~_CLEARS[word]
        elif word in _PROPAGATION:
            spread = _PROPAGATION[word]
        elif word:
            data.append(word)
    return flags, ",".join(data), spread


class LocalDriver:
    """Directories below `root`: <root>/<name>/_data."""

    name = "local"

    def __init__(self, root: Path) -> None:
        self._root = root

    async def scope(self) -> str:
        """This host."""
        return "local"

    def check(self, name: str, options: Mapping[str, str]) -> None:
        """Docker's rules for names and options."""
        check_name(name)
        try:
            check_options(options)
        except InvalidArgument as error:
            raise InvalidArgument(f"create {name}: {error.message}") from None

    def path(self, name: str) -> Path:
        """Where the files of a volume are."""
        return self._root / name / "_data"

    async def create(self, name: str, options: Mapping[str, str]) -> None:
        """Make the directory; an existing one stays."""
        try:
            self._directory(name)
        except OSError as error:
            raise InvalidArgument(f"create {name}: {error.strerror}") from None

    def _directory(self, name: str) -> None:
        self._root.mkdir(mode=0o701, parents=True, exist_ok=True)
        place = self.path(name)
        place.parent.mkdir(mode=0o701, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            place.mkdir(mode=0o755)
            place.chmod(0o755)

    async def get(self, name: str) -> Found | None:
        """A directory without a row is no volume to anybody."""
        return Found(name, str(self.path(name))) if self.path(name).is_dir() else None

    async def list(self) -> list[Found]:
        """The service's rows are the list."""
        return []

    def mounted(self, name: str) -> bool:
        """Whether something is mounted at the volume."""
        return str(self.path(name)) in mounts.below(self.path(name))

    async def mount(self, name: str, options: Mapping[str, str], user: str) -> Path:
        """Mount what the options say, unless it is mounted. Raises MountFailed with the kernel's reason."""
        if options.get("type") in _REMOTE:
            await aio.in_thread(self._mount, name, options)
        else:
            await aio.in_pool(self._mount, name, options)
        return self.path(name)

    def _mount(self, name: str, options: Mapping[str, str]) -> None:
        self._directory(name)
        if not options or self.mounted(name):
            return
        target = self.path(name)
        flags, data, spread = parse_options(options.get("o", ""))
        kind, device = options["type"], options["device"]
        try:
            data = network_address(kind, device, data)
            _mount(device, target, kind, flags, data, spread)
        except (OSError, ValueError) as error:
            self.unmount_all(name)
            reason = failure(error, kind, device, target, flags, data)
            raise MountFailed(f"error while mounting volume '{target}': {reason}") from None

    async def unmount(self, name: str, options: Mapping[str, str], user: str, last: bool) -> None:
        """Unmount what the options put there; absent is fine."""
        if last and options:
            await (aio.in_thread if options.get("type") in _REMOTE else aio.in_pool)(self.unmount_all, name)

    def unmount_all(self, name: str) -> None:
        """Unmount all there is; absent is fine."""
        target = self.path(name)
        for place in mounts.below(target):
            mounts.unmount_any(place)

    async def remove(self, name: str) -> None:
        """Remove the files. Raises Conflict while something stays mounted there (never deletes through a mount)."""
        await aio.in_pool(self._remove, name)

    def _remove(self, name: str) -> None:
        place = self._root / name
        if not place.exists():
            return
        self.unmount_all(name)
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


def _mount(device: str, target: Path, kind: str, flags: int, data: str, spread: int) -> None:
    mounts.mount(device, target, "" if flags & mounts.MS_BIND else kind, flags, data)
    if spread:
        mounts.mount("", target, "", spread, "")
    if flags & mounts.MS_BIND and flags & ~(mounts.MS_BIND | mounts.MS_REC):
        # The first call of a bind ignores every other flag.
        mounts.mount("", target, "", flags | mounts.MS_REMOUNT, "")


def failure(error: OSError | ValueError, kind: str, device: str, target: Path, flags: int, data: str) -> str:
    """Why a mount failed, as dockerd says it, without passwords."""
    if isinstance(error, LookupFailed):
        return f"error resolving passed in network volume address: {error}"
    shown = f", flags: {flags:#x}" if flags else ""
    if data:
        words = (word if word.partition("=")[0] not in _SECRETS else f"{word.partition('=')[0]}=********" for word in data.split(","))
        shown += f", data: {','.join(words)}"
    reason = (error.strerror or str(error)).lower() if isinstance(error, OSError) else str(error)
    if isinstance(error, OSError) and error.errno == errno.ENODEV:
        reason += f" (the kernel has no file system {kind}: is its module loaded?)"
    return f"failed to mount local volume: mount {device}:{target}{shown}: {reason}"


class LookupFailed(ValueError):
    """The server's name has no address."""


def network_address(kind: str, device: str, data: str) -> str:
    """The data of mount(2) with the server's address: the kernel does not look names up. Without `addr` it is the device's host.

    Blocks. Raises LookupFailed."""
    if kind not in _REMOTE:
        return data
    words = [word for word in data.split(",") if word]
    for index, word in enumerate(words):
        key, _, value = word.partition("=")
        if key == "addr" or (key == "ip" and kind in ("cifs", "smb3")):
            words[index] = f"{key}={_lookup(value)}"
            return ",".join(words)
    host = device.rpartition(":/")[0].strip("[]") if kind.startswith("nfs") else device.replace("\\", "/").lstrip("/").partition("/")[0]
    return ",".join([*words, f"addr={_lookup(host)}"]) if host else ",".join(words)


def _lookup(host: str) -> str:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise LookupFailed(f"lookup {host}: {getattr(error, 'strerror', None) or error}") from None
    return str(min(found, key=lambda one: one[0] != socket.AF_INET)[4][0])


def tree_size(path: Path) -> int:
    """Bytes of the files below a directory, each inode once; what cannot be read is not counted."""
    total, seen = 0, set()
    pending = [str(path)]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    info = entry.stat(follow_symlinks=False)
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                        continue
                    if info.st_nlink > 1:
                        if info.st_ino in seen:
                            continue
                        seen.add(info.st_ino)
                    total += info.st_size
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
