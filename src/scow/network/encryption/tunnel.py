"""The tunnel of this host: keys, links, the way into them, and the other hosts at their ends.

While a key is exchanged there are two links, each with an address of its own; what comes in by either is taken, what goes out leaves by
that of the first key. So no packet is lost: before a node uses its new key all others know it, and the old one lives on for as long.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from scow import log
from scow.aio import Supervisor, in_pool
from scow.errors import Internal, ScowError, Unsupported
from scow.kernel.netlink import Netlink
from scow.kernel.nft import NftError, run_program
from scow.kernel.wireguard import WireGuardPeer
from scow.network import osl
from scow.network.encryption import devices, rules
from scow.network.encryption.devices import Devices
from scow.network.encryption.keys import PREFIX, Key, KeyFile, advanced, is_link, new_key

logger = log.get(__name__)

PORT = 51820
"""The UDP port of WireGuard; a key's successor uses the next one, then they take turns."""
LINK_MTU = 1420
"""What is left of an Ethernet's 1500 bytes: 40 of IPv6, 8 of UDP, 32 of WireGuard."""
_CHECK_SECONDS = 5.0
_ABLE_NS = 60 * 1_000_000_000

Rows = tuple[dict[str, Any], ...]
Tell = Callable[[Rows], Awaitable[None]]


class Links:
    """What the kernel has of the tunnel besides WireGuard itself: addresses, the route, the firewall. Synchronous."""

    def guard(self, port: int) -> None:
        """Packets to UDP port `port` come through the tunnel only, from now on. Raises NftError."""
        run_program(rules.text(port))

    def unguard(self) -> None:
        """End of `guard`. Raises NftError."""
        run_program(rules.none())

    def up(self, name: str, address: str, mtu: int) -> None:
        """Give a link its address and bring it up. Raises OSError."""
        with Netlink() as netlink:
            link = netlink.link(name)
            if link is None:
                raise OSError(19, "it has gone")
            osl.sysctl(f"ipv6/conf/{name}/disable_ipv6", "0")
            osl.sysctl(f"ipv6/conf/{name}/addr_gen_mode", "1")
            if link.mtu != mtu:
                netlink.set_link(link.index, mtu=mtu)
            if not link.up:
                netlink.set_link(link.index, up=True)
            netlink.add_address(link.index, address, 128)

    def route(self, name: str, address: str) -> None:
        """Let everything for the tunnel leave by this link. Raises OSError."""
        with Netlink() as netlink:
            link = netlink.link(name)
            if link is None:
                raise OSError(19, "it has gone")
            netlink.set_route(PREFIX, link.index, address)

    def names(self) -> set[str]:
        """The links of keys that are there."""
        with Netlink() as netlink:
            return {link.name for link in netlink.links() if is_link(link.name)}


