from pathlib import Path

from scow.network.firewall import render
from scow.network.firewall.render import BridgeRule, PortRule

GOLDEN = Path(__file__).with_name("table.nft")
BRIDGES = [
    BridgeRule("scow0", "172.17.0.0/16"),
    BridgeRule("br-0123456789ab", "10.1.0.0/24", internal=True),
    BridgeRule("br-ba9876543210", "10.2.0.0/24", masquerade=False),
]
PORTS = [
    PortRule("udp", "", 53, "172.17.0.3", 53),
    PortRule("tcp", "", 8080, "172.17.0.2", 80),
    PortRule("tcp", "127.0.0.1", 8081, "172.17.0.2", 80),
]


def test_the_whole_table() -> None:
    assert render.render(BRIDGES, PORTS) == GOLDEN.read_text()


def test_order_of_the_input_does_not_matter() -> None:
    assert render.render(reversed(BRIDGES), reversed(PORTS)) == GOLDEN.read_text()


def test_ports_come_and_go_as_elements() -> None:
    assert render.add_ports(PORTS[1:]) == (
        "add element inet scow ports { tcp . 8080 : 172.17.0.2 . 80 }\n"
        "add element inet scow ports_of { 127.0.0.1 . tcp . 8081 : 172.17.0.2 . 80 }\n"
    )
    assert render.delete_ports(PORTS[:1]) == "delete element inet scow ports { udp . 53 : 172.17.0.3 . 53 }\n"
    assert render.add_ports([]) == ""
