"""The tunnel with a fake kernel: keys, links, peers, rotation, leaving."""

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from scow.errors import Internal, Unsupported
from scow.kernel.wireguard import WireGuardPeer
from scow.network.encryption.devices import Devices
from scow.network.encryption.keys import LIFE_NS, OVERLAP_NS, address_of
from scow.network.encryption.tunnel import Links, Tunnel
from tests.support.asynchronous import on_loop


class World(Links):
    """Links, routes and rules of one host, and its WireGuard."""

    def __init__(self) -> None:
        self.links: dict[str, dict[bytes, WireGuardPeer]] = {}
        self.configured: dict[str, tuple[bytes, int]] = {}
        self.addresses: dict[str, str] = {}
        self.way = ("", "")
        self.guarded = 0
        self.trail: list[str] = []
        self.able = True
        self.now = 1
        self.told: list[tuple[dict[str, Any], ...]] = []

    # --- Links

    def guard(self, port: int) -> None:
        self.guarded = port
        self.trail.append("guard")

    def unguard(self) -> None:
        self.guarded = 0

    def up(self, name: str, address: str, mtu: int) -> None:
        self.addresses[name] = address

    def route(self, name: str, address: str) -> None:
        self.way = (name, address)

    def names(self) -> set[str]:
        return set(self.links)

    # --- Devices

    async def ensure(self, name: str, private: bytes, port: int, mtu: int) -> bool:
        self.trail.append("link")
        if name in self.links:
            return False
        if not self.able:
            raise Internal("no")
        self.links[name], self.configured[name] = {}, (private, port)
        return True

    async def peers(self, name: str) -> set[bytes]:
        return set(self.links[name])

    async def change_peers(self, name: str, wanted: Sequence[WireGuardPeer], gone: Collection[bytes]) -> None:
        for one in wanted:
            self.links[name][one.public] = one
        for public in gone:
            self.links[name].pop(public, None)

    async def remove(self, name: str) -> None:
        self.links.pop(name, None)

    async def close(self) -> None:
        pass

    def choose(self, folder: Path, ended: Callable[[], None]) -> Devices:
        if not self.able:
            raise Unsupported("encrypted overlay networks need WireGuard")
        return self

    async def tell(self, rows: tuple[dict[str, Any], ...]) -> None:
        self.told.append(rows)

    def tunnel(self, folder: Path) -> Tunnel:
        return Tunnel(folder, 51820, self, self.choose, lambda: self.now)


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[tuple[World, Tunnel]]:
    """A host with an encrypted network."""
    world = World()
    tunnel = world.tunnel(folder)
    await tunnel.ensure(4790)
    yield world, tunnel
    await tunnel.close()


def peer(number: int) -> WireGuardPeer:
    public = bytes([number]) * 32
    return WireGuardPeer(public, f"192.0.2.{number}", 51820, address_of(public))


@on_loop
async def test_the_firewall_comes_before_the_link_and_peers_follow_the_swarm(tmp_path: Path) -> None:
    async with serving(tmp_path) as (world, tunnel):
        assert world.trail[:2] == ["guard", "link"] and world.guarded == 4790
        (name,) = world.links
        assert world.way == (name, world.addresses[name])
        await tunnel.lead([peer(1), peer(2)], True)
        assert set(world.links[name]) == {peer(1).public, peer(2).public}
        await tunnel.lead([peer(2), peer(3)], True)
        assert set(world.links[name]) == {peer(2).public, peer(3).public}
        await tunnel.lead([], False)
        assert not world.links and not world.guarded and tunnel.able


@on_loop
async def test_a_link_that_has_gone_is_made_again_with_its_peers(tmp_path: Path) -> None:
    async with serving(tmp_path) as (world, tunnel):
        await tunnel.lead([peer(1)], True)
        (name,) = world.links
        world.links.clear()
        world.way = ("", "")
        await tunnel.tick()
        assert set(world.links[name]) == {peer(1).public} and world.way[0] == name


@on_loop
async def test_the_next_daemon_goes_on_with_the_same_keys_and_drops_other_peers(tmp_path: Path) -> None:
    world = World()
    first = world.tunnel(tmp_path)
    await first.ensure(4790)
    await first.lead([peer(1), peer(2)], True)
    rows = first.rows
    await first.close()
    second = world.tunnel(tmp_path)
    await second.ensure(4790)
    await second.lead([peer(2)], True)
    assert second.rows == rows and [set(peers) for peers in world.links.values()] == [{peer(2).public}]
    await second.close()


@on_loop
async def test_a_rotation_is_told_used_and_ended_in_steps(tmp_path: Path) -> None:
    async with serving(tmp_path) as (world, tunnel):
        await tunnel.lead([peer(1)], True)
        (old,) = tunnel.rows
        tunnel.known(tunnel.rows)
        world.now += LIFE_NS
        await tunnel.tick()
        assert len(tunnel.rows) == 2 and tunnel.rows[0] == old and tunnel.rows[1]["port"] == 51821
        assert len(world.links) == 2 and all(set(peers) == {peer(1).public} for peers in world.links.values())
        way = world.way
        world.now += 10 * OVERLAP_NS
        await tunnel.tick()
        assert tunnel.rows[0] == old  # nobody has said that the swarm knows the new one
        tunnel.known(tunnel.rows)
        world.now += OVERLAP_NS
        await tunnel.tick()
        assert tunnel.rows[1] == old and len(world.links) == 2
        assert world.way != way and world.way[1] == address_of(tunnel._keys[0].public)
        tunnel.known([old])  # an older state of the swarm
        world.now += OVERLAP_NS
        await tunnel.tick()
        assert len(tunnel.rows) == 2
        tunnel.known(tunnel.rows)
        world.now += OVERLAP_NS
        await tunnel.tick()
        assert [row["port"] for row in tunnel.rows] == [51821] and list(world.links) == [world.way[0]]


@on_loop
async def test_the_swarm_is_told_until_it_knows(tmp_path: Path) -> None:
    world = World()
    tunnel = world.tunnel(tmp_path)
    await tunnel.begin(world.tell)
    await tunnel.tick()
    assert world.told and world.told[-1] == tunnel.rows and "private" not in str(world.told)
    tunnel.known(tunnel.rows)
    world.told.clear()
    await tunnel.tick()
    assert not world.told and not world.links  # no encrypted network is here
    await tunnel.forget()


@on_loop
async def test_a_host_that_cannot_says_so_and_may_learn_it(tmp_path: Path) -> None:
    world = World()
    world.able = False
    tunnel = world.tunnel(tmp_path)
    await tunnel.begin(world.tell)
    assert not tunnel.able and tunnel.rows == ()
    with pytest.raises(Unsupported):
        await tunnel.ensure(4790)
    await tunnel.lead([peer(1)], True)
    world.able = True
    world.now += 61 * 10**9
    await tunnel.tick()
    assert tunnel.able and world.told[-1] == tunnel.rows
    assert [set(peers) for peers in world.links.values()] == [{peer(1).public}]  # the network that was there is served now
    await tunnel.forget()


@on_loop
async def test_leaving_takes_links_rules_and_keys(tmp_path: Path) -> None:
    world = World()
    tunnel = world.tunnel(tmp_path)
    await tunnel.begin(world.tell)
    await tunnel.ensure(4790)
    await tunnel.forget()
    await tunnel.forget()
    assert not world.links and not world.guarded and not list(tmp_path.iterdir()) and not tunnel.able
    await tunnel.begin(world.tell)  # joined again
    assert tunnel.able
    await tunnel.forget()
