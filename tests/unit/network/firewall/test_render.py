from pathlib import Path

from scow.network.firewall import render
from scow.network.firewall.render import BridgeRule, PortRule, Side

GOLDEN = Path(__file__).with_name("table.nft")
BRIDGES = [
    BridgeRule("scow0", "172.17.0.0/16"),
    BridgeRule("br-0123456789ab", "10.1.0.0/24", internal=True),
    BridgeRule("br-ba9876543210", "10.2.0.0/24", masquerade=False, subnet6="fd00:1::/64", side=Side(exposed=True)),
    BridgeRule("br-plain", "10.3.0.0/24", side=Side(routed=True), trusted=("eth1", "eth2")),
    BridgeRule("br-six", "", subnet6="fd00:2::/64", side6=Side(source="fd00::9")),
]
PORTS = [
    PortRule("udp", "", 53, "172.17.0.3", 53),
    PortRule("tcp", "", 8080, "172.17.0.2", 80),
    PortRule("tcp", "127.0.0.1", 8081, "172.17.0.2", 80),
    PortRule("tcp", "", 0, "10.3.0.2", 80, ("10.9.0.0/16",)),
    PortRule("sctp", "", 99, "fd00:2::5", 9),
    PortRule("tcp", "fd00::1", 99, "fd00:2::5", 9, ("fd00::/16", "10.0.0.0/8")),
]


def test_the_whole_table() -> None:
    assert render.render(BRIDGES, PORTS) == GOLDEN.read_text()


def test_order_of_the_input_does_not_matter() -> None:
    assert render.render(reversed(BRIDGES), reversed(PORTS)) == GOLDEN.read_text()


def test_ports_come_and_go_as_elements() -> None:
    assert render.add_ports(PORTS[1:3]) == (
        "add element inet scow ports { tcp . 8080 : 172.17.0.2 . 80 }\n"
        "add element inet scow ports_of { 127.0.0.1 . tcp . 8081 : 172.17.0.2 . 80 }\n"
    )
    assert render.delete_ports(PORTS[:1]) == "delete element inet scow ports { udp . 53 : 172.17.0.3 . 53 }\n"
    assert render.add_ports([]) == ""
    assert render.add_ports(PORTS[5:]) == (
        "add element inet scow ports6_of { fd00::1 . tcp . 99 : fd00:2::5 . 9 }\n"
        "add element inet scow guarded6 { fd00:2::5 . tcp . 9 }\n"
        "add element inet scow sources6 { fd00:2::5 . tcp . 9 . fd00::/16 }\n"
    )
