"""A swarm of one node from end to end, on an engine that runs nothing."""

import asyncio
import base64
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scow.errors import Conflict, InvalidArgument, NotFound, Unavailable
from scow.filters import Filters
from scow.metadata import Database
from scow.swarm.objects import Cluster
from scow.swarm.objects import Node as NodeObject
from scow.swarm.service import SwarmService
from scow.swarm.store.store import NameTaken, OutOfSequence
from tests.fakes.executor import FakeExecutor
from tests.support.asynchronous import on_loop, until


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


INIT = {"ListenAddr": f"127.0.0.1:{_free_port()}", "AdvertiseAddr": "127.0.0.1"}
NOTHING = Filters.parse("", set())


class Node:
    """One node with its database, which outlives restarts."""

    def __init__(self, folder: Path) -> None:
        self.db = Database(folder / "meta.db")
        self.engine = FakeExecutor()
        self.events: list[tuple[str, str, dict[str, str]]] = []
        self.swarm = self._service()

    def _service(self) -> SwarmService:
        return SwarmService(
            self.db, self.engine, lambda kind, action, id, said: self.events.append((kind, action, dict(said))), lambda ref: ""
        )

    async def restart(self) -> None:
        await self.swarm.close()
        self.swarm = self._service()
        await self.swarm.start()

    def tasks(self, service: str) -> list[dict[str, Any]]:
        filters = Filters.parse('{"service": ["' + service + '"]}', {"service"})
        return self.swarm.control.tasks(filters)

    def running(self, service: str) -> list[dict[str, Any]]:
        return [task for task in self.tasks(service) if task["Status"]["State"] == "running" and task["DesiredState"] == "running"]


@asynccontextmanager
async def node(folder: Path, joined: bool = True) -> AsyncIterator[Node]:
    made = Node(folder)
    if joined:
        await made.swarm.init(INIT)
    try:
        yield made
    finally:
        await made.swarm.close()
        made.db.close()


def web(name: str = "web", replicas: int = 1, **more: Any) -> dict[str, Any]:
    template = {"ContainerSpec": {"Image": "x", **more}, "RestartPolicy": {"Delay": 0}}
    return {"Name": name, "TaskTemplate": template, "Mode": {"Replicated": {"Replicas": replicas}}}


@on_loop
async def test_outside_a_swarm_everything_says_so(tmp_path: Path) -> None:
    async with node(tmp_path, joined=False) as one:
        assert one.swarm.info()["LocalNodeState"] == "inactive"
        for ask in (lambda: one.swarm.control, one.swarm.inspect, one.swarm.unlock_key):
            with pytest.raises(Unavailable, match="This node is not a swarm manager"):
                ask()
        with pytest.raises(Unavailable, match="not part of a swarm"):
            await one.swarm.leave(False)
        for request in ({"ListenAddr": "nonsense:xx"}, {"ListenAddr": "0.0.0.0:2377", "AdvertiseAddr": "not an address"}):
            with pytest.raises(InvalidArgument, match="address"):
                await one.swarm.init(request)
        with pytest.raises(InvalidArgument, match="invalid join token"):
            await one.swarm.join({"RemoteAddrs": ["127.0.0.1:9"], "JoinToken": "bogus"})
        assert not one.swarm.active


@on_loop
async def test_a_service_runs_its_tasks_and_takes_them_away(tmp_path: Path) -> None:
    async with node(tmp_path) as one:
        id = await one.swarm.control.create_service(web(replicas=2))
        await until(lambda: len(one.running("web")) == 2)
        task = one.running("web")[0]
        assert task["ServiceID"] == id
        assert task["Status"]["ContainerStatus"]["ContainerID"] == f"c-{task['ID']}"
        one.engine.controllers[task["ID"]].ended.set_result(3)
        await until(lambda: any(row["Status"].get("Err") == "task: non-zero exit (3)" for row in one.tasks("web")))
        await until(lambda: len(one.running("web")) == 2)
        await one.swarm.control.remove_service("web")
        await until(lambda: not one.engine.containers)
        said = [(kind, action) for kind, action, row in one.events if row.get("name") == "web"]
        assert said[0] == ("service", "create")
        assert said[-1] == ("service", "remove")


