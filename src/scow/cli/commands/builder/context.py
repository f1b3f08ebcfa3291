"""A directory as the tar that `POST /build` takes: what .dockerignore leaves out is not sent, owners are root, times are whole seconds.

Made while it is sent, file by file. Also finds what the context argument names: a directory, standard input, a git or http address.
"""

import os
import re
import stat
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from scow.errors import ScowError
from scow.opts.ignore import Ignore

CHUNK = 256 * 1024
MAX_DOCKERFILE = 16 << 20
_BLOCK = 512
_GIT = re.compile(r"^(?:git://|ssh://|git@|github\.com/)|^https?://[^#?]*\.git(?:$|[#?])")


@dataclass(frozen=True, slots=True)
class Entry:
    """One file that goes into the archive: its path there, and where it is."""

    name: str
    path: str
    info: os.stat_result


def is_git(text: str) -> bool:
    """Whether a context is a git repository's address."""
    return bool(_GIT.match(text))


def is_url(text: str) -> bool:
    """Whether a context is to be downloaded."""
    return text.startswith(("http://", "https://"))


# ---- the tar ---------------------------------------------------------------------------------------------------------------------


def _octal(value: int, width: int) -> bytes:
    text = b"%0*o" % (width - 1, value)
    if len(text) < width:
        return text + b"\0"
    return (value | 1 << (width * 8 - 1)).to_bytes(width, "big")


def _pax(name: bytes, records: list[tuple[bytes, bytes]]) -> bytes:
    body = b""
    for key, value in records:
        size = len(key) + len(value) + 3
        total = size + len(str(size))
        if len(str(total)) != len(str(size)):
            total = size + len(str(total))
        body += b"%d %b=%b\n" % (total, key, value)
    head = header(b"PaxHeaders.0/" + name[-80:], stat.S_IFREG | 0o644, len(body), 0, b"x")
    return head + body + bytes(-len(body) % _BLOCK)


def header(name: bytes, mode: int, size: int, mtime: int, kind: bytes, link: bytes = b"", device: tuple[int, int] = (0, 0)) -> bytes:
    """One ustar header, with a pax header before it where a name does not fit."""
    extra: list[tuple[bytes, bytes]] = []
    short = name[:100]
    if len(name) > 100:
        extra.append((b"path", name))
    if len(link) > 100:
        extra.append((b"linkpath", link))
    mtime = max(mtime, 0)
    block = bytearray(_BLOCK)
    block[0 : len(short)] = short
    block[100:108] = _octal(mode & 0o7777, 8)
    block[108:116] = _octal(0, 8)
    block[116:124] = _octal(0, 8)
    block[124:136] = _octal(size, 12)
    block[136:148] = _octal(mtime, 12)
    block[148:156] = b"        "
    block[156:157] = kind
    block[157 : 157 + len(link[:100])] = link[:100]
    block[257:265] = b"ustar\x0000"
    block[329:337] = _octal(device[0], 8)
    block[337:345] = _octal(device[1], 8)
    block[148:156] = b"%06o\0 " % sum(block)
    return (_pax(name, extra) if extra else b"") + bytes(block)


def entries(root: str, ignore: Ignore | None) -> Iterator[Entry]:
    """The files below a directory, in order, without what is ignored. Raises ScowError for what cannot be read."""

    def walk(folder: str, below: str) -> Iterator[Entry]:
        try:
            with os.scandir(folder) as found:
                children = sorted(found, key=lambda one: one.name)
        except OSError as exc:
            raise ScowError(f"error checking context: can't stat '{folder}': {exc.strerror}") from None
        for child in children:
            name = f"{below}{child.name}"
            left_out = ignore is not None and ignore.excludes(name)
            if left_out and (not child.is_dir(follow_symlinks=False) or (ignore is not None and ignore.prunes(name))):
                continue
            info = child.stat(follow_symlinks=False)
            if stat.S_ISSOCK(info.st_mode):
                continue
            if not left_out:
                yield Entry(name, child.path, info)
            if stat.S_ISDIR(info.st_mode):
                yield from walk(child.path, name + "/")

    return walk(root, "")


