"""SIGQUIT ends everything: containers, keeper, and what the kernel has of networks; the next start makes again what is stored."""

import shutil
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.engine import Engine, _path, can_run, until

pytestmark = pytest.mark.skipif(bool(can_run()), reason=can_run() or "runs")


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine()
    try:
        engine.start()
        engine.busybox()
        yield engine
    finally:
        engine.close()


def kernel(engine: Engine) -> dict[str, Any]:
    """What the kernel has of the engine."""
    links = [line.split(":")[1].strip() for line in engine.inside("ip", "-o", "link").stdout.decode().splitlines()]
    return {
        "links": [name for name in links if not name.startswith(("lo", "tunl", "sit", "ip6", "gre", "erspan"))],
        "tables": engine.inside("nft", "list", "tables").stdout.decode(),
        "namespaces": [entry.name for entry in (engine.run / "netns").glob("*")],
        "mounts": engine.mounts(),
        "processes": engine.processes(),
    }


NOTHING = {"links": [], "tables": "", "namespaces": [], "mounts": [], "processes": []}


def test_containers_and_networks_go_and_come_again(engine: Engine) -> None:
    assert engine.api("POST", "/networks/create", {"Name": "mine"}).status == 201
    hosted = {"NetworkMode": "mine", "PortBindings": {"80/tcp": [{"HostPort": "18080"}]}, "RestartPolicy": {"Name": "unless-stopped"}}
    box = engine.container("sleep", "1000", HostConfig=hosted, ExposedPorts={"80/tcp": {}}, StopSignal="SIGKILL")
    engine.stop()
    assert engine.keeper_pid and len(kernel(engine)["links"]) > 2, "a mere stop leaves the container and its network"
    engine.start()
    assert engine.inspect(box)["State"]["Running"]
    engine.kill(signal.SIGQUIT)
    until(lambda: kernel(engine) == NOTHING, 30, "nothing left")
    engine.start()
    until(lambda: engine.inspect(box)["State"]["Running"], 60, "the container again, by its policy")
    assert engine.api("GET", "/networks/mine").status == 200


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("etcd", path=_path()) is None, reason="needs etcd")
def test_a_node_of_a_swarm_leaves_nothing_and_is_one_again(engine: Engine) -> None:
    where = {"ListenAddr": "127.0.0.1:2377", "AdvertiseAddr": "127.0.0.1:2377"}
    assert engine.api("POST", "/swarm/init", where).status == 200
    made = engine.api("POST", "/networks/create", {"Name": "over", "Driver": "overlay", "Attachable": True})
    assert made.status == 201, made.body
    container = {"Image": "busybox:latest", "Command": ["sleep", "100000"], "StopSignal": "SIGKILL"}
    spec = {
        "Name": "web",
        "TaskTemplate": {"ContainerSpec": container, "Networks": [{"Target": "over"}]},
        "Mode": {"Replicated": {"Replicas": 2}},
        "EndpointSpec": {"Ports": [{"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 18080}]},
    }
    assert engine.api("POST", "/services/create", spec).status == 201

    def running() -> list[str]:
        found = engine.api("GET", "/containers/json").json or []
        return [row["Id"] for row in found if row["Labels"].get("com.docker.swarm.service.name") == "web"]

    until(lambda: len(running()) == 2, 90, "tasks")
    first = running()
    engine.restart()
    assert set(running()) == set(first), "a mere restart leaves them"
    engine.kill(signal.SIGQUIT)
    until(lambda: kernel(engine) == NOTHING, 30, "nothing left")
    engine.start()
    until(lambda: len(running()) == 2, 90, "tasks again")
    assert engine.api("POST", "/swarm/leave?force=1").status == 200
