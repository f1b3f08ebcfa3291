"""What clients see of containers."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from scow.containers.container import Container
from scow.containers.lifecycle import Health, Probe, State, Status
from scow.containers.view import View, status_text
from scow.errors import NotFound
from scow.model.container import ContainerConfig, HealthConfig, HostConfig, PortBinding
from scow.model.network import EndpointSettings

SECOND = 1_000_000_000
NOW = 1_700_000_000 * SECOND


class Networks:
    def __init__(self) -> None:
        self.views: dict[str, SimpleNamespace] = {}

    def settings(self, container_id: str) -> SimpleNamespace:
        if container_id not in self.views:
            raise NotFound("no sandbox")
        return self.views[container_id]


class Images:
    async def rootfs_size(self, container_id: str) -> tuple[int, int]:
        return 7, 4_000_007


class Ledger:
    def save(self, container: Container) -> None:
        container.version += 1

    def erase(self, container: Container) -> None: ...

    def publish(self, *args: object) -> None: ...


def made(name: str = "web", state: State | None = None, **changes: object) -> Container:
    facts: dict[str, object] = {
        "config": ContainerConfig(image="busybox", cmd=["sleep", "1"], labels={"a": '<b> "\0status"'}, exposed_ports={"80/tcp": {}}),
        "host": HostConfig(network_mode="bridge", port_bindings={"80/tcp": [PortBinding("", "8080")]}),
        "networks": {"bridge": EndpointSettings(network_id="n" * 64)},
    }
    return Container(
        id=(name.encode().hex() + "0" * 64)[:64],
        name=name,
        created_ns=NOW - 90 * SECOND,
        image_id="sha256:" + "1" * 64,
        image_ref="busybox",
        path="sleep",
        args=("1", "a b"),
        dir=Path("/d"),
        bundle=Path("/b"),
        ledger=Ledger(),
        state=state or State(),
        **(facts | changes),
    )


@pytest.fixture
def networks() -> Networks:
    return Networks()


@pytest.fixture
def view(networks: Networks) -> View:
    return View(networks, Images(), lambda cid: {"MergedDir": f"/m/{cid[:4]}"}, lambda: NOW)


def running(networks: Networks) -> Container:
    box = made(state=State(status=Status.RUNNING, pid=42, started_ns=NOW - 5 * SECOND))
    endpoint = EndpointSettings(
        network_id="n" * 64,
        endpoint_id="e" * 64,
        ip_address="172.17.0.2",
        ip_prefix_len=16,
        gateway="172.17.0.1",
        mac_address="02:42:ac:11:00:02",
    )
    ports = {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "90/tcp": None}
    networks.views[box.id] = SimpleNamespace(sandbox_id="s" * 64, key="/run/netns/s", ports=ports, networks={"bridge": endpoint})
    return box


def test_inspect_of_a_created_container(view: View) -> None:
    box = made()
    doc = view.inspect(box)
    assert doc["Name"] == "/web" and doc["Args"] == ["1", "a b"] and doc["ExecIDs"] is None and doc["Mounts"] == []
    assert doc["State"]["StartedAt"] == "0001-01-01T00:00:00Z" and "Health" not in doc["State"] and doc["State"]["Pid"] == 0
    assert doc["ResolvConfPath"] == "" and doc["NetworkSettings"]["Ports"] == {} and doc["NetworkSettings"]["IPAddress"] == ""
    host = doc["HostConfig"]
    assert host["PortBindings"] == {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}
    assert host["Binds"] is None and host["Dns"] == [] and "Mounts" not in host and "Init" not in host and host["ConsoleSize"] == [0, 0]
    config = doc["Config"]
    assert (
        config["Entrypoint"] is None
        and config["Volumes"] is None
        and "Healthcheck" not in config
        and config["ExposedPorts"] == {"80/tcp": {}}
    )
    assert json.loads(view.inspect_bytes(box)) == doc


def test_inspect_of_a_running_container_mirrors_the_bridge(view: View, networks: Networks) -> None:
    doc = view.inspect(running(networks))
    net = doc["NetworkSettings"]
    assert (net["IPAddress"], net["IPPrefixLen"], net["Gateway"], net["SandboxKey"]) == ("172.17.0.2", 16, "172.17.0.1", "/run/netns/s")
    assert net["Ports"] == {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "90/tcp": None}
    assert net["Networks"]["bridge"]["Aliases"] is None and doc["State"]["Running"] and doc["HostsPath"] == "/d/hosts"


def test_health_of_inspect_and_a_check_that_is_off(view: View) -> None:
    probe = Probe(NOW, NOW + SECOND, 1, "bad")
    state = State(status=Status.RUNNING, pid=1, started_ns=NOW, health=Health("unhealthy", 3, (probe,)))
    doc = view.inspect(made(state=state, config=ContainerConfig(healthcheck=HealthConfig(test=["NONE"]))))
    assert doc["State"]["Health"]["Status"] == "unhealthy" and doc["State"]["Health"]["Log"][0]["Output"] == "bad"
    assert doc["Config"]["Healthcheck"] == {"Test": ["NONE"]}


def test_links_show_as_docker_writes_them(view: View) -> None:
    assert view.inspect(made(host=HostConfig(links=["db:alias", "db"])))["HostConfig"]["Links"] == ["/db:/web/alias", "/db:/web/db"]


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (State(), "Created"),
        (State(status=Status.RUNNING, started_ns=NOW - 5 * SECOND), "Up 5 seconds"),
        (State(status=Status.PAUSED, started_ns=NOW - 5 * SECOND), "Up 5 seconds (Paused)"),
        (State(status=Status.RUNNING, started_ns=NOW - 60 * SECOND, health=Health()), "Up About a minute (health: starting)"),
        (State(status=Status.RUNNING, started_ns=NOW, health=Health("healthy")), "Up Less than a second (healthy)"),
        (State(status=Status.RESTARTING, exit_code=1, started_ns=1, finished_ns=NOW - 2 * SECOND), "Restarting (1) 2 seconds ago"),
        (State(status=Status.EXITED, exit_code=3, started_ns=1, finished_ns=NOW - 180 * SECOND), "Exited (3) 3 minutes ago"),
        (State(status=Status.REMOVING), "Removal In Progress"),
        (State(status=Status.DEAD), "Dead"),
    ],
)
def test_status_text(state: State, text: str) -> None:
    assert status_text(state, NOW) == text


def test_summary_and_its_encoded_form_agree(view: View, networks: Networks) -> None:
    box = running(networks)
    row = view.summary(box, "busybox", ["/app/web"])
    assert row["Names"] == ["/web", "/app/web"] and row["Command"] == "sleep 1 'a b'" and row["Status"] == "Up 5 seconds"
    assert row["Ports"] == [{"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"}, {"PrivatePort": 90, "Type": "tcp"}]
    assert json.loads(view.summary_bytes(box, "busybox", ["/app/web"])) == row


def test_kept_replies_follow_changes(view: View) -> None:
    box = made()
    assert json.loads(view.inspect_bytes(box))["State"]["Status"] == "created"
    box.name = "other"
    box.exec_ids.add("e1")
    doc = json.loads(view.inspect_bytes(box))
    assert doc["Name"] == "/other" and doc["ExecIDs"] == ["e1"]
    box.state = State(status=Status.EXITED, exit_code=4, started_ns=1, finished_ns=2)
    assert json.loads(view.inspect_bytes(box))["State"]["ExitCode"] == 4
    assert json.loads(view.summary_bytes(box, "i"))["State"] == "exited"
    box.host = HostConfig(memory=5 << 20)
    box.save()
    assert json.loads(view.inspect_bytes(box))["HostConfig"]["Memory"] == 5 << 20


def test_sizes_on_request(view: View) -> None:
    import asyncio

    assert asyncio.run(view.inspect_sized(made()))["SizeRw"] == 7
    assert asyncio.run(view.summary_sized(made(), "x"))["SizeRootFs"] == 4_000_007


def test_what_is_kept_of_gone_containers_is_dropped(networks: Networks) -> None:
    view = View(networks, Images(), living=set)
    for number in range(500):
        view.summary_bytes(made(f"box{number}"), "i")
    assert len(view._summaries) < 200