@on_loop
async def test_where_it_cannot_listen_it_says_what_to_do(tmp_path: Path) -> None:
    async with node(tmp_path, joined=False) as one:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            with pytest.raises(Unavailable, match="another program uses the port"):
                await one.swarm.init({**INIT, "ListenAddr": f"127.0.0.1:{taken.getsockname()[1]}"})
        with pytest.raises(Unavailable, match="this host has no such address"):
            await one.swarm.init({**INIT, "ListenAddr": "198.51.100.1"})
        assert not one.swarm.active
        await one.swarm.init(INIT)


@on_loop
async def test_a_manager_that_is_just_demoted_leaves_as_the_worker_it_is_to_be(tmp_path: Path) -> None:
    async with node(tmp_path) as one:
        with pytest.raises(Unavailable, match="Removing the last manager"):
            await one.swarm.leave(False)
        inner = one.swarm._node
        assert inner is not None and inner.store is not None
        await inner.store.update(lambda tx: tx.update((own := tx.all(NodeObject)[0]).changed(spec={**own.spec, "Role": "worker"})))
        asyncio.get_running_loop().call_later(0.2, lambda: inner.save(replace(inner.state, role="worker")))  # no other lets the last one go
        await one.swarm.leave(False)
        assert not one.swarm.active


@on_loop
async def test_a_rejected_task_says_why(tmp_path: Path) -> None:
    async with node(tmp_path) as one:
        one.engine.reject = lambda task: True
        await one.swarm.control.create_service(web())
        await until(lambda: any(row["Status"]["State"] == "rejected" for row in one.tasks("web")))
        assert any(row["Status"].get("Err") == "No such image: x" for row in one.tasks("web"))


@on_loop
async def test_tasks_live_on_while_the_daemon_restarts(tmp_path: Path) -> None:
    async with node(tmp_path) as one:
        await one.swarm.control.create_service(web())
        await until(lambda: len(one.running("web")) == 1)
        task = one.running("web")[0]
        await one.restart()
        await until(lambda: one.swarm.agent is not None and one.swarm.agent.connected.is_set())
        await asyncio.sleep(0.05)
        assert [row["ID"] for row in one.running("web")] == [task["ID"]]
        assert ("shutdown", task["ID"]) not in one.engine.log
        await one.swarm.leave(True)
        assert not one.engine.containers
        assert one.swarm.info()["LocalNodeState"] == "inactive"


@on_loop
async def test_secrets_reach_tasks_and_nobody_else(tmp_path: Path) -> None:
    async with node(tmp_path) as one:
        control = one.swarm.control
        id = await control.secrets.create({"Name": "pass", "Data": base64.b64encode(b"hush").decode()})
        with pytest.raises(NameTaken, match="already exists"):
            await control.secrets.create({"Name": "pass", "Data": "eA=="})
        assert "hush" not in str(control.secrets.inspect("pass"))
        reference = {"SecretID": id, "SecretName": "pass", "File": {"Name": "pass", "UID": "0", "GID": "0", "Mode": 0o444}}
        await control.create_service(web(Secrets=[reference]))
        await until(lambda: len(one.running("web")) == 1)
        controller = one.engine.controllers[one.running("web")[0]["ID"]]
        assert dict(controller.needs.secrets) == {id: ("pass", b"hush")}
        with pytest.raises(InvalidArgument, match="in use by the following service: web"):
            await control.secrets.remove("pass")
        with pytest.raises(InvalidArgument, match="secret not found"):
            await control.create_service(web("other", Secrets=[{**reference, "SecretID": "x" * 25}]))


@on_loop
async def test_autolock_needs_the_key_after_a_restart(tmp_path: Path) -> None:
    async with node(tmp_path) as one:
        version = one.swarm.inspect()["Version"]["Index"]
        await one.swarm.update(version, {"Name": "default", "EncryptionConfig": {"AutoLockManagers": True}}, {})
        with pytest.raises(OutOfSequence):
            await one.swarm.update(version, {"Name": "default"}, {})
        key = one.swarm.unlock_key()
        await one.restart()
        assert one.swarm.info()["LocalNodeState"] == "locked"
        with pytest.raises(Unavailable, match="unlock"):
            _ = one.swarm.control
        with pytest.raises(InvalidArgument):
            await one.swarm.unlock("SWMKEY-1-" + "A" * 43)
        await one.swarm.unlock(key)
        assert one.swarm.info()["LocalNodeState"] == "active"
        with pytest.raises(Conflict, match="not locked"):
            await one.swarm.unlock(key)


