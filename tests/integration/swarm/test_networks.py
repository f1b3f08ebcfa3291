"""Overlay networks between two hosts on the real kernel: `scenario.py` does the work, this file reads what it saw."""

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
    return seen_by(SCENARIO, tmp_path_factory.mktemp("swarm"), skip_on="no VXLAN")


def test_a_container_has_the_address_the_cluster_gave_it(seen: dict[str, Any]) -> None:
    assert seen["address"] == "10.50.0.1"


def test_containers_of_two_hosts_reach_each_other(seen: dict[str, Any]) -> None:
    assert seen["direct"] == "10.50.0.1"


def test_a_virtual_address_leads_to_the_other_host(seen: dict[str, Any]) -> None:
    assert seen["virtual"] == "10.50.0.1"


def test_a_published_port_answers_on_a_host_without_a_task(seen: dict[str, Any]) -> None:
    assert seen["mesh"] == ["10.51.0.11", "10.51.0.11"]


def test_names_of_all_hosts(seen: dict[str, Any]) -> None:
    assert seen["names"] == [["10.50.0.100"], ["10.50.0.2"], ["10.50.0.2"], ["10.50.0.1"]] and seen["peers"] == ["192.0.2.1", "192.0.2.2"]


def test_the_host_is_apart_from_overlay_networks(seen: dict[str, Any]) -> None:
    assert seen["forbidden"] in ("TimeoutError", "OSError", "ConnectionRefusedError")


def test_a_task_about_to_end_gets_no_load_but_still_serves(seen: dict[str, Any]) -> None:
    assert seen["drained"] == ["ConnectionRefusedError", "ConnectionRefusedError", "10.50.0.1"]


def test_a_network_goes_with_its_last_container(seen: dict[str, Any]) -> None:
    assert seen["kept"] and seen["released"] == [["1" * 64, "over" * 6]]


def test_leaving_tidies_up(seen: dict[str, Any]) -> None:
    assert seen["second"] == 0 and seen["left"] == [] and seen["way out"] == "docker_gwbridge"
