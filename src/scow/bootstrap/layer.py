"""A root filesystem as a tar that is the same byte for byte when the packages are: entries sorted, numbers for owners, no time later
than the newest package, nothing that belongs to one machine or one run (caches, logs, ids, devices).
"""

import hashlib
import io
import os
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from scow.errors import ScowError

_DAY = 86400
_CHUNK = 1 << 20
_EPOCH_MAX = 1 << 33  # tar's octal numbers
_LINKS_MAX = 8
# what a run leaves behind; the folders stay
_LEFTOVERS = re.compile(
    r"""(?x)^(
    (dev|proc|sys|run|tmp|var/tmp)/.* | var/cache/(apt|ldconfig|man)/.* | var/cache/debconf/.*-old | var/lib/apt/lists/.*
    | var/log/.* | var/lib/dpkg/.*-old | var/lib/dpkg/(lock|lock-frontend|triggers/Lock) | var/lib/systemd/random-seed
    | var/lib/dbus/machine-id
    | etc/(machine-id|hostname|hosts|resolv\.conf|mtab|\.pwd\.lock) | etc/(passwd|group|shadow|gshadow|subuid|subgid)-
    | etc/apt/(sources\.list|sources\.list\.d/.*|apt\.conf\.d/99mmdebstrap|auth\.conf\.d/.*) | .*/__pycache__/.* | debootstrap(/.*)?
    )$"""
)
_DATED = re.compile(r"^usr/share/doc/[^/]+/(changelog(\.Debian)?\.gz|copyright)$")


@dataclass(frozen=True, slots=True)
class Layer:
    """A finished layer on disk. `epoch`: seconds, the time that its newest package was made."""

    path: Path
    size: int
    digest: str
    epoch: int


class Writer:
    """Writes the entries of a layer in the order in which they come (the caller sorts)."""

    def __init__(self, path: Path, epoch: int) -> None:
        self._path, self.epoch = path, epoch
        self._file = path.open("wb")
        self._hash = hashlib.sha256()
        self._size = 0
        self._tar = tarfile.open(fileobj=cast("Any", self), mode="w", format=tarfile.PAX_FORMAT)  # noqa: SIM115

    def write(self, data: bytes) -> int:
        """For the tar only."""
        self._hash.update(data)
        self._size += len(data)
        return self._file.write(data)

    def tell(self) -> int:
        """For the tar only."""
        return self._size

    def add(self, member: tarfile.TarInfo, data: IO[bytes] | None = None) -> None:
        """An entry, its times and owners made plain."""
        member.mtime = min(int(member.mtime), self.epoch)
        member.uname = member.gname = ""
        member.pax_headers = {key: value for key, value in member.pax_headers.items() if key.startswith("SCHILY.xattr.")}
        self._tar.addfile(member, data)

    def folder(self, name: str, mode: int = 0o755) -> None:
        """A directory of root's."""
        self._plain(name, tarfile.DIRTYPE, mode)

    def link(self, name: str, target: str) -> None:
        """A symbolic link."""
        member = tarfile.TarInfo(name)
        member.type, member.linkname, member.mode, member.mtime = tarfile.SYMTYPE, target, 0o777, self.epoch
        self.add(member)

    def file(self, name: str, data: bytes, mode: int = 0o644) -> None:
        """A file of root's."""
        self._plain(name, tarfile.REGTYPE, mode, data)

    def _plain(self, name: str, kind: bytes, mode: int, data: bytes = b"") -> None:
        member = tarfile.TarInfo(name)
        member.type, member.mode, member.size, member.mtime = kind, mode, len(data), self.epoch
        self.add(member, io.BytesIO(data))

    def close(self) -> Layer:
        """The layer."""
        self._tar.close()
        self._file.close()
        return Layer(self._path, self._size, f"sha256:{self._hash.hexdigest()}", self.epoch)


def wanted_epoch() -> int | None:
    """SOURCE_DATE_EPOCH, the agreed way to say which time files get. ScowError."""
    text = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or int(text) > _EPOCH_MAX:
        raise ScowError(f"SOURCE_DATE_EPOCH must be seconds since 1970, not {text[:50]!r}")
    return int(text)


def normalise(source: Path, target: Path, extra: Mapping[str, bytes]) -> Layer:
    """The tar of a root filesystem made plain; `extra` files come in addition (or in the place of others). ScowError."""
    try:
        with tarfile.open(source) as tar:
            members = {name: member for member in tar if (name := _name(member.name))}
            return _written(tar, members, target, extra)
    except (tarfile.TarError, OSError) as exc:
        raise ScowError(f"the new root filesystem can't be packed: {exc}") from exc


def _name(text: str) -> str:
    return "/".join(part for part in text.split("/") if part not in ("", "."))


def _written(tar: tarfile.TarFile, members: dict[str, tarfile.TarInfo], target: Path, extra: Mapping[str, bytes]) -> Layer:
    epoch = wanted_epoch()
    if epoch is None:
        epoch = max((int(member.mtime) for name, member in members.items() if member.isreg() and _DATED.match(name)), default=0)
    out = Writer(target, epoch)
    first: dict[str, str] = {}  # the file that carries the bytes of a group of hard links: the first by name
    origins = {name: _origin(members, name) for name, member in members.items() if member.isreg() or member.islnk()}
    kept = {name for name in members if not _LEFTOVERS.match(name)} - set(extra)
    for name in sorted(kept | set(extra)):
        if name in extra:
            out.file(name, extra[name])
            continue
        member = members[name]
        member.name = name
        origin = origins.get(name)
        if origin is None:
            out.add(member)
            continue
        if origin in first:
            member.type, member.linkname, member.size = tarfile.LNKTYPE, first[origin], 0
            out.add(member)
            continue
        first[origin] = name
        body = tar.extractfile(members[origin])
        if body is None:
            raise ScowError(f"the new root filesystem can't be packed: {origin} is no file")
        member.type, member.size, member.linkname = tarfile.REGTYPE, members[origin].size, ""
        data: IO[bytes] = body
        if name == "etc/shadow":
            changed = _undated(body.read(_CHUNK), epoch)
            member.size, data = len(changed), io.BytesIO(changed)
        out.add(member, data)
    return out.close()


def _origin(members: Mapping[str, tarfile.TarInfo], name: str) -> str:
    """The entry that has the bytes of a hard link. ScowError."""
    for _ in range(_LINKS_MAX):
        if not members[name].islnk():
            return name
        name = _name(members[name].linkname)
        if name not in members:
            break
    raise ScowError(f"the new root filesystem can't be packed: a hard link leads nowhere ({name})")


def _undated(shadow: bytes, epoch: int) -> bytes:
    """The day of a password's last change is the day of the build: it becomes that of the packages."""
    lines = []
    for line in shadow.split(b"\n"):
        fields = line.split(b":")
        if len(fields) == 9 and fields[2].isdigit():
            fields[2] = str(epoch // _DAY).encode()
        lines.append(b":".join(fields))
    return b"\n".join(lines)
