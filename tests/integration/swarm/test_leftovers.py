"""Links that a killed engine left of another swarm, where this one needs their number. On the real kernel, in a namespace of its own."""

import json
from pathlib import Path
from typing import Any

import pytest

from scow.errors import ScowError
from scow.kernel.netlink import Netlink
from scow.network import vxlan
from scow.network.network import Network
from tests.support.scenario import needs_root
from tests.support.scenario import seen as seen_by

pytestmark = needs_root
OLD, NEW = ("a" * 25, "b" * 25)


def _network(id: str) -> Network:
    return Network(id, "ingress", "overlay", 1, scope="swarm", ingress=True, options={vxlan.VNI: "4097"}, data_path="4789 ")


def _links(netlink: Netlink) -> list[str]:
    return sorted(link.name for link in netlink.links() if link.name != "lo")


def scenario() -> dict[str, Any]:
    """What is seen, by topic."""
    seen: dict[str, Any] = {}
    with Netlink() as netlink:
        vxlan.ensure(_network(OLD))
        seen["before"] = _links(netlink)
        netlink.add_pair("port", "inner")
        bridge, port = netlink.link(_network(OLD).link), netlink.link("port")
        assert bridge is not None
        assert port is not None
        netlink.set_master(port.index, bridge.index)
        try:
            vxlan.ensure(_network(NEW))
        except ScowError as error:
            seen["in use"] = error.message
        netlink.delete_link("port")
        seen["kept"] = _links(netlink)
        vxlan.ensure(_network(NEW))
        seen["after"] = _links(netlink)
    return seen


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    """What the scenario saw."""
    return seen_by(Path(__file__), seconds=120, skip_on="no VXLAN")


def test_a_rest_without_containers_makes_room(seen: dict[str, Any]) -> None:
    assert seen["before"] == ["ov-aaaaaaaaaaaa", "vx-aaaaaaaaaaaa"]
    assert seen["after"] == ["ov-bbbbbbbbbbbb", "vx-bbbbbbbbbbbb"]


def test_what_is_in_use_stays_and_is_named(seen: dict[str, Any]) -> None:
    assert seen["kept"] == seen["before"]
    assert "containers on ov-aaaaaaaaaaaa use it" in seen["in use"]
    assert "ip link delete vx-aaaaaaaaaaaa" in seen["in use"]


if __name__ == "__main__":
    print(json.dumps(scenario()))
