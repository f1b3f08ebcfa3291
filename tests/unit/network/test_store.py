from pathlib import Path

import pytest

from scow.ids import Ambiguous
from scow.metadata.db import Database
from scow.model.container import PortBinding
from scow.model.network import EndpointIPAMConfig, EndpointSettings
from scow.network.endpoint import Endpoint, Published, SandboxRequest, SandboxState
from scow.network.network import Network, Pool
from scow.network.store import NetworkStore, NoSuchNetwork, SandboxStore

NET = Network("ab" * 32, "net", "bridge", 5, (Pool("10.1.0.0/24", "10.1.0.1", aux={"a": "10.1.0.9"}),), labels={"x": "y"})
BOX = SandboxState(
    "5" * 64,
    "/run/netns/5",
    SandboxRequest(
        "c" * 64, "web", "host", endpoints={"net": EndpointSettings(aliases=["al"])}, port_bindings={"80/tcp": [PortBinding("", "8080")]}
    ),
    (Endpoint("e" * 64, NET.id, "net", EndpointSettings(ipam_config=EndpointIPAMConfig("10.1.0.2"), ip_address="10.1.0.2"), "eth0"),),
    (Published("tcp", "0.0.0.0", 8080, 80, "10.1.0.2"),),
)


def test_networks_survive_a_restart_and_are_found(tmp_path: Path) -> None:
    db = Database(tmp_path / "db")
    NetworkStore(db).put(NET)
    NetworkStore(db).put(Network("ac" * 32, "other", "bridge", 6))
    db.close()
    store = NetworkStore(Database(tmp_path / "db"))
    assert store.get("net") == store.get(NET.id) == store.get("abab") == NET
    with pytest.raises(Ambiguous):
        store.get("a")
    with pytest.raises(NoSuchNetwork, match="network zzz not found"):
        store.get("zzz")
    store.drop(NET)
    assert [network.name for network in store] == ["other"]


def test_sandboxes_survive_a_restart_and_are_members(tmp_path: Path) -> None:
    db = Database(tmp_path / "db")
    SandboxStore(db).put(BOX)
    store = SandboxStore(db)
    read = store.get(BOX.container_id)
    assert read is not None and read is store.find("web") and read.to_doc() == BOX.to_doc()
    assert read.endpoints == BOX.endpoints and read.published == BOX.published
    assert store.members(NET.id) == {BOX.container_id: BOX.endpoints[0]}
    assert store.drop(BOX.container_id) is read
    assert store.members(NET.id) == {} and list(SandboxStore(db)) == []


def test_a_leaving_network_is_nobodys_but_its_row_stays(tmp_path: Path) -> None:
    db = Database(tmp_path / "db")
    store = NetworkStore(db)
    store.put(NET)
    store.leave(NET)
    for one in (store, NetworkStore(db)):
        assert list(one) == [] and one.named("net") is None and one.leaving == {NET.id: NET}
    store.put(Network("ac" * 32, "net", "bridge", 6))  # its name is free
    store.drop(NET)
    assert store.named("net") is not None and not NetworkStore(db).leaving
