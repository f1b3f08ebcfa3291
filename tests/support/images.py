"""An image service on a directory of its own, and short ways to use it."""

import asyncio
import io
import os
import tarfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scow.archive.workers import Root
from scow.events import EventBus
from scow.images.service import ImageService
from scow.metadata import Database, References
from tests.support.tars import chunks, packed

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root (chroot, mounts)")


@asynccontextmanager
async def service(base: Path) -> AsyncIterator[ImageService]:
    """A service below `base`; what was there stays."""
    db = Database(base / "meta.db")
    images = ImageService(base, db, References(db), EventBus())
    try:
        await images.recover()
        yield images
    finally:
        await images.close()
        db.close()


def with_service(base: Path, use: Callable[[ImageService], Awaitable[Any]]) -> Any:
    """Run `use(service)` to its end."""

    async def main() -> Any:
        async with service(base) as images:
            return await use(images)

    return asyncio.run(main())


async def load(images: ImageService, files: dict[str, bytes] | bytes) -> list[str]:
    """Load an archive; the texts of its stream lines."""
    data = files if isinstance(files, bytes) else packed(files)
    return [line["stream"].strip() async for line in images.load(chunks(data), quiet=True)]


async def imported(images: ImageService, data: bytes, repo: str = "", **more: Any) -> str:
    """Import a tree; its id."""
    return [line["status"] async for line in images.import_(chunks(data), repo, **more)][-1]


async def joined(stream: AsyncIterator[bytes]) -> bytes:
    return b"".join([data async for data in stream])


@asynccontextmanager
async def mounted(images: ImageService, ref: str, target: Path, key: str = "c" * 64) -> AsyncIterator[Path]:
    """The root of a container of the image, mounted; removed at the end."""
    await images.prepare_rootfs(key, images.get(ref).id)
    await images.mount_rootfs(key, target)
    try:
        yield target
    finally:
        await images.unmount_rootfs(key, target)
        await images.remove_rootfs(key)


async def tree(images: ImageService, ref: str, target: Path) -> dict[str, Any]:
    """What a container of the image would see, without what the engine adds."""
    async with mounted(images, ref, target) as root:
        data = await joined(images.workers.pack(Root(root), "/", ""))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {
            member.name: SimpleNamespace(info=member, mode=member.mode, content=tar.extractfile(member).read() if member.isfile() else None)
            for member in tar.getmembers()
        }
