"""How a host joins and leaves, what its links carry, and what strangers may do on them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from scow.errors import Forbidden, InvalidArgument, NotFound, Unavailable
from scow.swarm import ca
from scow.swarm.links import rpc, tls
from tests.support.asynchronous import on_loop, until
from tests.support.ports import free_port
from tests.support.swarm import hosts, pair, web


@on_loop
async def test_a_worker_joins_runs_tasks_and_leaves(tmp_path: Path) -> None:
    async with pair(tmp_path) as (boss, worker):
        assert worker.swarm.info()["RemoteManagers"] == [{"NodeID": boss.id, "Addr": boss.listen}]
        assert boss.nodes()[worker.id]["Status"]["State"] == "ready"
        assert boss.nodes()[worker.id]["Spec"]["Role"] == "worker"
        with pytest.raises(Unavailable, match="Worker nodes can't be used"):
            _ = worker.swarm.control
        with pytest.raises(Unavailable, match="already part of a swarm"):
            await worker.join(boss)
        service = await boss.swarm.control.create_service(web(4))
        await until(lambda: len(boss.running(service)) == 4)
        assert {task["NodeID"] for task in boss.running(service)} == {boss.id, worker.id}
        gone = worker.id
        await worker.swarm.leave(False)
        assert worker.swarm.info()["LocalNodeState"] == "inactive"
        assert not worker.engine.containers
        await until(lambda: boss.nodes()[gone]["Status"]["State"] == "down")
        await until(lambda: len(boss.running(service)) == 4 and {task["NodeID"] for task in boss.running(service)} == {boss.id})
        await boss.swarm.control.remove_node(gone, False)
        assert gone not in boss.nodes()


@on_loop
async def test_wrong_tokens_are_refused(tmp_path: Path) -> None:
    async with hosts(tmp_path, 3) as (boss, other, worker):
        await boss.init()
        await other.init()
        root = boss.swarm.inspect()["TLSInfo"]["TrustRoot"]
        for token, why in (
            ("SWMTKN-1-x-y", "invalid join token"),
            (ca.token(root, "0" * 25), "A valid join token is necessary"),
            (other.swarm.inspect()["JoinTokens"]["Worker"], "does not match fingerprint"),
        ):
            with pytest.raises(InvalidArgument, match=why):
                await worker.join(boss, JoinToken=token)
        assert worker.swarm.info()["LocalNodeState"] == "inactive"
        with pytest.raises(Unavailable, match="cannot reach a manager"):
            await worker.join(boss, RemoteAddrs=[f"127.0.0.1:{free_port()}"])


@on_loop
async def test_a_port_that_is_no_managers_is_named(tmp_path: Path) -> None:
    root, wanted = ca.new_root(), ca.new_request("x")
    secure = tls.server(root.certificate, ca.sign(root, wanted.certificate, "x", "manager", "c", 3600 * 10**9), wanted.key)

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with hosts(tmp_path, 1) as (one,):
        for context, why in (
            (None, "no secure connection to .*: is it a manager's"),
            (secure, "broke the connection off .*: is it a manager's"),
        ):
            server = await asyncio.start_server(hang_up, "127.0.0.1", 0, ssl=context)
            async with server:
                address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
                with pytest.raises(Unavailable, match=why):
                    await one.swarm.join(
                        {"RemoteAddrs": [address], "JoinToken": ca.token(root.certificate, "0" * 25), "ListenAddr": one.listen}
                    )
        assert one.swarm.info()["LocalNodeState"] == "inactive"


@on_loop
async def test_a_silent_node_is_down_and_what_it_ran_runs_elsewhere(tmp_path: Path) -> None:
    async with pair(tmp_path) as (boss, worker):
        service = await boss.swarm.control.create_service(web(2))
        await until(lambda: len(boss.running(service)) == 2)
        lost = worker.id
        await worker.swarm.close()  # without a word
        await until(lambda: boss.nodes()[lost]["Status"]["State"] == "down")
        await until(lambda: len(boss.running(service)) == 2 and {task["NodeID"] for task in boss.running(service)} == {boss.id})
        await worker.start()
        await until(lambda: boss.nodes()[lost]["Status"]["State"] == "ready")
        assert worker.id == lost
        await until(lambda: any(what == "shutdown" for what, _ in worker.engine.log))
        assert {task["NodeID"] for task in boss.running(service)} == {boss.id}


@on_loop
async def test_a_worker_finds_its_restarted_manager_again(tmp_path: Path) -> None:
    async with pair(tmp_path) as (boss, worker):
        await boss.restart()
        service = await boss.swarm.control.create_service(web(1, Global={}))
        await until(lambda: {task["NodeID"] for task in boss.running(service)} == {boss.id, worker.id})


@on_loop
async def test_a_removed_node_leaves_by_itself_and_has_nothing_more_to_say(tmp_path: Path) -> None:
    async with pair(tmp_path) as (boss, worker):
        context, gone = worker.node.context(), worker.id
        with pytest.raises(InvalidArgument, match="not down"):
            await boss.swarm.control.remove_node(gone, False)
        await boss.swarm.control.remove_node(gone, True)
        await until(lambda: worker.swarm.info()["LocalNodeState"] == "inactive")
        client = await rpc.dial(boss.listen, context)
        with pytest.raises(NotFound, match="not part of this swarm"):
            await client.call("session.register", {"description": {}})
        await client.close()


@on_loop
async def test_logs_of_all_nodes_come_together(tmp_path: Path) -> None:
    async with pair(tmp_path) as (boss, _):
        service = await boss.swarm.control.create_service(web(1, Global={}))
        await until(lambda: len(boss.running(service)) == 2)
        options = {"stdout": True, "stderr": True, "tail": "all"}
        text = b"".join([piece async for piece in await boss.swarm.logs("service", service, options)])
        assert {task["ID"] for task in boss.running(service) if f"hello of {task['ID']}".encode() in text} == {
            task["ID"] for task in boss.running(service)
        }


@on_loop
async def test_logs_are_followed_to_tasks_that_come_later_until_the_service_goes(tmp_path: Path) -> None:
    async with pair(tmp_path) as (boss, _):
        service = await boss.swarm.control.create_service(web(0))
        options = {"stdout": True, "stderr": True, "tail": "all", "follow": True}
        text = b""

        async def follow() -> None:
            nonlocal text
            async for piece in await boss.swarm.logs("service", service, options):
                text += piece

        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            group.create_task(follow())
            ids = set[str]()
            for replicas in (1, 3):
                now = boss.swarm.control.service(service)
                spec = {**now["Spec"], "Mode": {"Replicated": {"Replicas": replicas}}}
                await boss.swarm.control.update_service(service, now["Version"]["Index"], spec)
                await until(lambda replicas=replicas: len(boss.running(service)) == replicas)  # type: ignore[misc]
                ids |= {task["ID"] for task in boss.running(service)}
                await until(lambda ids=set(ids): all(f"hello of {id}".encode() in text for id in ids))  # type: ignore[misc]
            await boss.swarm.control.remove_service(service)
        assert len(ids) == 3
        assert all(text.count(id.encode()) == 1 for id in ids)


@on_loop
async def test_strangers_and_workers_may_not_call_what_is_not_theirs(tmp_path: Path) -> None:
    async with pair(tmp_path) as (boss, worker):
        stranger = await rpc.dial(boss.listen, tls.stranger())
        for name in ("session.register", "ca.renew", "logs.read", "member.admit"):
            with pytest.raises(Forbidden, match="certificate is needed"):
                await stranger.call(name, {})
        with pytest.raises(InvalidArgument, match="knows no call"):
            await stranger.call("nonsense")
        with pytest.raises(Unavailable):
            await stranger.call("hello", {"x": "y" * 100_000})
        await stranger.close()
        client = await rpc.dial(boss.listen, worker.node.context())
        with pytest.raises(Forbidden, match="no manager"):
            await client.call("member.admit", {"address": "x"})
        with pytest.raises(InvalidArgument, match="not understood"):
            await client.call("session.report", {"statuses": 5})
        for said in ({"description": {"Resources": [1]}}, {"description": {}, "address": "nowhere"}):
            with pytest.raises(InvalidArgument):
                await client.call("session.register", said)
        assert (await client.call("hello"))["leading"]
        await client.close()


@on_loop
async def test_items_that_nobody_takes_do_not_hold_up_a_connection(tmp_path: Path) -> None:
    async with pair(tmp_path) as (boss, worker):
        client = await rpc.dial(boss.listen, worker.node.context())

        async def lines() -> AsyncIterator[Any]:
            for _ in range(2000):  # far more than a queue has
                yield [1, 0, "x"]

        with pytest.raises(NotFound, match="nobody reads"):
            await client.send("logs.publish", {"id": "x"}, lines())
        # a caller that goes on sending all the same, to a call that has ended and to one that takes nothing
        for number, name in enumerate(("logs.publish", "hello", "session.assignments"), 900):
            await client._wire.write({"i": number, "t": "call", "n": name, "b": {"id": "x"}})
            for _ in range(2000):
                await client._wire.write({"i": number, "t": "item", "b": 1})
            await client._wire.write({"i": number, "t": "cancel"})
        assert (await client.call("hello", seconds=30))["leading"]
        await client.close()


@on_loop
async def test_garbage_on_the_port_hurts_nobody(tmp_path: Path) -> None:
    async with hosts(tmp_path, 2) as (boss, worker):
        await boss.init()
        for data in (b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 4096):
            _, writer = await asyncio.open_connection("127.0.0.1", boss.port)
            writer.write(data)
            writer.close()
        await worker.join(boss)
