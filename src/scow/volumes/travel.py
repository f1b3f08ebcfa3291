"""`volume export` and `import`: the files of a volume as a tar stream, and back. The archive helpers do it below a chroot, so nothing in
an archive leads out of the volume. Nothing is stored. Called by the API.
"""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterable
from typing import Any

from scow import aio, ids
from scow.archive.workers import Root, Workers
from scow.errors import ScowError
from scow.volumes.local import tree_size
from scow.volumes.service import VolumeService


class VolumeTravel:
    """Volumes to and from archives."""

    def __init__(self, volumes: VolumeService, workers: Workers) -> None:
        self._volumes = volumes
        self._workers = workers

    async def size(self, name: str) -> int:
        """About how many bytes `export` will give. Raises NotFound, MountFailed."""
        user = ids.new_id()
        place = await self._volumes.mount(name, user)
        try:
            return await aio.in_pool(tree_size, place)
        finally:
            await self._volumes.unmount(name, user)

    async def export(self, name: str) -> AsyncGenerator[bytes, None]:
        """The files of a volume, owners, modes, times, links and attributes included, as tar; in use or not. The top is `.`.

        Raises NotFound before the first piece, MountFailed where the volume cannot be had.
        """
        user = ids.new_id()
        place = await self._volumes.mount(name, user)
        try:
            pieces = self._workers.pack(Root(place), "/", rebase=".")
            try:
                async for piece in pieces:
                    yield piece
            finally:
                await pieces.aclose()
        finally:
            await self._volumes.unmount(name, user)

    async def import_(self, name: str, chunks: AsyncIterable[bytes]) -> dict[str, Any]:
        """Unpack a tar (plain, gzip, bzip2, xz, zstd) into a volume, made where there is none: what is there and not in the archive stays.

        The volume's view. Raises InvalidArgument for a bad archive: a volume that was there has what came before the damage, one
        that was made for the archive goes with it.
        """
        there = self._volumes.known(name)
        volume = await self._volumes.ensure(name)
        user = ids.new_id()
        place = await self._volumes.mount(volume.name, user)
        unpacked = False
        try:
            await self._workers.unpack(Root(place), chunks)
            unpacked = True
        finally:
            await self._volumes.unmount(volume.name, user)
            if not (unpacked or there):
                with contextlib.suppress(ScowError):  # somebody has taken it into use: it is theirs now
                    await self._volumes.remove(volume.name)
        return self._volumes.view(self._volumes.get(volume.name))
