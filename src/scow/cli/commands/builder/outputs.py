"""`--output`: what it says, and taking the results that the engine sends: a file, or a directory of files."""

import asyncio
import os
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scow.build.session import messages, rpc
from scow.cli.terminal import is_terminal
from scow.errors import ScowError
from scow.opts.mounts import fields_of

_STAT, _REQ, _DATA, _FIN, _ERR = range(5)
_DIR, _SYMLINK = 1 << 31, 1 << 27
_OTHER = 0x8F280000 & ~_DIR & ~_SYMLINK
_FILES = ("tar", "oci", "docker")


@dataclass(frozen=True, slots=True)
class Output:
    """One --output: its type, the attributes that the engine gets, and where the client writes (None: the engine keeps it)."""

    kind: str
    attrs: dict[str, str]
    dest: str | None = None


def parse(text: str) -> Output:
    """`type=local,dest=x`, or a folder, or `-` for a tar on standard output. Raises ScowError."""
    if "=" not in text:
        return _checked("tar", {}, "-") if text == "-" else _checked("local", {}, text)
    attrs: dict[str, str] = {}
    for part in fields_of(text):
        key, has, value = part.partition("=")
        if not has:
            raise ScowError(f"invalid value {part}: expected k=v in --output")
        attrs[key.strip().lower()] = value
    kind = attrs.pop("type", "")
    if not kind:
        raise ScowError("type is required for output")
    dest = attrs.pop("dest", None)
    if kind == "registry":
        kind, attrs["push"] = "image", "true"
    return _checked(kind, attrs, dest)


def _checked(kind: str, attrs: dict[str, str], dest: str | None) -> Output:
    if kind == "local" and (not dest or dest == "-"):
        raise ScowError("dest is required for the local output, and it is a folder")
    if kind in ("tar", "oci") and not dest:
        dest = "-"
    if kind in _FILES and dest == "-" and is_terminal(1):
        raise ScowError("dest file is required for the output: it is not written to a terminal")
    if kind == "docker" and not dest:
        kind = "image"  # the engine itself is where `docker` images go
    return Output(kind, attrs, dest if kind in (*_FILES, "local") else None)


def taker(output: Output) -> Callable[[rpc.Call], Any]:
    """What takes an output's call."""
    assert output.dest is not None
    dest = output.dest
    return (lambda call: _tree(call, dest)) if output.kind == "local" else (lambda call: _file(call, dest))


async def _file(call: rpc.Call, dest: str) -> None:
    temporary = f"{dest}.{os.getpid()}"
    file = sys.stdout.buffer if dest == "-" else open(temporary, "wb")  # noqa: SIM115 - closed below, also standard output must stay open
    try:
        while (data := await call.read()) is not None:
            await asyncio.to_thread(file.write, messages.FILES.BytesMessage.FromString(data).data)
        file.flush()
        if dest != "-":
            os.replace(temporary, dest)
    finally:
        if dest != "-":
            file.close()
            if os.path.exists(temporary):
                os.unlink(temporary)


def _place(root: str, path: str) -> str:
    parts = path.split("/")
    if path.startswith("/") or any(part in ("", ".", "..") for part in parts):
        raise ScowError(f"the engine names a path outside of the output: {path[:200]!r}")
    parent = root
    for part in parts[:-1]:
        parent = os.path.join(parent, part)
        if os.path.islink(parent) or not os.path.isdir(parent):
            raise ScowError(f"the output would be written through {parent}, which is no directory")
    return os.path.join(root, *parts)


async def _tree(call: rpc.Call, dest: str) -> None:
    """Receive a tree: everything is asked for, nothing is written outside of the folder."""
    os.makedirs(dest, exist_ok=True)
    root = os.path.abspath(dest)
    number = 0
    files: dict[int, Any] = {}
    open_files: dict[int, int] = {}
    folders: list[Any] = []
    links: list[Any] = []
    listed = False
    while (data := await call.read()) is not None:
        packet = messages.FSUTIL.Packet.FromString(data)
        if packet.type == _STAT and not listed:
            if not packet.HasField("stat"):
                listed = True
                if not files:
                    await call.send(messages.FSUTIL.Packet(type=_FIN))
                continue
            if packet.stat.linkname and not packet.stat.mode & (_DIR | _SYMLINK | _OTHER):
                links.append(packet.stat)
            elif _begin(root, packet.stat):
                files[number] = packet.stat
                await call.send(messages.FSUTIL.Packet(type=_REQ, ID=number))
            if packet.stat.mode & _DIR:
                folders.append(packet.stat)
            number += 1
        elif packet.type == _DATA and packet.ID in files:
            if packet.ID not in open_files:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                open_files[packet.ID] = os.open(_place(root, files[packet.ID].path), flags, 0o600)
            fd = open_files[packet.ID]
            if packet.data:
                os.write(fd, packet.data)
                continue
            _attributes(fd, files.pop(packet.ID))
            os.close(open_files.pop(packet.ID))
            if listed and not files:
                await call.send(messages.FSUTIL.Packet(type=_FIN))
        elif packet.type == _FIN:
            break
        elif packet.type == _ERR:
            raise ScowError(packet.data.decode(errors="replace")[:1000])
    for one in links:  # the file that a hard link names is whole now
        _begin(root, one)
        os.link(_place(root, one.linkname), _place(root, one.path), follow_symlinks=False)
    for one in reversed(folders):
        path = _place(root, one.path)
        os.chmod(path, one.mode & 0o777)
        os.utime(path, ns=(one.modTime, one.modTime))


def _begin(root: str, one: Any) -> bool:
    """Make room for an entry; whether its content must be asked for."""
    path = _place(root, one.path)
    if one.mode & _DIR:
        if os.path.islink(path) or (os.path.lexists(path) and not os.path.isdir(path)):
            os.unlink(path)
        os.makedirs(path, exist_ok=True)
        return False
    if os.path.isdir(path) and not os.path.islink(path):
        raise ScowError(f"cannot overwrite the directory {path} with a file")
    if os.path.lexists(path):
        os.unlink(path)
    if one.mode & _SYMLINK:
        os.symlink(one.linkname, path)
        return False
    return not one.mode & _OTHER


def _attributes(fd: int, one: Any) -> None:
    mode = one.mode & 0o777
    for go, bit in ((23, stat.S_ISUID), (22, stat.S_ISGID), (20, stat.S_ISVTX)):
        mode |= bit if one.mode & (1 << go) else 0
    if os.geteuid() == 0:
        os.fchown(fd, one.uid, one.gid)
    os.fchmod(fd, mode)
    os.utime(fd, ns=(one.modTime, one.modTime))
