import pytest

from scow.network.firewall.nftables import Firewall
from scow.network.firewall.render import PortRule
from scow.network.ports import mapper
from scow.network.ports.allocator import PortTaken, Wish
from scow.network.ports.mapper import PortMapper, rules_of
from tests.support.asynchronous import on_loop

HOST = "127.0.83.21"


def test_ipv6_is_no_rule_and_any_address_is_no_key() -> None:
    ports = PortMapper(Firewall(enabled=False))
    held = ports.hold([Wish(80, "tcp", ("127.0.83.22",))], "10.0.0.2")
    assert rules_of(held) == [PortRule("tcp", "127.0.83.22", held[0].host_port, "10.0.0.2", 80)]
    ports.unhold(held)


def test_all_or_none_is_held() -> None:
    ports = PortMapper(Firewall(enabled=False))
    (one,) = ports.hold([Wish(80, "tcp", (HOST,))], "10.0.0.2")
    clash = Wish(80, "tcp", (HOST,), one.host_port, one.host_port)
    with pytest.raises(PortTaken):
        ports.hold([Wish(81, "tcp", (HOST,)), clash], "10.0.0.3")
    ports.unhold([one])
    ports.unhold(ports.hold([clash], "10.0.0.3"))


def test_routed_containers_need_no_port_of_the_host() -> None:
    ports = PortMapper(Firewall(enabled=False))
    held = ports.hold([Wish(80, "tcp", (HOST, "::"), 0, 0)], "10.0.0.2", "fd00::2", routed={6})
    assert [(one.direct, one.relayed) for one in held] == [(False, False), (True, False)]
    assert rules_of(held) == [PortRule("tcp", HOST, held[0].host_port, "10.0.0.2", 80), PortRule("tcp", "", 0, "fd00::2", 80)]
    ports.unhold(held)
    # a port for one address of the host is not opened to all
    both = ports.hold([Wish(80, "tcp", ("127.0.0.1", "0.0.0.0"), 8080, 8080)], "10.0.0.2", routed={4, 6})
    assert all(one.direct for one in both)
    assert rules_of(both) == [PortRule("tcp", "", 0, "10.0.0.2", 80)]


@on_loop
async def test_rules_come_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    forgotten: list[set[int]] = []
    monkeypatch.setattr(mapper, "forget_udp", forgotten.append)
    ports = PortMapper(Firewall(enabled=False))
    held = ports.hold([Wish(53, "udp", (HOST,))], "10.0.0.2")
    await ports.open(held)
    await ports.close(held)
    await ports.shutdown()
    assert forgotten == [{held[0].host_port}] * 2


def test_a_port_lost_meanwhile_is_only_logged(caplog: pytest.LogCaptureFixture) -> None:
    ports = PortMapper(Firewall(enabled=False))
    held = ports.hold([Wish(80, "tcp", (HOST,))], "10.0.0.2")
    PortMapper(Firewall(enabled=False)).rehold(held)
    assert "held by somebody else" in caplog.text
    ports.unhold(held)
