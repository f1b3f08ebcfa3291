"""The published ports of containers: held, translated by the firewall, or relayed from one kind of address to the other."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from scow import aio, log
from scow.kernel.conntrack import forget_udp
from scow.network.endpoint import Published
from scow.network.firewall.nftables import Firewall
from scow.network.firewall.render import PortRule
from scow.network.ports.allocator import PortAllocator, PortTaken, Wish
from scow.network.ports.relay import TcpRelay, UdpRelay

logger = log.get(__name__)
_IPV6_OFF = Path("/proc/sys/net/ipv6/conf/all/disable_ipv6")


def default_hosts(policy: str = "open", six: bool = False) -> tuple[str, ...]:
    """Where a port without an address is published under a publish policy; `six` = the container has an IPv6 address of its own."""
    try:
        has_six = _IPV6_OFF.read_text().strip() == "0"
    except OSError:
        has_six = False
    if policy == "loopback":
        return ("127.0.0.1", "::1") if has_six else ("127.0.0.1",)
    # a relay would pass by the chain of the policy `user`
    return ("0.0.0.0", "::") if has_six and (policy != "user" or six) else ("0.0.0.0",)


class PortMapper:
    """`hold` first (finds every conflict, changes nothing outside), then `open`; `close` undoes both."""

    def __init__(self, firewall: Firewall) -> None:
        self._firewall = firewall
        self._allocator = PortAllocator()
        self._relays: dict[Published, TcpRelay | UdpRelay] = {}

    def mesh(self, wanted: Collection[tuple[str, int]]) -> set[tuple[str, int]]:
        """See PortAllocator."""
        return self._allocator.mesh(wanted)

    def hold(
        self,
        wishes: Sequence[Wish],
        address: str,
        address6: str = "",
        sources: Mapping[str, tuple[str, ...]] | None = None,
        routed: Collection[int] = (),
    ) -> tuple[Published, ...]:
        """Take host ports for the wishes, all or none; they lead to the address of their host address's kind, else to the other.
        `sources` by `80/tcp`, "" = those of all other ports; `routed`: the kinds (4, 6) whose containers are reached under their own
        addresses, which needs no host port. Raises PortTaken."""
        limits = sources or {}
        taken: list[Published] = []
        try:
            for wish in wishes:
                hosts = tuple(host for host in wish.hosts if (6 if ":" in host else 4) not in routed)
                number = self._allocator.take(replace(wish, hosts=hosts), address or address6) if hosts else 0
                allowed = limits.get(f"{wish.port}/{wish.proto}", limits.get("", ()))
                for host in wish.hosts:
                    target = (address6 or address) if ":" in host else (address or address6)
                    if host not in hosts:
                        taken.append(Published(wish.proto, host, 0, wish.port, target, allowed))
                        continue
                    taken.append(Published(wish.proto, host, number, wish.port, target, allowed))
        except BaseException:
            self.unhold(taken)
            raise
        return tuple(sorted(taken, key=lambda one: (one.port, one.proto, ":" in one.host_ip, one.host_ip, one.host_port)))

    def unhold(self, published: Iterable[Published]) -> None:
        """Let ports go that were not opened."""
        for one in _of_the_host(published):
            self._allocator.free(one.proto, one.host_ip, one.host_port)

    def rehold(self, published: Iterable[Published]) -> None:
        """Take ports that are a container's already (after a restart, or under a new address); one that is lost is logged."""
        for one in _of_the_host(published):
            try:
                self._allocator.take(Wish(one.port, one.proto, (one.host_ip,), one.host_port, one.host_port), one.address)
            except PortTaken as error:
                logger.warning("a published port is held by somebody else: %s", error.message)

    async def open(self, published: Iterable[Published], rules: bool = True) -> None:
        """Let traffic through; `rules=False` when the firewall has the ports already."""
        every = list(published)
        if rules:
            await self._firewall.add_ports(rules_of(every))
            await _forget(every)
        for one in every:
            held = self._allocator.socket(one.proto, one.host_ip, one.host_port) if one.relayed else None
            if held is not None:
                relay = (TcpRelay if one.proto == "tcp" else UdpRelay)(held, one.address, one.port, one.sources)
                self._relays[one] = relay
                await relay.start()

    async def move(self, moved: Sequence[tuple[Published, Published]]) -> None:
        """Let ports lead elsewhere, (before, after), in one step of the firewall; connections that are open stay where they are."""
        before, after = [one for one, _ in moved], [one for _, one in moved]
        await self._firewall.swap_ports(rules_of(before), rules_of(after))
        await _forget(before)
        for old, new in moved:
            if (relay := self._relays.pop(old, None)) is not None:
                relay.lead_to(new.address, new.port)
                self._relays[new] = relay

    async def close(self, published: Iterable[Published]) -> None:
        """Withdraw ports; they are free when this returns."""
        every = list(published)
        for one in every:
            if (relay := self._relays.pop(one, None)) is not None:
                relay.close()
        await self._firewall.remove_ports(rules_of(every))
        await _forget(every)
        self.unhold(every)

    async def shutdown(self) -> None:
        """End the relays and holds of this process; the firewall keeps translating for the containers that go on."""
        for relay in self._relays.values():
            relay.close()
        self._relays.clear()
        await asyncio.sleep(0)


async def _forget(published: Iterable[Published]) -> None:
    """Datagrams of a sender that goes on would follow the old translation for as long as it does."""
    ports = {one.host_port for one in _of_the_host(published) if one.proto == "udp" and one.rule is not None}
    if ports:
        await aio.in_pool(forget_udp, ports)


def _of_the_host(published: Iterable[Published]) -> list[Published]:
    return [one for one in published if not one.direct]


def rules_of(published: Iterable[Published]) -> list[PortRule]:
    """The firewall's part of published ports."""
    return [rule for one in published if (rule := one.rule) is not None]
