"""The store of containers: rows, references, names."""

import dataclasses
from pathlib import Path

import pytest

from scow.containers.container import Container
from scow.containers.lifecycle import Health, Probe, State, Status
from scow.containers.store import Containers, NameInUse, NoSuchContainer
from scow.errors import Conflict, InvalidArgument
from scow.events import EventBus
from scow.ids import Ambiguous
from scow.metadata import Database
from scow.model.container import ContainerConfig, HealthConfig, HostConfig, PortBinding
from scow.model.network import EndpointSettings
from scow.volumes.mounts import MountPoint


def store(root: Path) -> Containers:
    return Containers(Database(root / "meta.db").table("containers"), EventBus(), root / "c", root / "b")


def add(into: Containers, name: str, key: str, **fields: object) -> Container:
    directory, bundle = into.paths(key)
    container = Container(
        id=key, name=name, created_ns=1, image_id="sha256:1", image_ref="box", config=ContainerConfig(labels={"l": "1"}), host=HostConfig(),
        path="sh", args=("-c", "x"), dir=directory, bundle=bundle, ledger=into,
    )  # fmt: skip
    container = dataclasses.replace(container, **fields)  # type: ignore[arg-type]
    into.reserve(name, key)
    into.put(container)
    container.save()
    return container


def test_a_row_brings_everything_back(tmp_path: Path) -> None:
    first = store(tmp_path)
    state = State(Status.RUNNING, pid=5, exit_code=3, restart_count=2, health=Health("healthy", 1, (Probe(1, 2, 3, "out"),)))
    kept = add(
        first, "web", "a" * 64, state=state, mounts=(MountPoint("volume", "v", "/s", "/d", options={"a": "b"}),),
        networks={"bridge": EndpointSettings(aliases=["x"])}, host=HostConfig(port_bindings={"80/tcp": [PortBinding("", "8080")]}),
        config=ContainerConfig(cmd=["x"], healthcheck=HealthConfig(test=["CMD"])),
    )  # fmt: skip
    (found,) = store(tmp_path).load()
    for field in ("id", "name", "config", "host", "mounts", "networks", "state", "path", "args", "image_ref"):
        assert getattr(found, field) == getattr(kept, field), field


def test_references(tmp_path: Path) -> None:
    found = store(tmp_path)
    one, two = add(found, "web", "ab" * 32), add(found, "ac", "ac" * 32)
    assert found.get("ab" * 32) is found.get("web") is found.get("/web") is found.get("ab") is one
    assert found.get("ac") is two
    with pytest.raises(Ambiguous):
        found.get("a")
    with pytest.raises(NoSuchContainer, match="No such container: nope"):
        found.get("nope")
    with pytest.raises(InvalidArgument):
        found.get("")


def test_the_code_of_a_container_that_removed_itself_is_known_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = store(tmp_path)
    ended = State(Status.EXITED, exit_code=7, started_ns=1)
    for number, rm in enumerate((True, False)):
        found.erase(add(found, f"box{number}", f"{number}" * 64, state=ended, host=HostConfig(auto_remove=rm)))
    assert found.code_of_gone("0" * 64) == found.code_of_gone("box0") == found.code_of_gone("/box0") == 7
    assert found.code_of_gone("1" * 64) is None and found.code_of_gone("box1") is None
    monkeypatch.setattr("scow.containers.store._GONE_SECONDS", -1.0)
    assert found.code_of_gone("box0") is None


def test_one_that_is_being_created_is_not_shown(tmp_path: Path) -> None:
    found = store(tmp_path)
    add(found, "web", "ab" * 32, hold="creating")
    assert found.all() == []
    for ref in ("web", "ab", "ab" * 32):
        assert found.find(ref) is None
    with pytest.raises(NameInUse):
        found.reserve("web", "x")


def test_rename_moves_links_and_frees_the_old_name(tmp_path: Path) -> None:
    found = store(tmp_path)
    web, db = add(found, "web", "ab" * 32, host=HostConfig(links=["db:data"])), add(found, "db", "cd" * 32)
    found.link(web, "data", db.id)
    assert found.names_of(db.id) == ["/db", "/web/data"]
    with pytest.raises(NameInUse):
        found.rename(web, "db")
    found.rename(web, "front")
    assert found.find("web") is None
    assert found.get("front/data") is db
    with pytest.raises(Conflict):
        found.unlink("/front")
    found.unlink("/front/data")
    assert web.host.links == []


def test_a_damaged_row_is_left_alone(tmp_path: Path) -> None:
    first = store(tmp_path)
    add(first, "web", "ab" * 32)
    Database(tmp_path / "meta.db").table("containers").put("bad", {"name": 3})
    assert [container.name for container in store(tmp_path).load()] == ["web"]
