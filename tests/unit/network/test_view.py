from scow.filters import Filters
from scow.model.network import EndpointSettings
from scow.network import view
from scow.network.endpoint import Endpoint, Published, SandboxRequest, SandboxState
from scow.network.network import Network, Pool

NET = Network("ab" * 32, "net", "bridge", 0, (Pool("10.1.0.0/24", "10.1.0.1"),), labels={"tier": "front"})


def test_inspect() -> None:
    settings = EndpointSettings(ip_address="10.1.0.2", ip_prefix_len=24, mac_address="02:42:0a:01:00:02")
    shown = view.network(NET, {"c" * 64: Endpoint("e" * 64, NET.id, "net", settings)}, {"c" * 64: "web"})
    assert shown["IPAM"] == {"Driver": "default", "Options": None, "Config": [{"Subnet": "10.1.0.0/24", "Gateway": "10.1.0.1"}]}
    assert shown["Containers"]["c" * 64] == {
        "Name": "web",
        "EndpointID": "e" * 64,
        "MacAddress": "02:42:0a:01:00:02",
        "IPv4Address": "10.1.0.2/24",
        "IPv6Address": "",
    }


def test_filters() -> None:
    def keeps(**wanted: list[str]) -> bool:
        return view.matches(NET, Filters(wanted), used=False)

    assert (
        keeps(driver=["bridge"])
        and keeps(label=["tier=front"])
        and keeps(type=["custom"])
        and keeps(dangling=["true"])
        and keeps(name=["^net$"])
    )
    assert not keeps(driver=["host"]) and not keeps(type=["builtin"]) and not keeps(dangling=["false"]) and not keeps(id=["ff"])


def test_ports() -> None:
    request = SandboxRequest("c" * 64, "web", "web", exposed=("80/tcp", "443/tcp"))
    box = SandboxState(
        "5" * 64, "", request, (), (Published("tcp", "0.0.0.0", 8080, 80, "10.1.0.2"), Published("tcp", "::", 8080, 80, "10.1.0.2"))
    )
    assert view.ports(box) == {
        "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}],
        "443/tcp": None,
    }
