"""Keeps the nft table equal to the rules: whole at boot and when networks change, by element when ports come and go."""

import asyncio
import re
from collections.abc import Iterable

from scow import aio, log
from scow.errors import Internal
from scow.kernel.nft import Nft, NftError, listing, program, run_program
from scow.network.firewall.render import (
    BridgeRule,
    PortRule,
    add_bridge,
    add_ports,
    delete_bridge,
    delete_ports,
    remove,
    render,
    user_table,
)

logger = log.get(__name__)
_DROPS = re.compile(r"hook forward priority [^;]*; policy drop;")


class Firewall:
    """The table `inet scow` of the daemon's network namespace. All changes go through one lock, in order."""

    def __init__(self, enabled: bool = True, user: bool = False) -> None:
        self._enabled = enabled
        self._user = user
        self._nft: Nft | None = None
        self._lock = asyncio.Lock()
        self._bridges: dict[str, BridgeRule] = {}
        self._ports: set[PortRule] = set()

    async def open(self, bridges: Iterable[BridgeRule], ports: Iterable[PortRule]) -> None:
        """Replace the table by what is stored.

        nft(8) does it this time: where tables of a newer nft make the library crash, only a child dies."""
        self._bridges = {bridge.link: bridge for bridge in bridges}
        self._ports = set(ports)
        if not self._enabled:
            return
        async with self._lock:
            try:
                if program() is not None:
                    await aio.in_pool(run_program, render(self._bridges.values(), self._ports))
                    self._nft = await aio.in_pool(Nft)
                else:
                    self._nft = await aio.in_pool(Nft)
                    await aio.in_pool(self._nft.run, render(self._bridges.values(), self._ports))
            except NftError as error:
                raise Internal(f"cannot set up the firewall table: {error}") from error
            await self._user_table()

    async def warn(self) -> None:
        """Log what of the host's own rules keeps containers from the world: an accept here overrules no drop there."""
        if self._enabled and _DROPS.search(await aio.in_pool(listing, "chain ip filter FORWARD")):
            logger.warning(
                "the host's firewall drops what it forwards (policy of FORWARD), containers' traffic included: "
                "accept it there, for instance with iptables -I FORWARD -i br-+ -j ACCEPT; iptables -I FORWARD -o br-+ -j ACCEPT"
            )

    async def repair(self) -> None:
        """Write the table anew, whatever others made of it."""
        async with self._lock:
            await self._replace()
            await self._user_table()

    async def _user_table(self) -> None:
        """Make the administrator's table where there is none; one that is there is never changed."""
        if self._user and self._nft is not None:
            try:
                await aio.in_pool(self._nft.run, user_table())
            except NftError as error:
                if "exists" not in str(error):
                    raise Internal(f"cannot make the table for published ports: {error}") from error

    async def add_bridge(self, bridge: BridgeRule) -> None:
        """Take a network into the table."""
        async with self._lock:
            self._bridges[bridge.link] = bridge
            await self._step(add_bridge(bridge))

    async def remove_bridge(self, link: str) -> None:
        """Drop a network from the table; absent is fine."""
        async with self._lock:
            if (bridge := self._bridges.pop(link, None)) is not None:
                await self._step(delete_bridge(bridge))

    async def _step(self, commands: str) -> None:
        """Change the table by elements; where the kernel has something else than thought, write it anew."""
        try:
            await self._run(commands)
        except Internal:
            await self._replace()

    async def add_ports(self, rules: Iterable[PortRule]) -> None:
        """Publish ports."""
        new = set(rules) - self._ports
        if not new:
            return
        async with self._lock:
            self._ports |= new
            await self._run(add_ports(new))

    async def remove_ports(self, rules: Iterable[PortRule]) -> None:
        """Withdraw ports; where the kernel has lost them, the table is written anew."""
        old = set(rules) & self._ports
        if not old:
            return
        async with self._lock:
            self._ports -= old
            await self._step(delete_ports(old))

    async def swap_ports(self, before: Iterable[PortRule], after: Iterable[PortRule]) -> None:
        """Withdraw ports and publish others in one transaction: nobody finds a port between."""
        old, new = set(before) & self._ports, set(after)
        async with self._lock:
            self._ports = (self._ports - old) | new
            await self._step(delete_ports(old - new) + add_ports(new - old))

    async def close(self, remove_table: bool) -> None:
        """Free the handle, and remove the table when asked."""
        async with self._lock:
            if remove_table and self._enabled:
                try:
                    await self._run(remove())
                except Internal:
                    logger.exception("cannot remove the firewall table")
            if self._nft is not None:
                self._nft.close()
                self._nft = None

    async def _replace(self) -> None:
        await self._run(render(self._bridges.values(), self._ports))

    async def _run(self, commands: str) -> None:
        if not self._enabled:
            return
        try:
            await aio.in_pool(self._nft.run if self._nft is not None else run_program, commands)
        except NftError as error:
            raise Internal(f"cannot change the firewall table: {error}") from error
