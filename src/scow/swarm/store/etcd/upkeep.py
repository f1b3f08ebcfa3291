"""What the members' databases need now and then: copies for bad days, free pages given back to the disk, room when the quota is reached.

Each manager keeps copies of its own (`<data>/swarm/backups/etcd-<time>.db`, the newest few; docs/design/swarm.md says how one is restored).
The leader has the members tidied one after another, by the managers' doors (`managers.Managers.tidy`): a member answers nothing while it
defragments, so none begins before the others answer, and the leader hands over before its own turn.
"""

import contextlib
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from scow import log
from scow.aio import in_pool
from scow.errors import ScowError
from scow.swarm.clock import Clock
from scow.swarm.store.etcd.client import Client, EtcdError, Health

logger = log.get(__name__)

_LOOK_SECONDS = 10.0
_ROUND_SECONDS = 3600.0
_WORTH_BYTES = 64 << 20
_COPIES = 3
_MOST_COPIES = 50

Tidy = Callable[[bool], Awaitable[None]]


def worth(health: Health) -> bool:
    """Whether defragmenting gives much back."""
    return health.size > _WORTH_BYTES and health.size > 2 * health.used


async def tidy(client: Client, full: bool) -> None:
    """Defragment a member where that is worth it. `full`: the quota was reached; the past is forgotten first, and the alarm ends then.
    Raises EtcdError."""
    if full:
        await client.compact(await client.revision())
    health = await client.health()
    if full or worth(health):
        await client.defragment()
        after = await client.health()
        logger.info("etcd's database was defragmented: %d bytes, now %d", health.size, after.size)
        if full:
            await client.disarm(after.member)  # etcd sounds it again where there is still no room


async def rounds(client: Client, clock: Clock, everybody: Tidy) -> None:
    """The leader's part, for ever: `everybody(full)` has all members tidied, hourly, and at once when the quota is reached."""
    begun = clock.elapsed_ns() - int(_ROUND_SECONDS * 1e9)  # the leader before may have left its own turn to this one
    while True:
        await clock.sleep(_LOOK_SECONDS)
        try:
            full = (await client.health()).full
            if full or clock.elapsed_ns() - begun >= _ROUND_SECONDS * 1e9:
                begun = clock.elapsed_ns()
                await everybody(full)
        except ScowError as error:
            logger.warning("upkeep of etcd's database has to wait: %s", error)


async def backups(client: Client, clock: Clock, folder: Path, more: Callable[[], int]) -> None:
    """Every manager's part, for ever: a copy each hour in which something changed. `more()`: copies that are kept beyond the usual few."""
    saved = 0
    while True:
        try:
            revision = await client.revision()
            if revision != saved:
                await save(client, folder, _COPIES + more())
                saved = revision
        except (ScowError, OSError) as error:
            logger.warning("etcd's database could not be copied: %s", error)
        await clock.sleep(_ROUND_SECONDS)


async def save(client: Client, folder: Path, keep: int) -> Path:
    """Write a copy of the database and remove the oldest beyond `keep`. Raises EtcdError, OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = time.strftime("etcd-%Y%m%dT%H%M%S", time.gmtime()) + f".{time.time_ns() % 10**9:09}.db"
    part = folder / "copying"
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            async for piece in client.snapshot():
                await in_pool(file.write, piece)
            if not file.tell():
                raise EtcdError("etcd gave an empty copy")
            await in_pool(os.fsync, file.fileno())
        part.replace(folder / name)
    finally:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()
    for old in sorted(folder.glob("etcd-*.db"))[: -max(1, min(keep, _MOST_COPIES))]:
        old.unlink(missing_ok=True)
    return folder / name
