"""What the cluster's state means for a host's networks."""

import base64
import dataclasses
from typing import Any

from scow.engine_executor import netstate
from scow.network import vxlan
from scow.network.encryption.keys import address_of
from scow.network.lb.render import Entry, Virtual
from scow.network.vxlan import Far
from scow.swarm.wire import ClusterState, Peer, ServiceState


def view(id: str, name: str, **spec: Any) -> dict[str, Any]:
    return {
        "ID": id,
        "CreatedAt": "2026-01-02T03:04:05Z",
        "Spec": {"Name": name, "DriverConfiguration": {"Name": "overlay", "Options": {"a": "b"}}, "Attachable": True, **spec},
        "DriverState": {"Options": {"com.docker.network.driver.overlay.vxlanid_list": "4098"}},
        "IPAMOptions": {"Configs": [{"Subnet": "10.0.1.0/24", "Gateway": "10.0.1.1"}]},
    }


WEB = ServiceState("s1", "web", "vip", {"n1": "10.0.1.2", "in": "10.0.0.9"}, {"n1": ("www",)}, ({"PublishedPort": 80, "TargetPort": 8080},))
RR = ServiceState("s2", "rr", "dnsrr", {}, {"n1": ("www",)})
STATE = ClusterState(
    "me",
    {"me": "192.0.2.1", "other": "192.0.2.2"},
    {"n1": view("n1", "net"), "in": view("in", "ingress", Ingress=True)},
    (
        Peer("n1", "10.0.1.3", "me", "t1", "s1", ("web.1.t1", "www")),
        Peer("n1", "10.0.1.4", "other", "t2", "s1", ("web.2.t2", "www")),
        Peer("n1", "10.0.1.5", "other", "t3", "s1", ("web.3.t3",), ready=False),
        Peer("n1", "10.0.1.6", "other", "t4", "s2", ("rr.1.t4",)),
        Peer("n1", "fd00::6", "other", "t4", "s2", ("rr.1.t4",)),
        Peer("in", "10.0.0.4", "other", "t2", "s1", ("web.2.t2",)),
        Peer("in", "10.0.0.7", "other", "node:other"),
        Peer("n1", "10.0.1.254", "me", "c" * 64, "", ("plain", "Alias")),
    ),
    (WEB, RR),
    {"in": "10.0.0.2/24", "n1": "10.0.1.7/24"},
    4790,
)


def serves(peer: Peer) -> bool:
    return peer.ready


def test_a_network_as_this_host_makes_it() -> None:
    made = netstate.network(STATE.networks["n1"], STATE)
    assert (made.id, made.name, made.driver, made.scope, made.attachable) == ("n1", "net", "overlay", "swarm", True)
    assert made.options == {"a": "b", "com.docker.network.driver.overlay.vxlanid_list": "4098"} and made.own_subnet
    assert made.data_path == "4790 192.0.2.1" and made.own_end == "" and made.created_ns == 1_767_323_045 * 10**9


def test_the_host_itself_is_on_the_ingress_network() -> None:
    assert netstate.network(STATE.networks["in"], STATE).own_end == "10.0.0.2/24"


def test_a_node_alone_has_no_address_to_tunnel_from() -> None:
    alone = ClusterState("me", {"me": "127.0.0.1"}, STATE.networks)
    assert netstate.network(STATE.networks["n1"], alone).data_path == "4789"


def test_a_network_of_another_driver_takes_its_configuration() -> None:
    made = netstate.network(view("n2", "mac", DriverConfiguration={"Name": "macvlan"}, ConfigFrom={"Network": "cfg"}), STATE)
    assert (made.driver, made.config_from, made.data_path) == ("macvlan", "cfg", "")


def test_tunnels_lead_to_the_ends_of_other_hosts_only() -> None:
    found = netstate.far(STATE)
    assert Far(("10.0.1.4",), "192.0.2.2") in found["n1"] and Far(("10.0.1.6", "fd00::6"), "192.0.2.2") in found["n1"]
    assert len(found["n1"]) == 3 and Far(("10.0.0.7",), "192.0.2.2") in found["in"]


