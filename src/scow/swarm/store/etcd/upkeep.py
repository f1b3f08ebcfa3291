"""What a member's database needs now and then: its free pages given back to the disk, and a copy of it for bad days.

The copy lies beside the data (`<data>/swarm/etcd.backup`) and is replaced as a whole; `etcdctl snapshot restore` reads it.
"""

import contextlib
import os
import random
from pathlib import Path

from scow import log
from scow.aio import in_pool
from scow.errors import ScowError
from scow.swarm.clock import Clock
from scow.swarm.store.etcd.client import Client

logger = log.get(__name__)

_SECONDS = 3600.0
_WORTH_BYTES = 64 << 20


async def upkeep(client: Client, clock: Clock, backup: Path) -> None:
    """Hourly, at no two managers at the same time, for ever."""
    while True:
        await clock.sleep(_SECONDS * (0.5 + random.random()))
        try:
            await save(client, backup)
            health = await client.health()
            if health.size > _WORTH_BYTES and health.size > 2 * health.used:
                await client.defragment()
        except (ScowError, OSError) as error:
            logger.warning("upkeep of etcd's database failed: %s", error)


async def save(client: Client, backup: Path) -> None:
    """Write a copy of the database. Raises EtcdError, OSError."""
    part = backup.with_suffix(".part")
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            async for piece in client.snapshot():
                await in_pool(file.write, piece)
            await in_pool(os.fsync, file.fileno())
        part.replace(backup)
    finally:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()
