"""What a helper process can do with trees and archives: one function a job, which gets the job and its descriptors and gives the report.
`worker.py` calls them, by name."""

import contextlib
import errno
import itertools
import json
import os
import stat
import time
from collections.abc import Callable, Iterator

from scow.archive import streams, tar
from scow.archive.chroot import Job, Root
from scow.archive.pack import Packer, blocks, changes, stat_path, usage
from scow.archive.streams import Hasher, Source, write_all
from scow.archive.tar import Malformed
from scow.archive.unpack import Options, Unpacker, clean, remove_tree

_MAX_FILES = 20_000
_MAX_NAMES = 16 << 20
_BOMB_BYTES, _BOMB_RATIO = 8 << 30, 250
_FOLLOW_SECONDS = 0.002
_MAGIC_MAX = 6
_LARGE = 256 << 10
_NAME_TOLD = 500


def _lower_lookup(old_root: int, lowers: list[str]) -> Callable[[bytes], tuple[int, int, int] | None]:
    bases = [os.fsencode(lower).lstrip(b"/") for lower in lowers]

    def look(rel: bytes) -> tuple[int, int, int] | None:
        parts = rel.split(b"/")
        for base in bases:
            at = base
            for part in parts:
                at = at + b"/" + part
                try:
                    info = os.stat(at, dir_fd=old_root, follow_symlinks=False)
                except OSError:
                    break
                if not stat.S_ISDIR(info.st_mode):
                    return None
            else:
                return stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid
        return None

    return look


def _stored(fd: int, size: int) -> Iterator[bytes]:
    """The first `size` bytes of a file; behind them the next write goes."""
    left = size
    while left:
        data = os.read(fd, min(left, streams.CHUNK))
        if not data:
            raise Malformed("the stored beginning of the stream is gone")
        left -= len(data)
        yield data


def _followed(fd: int, size: int) -> Iterator[bytes]:
    """The `size` bytes of a file that another helper is still writing. Whoever ends that one ends this one, too."""
    head = b""
    left = size
    while left:
        data = os.read(fd, min(left, streams.CHUNK))
        if not data:
            time.sleep(_FOLLOW_SECONDS)
            continue
        left -= len(data)
        head += data
        if len(head) >= _MAGIC_MAX or not left:
            yield head
            head = b""


def _source(
    fd: int,
    watch: Callable[[bytes], None] | None = None,
    raw: Callable[[bytes], None] | None = None,
    read: Iterator[bytes] | None = None,
    beside: bool = False,
) -> tuple[Source, str]:
    """Plain bytes behind a descriptor (or of `read`), and how they were compressed. `raw` sees what is read, `watch` what comes out.

    `beside`: decompress on a thread, for a job that reads to the end or ends the process."""
    read = read if read is not None else streams.chunks(fd)
    first = next(read, b"")
    compression = streams.detect(first)
    streams.load(compression)
    came = len(first)

    def all_of_it() -> Iterator[bytes]:
        nonlocal came
        if raw and first:
            raw(first)
        if first:
            yield first
        for chunk in read:
            came += len(chunk)
            if raw:
                raw(chunk)
            yield chunk

    def bounded() -> Iterator[bytes]:
        made = 0
        for chunk in streams.decompress(all_of_it(), compression):
            made += len(chunk)
            if made > _BOMB_BYTES and made > came * _BOMB_RATIO:
                raise Malformed(f"the compressed data grows more than {_BOMB_RATIO}-fold, to more than {_BOMB_BYTES >> 30} GiB: a bomb")
            yield chunk

    if not compression:
        return Source(all_of_it(), watch), ""
    return Source(streams.ahead(bounded()) if beside else bounded(), watch), compression