@on_loop
async def test_tokens_rotate_one_by_one(tmp_path: Path) -> None:
    async with node(tmp_path) as one:
        before = one.swarm.inspect()
        await one.swarm.update(before["Version"]["Index"], before["Spec"], {"worker": True})
        after = one.swarm.inspect()
        assert after["JoinTokens"]["Worker"] != before["JoinTokens"]["Worker"]
        assert after["JoinTokens"]["Manager"] == before["JoinTokens"]["Manager"]
        # nobody's request: who read the swarm before it may write
        await one.swarm._store.update(lambda tx: tx.update(tx.all(Cluster)[0].changed(leader="other")))
        await one.swarm.update(after["Version"]["Index"], {**after["Spec"], "Labels": {"a": "b"}}, {})
        with pytest.raises(OutOfSequence):
            await one.swarm.update(after["Version"]["Index"], after["Spec"], {"worker": True})


@on_loop
async def test_logs_of_a_service_carry_their_task(tmp_path: Path) -> None:
    async with node(tmp_path) as one:
        await one.swarm.control.create_service(web())
        await until(lambda: len(one.running("web")) == 1)
        task = one.running("web")[0]["ID"]
        pieces = [piece async for piece in await one.swarm.logs("service", "web", {"stdout": True, "details": True})]
        assert len(pieces) == 1
        assert pieces[0][0] == 1
        assert f"com.docker.swarm.task.id={task} hello of {task}\n".encode() in pieces[0]
        with pytest.raises(NotFound):
            await one.swarm.logs("service", "none", {"stdout": True})


@on_loop
async def test_the_last_manager_stays_a_manager(tmp_path: Path) -> None:
    async with node(tmp_path) as one:
        (row,) = one.swarm.control.nodes(NOTHING)
        with pytest.raises(InvalidArgument, match="last manager"):
            await one.swarm.control.update_node(row["ID"], row["Version"]["Index"], {"Role": "worker", "Availability": "active"})
        with pytest.raises(InvalidArgument, match="must be demoted"):
            await one.swarm.control.remove_node(row["ID"], True)
        with pytest.raises(Unavailable, match="--force"):
            await one.swarm.leave(False)


@pytest.mark.parametrize(
    "spec",
    [
        {"Name": "a b", "TaskTemplate": {"ContainerSpec": {"Image": "x"}}},
        {"Name": "x", "TaskTemplate": {"ContainerSpec": {}}},
        {"Name": "x", "TaskTemplate": {"ContainerSpec": {"Image": "Upper/CASE"}}},
        {"Name": "x"},
        {**web(), "Mode": {"Replicated": {"Replicas": 1}, "Global": {}}},
        {**web(), "EndpointSpec": {"Mode": "dnsrr", "Ports": [{"TargetPort": 80, "PublishedPort": 80}]}},
        {**web(), "Labels": {"scow.autoscale.cpu": "fast"}},
        {**web(), "Labels": {"scow.autoscale.cpu": "50"}, "Mode": {"Global": {}}},
        {**web(), "Labels": {"scow.autoscale.memory": "50"}},
        {**web(), "Labels": {"scow.autoscale.cpu": ""}},
        {**web(), "UpdateConfig": {"Order": "sideways"}},
    ],
)
def test_bad_services_are_refused(tmp_path: Path, spec: dict[str, Any]) -> None:
    @on_loop
    async def go() -> None:
        async with node(tmp_path) as one:
            with pytest.raises(InvalidArgument):
                await one.swarm.control.create_service(spec)

    go()


@pytest.mark.parametrize(
    ("first", "second", "word"),
    [("ingress", "ingress", "an ingress port"), ("ingress", "host", "an ingress port"), ("host", "ingress", "a host-published port")],
)
def test_a_port_of_the_mesh_is_no_other_services(tmp_path: Path, first: str, second: str, word: str) -> None:
    def spec(name: str, mode: str, published: int = 8080) -> dict[str, Any]:
        return {**web(name, 0), "EndpointSpec": {"Ports": [{"TargetPort": 80, "PublishedPort": published, "PublishMode": mode}]}}

    @on_loop
    async def go() -> None:
        async with node(tmp_path) as one:
            id = await one.swarm.control.create_service(spec("a", first))
            with pytest.raises(InvalidArgument, match=f"port '8080' is already in use by service 'a' \\({id}\\) as {word}"):
                await one.swarm.control.create_service(spec("b", second))
            await one.swarm.control.create_service(spec("c", second, 8081))

    go()
