"""`scow cp`: archives to and from a container. Extraction here never leaves the destination, whatever the archive says."""

import base64
import json
import os
import shutil
import stat
import sys
import tarfile
from collections.abc import Iterator
from typing import IO, Any

from scow.cli.command import Cli, Command
from scow.cli.flags import Options
from scow.cli.progress import Meter
from scow.cli.terminal import is_terminal
from scow.client.api import container_path
from scow.client.transport import ApiError, Response
from scow.errors import ScowError
from scow.units import human_size

CHUNK = 256 * 1024


def split_spec(text: str) -> tuple[str, str]:
    """(container, path) of `container:path`, ("", path) for a local one."""
    if text.startswith(("/", ".")):
        return "", text
    name, sep, path = text.partition(":")
    if not sep or not name or "/" in name:
        return "", text
    return name, path


class _Reader:
    """A file object over the pieces of a response."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._held = b""
        self.total = 0

    def read(self, size: int = -1) -> bytes:
        parts, got = [self._held], len(self._held)
        while size < 0 or got < size:
            piece = next(self._pieces, b"")
            if not piece:
                break
            parts.append(piece)
            got += len(piece)
        data = b"".join(parts)
        if size >= 0:
            data, self._held = data[:size], data[size:]
        else:
            self._held = b""
        self.total += len(data)
        return data


def path_stat(cli: Cli, container: str, path: str) -> dict[str, Any] | None:
    """name, size, mode (Go's bits), linkTarget of a path in a container; None where it is absent."""
    transport = cli.client.transport
    from scow.client.api import query

    url = f"{cli.client.prefix}{container_path(container, 'archive')}{query({'path': path})}"
    response = transport.request("HEAD", url)
    response.read()
    if response.status == 404:
        text = response.headers.get("x-docker-container-path-stat")
        if text is None:
            return None
    if response.status >= 400:
        cli.client.get(container_path(container, "archive"), {"path": path})
    return _decode(response)


def _decode(response: Response) -> dict[str, Any]:
    try:
        value = json.loads(base64.b64decode(response.headers.get("x-docker-container-path-stat", "")))
    except ValueError:
        raise ScowError("the daemon's answer lacks the description of the path") from None
    return value if isinstance(value, dict) else {}


_GO_DIR = 1 << 31
_GO_LINK = 1 << 27


def _resolved(cli: Cli, container: str, path: str) -> str:
    """The path behind a symbolic link at the end."""
    found = path_stat(cli, container, path)
    if found is not None and found.get("mode", 0) & _GO_LINK and found.get("linkTarget"):
        target = str(found["linkTarget"])
        return target if target.startswith("/") else os.path.join(os.path.dirname(path), target)
    return path


def _keep_end(path: str, made: str) -> str:
    """`made` with the slash or dot that `path` ended with."""
    if path.endswith("/.") or path == ".":
        return os.path.join(made, ".")
    return made + "/" if path.endswith("/") and not made.endswith("/") else made


# ---------------------------------------------------------------- out of a container


def _copy_from(cli: Cli, options: Options, container: str, source: str, target: str) -> int:
    if options.flag("follow-link"):
        source = _keep_end(source, _resolved(cli, container, source.rstrip("/") or "/"))
    with cli.client.call("GET", container_path(container, "archive"), {"path": source}) as response:
        if target == "-":
            from scow.cli.streams import write_all

            for piece in response.iterate():
                write_all(1, piece)
            return 0
        found = _decode(response)
        meter = Meter("Copying from container")
        reader = _Reader(response.iterate() if _quiet(options) else meter.watch(response.iterate()))
        name = str(found.get("name") or "").rstrip("/") or os.path.basename(source.rstrip("/"))
        is_dir = bool(found.get("mode", 0) & _GO_DIR)
        content_only = source.endswith("/.")
        root, rebase = _destination(target, name, is_dir, content_only)
        with meter, tarfile.open(fileobj=reader, mode="r|", errorlevel=0) as archive:  # type: ignore[call-overload]
            extract(archive, root, rebase)
        _report(options, reader.total, os.path.abspath(target) if not target.startswith("/") else target)
    return 0


def _destination(target: str, name: str, is_dir: bool, content_only: bool) -> tuple[str, str | None]:
    """(existing folder, name that the archive's first element gets there; None leaves its content in the folder). Raises ScowError."""
    if os.path.isdir(target):
        return target, (None if content_only and is_dir else name)
    if os.path.lexists(target):
        if is_dir:
            raise ScowError(f"cannot copy directory to file: {target}")
        if target.endswith("/"):
            raise ScowError(f"not a directory: {target}")
        return os.path.dirname(os.path.abspath(target)), os.path.basename(target)
    if target.endswith("/") and not is_dir:
        raise ScowError(f"no such directory: {target}")
    folder = os.path.dirname(os.path.abspath(target.rstrip("/")))
    if not os.path.isdir(folder):
        raise ScowError(f'invalid output path: directory "{folder}" does not exist')
    if is_dir and content_only:
        os.mkdir(target)
        return target, None
    return folder, os.path.basename(target.rstrip("/"))


def _place(root: str, parts: list[str]) -> str:
    """The path of an element; refuses to go through links that leave the root. Raises ScowError."""
    path = os.path.join(root, *parts)
    parent = os.path.realpath(os.path.dirname(path)) if parts else os.path.realpath(root)
    base = os.path.realpath(root)
    if parent != base and not parent.startswith(base.rstrip("/") + "/"):
        raise ScowError(f"the archive would write outside of {root}: {'/'.join(parts)}")
    return path


def extract(archive: tarfile.TarFile, root: str, rebase: str | None) -> None:
    """Unpacks below `root`; the first path element is replaced by `rebase` (dropped for None; an archive of `.` has none). Files
    belong to the caller. Raises ScowError."""
    folders: list[tuple[str, tarfile.TarInfo]] = []
    skip = -1

    def parts_of(name: str) -> list[str]:
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if ".." in parts:
            raise ScowError(f"the archive holds a path that leaves its root: {name}")
        return ([] if rebase is None else [rebase]) + parts[skip:]

    for member in archive:
        if skip < 0:
            skip = 0 if member.name.strip("/") in ("", ".") else 1
        parts = parts_of(member.name)
        path = _place(root, parts)
        if parts:
            os.makedirs(os.path.dirname(path), exist_ok=True)
        if member.isdir():
            if os.path.islink(path) or (os.path.lexists(path) and not os.path.isdir(path)):
                raise ScowError(f"cannot overwrite non-directory {path} with a directory")
            os.makedirs(path, exist_ok=True)
            folders.append((path, member))
            continue
        if os.path.isdir(path) and not os.path.islink(path):
            raise ScowError(f"cannot overwrite directory {path} with a file")
        if os.path.lexists(path):
            os.unlink(path)
        if member.isreg():
            source: IO[bytes] | None = archive.extractfile(member)
            with open(path, "xb") as file:
                if source is not None:
                    shutil.copyfileobj(source, file, CHUNK)
        elif member.issym():
            os.symlink(member.linkname, path)
        elif member.islnk():
            os.link(_place(root, parts_of(member.linkname)), path, follow_symlinks=False)
        elif member.isfifo():
            os.mkfifo(path)
        elif member.isdev():
            os.mknod(path, (stat.S_IFCHR if member.ischr() else stat.S_IFBLK) | 0o600, os.makedev(member.devmajor, member.devminor))
        _dress(path, member)
    for path, member in reversed(folders):
        _dress(path, member)


def _dress(path: str, member: tarfile.TarInfo) -> None:
    if not member.issym():
        os.chmod(path, member.mode & 0o7777)
        os.utime(path, (member.mtime, member.mtime))


# ---------------------------------------------------------------- into a container


class _Pieces:
    """Collects what tarfile writes, for a generator to take away."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.total = 0

    def write(self, data: bytes) -> int:
        self.parts.append(bytes(data))
        self.total += len(data)
        return len(data)


def pack(path: str, name: str, counter: _Pieces) -> Iterator[bytes]:
    """A tar of `path` under `name`, in pieces."""
    archive = tarfile.open(fileobj=counter, mode="w|", format=tarfile.PAX_FORMAT, bufsize=CHUNK)  # type: ignore[call-overload]  # noqa: SIM115  # a generator keeps it
    entries = [(path, name)]
    while entries:
        source, label = entries.pop()
        info = archive.gettarinfo(source, label)
        if info is None:
            continue  # a socket
        if info.isreg():
            with open(source, "rb") as file:
                archive.addfile(info, file)
        else:
            archive.addfile(info)
        if info.isdir():
            entries += [
                (os.path.join(source, child), f"{label}/{child}" if label else child) for child in sorted(os.listdir(source), reverse=True)
            ]
        while counter.parts:
            yield counter.parts.pop(0)
    archive.close()
    while counter.parts:
        yield counter.parts.pop(0)


def _copy_to(cli: Cli, options: Options, source: str, container: str, target: str) -> int:
    if source != "-" and not os.path.lexists(source.rstrip("/") or "/"):
        raise ScowError(f"lstat {os.path.abspath(source.rstrip('/') or '/')}: no such file or directory")
    found = path_stat(cli, container, target)
    if found is not None and found.get("mode", 0) & _GO_LINK:
        link = str(found.get("linkTarget") or "")
        if link:
            target = link if link.startswith("/") else os.path.join(os.path.dirname(target.rstrip("/")), link)
            found = path_stat(cli, container, target)
    target_is_dir = bool(found and found.get("mode", 0) & _GO_DIR)
    params: dict[str, Any] = {"noOverwriteDirNonDir": "true", "copyUIDGID": options.flag("archive")}
    if source == "-":
        if found is None:
            raise ScowError(f'destination "{container}:{target}" must be a directory' if not target else f"no such directory: {target}")
        if not target_is_dir:
            raise ScowError(f'destination "{container}:{target}" must be a directory')
        cli.client.call("PUT", container_path(container, "archive"), {**params, "path": target}, _stdin()).read()
        return 0
    if options.flag("follow-link"):
        source = _keep_end(source, os.path.realpath(source))
    bare = source.rstrip("/") or "/"
    if source.endswith(("/", "/.")) and not os.path.isdir(bare):
        raise ScowError(f"lstat {source}: " + ("not a directory" if os.path.lexists(bare) else "no such file or directory"))
    if not os.path.lexists(bare):
        raise ScowError(f"lstat {os.path.abspath(bare)}: no such file or directory")
    is_dir = os.path.isdir(bare) and (not os.path.islink(bare) or source.endswith(("/", "/.")))
    content_only = source.endswith("/.") or source == "."
    if target_is_dir:
        folder = target
        name = "" if is_dir and content_only else os.path.basename(os.path.abspath(bare))
    elif found is not None:
        if is_dir:
            raise ScowError(f"cannot copy directory to file: {container}:{target}")
        if target.endswith("/"):
            raise ScowError(f"not a directory: {target}")
        folder, name = os.path.dirname(target) or "/", os.path.basename(target)
    else:
        if target.endswith("/") and not is_dir:
            raise ScowError(f"no such directory: {target}")
        clean = target.rstrip("/")
        folder, name = os.path.dirname(clean) or "/", os.path.basename(clean)
    counter = _Pieces()
    try:
        pieces = pack(os.path.join(bare, "") if is_dir else bare, name or ".", counter)
        with Meter("Copying to container") as meter:
            sent = pieces if _quiet(options) else meter.watch(pieces)
            cli.client.call("PUT", container_path(container, "archive"), {**params, "path": folder}, sent).read()
    except ApiError as exc:
        if exc.status == 404 and found is None and "No such container" not in exc.message:
            raise ScowError(f"Error response from daemon: {exc.message}") from None
        raise
    _report(options, counter.total, f"{container}:{target}")
    return 0


def _stdin() -> Iterator[bytes]:
    while data := os.read(0, CHUNK):
        yield data


def _report(options: Options, size: int, where: str) -> None:
    if not _quiet(options):
        sys.stderr.write(f"Successfully copied {human_size(size, 3)} to {where}\n")


def run(cli: Cli, options: Options, args: list[str]) -> int:
    """Copies one way or the other."""
    source, target = args
    if not source:
        raise ScowError("source can not be empty")
    if not target:
        raise ScowError("destination can not be empty")
    source_container, source_path = split_spec(source)
    target_container, target_path = split_spec(target)
    if source_container and target_container:
        raise ScowError("copying between containers is not supported")
    if source_container:
        if target == "-" and is_terminal(1):
            raise ScowError("cowardly refusing to write an archive to a terminal: redirect the output")
        return _copy_from(cli, options, source_container, source_path or "/", target_path)
    if target_container:
        return _copy_to(cli, options, source_path, target_container, target_path or "/")
    raise ScowError("must specify at least one container source")


def _quiet(options: Options) -> bool:
    """Whether to say nothing of what was copied: as asked, else where nobody looks."""
    return options.flag("quiet") if options.given("quiet") else not is_terminal(1)


CP = Command(
    " [OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n\tscow cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
    "Copy files/folders between a container and the local filesystem",
    (
        ("archive", "a", "bool", False, "Keep owners and modes"),
        ("follow-link", "L", "bool", False, "Follow a link that the source is"),
        ("quiet", "q", "bool", False, "Don't say what was copied"),
    ),
    run,
    2,
    2,
)