def do_unpack(job: Job, fds: list[int]) -> Job:
    """fds: the stream, and (with `keep`) a file that gets its bytes as they came. Its first `have` bytes (six or more) are there.

    `follow`: the stream is a file of that size that is still written. `hash`: true, or "packed" for only when it is compressed."""
    plain = Hasher() if job.get("hash") else None
    raw = Hasher() if job.get("keep") else None

    def keep(chunk: bytes) -> None:
        assert raw is not None
        known = raw.size < have
        raw.update(chunk)
        if not known:
            write_all(fds[1], chunk)

    have = int(job.get("have") or 0) if raw else 0
    read: Iterator[bytes] | None = itertools.chain(_stored(fds[1], have), streams.chunks(fds[0])) if have else None
    if follow := int(job.get("follow") or 0):
        read = _followed(fds[0], follow)
    watch = plain.update if plain else None
    source, compression = _source(fds[0], watch, keep if raw else None, read, beside=True)
    if plain and job["hash"] == "packed" and not compression:
        plain.digest()
        plain = source.watch = None
    owner = job.get("owner")
    options = Options(bool(job.get("layer")), bool(job.get("base")), bool(job.get("strict_kind")), (owner[0], owner[1]) if owner else None)
    spent = False
    with Root(job) as root:
        spent = root.spent
        os.chdir(job.get("path") or "/")
        report = Unpacker(source, options).run()
    answer: Job = {
        "members": report.members,
        "content": report.content,
        "implicit": [os.fsdecode(path) for path in report.implicit],
        "marks": report.marks,
        "compression": compression,
        "once": spent,
    }
    if plain:
        answer["size"] = plain.size
        answer["digest"] = plain.digest()
    if raw:
        answer["raw_size"] = raw.size
        answer["raw_digest"] = raw.digest()
    return answer


def do_pack(job: Job, fds: list[int]) -> Job:
    """Pack `path` under the name `rebase` (default its own; "" = its children alone) into fds[0]. `follow`: a link at its end, too."""
    hasher = Hasher() if job.get("hash") else None
    out = fds[0]

    def sink(data: bytes) -> None:
        if hasher:
            hasher.update(data)
        write_all(out, data)

    with Root(job) as root:
        path = os.fsencode(job.get("path") or "/")
        if job.get("follow"):
            path = os.path.realpath(path)
        packer = Packer(sink, bool(job.get("layer")), job.get("clamp"))
        name = job.get("rebase")
        if name is None:
            name = os.fsdecode(os.path.basename(path.rstrip(b"/")))
        if name:
            packer.add(path, os.fsencode(name))
        else:
            os.lstat(path)
            packer.children(path, b"")
        packer.end()
    answer: Job = {"once": root.spent}
    if hasher:
        answer["size"] = hasher.size
        answer["digest"] = hasher.digest()
    return answer


def do_stat(job: Job, fds: list[int]) -> Job:
    """Describe `path`."""
    with Root(job) as root:
        return {"stat": stat_path(job["path"]), "once": root.spent}


