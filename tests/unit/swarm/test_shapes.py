"""Requests about a swarm are read as dockerd reads them: the sentences are those of dockerd 26, asked with the same documents."""

import pytest

from scow.errors import InvalidArgument
from scow.swarm import shapes


@pytest.mark.parametrize(
    ("shape", "value", "sentence"),
    [
        (shapes.SERVICE, [], "cannot unmarshal array into Go value of type swarm.ServiceSpec"),
        (shapes.SERVICE, {"Name": 5}, "cannot unmarshal number into Go struct field ServiceSpec.Annotations.Name of type string"),
        (
            shapes.SERVICE,
            {"Labels": {"a": 5}},
            "cannot unmarshal number into Go struct field ServiceSpec.Annotations.Labels of type string",
        ),
        (
            shapes.SERVICE,
            {"Mode": {"Replicated": {"Replicas": -1}}},
            "cannot unmarshal number -1 into Go struct field ReplicatedService.Mode.Replicated.Replicas of type uint64",
        ),
        (
            shapes.SERVICE,
            {"TaskTemplate": {"Resources": {"Limits": {"MemoryBytes": "1g"}}}},
            "cannot unmarshal string into Go struct field Limit.TaskTemplate.Resources.Limits.MemoryBytes of type int64",
        ),
        (
            shapes.SERVICE,
            {"TaskTemplate": {"ContainerSpec": {"Secrets": [{"File": {"Mode": -1}}]}}},
            "cannot unmarshal number -1 into Go struct field "
            "SecretReferenceFileTarget.TaskTemplate.ContainerSpec.Secrets.File.Mode of type fs.FileMode",
        ),
        (
            shapes.SERVICE,
            {"TaskTemplate": {"ContainerSpec": {"Mounts": [5]}}},
            "cannot unmarshal number into Go struct field ContainerSpec.TaskTemplate.ContainerSpec.Mounts of type mount.Mount",
        ),
        (
            shapes.CLUSTER,
            {"Dispatcher": {"HeartbeatPeriod": 1.5}},
            "cannot unmarshal number 1.5 into Go struct field DispatcherConfig.Dispatcher.HeartbeatPeriod of type time.Duration",
        ),
        (shapes.NODE, {"Role": 5}, "cannot unmarshal number into Go struct field NodeSpec.Role of type swarm.NodeRole"),
        (shapes.SECRET, {"Data": 5}, "cannot unmarshal number into Go struct field SecretSpec.Data of type []uint8"),
    ],
)
def test_wrong_types_end_in_gos_words(shape: shapes.Struct, value: object, sentence: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        shapes.read(value, shape)
    assert caught.value.message == f"invalid JSON: json: {sentence}"


def test_keys_are_found_whatever_their_case_null_is_nothing_and_unknown_ones_go() -> None:
    document = {"name": "web", "LABELS": {"a": None}, "Bogus": 1, "Mode": None, "TaskTemplate": {"containerspec": {"Args": [None, "x"]}}}
    assert shapes.read(document, shapes.SERVICE) == {
        "Name": "web",
        "Labels": {"a": ""},
        "TaskTemplate": {"ContainerSpec": {"Args": ["", "x"]}},
    }
    assert shapes.read(None, shapes.SERVICE) == {}


def test_lists_and_maps_are_bounded() -> None:
    with pytest.raises(InvalidArgument, match="too many entries"):
        shapes.read({"Labels": {str(number): "" for number in range(70_000)}}, shapes.SERVICE)