def _file(entry: Entry) -> Iterator[bytes]:
    left = entry.info.st_size
    try:
        fd = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as exc:
        raise ScowError(f"error checking context: no permission to read from '{entry.path}': {exc.strerror}") from None
    try:
        while left:
            data = os.read(fd, min(CHUNK, left))
            if not data:
                raise ScowError(f"{entry.path} became smaller while it was sent")
            left -= len(data)
            yield data
    finally:
        os.close(fd)
    if entry.info.st_size % _BLOCK:
        yield bytes(-entry.info.st_size % _BLOCK)


def archive(found: Iterable[Entry], added: Iterable[tuple[str, bytes]] = (), without: frozenset[str] = frozenset()) -> Iterator[bytes]:
    """The pieces of the tar: the entries but `without`, then the `added` files (name, content)."""
    held: list[bytes] = []
    size = 0
    for entry in found:
        if entry.name in without:
            continue
        mode, mtime = entry.info.st_mode, int(entry.info.st_mtime)
        name = os.fsencode(entry.name)
        pieces: Iterator[bytes] = iter(())
        if stat.S_ISREG(mode):
            head = header(name, mode, entry.info.st_size, mtime, b"0")
            pieces = _file(entry)
        elif stat.S_ISDIR(mode):
            head = header(name + b"/", mode, 0, mtime, b"5")
        elif stat.S_ISLNK(mode):
            head = header(name, 0o777, 0, mtime, b"2", os.fsencode(os.readlink(entry.path)))
        elif stat.S_ISFIFO(mode):
            head = header(name, mode, 0, mtime, b"6")
        else:
            kind = b"3" if stat.S_ISCHR(mode) else b"4"
            head = header(name, mode, 0, mtime, kind, device=(os.major(entry.info.st_rdev), os.minor(entry.info.st_rdev)))
        held.append(head)
        size += len(head)
        for piece in pieces:
            held.append(piece)
            size += len(piece)
            if size >= CHUNK:
                yield b"".join(held)
                held, size = [], 0
    for text, data in added:
        held.append(header(text.encode(), 0o600, len(data), 0, b"0") + data + bytes(-len(data) % _BLOCK))
    held.append(bytes(2 * _BLOCK))
    yield b"".join(held)


# ---- what the argument names -----------------------------------------------------------------------------------------------------


def clone(address: str, folder: str) -> str:
    """Fetch a git repository into an empty folder; the directory in it that is the context. Raises ScowError."""
    import subprocess

    base, _, fragment = address.partition("#")
    if base.startswith("github.com/"):
        base = f"https://{base}"
    if base.startswith("-"):
        raise ScowError(f"unable to prepare context: {address} is no address")
    ref, _, subdir = fragment.partition(":")
    if ref.startswith("-"):
        raise ScowError(f"unable to prepare context: invalid refspec: {ref}")

    def git(*args: str) -> None:
        env = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_PROTOCOL_FROM_USER": "0"}
        try:
            done = subprocess.run(["git", *args], capture_output=True, text=True, errors="replace", env=env, check=False)
        except OSError:
            raise ScowError("unable to prepare context: unable to find 'git': install it to build from a repository") from None
        if done.returncode:
            raise ScowError(f"unable to prepare context: unable to 'git clone' to temporary context directory: {done.stderr.strip()}")

    git("init", "-q", folder)
    git("-C", folder, "remote", "add", "origin", base)
    wanted = ref or "HEAD"
    try:
        git("-C", folder, "fetch", "-q", "--depth", "1", "origin", "--", wanted)
        git("-C", folder, "checkout", "-q", "FETCH_HEAD")
    except ScowError:
        git("-C", folder, "fetch", "-q", "--tags", "origin", "+refs/heads/*:refs/remotes/origin/*")
        git(
            "-C",
            folder,
            "checkout",
            "-q",
            "--detach",
            wanted if re.fullmatch(r"[0-9a-f]{7,64}", wanted) else f"refs/remotes/origin/{wanted}",
        )
    git("-C", folder, "submodule", "-q", "update", "--init", "--recursive", "--depth=1")
    inside = os.path.realpath(os.path.join(folder, subdir.lstrip("/")))
    root = os.path.realpath(folder)
    if inside != root and not inside.startswith(root + "/"):
        raise ScowError(f"unable to prepare context: {subdir} is not inside of the repository")
    if not os.path.isdir(inside):
        raise ScowError(f"unable to prepare context: error setting git context, {subdir} not within git root")
    return inside