def do_split(job: Job, fds: list[int]) -> Job:
    """Write every file of the archive in fds[0] into the directory fds[1], numbered; the report maps names to files, sizes and digests.

    fds[2] gets a line of JSON, [number, size, name], when a large file is begun."""
    source, _ = _source(fds[0])
    files: Job = {}
    links: Job = {}
    number = members = length = 0
    while (entry := tar.read_entry(source.take)) is not None:
        name = os.fsdecode(clean(entry.name))
        members += 1
        length += len(name) + len(entry.link)
        if members > _MAX_FILES or length > _MAX_NAMES:
            raise Malformed("the archive has too many members")
        if entry.type == tar.FILE:
            fd = os.open(str(number), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=fds[1])
            hasher = Hasher()
            if len(fds) > 2 and entry.size >= _LARGE and len(name) < _NAME_TOLD:
                with contextlib.suppress(BrokenPipeError):
                    write_all(fds[2], json.dumps([number, entry.size, name]).encode() + b"\n")

            def sink(piece: memoryview, fd: int = fd, hasher: Hasher = hasher) -> None:
                hasher.update(bytes(piece) if len(piece) != len(piece.obj) else piece.obj)  # type: ignore[arg-type]
                write_all(fd, piece)

            try:
                source.copy(entry.size, sink)
            finally:
                os.close(fd)
            source.pad(-entry.size % tar.BLOCK)
            files[name] = [number, entry.size, hasher.digest()]
            number += 1
        else:
            if entry.type in (tar.SYMLINK, tar.HARDLINK):
                links[name] = [entry.type == tar.SYMLINK, os.fsdecode(entry.link)]
            source.skip(-(-entry.size // tar.BLOCK) * tar.BLOCK)
    source.drain()
    return {"files": files, "links": links}


def do_join(job: Job, fds: list[int]) -> Job:
    """Write a tar of `members` ([name, size, mtime, {"data": text} | {"file": path, "compression": …} | {"dir": true}]) to fds[0]."""
    out = fds[0]
    for name, size, mtime, content in job["members"]:
        if content.get("dir"):
            write_all(out, tar.header(tar.Entry(os.fsencode(name) + b"/", tar.DIRECTORY, 0o755, mtime_ns=mtime)))
            continue
        write_all(out, tar.header(tar.Entry(os.fsencode(name), size=size, mtime_ns=mtime)))
        if (text := content.get("data")) is not None:
            write_all(out, text.encode() + tar.padding(size))
            continue
        fd = os.open(content["file"], os.O_RDONLY | os.O_CLOEXEC)
        try:
            if content.get("compression"):
                source, _ = _source(fd)
                source.copy(size, lambda piece: write_all(out, piece))
            else:
                left = size
                while left:
                    try:
                        sent = os.sendfile(out, fd, None, min(left, 1 << 20))
                    except OSError as error:
                        if error.errno not in (errno.EINVAL, errno.ENOSYS):
                            raise
                        data = os.read(fd, min(left, 1 << 20))
                        write_all(out, data)
                        sent = len(data)
                    if not sent:
                        raise Malformed(f"the stored file {content['file']} is shorter than it was")
                    left -= sent
        finally:
            os.close(fd)
        write_all(out, tar.padding(size))
    write_all(out, tar.END)
    return {}


def do_hash(job: Job, fds: list[int]) -> Job:
    """The digest of a file, as it is and decompressed."""
    source, compression = _source(fds[0], (plain := Hasher()).update, (raw := Hasher()).update)
    source.drain()
    return {"compression": compression, "size": plain.size, "digest": plain.digest(), "raw_size": raw.size, "raw_digest": raw.digest()}


def do_compress(job: Job, fds: list[int]) -> Job:
    """The plain bytes of the file fds[0] as gzip into fds[1]; the digest and size of that. The same bytes always give the same."""
    from isal import isal_zlib

    engine = isal_zlib.compressobj(1, wbits=31)  # 3 takes more than twice the time for 3 % less
    hasher = Hasher()

    def sink(data: bytes) -> None:
        if data:
            hasher.update(data)
            write_all(fds[1], data)

    source, _ = _source(fds[0], lambda chunk: sink(engine.compress(chunk)))
    source.drain()
    sink(engine.flush())
    return {"size": hasher.size, "digest": hasher.digest()}


def do_remove(job: Job, fds: list[int]) -> Job:
    """Remove trees; what one of them refuses is told when the others are gone."""
    failed: OSError | None = None
    for path in job["paths"]:
        try:
            remove_tree(os.fsencode(path))
        except OSError as error:
            failed = failed or error
    if failed is not None:
        raise failed
    return {}


def do_usage(job: Job, fds: list[int]) -> Job:
    """Bytes of the files below each path."""
    return {"usage": [usage(os.fsencode(path)) for path in job["paths"]]}


def do_blocks(job: Job, fds: list[int]) -> Job:
    """Bytes on disk below `path`."""
    return {"blocks": blocks(os.fsencode(job["path"]), int(job["levels"]))}


def do_adjust(job: Job, fds: list[int]) -> Job:
    """Give the directories `paths` below `root` the mode and owner that they have in `lowers` (the top one first), where they are there."""
    with Root(job) as root:
        look = _lower_lookup(root.old, job["lowers"])
        for name in job["paths"]:
            known = look(os.fsencode(name))
            if known is not None:
                mode, uid, gid = known
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
                    try:
                        os.fchown(fd, uid, gid)
                        os.fchmod(fd, mode)
                    finally:
                        os.close(fd)
    return {}


def do_changes(job: Job, fds: list[int]) -> Job:
    """What an upper layer changes in what lies below."""
    return {"changes": changes(os.fsencode(job["upper"]), [os.fsencode(lower) for lower in job["lowers"]])}


JOBS: dict[str, Callable[[Job, list[int]], Job]] = {
    "unpack": do_unpack,
    "pack": do_pack,
    "stat": do_stat,
    "split": do_split,
    "join": do_join,
    "hash": do_hash,
    "compress": do_compress,
    "remove": do_remove,
    "usage": do_usage,
    "adjust": do_adjust,
    "blocks": do_blocks,
    "changes": do_changes,
}
