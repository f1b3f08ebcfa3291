"""A node that cannot join at once goes on behind the answer, over a restart of its daemon, until it is in or told to leave."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from scow.errors import InvalidArgument, Unavailable
from scow.swarm import ca, joining, service
from scow.swarm.addressing import OwnAddresses
from scow.swarm.joining import Wish
from scow.swarm.manager.authority import Authority
from scow.swarm.node import SwarmNode
from scow.swarm.wire import Session
from tests.support.asynchronous import on_loop, until
from tests.support.ports import free_port
from tests.support.swarm import Host, hosts

LATER = "Timeout was reached before node joined. The attempt to join the swarm will continue in the background"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "_AGAIN_SECONDS", 0.1)


async def put_off(late: Host, boss: Host, seconds: float = 0.3) -> None:
    """A join that is answered before it is done."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service, "_JOIN_SECONDS", seconds)
        with pytest.raises(Unavailable, match=LATER):
            await late.join(boss)


@pytest.fixture
def strike(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """While it holds a sentence, no certificate is signed."""
    why: list[str] = []
    signed = Authority.signed

    async def sign(self: Authority, *args: Any) -> str:
        if why:
            raise Unavailable(why[0])
        return await signed(self, *args)

    monkeypatch.setattr(Authority, "signed", sign)
    return why


def state(host: Host) -> str:
    return str(host.swarm.info()["LocalNodeState"])


def wish(host: Host) -> object:
    return host.db.table("swarm_node").get("wish")


@on_loop
async def test_it_goes_on_behind_the_answer_and_over_a_restart(tmp_path: Path, strike: list[str]) -> None:
    async with hosts(tmp_path, 2) as (boss, late):
        await boss.init()
        strike.append("on strike")
        await put_off(late, boss)
        await until(lambda: late.swarm.info()["Error"] == "on strike")
        assert state(late) == late.swarm.word == "pending"
        assert late.swarm.info()["NodeAddr"] == "127.0.0.1"
        assert late.swarm.info()["RemoteManagers"] == [{"NodeID": "", "Addr": boss.listen}]
        for again in (late.join(boss), late.init()):
            with pytest.raises(Unavailable, match="already part of a swarm"):
                await again
        await late.restart()
        await until(lambda: late.swarm.info()["Error"] == "on strike")
        await boss.swarm.close()
        await until(lambda: "cannot reach a manager" in late.swarm.info()["Error"])
        await boss.restart()
        strike.clear()
        await until(lambda: state(late) == "active")
        await until(lambda: {row["Status"]["State"] for row in boss.nodes().values()} == {"ready"})
        assert late.id in boss.nodes()
        assert wish(late) is None


@on_loop
async def test_a_node_with_a_certificate_and_no_manager_to_go_to_goes_on_looking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with hosts(tmp_path, 2) as (boss, late):
        await boss.init()
        dial, cut = SwarmNode._dial, True

        async def broken(self: SwarmNode) -> Session:
            if cut:
                raise Unavailable("a cut cable")
            return await dial(self)

        monkeypatch.setattr(SwarmNode, "_dial", broken)
        await put_off(late, boss, seconds=1)
        await until(lambda: late.id in boss.nodes())
        assert state(late) == "pending"
        cut = False
        await until(lambda: state(late) == "active")
        await until(lambda: boss.nodes()[late.id]["Status"]["State"] == "ready")


@on_loop
async def test_to_leave_ends_it_and_who_waits_for_the_join_is_told(tmp_path: Path, strike: list[str]) -> None:
    async with hosts(tmp_path, 2) as (boss, late):
        await boss.init()
        strike.append("on strike")

        async def leave() -> None:
            await until(lambda: late.swarm.info()["Error"] == "on strike")
            await late.swarm.leave(False)

        async with asyncio.TaskGroup() as group:
            group.create_task(leave())
            with pytest.raises(Unavailable, match="told to leave while it joined"):
                await late.join(boss)
        assert state(late) == "inactive"
        assert wish(late) is None
        await late.restart()
        assert state(late) == "inactive"
        strike.clear()
        await late.join(boss)
        assert len(boss.nodes()) == 2


@on_loop
async def test_a_token_that_is_good_no_more_ends_it_with_the_reason(tmp_path: Path, strike: list[str]) -> None:
    async with hosts(tmp_path, 2) as (boss, late):
        await boss.init()
        strike.append("on strike")
        await put_off(late, boss)
        found = boss.swarm.inspect()
        await boss.swarm.update(found["Version"]["Index"], found["Spec"], {"worker": True})
        await until(lambda: state(late) == "error")
        assert "A valid join token is necessary" in late.swarm.info()["Error"]
        strike.clear()
        await late.swarm.leave(False)
        await late.join(boss)
        assert state(late) == "active"


@on_loop
async def test_managers_that_refuse_connections_from_the_beginning_are_a_mistake(tmp_path: Path) -> None:
    async with hosts(tmp_path, 2) as (boss, late):
        await boss.init()
        with pytest.raises(Unavailable, match="cannot reach a manager"):
            await late.join(boss, RemoteAddrs=[f"127.0.0.1:{free_port()}"])
        assert state(late) == "inactive"
        assert wish(late) is None


@on_loop
async def test_a_request_that_comes_twice_is_of_one_node(tmp_path: Path) -> None:
    async with hosts(tmp_path, 2) as (boss, late):
        await boss.init()
        asked, token = ca.new_request(), boss.swarm.inspect()["JoinTokens"]["Worker"]
        wanted = Wish((boss.listen,), token, "drain", OwnAddresses(late.listen, late.listen, "127.0.0.1"), asked)
        assert joining.read(joining.kept(wanted)) == wanted
        assert token not in repr(wanted)
        first, second = [await joining.Attempt(wanted, False).enter() for _ in range(2)]
        assert first.node_id == second.node_id
        assert first.certificate != second.certificate
        assert boss.nodes()[first.node_id]["Spec"]["Availability"] == "drain"
        other = await joining.Attempt(Wish(wanted.remotes, token, "active", wanted.own, ca.new_request()), False).enter()
        assert other.node_id not in (first.node_id, boss.id)
        manager = boss.swarm.inspect()["JoinTokens"]["Manager"]
        role = await joining.Attempt(Wish(wanted.remotes, manager, "active", wanted.own, asked), False).enter()
        assert role.node_id != first.node_id


@on_loop
async def test_a_stranger_that_answers_nonsense_is_no_manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with hosts(tmp_path, 1) as (late,):

        async def nonsense(addresses: object, digest: str) -> object:
            raise AttributeError("'list' object has no attribute 'get'")

        monkeypatch.setattr(joining, "root_of", nonsense)
        token = ca.token(ca.new_root().certificate, ca.new_token_secret())
        where = {"ListenAddr": late.listen, "AdvertiseAddr": late.listen, "RemoteAddrs": [late.listen], "JoinToken": token}
        with pytest.raises(Exception, match="is it one"):
            await late.swarm.join(where)
        assert state(late) == "inactive"
        with pytest.raises(InvalidArgument, match="RemoteAddr is required"):
            await late.swarm.join({**where, "RemoteAddrs": []})