def download(address: str) -> bytes:
    """The bytes of a URL, into a file where they are many. Raises ScowError."""
    import urllib.error
    import urllib.request

    try:
        with urllib.request.urlopen(address, timeout=60) as response, tempfile.TemporaryFile() as file:
            while data := response.read(CHUNK):
                file.write(data)
            file.seek(0)
            found: bytes = file.read()
            return found
    except urllib.error.HTTPError as exc:
        raise ScowError(
            f"unable to prepare context: unable to download remote context {address}: server returned {exc.code} {exc.reason}"
        ) from None
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "reason", exc)
        raise ScowError(f"unable to prepare context: unable to download remote context {address}: {reason}") from None


_MAGIC = (b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd")


def is_archive(head: bytes) -> bool:
    """Whether a file begins like a tar, perhaps a compressed one."""
    return head.startswith(_MAGIC) or head[257:262] == b"ustar"


def unpack(data: bytes, folder: str) -> None:
    """An archive's files below an empty directory; nothing is written through a link, or outside. Raises ScowError."""
    import io
    import tarfile

    root = os.path.realpath(folder)

    def place(name: str) -> str:
        parts = [part for part in name.split("/") if part not in ("", ".")]
        path = os.path.join(root, *parts)
        parent = os.path.realpath(os.path.dirname(path)) if parts else root
        if ".." in parts or (parent != root and not parent.startswith(root + "/")):
            raise ScowError(f"unable to prepare context: the archive holds a path that leaves its root: {name[:200]!r}")
        return path

    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for member in archive:
                path = place(member.name)
                if not member.isdir():
                    os.makedirs(os.path.dirname(path), exist_ok=True)
                    if os.path.lexists(path):
                        os.unlink(path)
                if member.isdir():
                    os.makedirs(path, exist_ok=True)
                    os.chmod(path, member.mode & 0o7777 | 0o700)
                elif member.issym():
                    os.symlink(member.linkname, path)
                elif member.islnk():
                    os.link(place(member.linkname), path, follow_symlinks=False)
                elif member.isreg() and (source := archive.extractfile(member)) is not None:
                    with open(path, "xb") as file:
                        while piece := source.read(CHUNK):
                            file.write(piece)
                    os.chmod(path, member.mode & 0o7777)
                    os.utime(path, (member.mtime, member.mtime))
    except (tarfile.TarError, OSError, EOFError) as exc:
        raise ScowError(f"unable to prepare context: the context is no tar archive that can be unpacked: {exc}") from None


def find_dockerfile(folder: str, given: str) -> tuple[str, str]:
    """(name relative to the context, path) of the Dockerfile; the name is "" when it lies outside. Raises ScowError."""
    if not given:
        path = os.path.join(folder, "Dockerfile")
        if not os.path.exists(path) and os.path.exists(os.path.join(folder, "dockerfile")):
            path = os.path.join(folder, "dockerfile")
    else:
        path = os.path.abspath(given)
    if not os.path.exists(path):
        raise ScowError(
            f"unable to prepare context: unable to evaluate symlinks in Dockerfile path: lstat {path}: no such file or directory"
        )
    real, root = os.path.realpath(path), os.path.realpath(folder)
    if real != root and not real.startswith(root.rstrip("/") + "/"):
        return "", path
    return os.path.relpath(path if not given else real, root if given else folder).replace(os.sep, "/"), path


def read_file(path: str, limit: int = MAX_DOCKERFILE) -> bytes:
    """A small file of the user's. Raises ScowError."""
    try:
        with open(path, "rb") as file:
            data = file.read(limit + 1)
    except OSError as exc:
        raise ScowError(f"unable to prepare context: open {path}: {(exc.strerror or str(exc)).lower()}") from None
    if len(data) > limit:
        raise ScowError(f"unable to prepare context: {path} is larger than {limit >> 20} MB")
    return data
