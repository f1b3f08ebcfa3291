"""The files a classic build may copy: a tar from the client, or something remote, unpacked into a directory of its own.

Stored below `<data>/build/contexts/<random>` while the build runs; `recover` removes what a crash left.
"""

import asyncio
import os
import secrets
import stat
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from scow import aio
from scow.archive.workers import ArchiveError, Root, Workers
from scow.errors import InvalidArgument
from scow.kernel import inroot
from scow.opts.ignore import Ignore

DOCKERFILE = "Dockerfile"
_DOCKERFILE_MAX = 4 << 20
_IGNORE_MAX = 1 << 20


class Context:
    """An unpacked context below `root`, and the text of its Dockerfile."""

    def __init__(self, root: Path, dockerfile: str, text: str) -> None:
        self.root = root
        self.dockerfile = dockerfile
        self.text = text


def read(root: Path, path: str) -> str | None:
    """The text of a Dockerfile in a context, None when there is none; links never lead out. Raises InvalidArgument when it is too large."""
    try:
        fd = inroot.open_fd(root, path, os.O_PATH)
    except OSError:
        return None
    try:
        found = os.fstat(fd)
    finally:
        os.close(fd)
    if not stat.S_ISREG(found.st_mode):
        return None
    if found.st_size > _DOCKERFILE_MAX:
        raise InvalidArgument(f"the Dockerfile ({path}) is larger than {_DOCKERFILE_MAX >> 20} MB")
    return inroot.read_text(root, path, _DOCKERFILE_MAX)


def locate(root: Path, wanted: str) -> tuple[str, str]:
    """(path, text) of the Dockerfile. Raises InvalidArgument when there is none or it would lie outside the context."""
    name = wanted or DOCKERFILE
    clean = os.path.normpath("/" + name).lstrip("/") if ".." not in name.split("/") else ""
    if not clean:
        raise InvalidArgument(f"failed to read dockerfile: forbidden path outside the build context: {name}")
    text = read(root, clean)
    if text is None and not wanted:
        lowered = read(root, DOCKERFILE.lower())
        if lowered is not None:
            return DOCKERFILE.lower(), lowered
    if text is None:
        raise InvalidArgument(
            f"failed to read dockerfile: open {clean}: no such file or directory: is it in the build context? (-f names it)"
        )
    if not text.strip():
        raise InvalidArgument(f"the Dockerfile ({clean}) cannot be empty")
    return clean, text


def _hide(root: Path, dockerfile: str) -> None:
    """Remove the Dockerfile and .dockerignore where the rules exclude them: they were sent for the builder's eyes only."""
    rules = inroot.read_text(root, ".dockerignore", _IGNORE_MAX)
    if rules is None:
        return
    ignore = Ignore.parse(rules)
    for name in (".dockerignore", dockerfile):
        if ignore.excludes(name):
            folder = inroot.open_fd(root, os.path.dirname(name) or ".", os.O_PATH | os.O_DIRECTORY)
            try:
                os.unlink(os.path.basename(name), dir_fd=folder)
            finally:
                os.close(folder)


class Contexts:
    """Makes and removes contexts."""

    def __init__(self, root: Path, workers: Workers) -> None:
        self._root = root
        self._workers = workers

    async def recover(self) -> None:
        """Remove what a crash left."""
        if await aio.in_pool(self._root.exists):
            for entry in await aio.in_pool(os.listdir, self._root):
                await self._remove(self._root / entry)

    async def _remove(self, path: Path) -> None:
        await asyncio.shield(self._workers.run({"job": "remove", "paths": [str(path)]}))

    @asynccontextmanager
    async def folder(self) -> AsyncIterator[Path]:
        """A new directory that goes away at the end."""
        path = self._root / secrets.token_hex(8)
        path.mkdir(parents=True, mode=0o700)
        try:
            yield path
        finally:
            await self._remove(path)

    async def unpack(self, folder: Path, chunks: AsyncIterable[bytes]) -> None:
        """Unpack a tar (gzip, bzip2, xz and zstd are seen by their first bytes). Raises InvalidArgument for what is none."""
        try:
            await self._workers.unpack(Root(folder), chunks, owner=(0, 0))
        except ArchiveError as error:
            raise InvalidArgument(f"the build context is no tar archive: {error.message}") from error

    async def finish(self, folder: Path, dockerfile: str) -> Context:
        """Read the Dockerfile of an unpacked context, hide what the rules exclude."""
        path, text = await aio.in_pool(locate, folder, dockerfile)
        await aio.in_pool(_hide, folder, path)
        return Context(folder, path, text)
