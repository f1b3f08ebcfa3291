"""What replies hold is valid against the API's own definition (1.51)."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.engine import Engine, can_run
from tests.support.schema import check_reply, document

pytestmark = pytest.mark.skipif(bool(can_run()), reason=can_run() or "-")


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as running:
        running.busybox()
        yield running


@pytest.fixture(scope="module")
def known(engine: Engine) -> dict[str, str]:
    """One object of each kind."""
    network = engine.api("POST", "/networks/create", {"Name": "net", "Labels": {"a": "b"}}).json["Id"]
    volume = engine.api("POST", "/volumes/create", {"Name": "vol"}).json["Name"]
    running = engine.container(
        "sh",
        "-c",
        "echo out; echo err >&2; exec sleep 1000",
        name="running",
        Labels={"l": "1"},
        ExposedPorts={"80/tcp": {}, "81/udp": {}},
        Healthcheck={"Test": ["CMD", "true"], "Interval": 10**9},
        HostConfig={"Binds": ["vol:/data"], "NetworkMode": "net", "PortBindings": {"80/tcp": [{"HostPort": "18080"}]}},
    )
    created = engine.create("true", name="created")
    ended = engine.container("false", name="ended")
    assert engine.api("POST", f"/containers/{ended}/wait").json == {"StatusCode": 1}
    exec_id = engine.api("POST", f"/containers/{running}/exec", {"Cmd": ["true"], "AttachStdout": True}).json["Id"]
    return {"network": network, "volume": volume, "running": running, "created": created, "ended": ended, "exec": exec_id}


GETS = [
    ("/containers/json", "/containers/json?all=1&size=1"),
    ("/containers/{id}/json", "/containers/{running}/json?size=1"),
    ("/containers/{id}/json", "/containers/{created}/json"),
    ("/containers/{id}/json", "/containers/{ended}/json"),
    ("/containers/{id}/top", "/containers/{running}/top"),
    ("/containers/{id}/changes", "/containers/{running}/changes"),
    ("/containers/{id}/stats", "/containers/{running}/stats?stream=0&one-shot=1"),
    ("/images/json", "/images/json?all=1&shared-size=1&manifests=1"),
    ("/images/{name}/json", "/images/busybox/json"),
    ("/images/{name}/history", "/images/busybox/history"),
    ("/info", "/info"),
    ("/version", "/version"),
    ("/system/df", "/system/df"),
    ("/exec/{id}/json", "/exec/{exec}/json"),
    ("/volumes", "/volumes"),
    ("/volumes/{name}", "/volumes/vol"),
    ("/networks", "/networks"),
    ("/networks/{id}", "/networks/net"),
    ("/networks/{id}", "/networks/bridge?verbose=1"),
    ("/plugins", "/plugins"),
    ("/containers/{id}/json", "/containers/nonesuch/json"),
    ("/images/{name}/json", "/images/nonesuch/json"),
    ("/networks/{id}", "/networks/nonesuch"),
    ("/swarm", "/swarm"),
]


@pytest.mark.parametrize(("template", "target"), GETS, ids=[target for _, target in GETS])
def test_reads(engine: Engine, known: dict[str, str], template: str, target: str) -> None:
    reply = engine.api("GET", "/v1.51" + target.format(**known))
    check_reply("GET", template, reply.status, reply.json)


WRITES: list[tuple[str, str, str, Any]] = [
    ("POST", "/containers/create", "/containers/create", {"Image": "busybox", "HostConfig": {"Memory": 1 << 26}}),
    ("POST", "/containers/create", "/containers/create", {"Image": "nonesuch"}),
    ("POST", "/containers/{id}/update", "/containers/{running}/update", {"Memory": 1 << 27, "MemorySwap": 1 << 28}),
    ("POST", "/containers/{id}/rename", "/containers/{created}/rename?name=running", None),
    ("POST", "/containers/{id}/start", "/containers/{running}/start", None),
    ("POST", "/containers/{id}/stop", "/containers/{ended}/stop", None),
    ("POST", "/containers/{id}/kill", "/containers/{ended}/kill", None),
    ("DELETE", "/containers/{id}", "/containers/{running}", None),
    ("POST", "/volumes/create", "/volumes/create", {"Labels": {"x": "y"}}),
    ("POST", "/networks/create", "/networks/create", {"Name": "other"}),
    ("POST", "/containers/prune", "/containers/prune", None),
    ("POST", "/images/prune", "/images/prune", None),
    ("POST", "/volumes/prune", "/volumes/prune", None),
    ("POST", "/networks/prune", "/networks/prune", None),
    ("POST", "/build/prune", "/build/prune", None),
]


@pytest.mark.parametrize(("method", "template", "target", "body"), WRITES, ids=[f"{row[0]} {row[2]} {row[3] or ''}" for row in WRITES])
def test_writes(engine: Engine, known: dict[str, str], method: str, template: str, target: str, body: Any) -> None:
    reply = engine.api(method, "/v1.51" + target.format(**known), body)
    check_reply(method, template, reply.status, reply.json)


def test_every_operation_is_known(engine: Engine) -> None:
    """Each documented operation is routed: with nonsense for a name it is never `page not found`."""
    for path, methods in document()["paths"].items():
        for method in methods:
            if path in ("/events", "/session") or method not in ("get", "post", "put", "delete", "head"):
                continue
            if (method, path) in (("post", "/containers/prune"), ("post", "/swarm/init")):
                continue
            reply = engine.api(method.upper(), path.replace("{id}", "nonesuch").replace("{name}", "nonesuch"))
            assert b"page not found" not in reply.body, f"{method} {path}"
            assert reply.status < 500 or reply.status in (501, 503), f"{method} {path}: {reply.status} {reply.body!r}"


def test_events_are_lines_of_json(engine: Engine, known: dict[str, str]) -> None:
    now = time.time()
    reply = engine.api("GET", f"/events?since={now - 3600:.3f}&until={now:.3f}")
    assert reply.status == 200
    events = [json.loads(line) for line in reply.body.splitlines()]
    assert {event["Action"] for event in events} >= {"create", "start", "die"}
    for event in events:
        check_reply("GET", "/events", 200, event)
