"""The root of etcd's members is exchanged under managers that work: real members, real links, engines that run nothing. Slow."""

import asyncio
import shutil
import ssl
from pathlib import Path

import pytest

from scow.errors import Unavailable
from scow.swarm import ca
from scow.swarm.links import tls
from scow.swarm.objects import Cluster
from scow.swarm.store.etcd.member import PORT_AFTER
from tests.support.asynchronous import on_loop, until
from tests.support.swarm import NOTHING, Host, managers, needs_etcd, settled, settled_without, web
from tests.unit.swarm.test_rotation import rotate

pytestmark = [needs_etcd, pytest.mark.slow]

PATIENCE = 120


def believed(host: Host) -> str:
    """What its member was started with."""
    return (host.folder / "run/swarm/etcd/root.pem").read_text()


def step(host: Host) -> str:
    """Of the exchange, "" without one."""
    store = host.node.store
    assert store is not None
    exchange = store.all(Cluster)[0].peers
    return str(exchange["Step"]) if exchange else ""


def exchanged(made: list[Host], before: str) -> bool:
    """Every member believes one root only, another than before, and nobody waits for anything."""
    try:
        roots = {believed(host) for host in made}
        states = {host.node.state.peer_root for host in made}
        return settled(made) and not any(step(host) for host in made) and len(roots) == 1 and roots == states and roots != {before}
    except (Unavailable, AssertionError, FileNotFoundError):
        return False


async def lets_in(host: Host, root: ca.KeyPair) -> bool:
    """Whether a host's member speaks with who has a certificate of a root."""
    own = ca.member_certificate(root, "thief", "127.0.0.1")
    context = tls.external(believed(host), own.certificate, own.key)
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", host.port + PORT_AFTER, ssl=context, server_hostname="127.0.0.1")
        writer.write(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = await reader.read(15)
        writer.close()
    except (OSError, ssl.SSLError):
        return False
    return answer.startswith(b"HTTP/1.1 ")


@on_loop
async def test_members_change_their_root_while_changes_are_acknowledged(tmp_path: Path) -> None:
    async with managers(tmp_path, 3) as made:
        before = believed(made[0])
        old = made[0].node.state.trust.root
        assert await lets_in(made[1], old)
        over, written, refused = asyncio.Event(), list[str](), 0

        async def write() -> None:
            nonlocal refused
            while not over.is_set():
                host = made[(len(written) + refused) % 3]
                try:
                    written.append(await host.swarm.control.create_service({**web(0), "Name": f"s{len(written)}-{refused}"}))
                except Unavailable:
                    refused += 1
                await asyncio.sleep(0.05)

        async with asyncio.TaskGroup() as group:
            group.create_task(write())
            await rotate(made[2])
            await until(lambda: exchanged(made, before), PATIENCE)
            over.set()
        for host in made:
            there = {row["ID"] for row in host.swarm.control.services(NOTHING)}
            assert there >= set(written)
            assert not await lets_in(host, old)
            assert await lets_in(host, host.node.state.trust.root)
        assert len(written) > refused
        for host in made:
            await host.swarm.close()
        for host in made:
            await host.start()
        await until(lambda: exchanged(made, before), PATIENCE)


@on_loop
async def test_a_manager_that_is_down_holds_it_up_and_is_let_in_when_it_comes_back(tmp_path: Path) -> None:
    async with managers(tmp_path, 3) as made:
        one, two, three = made
        before = believed(one)
        await three.swarm.close()
        await until(lambda: settled_without(made, three), PATIENCE)
        await rotate(two)
        await until(lambda: step(one) == "both")
        await one.swarm.close()  # whoever leads: its successor goes on
        await one.start()
        await until(lambda: one.swarm.is_manager and settled_without(made, three), PATIENCE)
        assert step(one) == step(two) == "both"
        await three.start()
        await until(lambda: exchanged(made, before), PATIENCE)
        await three.swarm.control.create_service(web(1))


@on_loop
async def test_what_is_asked_for_meanwhile_follows(tmp_path: Path) -> None:
    async with managers(tmp_path, 2) as made:
        seen = {believed(made[0])}

        def both() -> bool:
            seen.add(believed(made[0]))
            return exchanged(made, "") and len(seen) == 5

        await rotate(made[0])
        await rotate(made[0])
        await until(both, PATIENCE)  # the first root, both, the second, both, the third


@on_loop
async def test_who_becomes_a_manager_meanwhile_comes_with_what_the_step_asks_for(tmp_path: Path) -> None:
    async with managers(tmp_path, 3, workers=1) as made:
        one, two, three, late = made
        before = believed(one)
        await three.swarm.close()
        await until(lambda: settled_without([one, two, three], three), PATIENCE)
        await rotate(one)
        await until(lambda: step(two) == "both")
        row = one.nodes()[late.id]
        await one.swarm.control.update_node(late.id, row["Version"]["Index"], {**row["Spec"], "Role": "manager"})
        await until(lambda: late.swarm.is_manager, PATIENCE)
        assert believed(late).count("BEGIN") == 2
        await three.start()
        await until(lambda: exchanged(made, before), PATIENCE)


@on_loop
async def test_a_manager_without_others_changes_its_root_alone(tmp_path: Path) -> None:
    async with managers(tmp_path, 2) as made:
        one, two = made
        await two.swarm.leave(True)
        await until(lambda: settled([one]), PATIENCE)
        before = believed(one)
        await rotate(one)
        await until(lambda: exchanged([one], before), PATIENCE)
        await two.join(one, "manager")
        await until(lambda: settled(made), PATIENCE)
        assert believed(two) == believed(one)


@on_loop
async def test_who_goes_on_alone_ends_the_exchange_alone(tmp_path: Path) -> None:
    async with managers(tmp_path, 2) as made:
        one, two = made
        before = believed(one)
        await rotate(one)
        await until(lambda: believed(two).count("BEGIN") == 2, PATIENCE)
        await two.swarm.close()
        await until(lambda: not one.node.managers.quorum, PATIENCE)  # type: ignore[union-attr]
        await one.swarm.init({"ListenAddr": one.listen, "AdvertiseAddr": one.listen, "ForceNewCluster": True})
        await until(lambda: exchanged([one], before), PATIENCE)


@on_loop
async def test_a_manager_that_lost_its_data_meanwhile_comes_in_again(tmp_path: Path) -> None:
    async with managers(tmp_path, 3) as made:
        one, two, three = made
        before = believed(one)
        await three.swarm.close()
        await until(lambda: settled_without(made, three), PATIENCE)
        await rotate(one)
        await until(lambda: step(two) == "both")
        shutil.rmtree(three.folder / "swarm" / "etcd" / "member")
        await three.start()
        await until(lambda: exchanged(made, before), PATIENCE)
