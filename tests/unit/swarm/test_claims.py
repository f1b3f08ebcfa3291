"""What nodes say is checked before the store sees it."""

from typing import Any

import pytest

from scow.errors import InvalidArgument
from scow.swarm import claims
from scow.swarm.objects import ContainerStatus, TaskState, TaskStatus
from scow.swarm.wire import pack_status


def test_an_honest_node_is_taken_at_its_word() -> None:
    said = {
        "Hostname": "h1",
        "Platform": {"Architecture": "x86_64", "OS": "linux"},
        "Resources": {
            "NanoCPUs": 2_000_000_000,
            "MemoryBytes": 1 << 34,
            "GenericResources": [{"DiscreteResourceSpec": {"Kind": "ssd", "Value": 3}}, {"NamedResourceSpec": {"Kind": "g", "Value": "a"}}],
        },
        "Engine": {"EngineVersion": "1", "Labels": {"disk": "ssd"}, "Plugins": [{"Type": "Volume", "Name": "local"}]},
        "TLSInfo": {"TrustRoot": "x", "CertIssuerSubject": "y", "CertIssuerPublicKey": "z"},
    }
    assert claims.description({**said, "Unknown": 5}) == said
    row = {"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080, "PublishMode": "host"}
    status = TaskStatus(TaskState.RUNNING, 5, "started", "", ContainerStatus("c", 7, 0), (row,), "n1")
    assert claims.status(pack_status(status)) == status
    assert claims.status({}) == TaskStatus()
    assert claims.address("10.0.0.7") == "10.0.0.7"
    assert claims.usage({"t": {"cpu": 0.5, "memory": 7}}) == {"t": {"cpu": 0.5, "memory": 7.0}}


@pytest.mark.parametrize(
    "said",
    [
        5,
        {"Hostname": 5},
        {"Hostname": "h" * 256},
        {"Engine": {"EngineVersion": "x" * (1 << 20)}},
        {"Resources": [1]},
        {"Resources": {"NanoCPUs": "x"}},
        {"Resources": {"GenericResources": [{"NamedResourceSpec": {}}]}},
        {"Engine": {"Labels": {"a": 5}}},
        {"TLSInfo": 4},
    ],
)
def test_a_description_that_would_break_a_manager_is_refused(said: Any) -> None:
    with pytest.raises(InvalidArgument):
        claims.description(said)


@pytest.mark.parametrize(
    "said",
    [
        [],
        {"state": 5},
        {"state": "x"},
        {"at_ns": 1e300},
        {"at_ns": -1},
        {"message": ["a"]},
        {"container": {"pid": "x"}},
        {"ports": [1]},
        {"ports": [{"PublishedPort": "x"}]},
    ],
)
def test_a_status_that_would_break_a_manager_is_refused(said: Any) -> None:
    with pytest.raises(InvalidArgument):
        claims.status(said)


def test_long_messages_are_cut() -> None:
    assert len(claims.status({"error": "x" * 100_000}).error) < 20_000


@pytest.mark.parametrize("said", ["", "not an address; rm", "0.0.0.0", "224.0.0.1", "host.example", None, "10.0.0.1/24"])
def test_only_addresses_are_addresses(said: Any) -> None:
    with pytest.raises(InvalidArgument):
        claims.address(said)


def test_measurements_that_are_none_are_left_out() -> None:
    assert claims.usage(5) == {}
    assert claims.usage({"t": 5, "u": {"cpu": "x", "memory": 3, "connections": float("nan"), "ok": True}}) == {"u": {"memory": 3.0}}
    assert claims.usage({"t": {"cpu": -5, "memory": 1e308, "connections": float("inf"), "speed": 1}}) == {"t": {}}
