"""Ports and names that move from one container to another."""

from scow.model.container import PortBinding
from scow.model.network import EndpointSettings
from scow.network import takeover
from scow.network.endpoint import Endpoint, Published, SandboxRequest, SandboxState


def sandbox(name: str, address: str, names: list[str], published: tuple[Published, ...] = ()) -> SandboxState:
    bindings = {f"{one.port}/{one.proto}": [PortBinding(host_ip=one.host_ip, host_port=str(one.host_port))] for one in published}
    request = SandboxRequest(name, name, name, port_bindings=bindings)
    settings = EndpointSettings(ip_address=address, aliases=names, dns_names=[name, *names])
    return SandboxState(name, "", request, (Endpoint(name, "net", "p_default", settings, "eth0"),), published)


def test_ports_and_names_move() -> None:
    http, other = Published("tcp", "0.0.0.0", 8080, 80, "10.0.0.2"), Published("udp", "0.0.0.0", 53, 53, "10.0.0.2")
    new, old = sandbox("new", "10.0.0.3", []), sandbox("old", "10.0.0.2", ["web", "own"], (http, other))
    found = takeover.plan(new, old, ("10.0.0.3", ""), {"80/tcp"}, {"p_default": ["web"]})
    moved = Published("tcp", "0.0.0.0", 8080, 80, "10.0.0.3")
    assert found.moved == ((http, moved),)
    assert found.new.published == (moved,)
    assert found.old.published == (other,)
    assert found.new.request.port_bindings.keys() == {"80/tcp"}
    assert found.old.request.port_bindings.keys() == {"53/udp"}
    assert found.new.endpoints[0].settings.dns_names == ["new", "web"]
    assert found.old.endpoints[0].settings.dns_names == ["old", "own"]
    assert found.old.endpoints[0].settings.aliases == ["own"]
