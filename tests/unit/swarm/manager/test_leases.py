"""Addresses of plain containers on attachable networks."""

from typing import Any

import pytest

from scow.errors import Conflict, Forbidden, InvalidArgument
from scow.swarm.manager.leases import Leases
from scow.swarm.objects import Network, Task, TaskState, TaskStatus
from scow.swarm.store.memory import MemoryStore
from scow.swarm.store.store import Tx
from tests.support.asynchronous import on_loop

ONE, TWO = "1" * 64, "2" * 64


async def store(**spec: Any) -> MemoryStore:
    made = MemoryStore()
    task = Task(
        id="t", status=TaskStatus(TaskState.RUNNING), networks=({"Network": {"ID": "n"}, "Addresses": ["10.0.1.14/28"]},), node_id="other"
    )

    def write(tx: Tx) -> None:
        rows = [{"Subnet": "10.0.1.0/28", "Gateway": "10.0.1.1"}]
        tx.create(Network(id="n", spec={"Name": "net", "Attachable": True, **spec}, ipam={"Config": rows}, vni=4097))
        tx.create(task)

    await made.update(write)
    return made


def leases(of: MemoryStore) -> dict[str, str]:
    network = of.get(Network, "n")
    assert network is not None
    return dict(network.leases)


@on_loop
async def test_the_highest_free_address_with_names() -> None:
    held = await store()
    given = await Leases(held).lease("node", "net", ONE, ["web", "al", "web", "no:good,", "_x"], [])
    assert given["addresses"] == ["10.0.1.13/28"] and given["network"]["ID"] == "n"  # a task has the highest
    assert leases(held) == {"10.0.1.13": f"container:node:{ONE}:web,al,_x"}


@on_loop
async def test_asking_again_gives_the_same_and_release_gives_back() -> None:
    held = await store()
    desk = Leases(held)
    first = await desk.lease("node", "net", ONE, ["a1"], [])
    assert (await desk.lease("node", "n", ONE, ["b1"], []))["addresses"] == first["addresses"]
    assert leases(held) == {"10.0.1.13": f"container:node:{ONE}:b1"}
    await desk.release("other", ONE, ["n"])  # not that node's
    assert leases(held)
    await desk.release("node", ONE, ["n", "gone"])
    assert leases(held) == {}


@on_loop
async def test_a_wished_address() -> None:
    held = await store()
    desk = Leases(held)
    assert (await desk.lease("node", "net", ONE, [], ["10.0.1.5"]))["addresses"] == ["10.0.1.5/28"]
    for address in ("10.0.1.5", "10.0.1.14", "10.0.1.1"):
        with pytest.raises(Conflict, match="already in use"):
            await desk.lease("node", "net", TWO, [], [address])
    with pytest.raises(InvalidArgument, match="no configured subnet"):
        await desk.lease("node", "net", TWO, [], ["192.0.2.1"])


@on_loop
async def test_a_full_network_says_so() -> None:
    held = await store()
    desk = Leases(held)
    for number in range(12):  # 14 hosts, one is the gateway, one a task
        await desk.lease("node", "net", f"{number:064x}", [], [])
    with pytest.raises(Conflict, match="no available"):
        await desk.lease("node", "net", TWO, [], [])


@on_loop
async def test_networks_that_are_not_attachable_refuse() -> None:
    with pytest.raises(Forbidden, match="not manually attachable"):
        await Leases(await store(Attachable=False)).lease("node", "net", ONE, [], [])


@on_loop
async def test_only_containers_lease() -> None:
    with pytest.raises(InvalidArgument):
        await Leases(await store()).lease("node", "net", "x:y", [], [])
