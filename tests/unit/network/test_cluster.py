"""Networks of swarm scope as inspect shows them."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from scow.events import EventBus
from scow.metadata.db import Database
from scow.network.cluster import NoCluster, shown, with_endpoints
from scow.network.network import Network
from scow.network.options import NetworkOptions
from scow.network.service import NetworkService
from scow.network.store import NoSuchNetwork
from tests.support.asynchronous import on_loop


def test_the_hosts_own_end_is_shown_where_the_network_is_made() -> None:
    network = Network("id", "ingress", "overlay", 0, scope="swarm", ingress=True, own_end="10.0.0.2/24")
    found = shown({"Containers": {}}, [{"Name": "n", "IP": "10.1.0.1"}], network, True)
    assert found["Peers"] == [{"Name": "n", "IP": "10.1.0.1"}]
    end = found["Containers"]["ingress-sbox"]
    assert (end["Name"], end["IPv4Address"], end["MacAddress"]) == ("ingress-endpoint", "10.0.0.2/24", "02:42:0a:00:00:02")
    assert shown({"Containers": {}}, [], network, False) == {"Containers": None}


def test_tasks_of_this_host_are_shown_with_their_endpoints() -> None:
    tasks = [
        {"Name": "web.1", "EndpointID": "t1", "EndpointIP": "10.0.1.3"},
        {"Name": "web.2", "EndpointID": "t2", "EndpointIP": "10.0.1.4"},
    ]
    found = with_endpoints({"web": {"VIP": "10.0.1.2", "Tasks": tasks}}, {"c": {"IPv4Address": "10.0.1.3/24", "EndpointID": "e1"}})
    assert found["web"]["VIP"] == "10.0.1.2"
    assert [task["EndpointID"] for task in found["web"]["Tasks"]] == ["e1", "t2"]
    assert with_endpoints({}, None) == {}


class Swarm(NoCluster):
    """Counts who asks it."""

    asked = 0

    def networks(self) -> Sequence[Network]:
        return [Network("n2", "local", "overlay", 0, scope="swarm")]

    async def fresh(self) -> None:
        self.asked += 1


@on_loop
async def test_only_what_may_be_a_swarms_is_asked_of_it(tmp_path: Path) -> None:
    service = NetworkService(Database(tmp_path / "db"), EventBus(), tmp_path / "netns", NetworkOptions(firewall=False))
    service.cluster = swarm = Swarm()
    here = service._networks
    here.put(Network("1" * 64, "local", "bridge", 0))
    here.put(Network("n1", "wide", "overlay", 0, scope="swarm"))
    for ref in ("local", "1" * 64, "1111"):
        await service.fresh(ref)
    assert swarm.asked == 0
    for ref in ("wide", "unknown", ""):
        await service.fresh(ref)
    assert swarm.asked == 3


def test_a_name_of_this_host_and_of_the_swarm_is_told_apart_by_its_scope(tmp_path: Path) -> None:
    service = NetworkService(Database(tmp_path / "db"), EventBus(), tmp_path / "netns", NetworkOptions(firewall=False))
    service.cluster = Swarm()
    here = service._networks
    here.put(Network("1" * 64, "local", "bridge", 0))
    here.put(Network("2" * 64, "host", "host", 0, scope="host"))
    assert [service.get("local", scope).id for scope in ("", "local", "swarm")] == ["1" * 64, "1" * 64, "n2"]
    assert service.get("host", "swarm").name == "host"  # every swarm has it, too
    with pytest.raises(NoSuchNetwork):
        service.get("1" * 64, "swarm")
