"""The control API on a store of its own: who may write with which version."""

from typing import Any

import pytest

from scow.swarm.clock import ManualClock
from scow.swarm.manager.autoscale import Autoscaler, Decision
from scow.swarm.manager.control import Control
from scow.swarm.manager.orchestrator.update import roll_back
from scow.swarm.objects import Node, Service
from scow.swarm.store.memory import MemoryStore
from scow.swarm.store.store import OutOfSequence
from tests.support.asynchronous import on_loop


def spec(image: str = "x", replicas: int = 1) -> dict[str, Any]:
    return {"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": image}}, "Mode": {"Replicated": {"Replicas": replicas}}}


def desk(store: MemoryStore) -> Control:
    return Control(store, ManualClock(), lambda ref: "")


async def reported(store: MemoryStore, cls: type[Node] | type[Service], id: str, **values: Any) -> None:
    """The system writes what it sees."""
    await store.update(lambda tx: tx.update(tx.find(cls, id).changed(**values)))  # type: ignore[misc]


@on_loop
async def test_what_a_node_reports_is_no_reason_to_refuse_an_update() -> None:
    store = MemoryStore()
    control = desk(store)
    await store.update(lambda tx: tx.create(Node(id="n", spec={"Role": "worker", "Availability": "active"})))
    read = control.node("n")["Version"]["Index"]
    await reported(store, Node, "n", status_state="ready", description={"Hostname": "h"})
    await reported(store, Node, "n", manager={"Reachability": "reachable"})
    assert control.node("n")["Version"]["Index"] > read
    with pytest.raises(OutOfSequence):
        await control.update_node("n", store.version + 1, {"Role": "worker", "Availability": "drain"})
    await control.update_node("n", read, {"Role": "worker", "Availability": "drain"})
    with pytest.raises(OutOfSequence):
        await control.update_node("n", read, {"Role": "worker", "Availability": "pause"})
    assert control.node("n")["Spec"]["Availability"] == "drain"


@on_loop
async def test_a_service_moves_by_reports_and_refuses_only_who_missed_a_spec() -> None:
    store = MemoryStore()
    control = desk(store)
    id = await control.create_service(spec())
    read = control.service(id)["Version"]["Index"]
    await reported(store, Service, id, endpoint={"Ports": []})
    await control.update_service(id, read, spec("y"))
    seen = control.service(id)["Version"]["Index"]
    await reported(store, Service, id, update_status={"State": "completed"})
    with pytest.raises(OutOfSequence):
        await control.update_service(id, read, spec("z"))
    await control.update_service(id, seen, {}, rollback="previous")
    assert store.find(Service, id).task_spec["ContainerSpec"]["Image"] == "x"
    with pytest.raises(OutOfSequence):  # the same request twice is not undone and done
        await control.update_service(id, seen, {}, rollback="previous")


@on_loop
async def test_a_rollback_and_the_autoscaler_change_the_spec() -> None:
    store, clock = MemoryStore(), ManualClock()
    control = desk(store)
    id = await control.create_service(spec())
    await control.update_service(id, store.version, spec("y"))
    read = store.version
    await store.update(lambda tx: roll_back(tx, id, tx.find(Service, id).spec_version, clock.now_ns(), "it failed"))
    with pytest.raises(OutOfSequence):
        await control.update_service(id, read, spec("z"))
    read = store.version
    await Autoscaler(store, clock)._scale(store.find(Service, id), Decision(4, "busy"))
    assert store.find(Service, id).replicas == 4
    with pytest.raises(OutOfSequence):
        await control.update_service(id, read, spec("z"))


@on_loop
async def test_who_names_no_number_leaves_it_to_the_load() -> None:
    store = MemoryStore()
    control = desk(store)
    labels = {"scow.autoscale.cpu": "50"}
    id = await control.create_service({**spec(replicas=4), "Labels": labels})
    await control.update_service(id, store.version, {**spec("y"), "Labels": labels, "Mode": {"Replicated": {}}})
    assert store.find(Service, id).replicas == 4
    await control.update_service(id, store.version, {**spec("y"), "Mode": {"Replicated": {}}})
    assert store.find(Service, id).replicas == 1
