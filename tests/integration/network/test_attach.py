"""Networks on the real kernel, in namespaces of the test's own: `scenario.py` does the work, this file reads what it saw."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.scenario import needs_root
from tests.support.scenario import seen as seen_by

SCENARIO = Path(__file__).with_name("scenario.py")
pytestmark = needs_root


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the scenario saw, by topic."""
    return seen_by(SCENARIO, tmp_path_factory.mktemp("network"))


def test_an_interface_with_address_and_route(seen: dict[str, Any]) -> None:
    assert seen["inner"] == {"address": seen["ip"] + "/16", "route": "172.17.0.1", "mac": seen["mac"]}


def test_published_ports_are_reached(seen: dict[str, Any]) -> None:
    assert seen["reached"] == {"loopback": "hello", "ipv6": "hello", "hairpin": "hello"}


def test_datagrams_follow_the_port(seen: dict[str, Any]) -> None:
    assert seen["udp"] == ["ping", "ping"]


def test_a_taken_port_is_refused_and_leaves_nothing(seen: dict[str, Any]) -> None:
    assert "port is already allocated" in seen["conflict"] and seen["pins after conflict"] == seen["pins before conflict"]


def test_names_on_a_user_network(seen: dict[str, Any]) -> None:
    assert seen["names"] == {
        "web": seen["web ip"],
        "web.net": seen["web ip"],
        "alias": seen["late ip"],
        "nosuch": "code 3",
        "reverse": "web.net",
    }


def test_connect_and_disconnect_while_running(seen: dict[str, Any]) -> None:
    assert seen["connected"] == ["eth0", "eth1", "lo"] and seen["disconnected"] == ["eth1", "lo"] and seen["moved port"] == "hello"


def test_bridges_are_isolated(seen: dict[str, Any]) -> None:
    assert seen["isolated"] is True


def test_nobody_sends_under_others_addresses(seen: dict[str, Any]) -> None:
    assert seen["forged"] == seen["renamed"] == ["end"]
    assert seen["trusted"] == ["address", "arp", "arp-mac", "end", "foreign", "mac"]


def test_routed_networks_are_reached_under_their_own_addresses(seen: dict[str, Any]) -> None:
    assert seen["routed"] == {"published": "hello", "other port": True, "host's port": "ConnectionRefusedError", "shown": [""]}


def test_a_second_daemon_takes_over(seen: dict[str, Any]) -> None:
    assert seen["recovered"] == {"port": "hello", "name": seen["web ip"], "address": "in use", "gone": []}


def test_what_others_take_away_comes_back(seen: dict[str, Any]) -> None:
    assert (seen["flushed"], seen["bridge deleted"], seen["interface deleted"]) == ("hello", "hello", "hello")


def test_a_connect_that_was_cut_off_is_undone(seen: dict[str, Any]) -> None:
    assert seen["cut off"] == {"one": ["net"], "web": ["net"]}


def test_a_network_with_ipv6_only(seen: dict[str, Any]) -> None:
    assert seen["six"] == {
        "ula": True,
        "ipv4": "",
        "direct": "hello",
        "ports": ["hello"] * 3,
        "aaaa": True,
        "exposed": [["0.0.0.0", "sources"], ["::", "sources"]],
    }


def test_a_reboot_rebuilds(seen: dict[str, Any]) -> None:
    assert seen["rebooted"] == {"bridge": True, "members": 0}


def test_nothing_is_left(seen: dict[str, Any]) -> None:
    assert seen["left"] == {"links": ["lo"], "pins": [], "table": ""}


def test_a_bridge_of_others_is_given_back_as_it_was(seen: dict[str, Any]) -> None:
    assert seen["borrowed"] == {"used": [["10.77.0.1/24"], ["10.78.0.1/24"], ["10.79.0.1/24"]], "given back": True}


def test_firewall_tables_of_others_are_left_alone(seen: dict[str, Any]) -> None:
    before, during, after = seen["others"]
    assert all("counter" in table for table in before) and before == during == after
