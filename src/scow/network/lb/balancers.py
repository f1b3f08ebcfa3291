"""Puts the tables of load balancing into the kernel: one per sandbox on overlay networks, one for the host. Each call makes the kernel
equal to what is wanted; what is so already costs nothing."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

from scow import aio, log
from scow.kernel.conntrack import forget_udp, forget_udp_to
from scow.kernel.nft import Nft, NftError
from scow.network import osl
from scow.network.lb import render
from scow.network.lb.render import Entry, Virtual

logger = log.get(__name__)


def _apply(ruleset: str) -> None:
    nft = Nft()
    try:
        nft.run(ruleset)
    finally:
        nft.close()


class Balancers:
    """Of one daemon. `sandboxes()` = namespaces (paths) by container id with the networks each is on; `hold` = see PortAllocator.mesh."""

    def __init__(
        self,
        sandboxes: Callable[[], Mapping[str, tuple[str, Sequence[str]]]],
        hold: Callable[[Collection[tuple[str, int]]], set[tuple[str, int]]],
    ) -> None:
        self._sandboxes = sandboxes
        self._hold = hold
        self.refused: set[tuple[str, int]] = set()  # (protocol, port) that should be published here and are a container's
        self._lock = asyncio.Lock()
        self._rows: Mapping[str, Sequence[Virtual]] = {}  # network → its virtual addresses
        self._there: dict[str, tuple[Virtual, ...]] = {}  # container → what its namespace has
        self._entries: tuple[Entry, ...] = ()
        self._host = ""

    async def set(self, rows: Mapping[str, Sequence[Virtual]]) -> None:
        """Balance these, by network, in all sandboxes."""
        self._rows = rows
        async with self._lock:
            known = self._sandboxes()
            for gone in set(self._there) - set(known):
                del self._there[gone]
            await asyncio.gather(*(self._fit(key) for key in known))

    async def fit(self, container_id: str, fresh: bool = True) -> None:
        """A sandbox has come, or has other networks. `fresh`: its namespace is new."""
        async with self._lock:
            if fresh:
                self._there.pop(container_id, None)
            await self._fit(container_id, fresh)

    async def _fit(self, container_id: str, fresh: bool = False) -> None:
        path, networks = self._sandboxes().get(container_id, ("", ()))
        wanted = tuple(sorted({row for id in networks for row in self._rows.get(id, ())}))
        before = self._there.get(container_id)
        if not path or (wanted == (before or ()) and (fresh or before is not None)):
            return
        try:
            await aio.in_pool(_inside, Path(path), render.virtual(wanted, not fresh), _dropped(before or (), wanted))
        except (NftError, OSError) as error:
            if self._sandboxes().get(container_id, ("",))[0] != path:
                return  # it has ended meanwhile
            logger.warning("services cannot be balanced in the network of %s: %s", container_id[:12], error)
            return
        self._there[container_id] = wanted

    async def mesh(self, entries: Iterable[Entry], ingress: str, links: Collection[str], anew: bool = False) -> None:
        """Publish these ports on the host; nothing at all without `links`. `anew`: whatever others made of the table."""
        asked = sorted(set(entries))
        self.refused = self._hold({(one.proto, one.port) for one in asked} if links else ())
        every = tuple(one for one in asked if (one.proto, one.port) not in self.refused)
        text = render.mesh(every, ingress, links) if links else ""
        async with self._lock:
            if text == self._host and not anew:
                return
            if not text and not self._host:
                return
            try:
                await aio.in_pool(_apply, text or render.no_mesh())
            except NftError as error:
                logger.error("published ports of services cannot be set: %s", error)
                return
            ports = {one.port for one in set(every) ^ set(self._entries) if one.proto == "udp"}
            self._host, self._entries = text, every
            if ports:
                await aio.in_pool(forget_udp, ports)


def _inside(pin: Path, ruleset: str, dropped: Collection[str]) -> None:
    def act() -> None:
        if ruleset:
            _apply(ruleset)
        if dropped:
            forget_udp_to(dropped)

    osl.visit(pin, act)


def _dropped(before: Iterable[Virtual], after: Iterable[Virtual]) -> set[str]:
    """Virtual addresses that have lost a task: datagrams would follow the way to it for as long as they come."""
    left = {one.address: one.tasks for one in after}
    return {one.address for one in before if set(one.tasks) - set(left.get(one.address, ()))}