class Tunnel:
    """Of one daemon. Nothing is done before `ensure`, but that keys are there where this host can encrypt."""

    def __init__(
        self,
        folder: Path,
        port: int = PORT,
        links: Links | None = None,
        choose: Callable[[Path, Callable[[], None]], Devices] = devices.choose,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """`folder`: `<run>/encryption`; `port`: the first of two UDP ports."""
        self._folder = folder
        self._ports = (port, port + 1)
        self._links = links or Links()
        self._choose = choose
        self._now_ns = now_ns
        self._file = KeyFile(folder)
        self._keys: tuple[Key, ...] = ()
        self._devices: Devices | None = None
        self._known_ns = 0  # since when the swarm knows the keys as they are
        self._wanted: dict[bytes, WireGuardPeer] = {}
        self._applied: dict[str, dict[bytes, WireGuardPeer]] = {}  # link → its peers
        self._routed = ""
        self._guarded = 0
        self._in_use = 0  # the port of VXLAN packets, 0 = no encrypted network is here
        self._mtu = LINK_MTU
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self._supervisor = Supervisor("encryption")
        self._tell: Tell | None = None
        self._tried_ns = 0

    # --- keys

    @property
    def able(self) -> bool:
        """Whether this host can encrypt."""
        return bool(self._keys)

    @property
    def rows(self) -> Rows:
        """What the swarm is to know of this host: its public keys with their ports, the one in use first."""
        return tuple(one.row for one in self._keys)

    async def begin(self, tell: Tell) -> None:
        """The node is in a swarm: have keys where this host can encrypt; from now on the swarm is told of them by `tell`. Again is fine."""
        async with self._lock:
            if self._tell is not None:
                return
            self._tell = tell
            with contextlib.suppress(ScowError):
                await self._have_keys()
        self._supervisor.start(self._live(), "keys")

    async def _have_keys(self) -> None:
        """Raises Unsupported where this host cannot encrypt, Internal."""
        self._tried_ns = self._now_ns()
        if self._devices is None:
            self._devices = await in_pool(self._choose, self._folder, self._wake.set)
        if self._keys:
            return
        kept = await in_pool(self._file.read)
        if not kept or any(one.port not in self._ports for one in kept):
            kept = (new_key(self._ports[0], self._now_ns()),)
            await self._keep(kept)
        self._keys = kept

    async def _keep(self, keys: Sequence[Key]) -> None:
        try:
            await in_pool(self._file.write, keys)
        except OSError as error:
            raise Internal(f"keys of encrypted networks cannot be kept in {self._folder}: {error.strerror}") from None

    def known(self, rows: Sequence[Any]) -> None:
        """The swarm knows these keys of this host."""
        same = bool(self._keys) and [dict(row) for row in rows] == list(self.rows)
        if not same:
            self._known_ns = 0
            self._wake.set()
        elif not self._known_ns:
            self._known_ns = self._now_ns()

    # --- the tunnel

    async def ensure(self, port: int, mtu: int = 0) -> None:
        """An encrypted network is here, its VXLAN packets go to UDP port `port`: have the tunnel. Raises Unsupported, Internal."""
        async with self._lock:
            self._in_use = port
            self._mtu = max(self._mtu, mtu)
            await self._have_keys()
            await self._program()

    async def lead(self, peers: Collection[WireGuardPeer], in_use: bool) -> None:
        """Let the tunnel end at exactly these hosts; without an encrypted network it goes. What fails is tried again."""
        async with self._lock:
            self._wanted = {one.public: one for one in peers}
            if not in_use:
                await self._rest()
            elif self._in_use and self._keys:
                try:
                    await self._program()
                except ScowError as error:
                    logger.error("encrypted networks lead nowhere now: %s", error.message)

    async def mend(self) -> None:
        """Others have changed the kernel's networks: all is set anew."""
        async with self._lock:
            self._applied.clear()
            self._routed, self._guarded = "", 0
            if self._in_use and self._keys:
                await self._program()

    async def _program(self) -> None:
        """Make the kernel equal to keys and peers; what is so already costs little."""
        assert self._devices is not None
        try:
            if self._guarded != self._in_use:
                await in_pool(self._links.guard, self._in_use)
                self._guarded = self._in_use
            for key in self._keys:
                if await self._devices.ensure(key.link, key.private, key.port, self._mtu):
                    self._applied.pop(key.link, None)
                    self._routed = ""
                if key.link not in self._applied or self._routed != self._keys[0].link:
                    await in_pool(self._links.up, key.link, key.address, self._mtu)
            for name in await in_pool(self._links.names) - {key.link for key in self._keys}:
                await self._devices.remove(name)
                self._applied.pop(name, None)
            first = self._keys[0]
            if self._routed != first.link:
                await in_pool(self._links.route, first.link, first.address)
                self._routed = first.link
        except NftError as error:
            raise Unsupported(f"encrypted overlay networks need nftables: {error}") from None
        except OSError as error:
            raise Internal(f"the tunnel of encrypted networks cannot be set up: {error.strerror}") from None
        for key in self._keys:
            await self._peers(key.link)

    async def _peers(self, name: str) -> None:
        assert self._devices is not None
        before = self._applied.get(name)
        if before == self._wanted:
            return
        there = set(before) if before is not None else await self._devices.peers(name)
        fresh = [one for public, one in self._wanted.items() if before is None or before.get(public) != one]
        await self._devices.change_peers(name, fresh, sorted(there - set(self._wanted)))
        self._applied[name] = dict(self._wanted)

    async def _rest(self) -> None:
        """No encrypted network is here any more: links go, keys stay."""
        before, self._in_use = self._in_use, 0
        if self._devices is None or (not before and not self._applied):
            return
        with contextlib.suppress(OSError):
            for name in await in_pool(self._links.names):
                await self._devices.remove(name)
        with contextlib.suppress(NftError):
            await in_pool(self._links.unguard)
        self._applied.clear()
        self._routed, self._guarded = "", 0
        self._mtu = LINK_MTU

    # --- as time goes by

    async def _live(self) -> None:
        while True:
            try:
                await self.tick()
            except ScowError as error:
                logger.info("the tunnel of encrypted networks waits: %s", error.message)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CHECK_SECONDS):
                    await self._wake.wait()
                    await asyncio.sleep(0.1)  # a program that ends at once must not be started in a circle without a pause
            self._wake.clear()

    async def tick(self) -> None:
        """Look after links, take a due step of a rotation, tell the swarm what it does not know. Raises ScowError."""
        async with self._lock:
            if not self._keys and self._now_ns() - self._tried_ns > _ABLE_NS:
                with contextlib.suppress(ScowError):
                    await self._have_keys()  # somebody may have installed what was missing
            if self._in_use and self._keys:
                await self._rotate()
                await self._program()
        if self._keys and not self._known_ns and self._tell is not None:
            await self._tell(self.rows)

    async def _rotate(self) -> None:
        keys = advanced(self._keys, self._now_ns(), self._known_ns, self._ports, new_key)
        if keys != self._keys:
            await self._keep(keys)
            if len(keys) == 1:
                step = "the old one is gone"
            else:
                step = "a new one is told" if keys[0] == self._keys[0] else "the new one is used"
            logger.info("keys of encrypted networks: %s", step)
            self._keys, self._known_ns = keys, 0

    async def close(self) -> None:
        """The daemon stops; the tunnel stays."""
        await self._supervisor.close()
        if self._devices is not None:
            await self._devices.close()

    async def forget(self) -> None:
        """The node has left its swarm: links, rules and keys go. Absent is fine."""
        await self._supervisor.close()
        async with self._lock:
            self._tell = None
            self._wanted = {}
            self._in_use = self._in_use or 1  # what an earlier daemon has left goes, too
            await self._rest()
            self._keys, self._known_ns = (), 0
            with contextlib.suppress(OSError):
                await in_pool(self._file.forget)
        self._supervisor = Supervisor("encryption")
