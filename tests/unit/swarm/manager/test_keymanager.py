"""Public keys of nodes for encrypted networks: noted, checked, told, and what follows for tasks."""

import base64
from typing import Any

import pytest

from scow.errors import InvalidArgument, NotFound
from scow.swarm.clock import ManualClock
from scow.swarm.manager.clusterstate import ClusterStates
from scow.swarm.manager.dispatcher import Dispatcher
from scow.swarm.manager.keymanager import KeyManager
from scow.swarm.manager.scheduler.filters import Pipeline
from scow.swarm.manager.scheduler.nodes import Room
from scow.swarm.objects import Network, Node, Service, Task, TaskState, TaskStatus
from scow.swarm.store.memory import MemoryStore
from scow.swarm.store.store import Tx
from tests.support.asynchronous import on_loop


def key(number: int, port: int = 51820) -> dict[str, Any]:
    return {"key": base64.b64encode(bytes([number]) * 32).decode(), "port": port}


def view(**options: str) -> dict[str, Any]:
    return {"ID": "n", "Spec": {"Name": "net", "DriverConfiguration": {"Name": "overlay", "Options": options}}}


async def store() -> MemoryStore:
    made = MemoryStore()

    def write(tx: Tx) -> None:
        for id in ("a", "b", "c"):
            tx.create(Node(id=id, address="192.0.2.1", status_state="ready"))
        ipam = {"Config": [{"Subnet": "10.0.1.0/24"}]}
        tx.create(Network(id="n", spec={"Name": "net", "Options": {"encrypted": ""}}, ipam=ipam, leases={"10.0.1.9": "container:a:x:"}))
        tx.create(Network(id="p", spec={"Name": "plain", "Options": {}}, ipam=ipam, leases={"10.0.1.9": "container:c:x:"}))
        tx.create(Service(id="s", spec={"Name": "web", "TaskTemplate": {"Networks": [{"Target": "n"}]}}))
        row = {"Network": view(encrypted=""), "Addresses": ["10.0.1.2/24"]}
        tx.create(Task(id="t", service_id="s", node_id="b", status=TaskStatus(TaskState.RUNNING), networks=(row,)))

    await made.update(write)
    return made


def keys_of(of: MemoryStore, id: str) -> list[Any]:
    node = of.get(Node, id)
    assert node is not None
    return list(node.tunnel)


@on_loop
async def test_a_nodes_keys_are_noted() -> None:
    held = await store()
    await KeyManager(held).note("a", [key(1), {**key(2, 51821), "more": "x"}])
    assert keys_of(held, "a") == [key(1), key(2, 51821)]
    version = held.version
    await KeyManager(held).note("a", [key(1), key(2, 51821)])
    assert held.version == version  # nothing new, nothing written
    await KeyManager(held).note("a", [])
    assert keys_of(held, "a") == []


@on_loop
async def test_nobody_takes_anothers_key() -> None:
    held = await store()
    await KeyManager(held).note("a", [key(1)])
    with pytest.raises(InvalidArgument, match="another node"):
        await KeyManager(held).note("b", [key(2), key(1)])
    assert keys_of(held, "b") == []
    with pytest.raises(NotFound):
        await KeyManager(held).note("stranger", [key(3)])


@pytest.mark.parametrize(
    "rows",
    [
        [{}],
        [{"key": "AAAA", "port": 1}],
        [{"key": None, "port": 1}],
        [{**key(1), "port": 0}],
        [{**key(1), "port": 65536}],
        [{**key(1), "port": "x"}],
        [key(0)],
        [key(1), key(1)],
        [key(1), key(2), key(3)],
        ["text"],
        [None],
    ],
)
@on_loop
async def test_what_is_no_key(rows: list[Any]) -> None:
    with pytest.raises(InvalidArgument):
        await KeyManager(await store()).note("a", rows)


@on_loop
async def test_a_node_is_told_the_keys_of_those_it_shares_an_encrypted_network_with() -> None:
    held = await store()
    for number, id in enumerate("abc", 1):
        await KeyManager(held).note(id, [key(number)])
    states = ClusterStates(held)
    states.setup()
    assert states.of("a").tunnels == {"a": (key(1),), "b": (key(2),)}
    assert states.of("c").tunnels == {"c": (key(3),)}
    await Dispatcher(held, ManualClock()).leave("b")
    assert states.of("a").tunnels == {"a": (key(1),)}


def test_tasks_on_encrypted_networks_need_a_node_with_a_key() -> None:
    task = Task(id="t", networks=({"Network": view(encrypted=""), "Addresses": ["10.0.1.2/24"]},))
    without, with_key = (Room.of(Node(id="a", status_state="ready", tunnel=rows), ()) for rows in ((), (key(1),)))
    pipeline = Pipeline(task)
    assert not pipeline.fits(without) and pipeline.fits(with_key)
    assert pipeline.explain() == "encrypted networks need WireGuard in the kernel or the package wireguard-go, missing on 1 node"
    for options in ({}, {"encrypted": "false"}):
        assert Pipeline(Task(id="t", networks=({"Network": view(**options)},))).fits(without)
