"""Swarms of several nodes in one process: real links with real certificates, engines that run nothing."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from scow.errors import Forbidden, InvalidArgument, NotFound, Unavailable
from scow.filters import Filters
from scow.metadata import Database
from scow.swarm import ca
from scow.swarm.links import rpc, tls
from scow.swarm.service import SwarmService
from tests.fakes.executor import FakeExecutor
from tests.support.asynchronous import on_loop, until
from tests.support.ports import free_port

NOTHING = Filters.parse("", set())
SPEC = {"Dispatcher": {"HeartbeatPeriod": 300_000_000}}


class Host:
    """An engine that may be part of a swarm."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.db = Database(folder / "meta.db")
        self.engine = FakeExecutor()
        self.port = free_port()
        self.swarm = self._service()

    def _service(self) -> SwarmService:
        return SwarmService(self.db, self.engine, lambda *event: None, lambda ref: "", data=self.folder, run=self.folder / "run")

    @property
    def listen(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def id(self) -> str:
        return str(self.swarm.info()["NodeID"])

    async def restart(self) -> None:
        await self.swarm.close()
        self.swarm = self._service()
        await self.swarm.start()

    async def init(self) -> None:
        await self.swarm.init({"ListenAddr": self.listen, "AdvertiseAddr": self.listen, "Spec": SPEC})

    async def join(self, manager: "Host", role: str = "worker", **more: Any) -> None:
        token = manager.swarm.inspect()["JoinTokens"][role.capitalize()]
        addresses = {"ListenAddr": self.listen, "AdvertiseAddr": self.listen, "RemoteAddrs": [manager.listen]}
        await self.swarm.join({**addresses, "JoinToken": token, **more})

    def nodes(self) -> dict[str, dict[str, Any]]:
        return {row["ID"]: row for row in self.swarm.control.nodes(NOTHING)}

    def running(self, service: str) -> list[dict[str, Any]]:
        filters = Filters.parse('{"service": ["' + service + '"]}', {"service"})
        try:
            tasks = self.swarm.control.tasks(filters)
        except NotFound:
            return []  # made at another manager a moment ago
        return [task for task in tasks if task["Status"]["State"] == "running" and task["DesiredState"] == "running"]


@asynccontextmanager
async def hosts(folder: Path, count: int) -> AsyncIterator[list[Host]]:
    made = [Host(folder / f"n{number}") for number in range(count)]
    try:
        yield made
    finally:
        for host in reversed(made):
            await host.swarm.close()
            host.db.close()


def web(replicas: int, **mode: Any) -> dict[str, Any]:
    template = {"ContainerSpec": {"Image": "x"}, "RestartPolicy": {"Delay": 0}}
    return {"Name": "web", "TaskTemplate": template, "Mode": mode or {"Replicated": {"Replicas": replicas}}}


@on_loop
async def test_a_worker_joins_runs_tasks_and_leaves(tmp_path: Path) -> None:
    async with hosts(tmp_path, 2) as (boss, worker):
        await boss.init()
        await worker.join(boss)
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
async def test_a_silent_node_is_down_and_what_it_ran_runs_elsewhere(tmp_path: Path) -> None:
    async with hosts(tmp_path, 2) as (boss, worker):
        await boss.init()
        await worker.join(boss)
        service = await boss.swarm.control.create_service(web(2))
        await until(lambda: len(boss.running(service)) == 2)
        lost = worker.id
        await worker.swarm.close()  # without a word
        await until(lambda: boss.nodes()[lost]["Status"]["State"] == "down")
        await until(lambda: len(boss.running(service)) == 2 and {task["NodeID"] for task in boss.running(service)} == {boss.id})
        worker.swarm = worker._service()
        await worker.swarm.start()
        await until(lambda: boss.nodes()[lost]["Status"]["State"] == "ready")
        assert worker.id == lost
        await until(lambda: any(what == "shutdown" for what, _ in worker.engine.log))
        assert {task["NodeID"] for task in boss.running(service)} == {boss.id}


@on_loop
async def test_a_worker_finds_its_restarted_manager_again(tmp_path: Path) -> None:
    async with hosts(tmp_path, 2) as (boss, worker):
        await boss.init()
        await worker.join(boss)
        await boss.restart()
        service = await boss.swarm.control.create_service(web(1, Global={}))
        await until(lambda: {task["NodeID"] for task in boss.running(service)} == {boss.id, worker.id})


@on_loop
async def test_a_removed_node_leaves_by_itself_and_has_nothing_more_to_say(tmp_path: Path) -> None:
    async with hosts(tmp_path, 2) as (boss, worker):
        await boss.init()
        await worker.join(boss)
        node = worker.swarm._node
        assert node is not None
        context, gone = node.context(), worker.id
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
    async with hosts(tmp_path, 2) as (boss, worker):
        await boss.init()
        await worker.join(boss)
        service = await boss.swarm.control.create_service(web(1, Global={}))
        await until(lambda: len(boss.running(service)) == 2)
        options = {"stdout": True, "stderr": True, "tail": "all"}
        text = b"".join([piece async for piece in await boss.swarm.logs("service", service, options)])
        assert {task["ID"] for task in boss.running(service) if f"hello of {task['ID']}".encode() in text} == {
            task["ID"] for task in boss.running(service)
        }


@on_loop
async def test_logs_are_followed_to_tasks_that_come_later_until_the_service_goes(tmp_path: Path) -> None:
    async with hosts(tmp_path, 2) as (boss, worker):
        await boss.init()
        await worker.join(boss)
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
    async with hosts(tmp_path, 2) as (boss, worker):
        await boss.init()
        await worker.join(boss)
        stranger = await rpc.dial(boss.listen, tls.stranger())
        for name in ("session.register", "ca.renew", "logs.read", "member.admit"):
            with pytest.raises(Forbidden, match="certificate is needed"):
                await stranger.call(name, {})
        with pytest.raises(InvalidArgument, match="knows no call"):
            await stranger.call("nonsense")
        with pytest.raises(Unavailable):
            await stranger.call("hello", {"x": "y" * 100_000})
        await stranger.close()
        node = worker.swarm._node
        assert node is not None
        client = await rpc.dial(boss.listen, node.context())
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
    async with hosts(tmp_path, 2) as (boss, worker):
        await boss.init()
        await worker.join(boss)
        node = worker.swarm._node
        assert node is not None
        client = await rpc.dial(boss.listen, node.context())

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


needs_etcd = pytest.mark.skipif(shutil.which("etcd") is None, reason="etcd is not installed")


def statuses(host: Host) -> list[str]:
    rows = [row.get("ManagerStatus") for row in host.nodes().values()]
    return sorted("leader" if row["Leader"] else row["Reachability"] for row in rows if row)


def settled(made: list[Host]) -> bool:
    """Every host answers, and they agree on a leader and reachable managers."""
    wanted = ["leader", *["reachable"] * (len(made) - 1)]
    try:
        return all(statuses(host) == wanted for host in made)
    except Unavailable:
        return False


@needs_etcd
@pytest.mark.slow
@on_loop
async def test_three_managers_and_the_leader_goes(tmp_path: Path) -> None:
    async with hosts(tmp_path, 3) as made:
        one, two, three = made
        await one.init()
        service = await one.swarm.control.create_service(web(3))
        await until(lambda: len(one.running(service)) == 3)
        await two.join(one, "manager")
        await three.join(two, "manager")
        await until(lambda: settled(made))
        assert {task["ID"] for task in three.running(service)} == {task["ID"] for task in one.running(service)}
        other = await three.swarm.control.create_service({**web(1), "Name": "other"})
        await until(lambda: len(two.running(other)) == 1)
        await one.swarm.close()
        await until(lambda: settled_without(made, one))
        again = await two.swarm.control.create_service({**web(1), "Name": "again"})
        await until(lambda: len(three.running(again)) == 1)
        one.swarm = one._service()
        await one.swarm.start()
        await until(lambda: settled(made))
        assert {row["Spec"]["Name"] for row in one.swarm.control.services(NOTHING)} == {"web", "other", "again"}


def settled_without(made: list[Host], gone: Host) -> bool:
    rest = [host for host in made if host is not gone]
    try:
        return all("leader" in statuses(host) and not (host.nodes()[_id(gone)]["ManagerStatus"]["Leader"]) for host in rest)
    except (Unavailable, KeyError):
        return False


def _id(host: Host) -> str:
    row = host.db.table("swarm_node").get("node")
    return str(row["node_id"]) if row else ""


@needs_etcd
@pytest.mark.slow
@on_loop
async def test_promotion_demotion_and_leaving(tmp_path: Path) -> None:
    async with hosts(tmp_path, 3) as made:
        one, two, three = made
        await one.init()
        await two.join(one)
        await three.join(one)
        await _role(one, two.id, "manager")
        await until(lambda: two.swarm.is_manager)
        await until(lambda: settled([one, two]))
        await _role(two, one.id, "worker")  # the leader: another takes over and takes its member out
        await until(lambda: not one.swarm.is_manager and settled([two]))
        assert one.swarm.info()["RemoteManagers"] == [{"NodeID": two.id, "Addr": two.listen}]
        await three.swarm.leave(False)
        await three.join(two, "manager")
        await until(lambda: settled([two, three]))
        with pytest.raises(Unavailable, match="quorum"):
            await three.swarm.leave(False)
        await three.swarm.leave(True)
        await until(lambda: settled([two]))
        await two.swarm.control.create_service(web(1))


async def _role(host: Host, id: str, role: str) -> None:
    row = host.nodes()[id]
    await host.swarm.control.update_node(id, row["Version"]["Index"], {**row["Spec"], "Role": role})


@needs_etcd
@pytest.mark.slow
@on_loop
async def test_without_a_quorum_it_says_so_and_can_go_on_alone(tmp_path: Path) -> None:
    async with hosts(tmp_path, 2) as (one, two):
        await one.init()
        service = await one.swarm.control.create_service(web(2))
        await two.join(one, "manager")
        await until(lambda: settled([one, two]))
        await two.swarm.close()

        def refused() -> bool:
            try:
                one.swarm.control.services(NOTHING)
            except Unavailable as error:
                return "does not have a leader" in error.message
            return False

        await until(refused)
        assert one.engine.containers  # what runs goes on
        await one.swarm.init({"ListenAddr": one.listen, "AdvertiseAddr": one.listen, "ForceNewCluster": True})
        await until(lambda: settled([one]))
        await until(lambda: {task["NodeID"] for task in one.running(service)} == {one.id} and len(one.running(service)) == 2)


@needs_etcd
@pytest.mark.slow
@pytest.mark.parametrize("how", ["gone", "half", "damaged"])
def test_a_manager_whose_data_are_of_no_use_gets_them_from_the_others(tmp_path: Path, how: str) -> None:
    @on_loop
    async def go() -> None:
        async with hosts(tmp_path, 3) as made:
            one, two, three = made
            await one.init()
            await two.join(one, "manager")
            await three.join(two, "manager")
            await until(lambda: settled(made))
            await three.swarm.close()
            member = three.folder / "swarm" / "etcd" / "member"
            if how == "gone":
                shutil.rmtree(member)
            elif how == "half":
                (member / "snap" / "db").unlink()
            else:
                for log in (member / "wal").glob("*.wal"):
                    log.write_bytes(b"nothing that etcd knows" * 1000)
            service = await one.swarm.control.create_service(web(2))
            three.swarm = three._service()
            await three.swarm.start()
            await until(lambda: settled(made), 120)
            await until(lambda: len(three.running(service)) == 2)
            again = await three.swarm.control.create_service({**web(1), "Name": "again"})
            await until(lambda: len(one.running(again)) == 1)

    go()


@needs_etcd
@pytest.mark.slow
@on_loop
async def test_without_others_a_manager_that_lost_its_data_says_what_to_do(tmp_path: Path) -> None:
    async with hosts(tmp_path, 2) as (one, two):
        await one.init()
        await two.join(one, "manager")
        await until(lambda: settled([one, two]))
        await one.swarm.close()
        await two.swarm.close()
        shutil.rmtree(two.folder / "swarm" / "etcd" / "member")
        two.swarm = two._service()
        await two.swarm.start()
        await until(lambda: "swarm leave --force" in str(two.swarm.info()["Error"]))
        with pytest.raises(Unavailable, match="nothing to make a new cluster of"):
            await two.swarm.init({"ListenAddr": two.listen, "AdvertiseAddr": two.listen, "ForceNewCluster": True})
        await two.swarm.leave(True)
        assert two.swarm.info()["LocalNodeState"] == "inactive"
