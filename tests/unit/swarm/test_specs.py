"""What users ask for is checked; sentences as dockerd 26 gave them, where it refuses, too."""

from typing import Any

import pytest

from scow.errors import InvalidArgument
from scow.swarm import specs


def _service(**changes: Any) -> dict[str, Any]:
    container = {"Image": "busybox", **changes.pop("container", {})}
    return {"Name": "web", "TaskTemplate": {"ContainerSpec": container, **changes.pop("task", {})}, **changes}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"Mode": {"Replicated": {"Replicas": 2**60}}}, "more than one service can have"),
        ({"Mode": {"Replicated": {}, "Global": {}}}, "must specify only one service mode"),
        ({"UpdateConfig": {"FailureAction": "bogus"}}, "unrecognized update failure action bogus"),
        ({"EndpointSpec": {"Mode": "bogus"}}, 'invalid resolution mode: "bogus"'),
        ({"EndpointSpec": {"Ports": [{"TargetPort": 80, "PublishMode": "x"}]}}, "invalid publish mode: x"),
        (
            {
                "EndpointSpec": {
                    "Ports": [{"TargetPort": 80, "PublishedPort": 8080}, {"TargetPort": 81, "PublishedPort": 8080, "PublishMode": "host"}]
                }
            },
            "duplicate published ports provided",
        ),
        ({"task": {"Runtime": "bogus"}}, "unsupported runtime"),
        ({"task": {"Runtime": "plugin"}}, "mismatched Runtime and *Spec fields"),
        ({"task": {"RestartPolicy": {"Condition": "bogus"}}}, 'invalid RestartCondition: "bogus"'),
        ({"task": {"Resources": {"Limits": {"NanoCPUs": 1}}}}, "invalid cpu value 1e-09: Must be at least 0.001"),
        ({"task": {"Resources": {"Reservations": {"GenericResources": [{}]}}}}, "a generic resource needs"),
        ({"task": {"Placement": {"Constraints": ["node.role="]}}}, "constraint expected one operator from ==, !="),
        ({"task": {"Placement": {"Constraints": ["node.role=="]}}}, "value '' is invalid"),
        ({"container": {"Healthcheck": {"Interval": 5}}}, "Interval in HealthConfig cannot be less than 1ms"),
        ({"container": {"Mounts": [{"Type": "bogus", "Target": "/x"}]}}, 'invalid MountType: "bogus"'),
        ({"container": {"Configs": [{}]}}, "invalid Config: either File or Runtime should be set"),
        ({"container": {"Privileges": {"CredentialSpec": {}}}}, "invalid CredentialSpec"),
        ({"container": {"Privileges": {"Seccomp": {"Mode": "bogus"}}}}, "invalid mode of Seccomp"),
        ({"container": {"Hostname": "{{.Bogus}}"}}, "expanding hostname failed: template: expansion:1:2:"),
        ({"container": {"Env": ["A={{.Node.ID"]}}, 'expanding env "A={{.Node.ID": template: expansion:1: unclosed action'),
        ({"Labels": {"scow.cron": "@daily"}}, "is for jobs"),
        (
            {"Labels": {"scow.autoscale.cpu": "150"}, "task": {"Resources": {"Limits": {"NanoCPUs": 10**9}}}},
            "more than 100 is never reached",
        ),
        ({"Labels": {"scow.cron.overlap": "skip"}}, "says nothing without scow.cron"),
        ({"Labels": {"scow.cron": "@daily", "scow.cron.overlap": "both"}, "Mode": {"GlobalJob": {}}}, "is none of replace, skip"),
        ({"Labels": {"scow.autoscale.cpuu": "50"}}, "did you mean scow.autoscale.cpu?"),
    ],
)
def test_a_service_that_could_not_work_is_refused(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        specs.service(_service(**changes))
    assert sentence in caught.value.message


def test_a_service_is_stored_with_dockers_defaults() -> None:
    found = specs.service(_service(container={"Hostname": "{{.Service.Name}}-{{.Task.Slot}}"}, Mode={}))
    assert found["Mode"] == {"Replicated": {"Replicas": 1}}
    assert found["TaskTemplate"]["Runtime"] == "container"
    assert found["TaskTemplate"]["ContainerSpec"]["Isolation"] == "default"


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ({"Name": "other"}, 'swarm spec must be named "default"'),
        ({"Dispatcher": {"HeartbeatPeriod": -1}}, "heartbeat time period cannot be a negative duration"),
        ({"CAConfig": {"NodeCertExpiry": 1}}, "minimum certificate expiry time is: 1h0m0s"),
        ({"CAConfig": {"ExternalCAs": [{"Protocol": "bogus"}]}}, 'invalid protocol: "bogus"'),
    ],
)
def test_settings_that_make_no_sense_are_refused(spec: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        specs.cluster(spec)
    assert sentence in caught.value.message


def test_the_content_of_a_secret_has_a_size() -> None:
    import base64

    most = base64.b64encode(b"x" * (specs.SECRET_MAX - 1)).decode()
    assert specs.payload({"Name": "a", "Data": most}, "secret")[1] == most
    for data in ("", base64.b64encode(b"x" * specs.SECRET_MAX).decode(), "!!"):
        with pytest.raises(InvalidArgument):
            specs.payload({"Name": "a", "Data": data}, "secret")
