import pytest

from scow.model.network import EndpointSettings
from scow.network import exposure
from scow.network.endpoint import Endpoint, Published, SandboxRequest, SandboxState
from scow.network.network import Network, Pool


@pytest.mark.parametrize(
    ("host", "sources", "policy", "expected"),
    [
        ("0.0.0.0", (), "open", "world"),
        ("::", (), "loopback", "world"),
        ("127.0.0.1", (), "open", "host"),
        ("::1", ("10.0.0.0/8",), "user", "host"),
        ("192.0.2.1", (), "open", "address"),
        ("0.0.0.0", ("10.0.0.0/8",), "open", "sources"),
        ("0.0.0.0", (), "user", "user chain"),
    ],
)
def test_reach(host: str, sources: tuple[str, ...], policy: str, expected: str) -> None:
    assert exposure.reach(Published("tcp", host, 80, 80, "10.0.0.2", sources), policy) == expected


def test_routed_ports_are_reached_under_the_containers_address() -> None:
    network = Network("3" * 64, "plain", "bridge", 0, (Pool("10.0.0.0/24"),))
    endpoint = Endpoint("e" * 64, network.id, network.name, EndpointSettings(ip_address="10.0.0.2"), "eth0")
    published = (Published("tcp", "0.0.0.0", 0, 80, "10.0.0.2"), Published("tcp", "127.0.0.1", 0, 81, "10.0.0.2"))
    rows = exposure.listing([network], [SandboxState("5" * 64, "", SandboxRequest("c" * 64, "c", "c"), (endpoint,), published)], "open")
    assert [(row["HostIp"], row["HostPort"], row["Reach"]) for row in rows] == [("10.0.0.2", 80, "world"), ("10.0.0.2", 81, "host")]


def test_ports_host_networks_and_open_networks_are_listed() -> None:
    options = {"com.docker.network.bridge.gateway_mode_ipv4": "nat-unprotected"}
    nets = [Network("1" * 64, "host", "host", 0), Network("2" * 64, "open", "bridge", 0, (Pool("10.0.0.0/24"),), options=options)]

    def box(name: str, network: Network, *published: Published) -> SandboxState:
        endpoint = Endpoint("e" * 64, network.id, network.name, EndpointSettings(ip_address="10.0.0.2"), "eth0")
        return SandboxState("5" * 64, "", SandboxRequest(name * 64, name, name), (endpoint,), published)

    rows = exposure.listing(nets, [box("a", nets[0]), box("b", nets[1], Published("tcp", "127.0.0.1", 8080, 80, "10.0.0.2"))], "open")
    assert [(row["Name"], row["Protocol"], row["HostIp"], row["HostPort"], row["Reach"]) for row in rows] == [
        ("a", "any", "0.0.0.0", 0, "world"),
        ("b", "any", "10.0.0.2", 0, "world"),
        ("b", "tcp", "127.0.0.1", 8080, "host"),
    ]
