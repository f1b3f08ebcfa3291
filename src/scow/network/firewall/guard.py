"""What a container may send: frames with its own addresses only. Table `bridge scow`, a pure function of the attached interfaces.

The table `inet scow` sees what is routed; here is what stays on a bridge: forged senders, ARP and neighbour answers for others, router
advertisements. The rules never change; interfaces come and go as elements. A kernel without nft for bridges is logged, and goes without.
"""

import asyncio
import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scow import aio, log
from scow.kernel.nft import Nft, NftError, program, run_program
from scow.network.osl import Interface

logger = log.get(__name__)

TABLE = "bridge scow"
_SETS = {
    "ports": "type ifname",
    "macs": "type ifname . ether_addr",
    "four": "type ifname . ipv4_addr",
    "six": "type ifname . ipv6_addr",
    # the target of a neighbour advertisement, which older nft has no name for
    "targets": "typeof iifname . @nh,384,128",
}
_RULES = (
    "iifname != @ports accept",
    "iifname . ether saddr != @macs drop",
    "ether type arp iifname . arp saddr ether != @macs drop",
    "ether type arp arp saddr ip != 0.0.0.0 iifname . arp saddr ip != @four drop",
    "ether type ip ip saddr != 0.0.0.0 iifname . ip saddr != @four drop",
    "icmpv6 type { nd-router-advert, nd-redirect } drop",
    "icmpv6 type nd-neighbor-advert iifname . @nh,384,128 != @targets drop",
    "ether type ip6 ip6 saddr != :: iifname . ip6 saddr != @six drop",
)


@dataclass(frozen=True, slots=True, order=True)
class Guard:
    """The host end of an interface, and what its container may call itself."""

    link: str
    mac: str
    addresses: tuple[str, ...]

    @classmethod
    def of(cls, interface: Interface) -> "Guard":
        """That of a container's interface; the link-local address that follows from its MAC address belongs to it."""
        return cls(interface.outer, interface.mac, (*(address for address, _ in interface.addresses), link_local(interface.mac)))


def link_local(mac: str) -> str:
    """The IPv6 address that the kernel makes of a MAC address."""
    octets = bytearray.fromhex(mac.replace(":", ""))
    octets[0] ^= 2
    return str(ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + bytes(octets[:3]) + b"\xff\xfe" + bytes(octets[3:])))


def _elements(guards: Iterable[Guard]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {name: [] for name in _SETS}
    for guard in sorted(guards):
        link = f'"{guard.link}"'
        found["ports"].append(link)
        found["macs"].append(f"{link} . {guard.mac}")
        for text in sorted(set(guard.addresses)):
            address = ipaddress.ip_address(text)
            found["four" if address.version == 4 else "six"].append(f"{link} . {address}")
            if address.version == 6:
                found["targets"].append(f"{link} . {int(address):#034x}")
    return found


def change(verb: str, guards: Iterable[Guard]) -> str:
    """Commands that add or delete the elements of interfaces."""
    return "".join(f"{verb} element {TABLE} {name} {{ {', '.join(found)} }}\n" for name, found in _elements(guards).items() if found)


def render(guards: Iterable[Guard]) -> str:
    """The table, replacing an earlier one in the same transaction."""
    lines = [f"table {TABLE} {{ }}", f"delete table {TABLE}", f"table {TABLE} {{"]
    for name, found in _elements(guards).items():
        elements: Sequence[str] = [f"    elements = {{ {', '.join(found)} }}"] if found else []
        lines += [f"  set {name} {{", f"    {_SETS[name]}", *elements, "  }"]
    lines += [
        "  chain sent {",
        "    type filter hook prerouting priority -300; policy accept;",
        *(f"    {rule}" for rule in _RULES),
        "  }",
        "}",
    ]
    return "\n".join([*lines, ""])


class Guards:
    """The table of the daemon's network namespace. Changes go through one lock, in order; none of them raises."""

    def __init__(self, enabled: bool = True) -> None:
        self._enabled = enabled
        self._nft: Nft | None = None
        self._lock = asyncio.Lock()
        self._guards: dict[str, Guard] = {}

    async def open(self, guards: Iterable[Guard]) -> None:
        """Replace the table by what is stored. A child does it, as in `nftables.Firewall.open`."""
        self._guards = {guard.link: guard for guard in guards}
        if not self._enabled:
            return
        async with self._lock:
            try:
                if program() is not None:
                    await aio.in_pool(run_program, render(self._guards.values()))
                    self._nft = await aio.in_pool(Nft)
                else:
                    self._nft = await aio.in_pool(Nft)
                    await aio.in_pool(self._nft.run, render(self._guards.values()))
            except NftError as error:
                self._enabled = False
                logger.warning("containers can send under others' addresses on their own networks: no nft table for bridges: %s", error)

    async def add(self, guards: Iterable[Guard]) -> None:
        """Interfaces have come, or have other addresses."""
        new = [guard for guard in guards if self._guards.get(guard.link) != guard]
        if new:
            async with self._lock:
                old = [self._guards[guard.link] for guard in new if guard.link in self._guards]
                self._guards |= {guard.link: guard for guard in new}
                await self._run(change("delete", old) + change("add", new))

    async def remove(self, links: Iterable[str]) -> None:
        """Interfaces have gone; absent is fine."""
        async with self._lock:
            old = [guard for link in links if (guard := self._guards.pop(link, None)) is not None]
            if old:
                await self._run(change("delete", old))

    async def repair(self) -> None:
        """Write the table anew, whatever others made of it."""
        async with self._lock:
            await self._run("")

    async def close(self, remove_table: bool) -> None:
        """Free the handle, and remove the table when asked."""
        async with self._lock:
            if remove_table and self._enabled and self._nft is not None:
                try:
                    await aio.in_pool(self._nft.run, f"table {TABLE} {{ }}\ndelete table {TABLE}\n")
                except NftError:
                    logger.exception("cannot remove the table for bridges")
            if self._nft is not None:
                self._nft.close()
                self._nft = None

    async def _run(self, commands: str) -> None:
        """Change the table by elements; where the kernel has something else than thought (or for ""), write it anew."""
        if not self._enabled or self._nft is None:
            return
        try:
            if commands:
                await aio.in_pool(self._nft.run, commands)
                return
        except NftError:
            logger.info("the table for bridges is not what it was: it is written anew")
        try:
            await aio.in_pool(self._nft.run, render(self._guards.values()))
        except NftError as error:
            logger.error("the table for bridges cannot be written: %s", error)