def test_names_of_services_tasks_and_containers() -> None:
    names, bearers = netstate.names(STATE, serves)
    net = names["n1"]
    assert net["web"] == ("10.0.1.2",) and net["tasks.web"] == ("10.0.1.3", "10.0.1.4")
    assert net["rr"] == net["tasks.rr"] == ("10.0.1.6", "fd00::6")
    assert net["www"] == ("10.0.1.2", "10.0.1.6", "fd00::6")  # two services share it
    assert net["web.3.t3"] == ("10.0.1.5",) and net["plain"] == net["alias"] == ("10.0.1.254",)
    assert "in" not in names and bearers["n1"]["10.0.1.2"] == "web" and bearers["n1"]["10.0.1.4"] == "web.2.t2"


def test_load_goes_to_the_tasks_that_serve() -> None:
    assert netstate.virtuals(STATE, serves) == {"n1": [Virtual("10.0.1.2", ("10.0.1.3", "10.0.1.4"))]}
    assert netstate.virtuals(STATE, lambda peer: serves(peer) and peer.endpoint != "t1") == {"n1": [Virtual("10.0.1.2", ("10.0.1.4",))]}
    assert netstate.entries(STATE, serves) == [Entry("tcp", 80, 8080, ("10.0.0.4",))]


def test_who_takes_part_and_what_runs_there() -> None:
    assert [row["IP"] for row in netstate.hosts(STATE, "n1", here=True)] == ["192.0.2.1", "192.0.2.2"]
    found = netstate.services(STATE, "n1")
    web = found["web"]
    # ports are those of the mesh, and it is on the ingress network
    assert (web["Ports"], netstate.services(STATE, "in")["web"]["Ports"]) == ([], ["Target: 8080, Publish: 80"])
    assert found["rr"]["VIP"] == "<nil>"
    assert web["VIP"] == "10.0.1.2" and [task["EndpointIP"] for task in web["Tasks"]] == ["10.0.1.3", "10.0.1.4", "10.0.1.5"]
    assert [peer.endpoint for peer in netstate.leased(STATE)] == ["c" * 64]


def sealed(**tunnels: tuple[dict[str, Any], ...]) -> ClusterState:
    network = view("n1", "net", DriverConfiguration={"Name": "overlay", "Options": {"encrypted": ""}})
    return ClusterState("me", STATE.nodes, {"n1": network}, STATE.peers, data_path_port=4789, tunnels=tunnels)


def test_an_encrypted_network_leads_through_the_tunnel_or_nowhere() -> None:
    one, two = (base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2))
    state = sealed(me=({"key": one, "port": 1},), other=({"key": two, "port": 51821}, {"key": one, "port": 51820}))
    made = netstate.network(state.networks["n1"], state)
    assert made.encrypted and made.data_path == "4790 ::" and vxlan.mtu(made) == 1350
    inner = address_of(bytes([2]) * 32)
    assert {one.host for one in netstate.far(state)["n1"]} == {inner}
    assert [(one.host, one.port, one.address) for one in netstate.tunnel_peers(state)] == [
        ("192.0.2.2", 51821, inner),
        ("192.0.2.2", 51820, address_of(bytes([1]) * 32)),
    ]


def test_without_a_key_another_host_is_not_reached_at_all() -> None:
    for tunnels in ({}, {"other": ()}, {"other": ({"key": "broken", "port": 1},)}, {"other": ({"port": 1},)}):
        state = sealed(**tunnels)
        assert "n1" not in netstate.far(state) and netstate.tunnel_peers(state) == []


def test_who_sends_load_to_a_service() -> None:
    assert netstate.senders(STATE, WEB) == {"me", "other"}
    inner = dataclasses.replace(WEB, ports=())
    assert netstate.senders(STATE, inner) == {"me", "other"}
    alone = dataclasses.replace(STATE, peers=tuple(peer for peer in STATE.peers if peer.node == "me"))
    assert netstate.senders(alone, inner) == {"me"}
    assert netstate.senders(alone, WEB) == {"me", "other"}  # its port is published there, too
