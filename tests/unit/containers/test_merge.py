"""Merging a request with its image and the defaults."""

import pytest

from scow.containers import merge
from scow.containers.parts import Defaults
from scow.errors import InvalidArgument
from scow.model.container import ContainerConfig, HealthConfig, HostConfig, LogConfig, RestartPolicy, Ulimit
from scow.model.network import EndpointSettings

IMAGE = ContainerConfig(
    cmd=["image"], entrypoint=["entry"], env=["A=image", "B=image"], labels={"a": "image", "b": "image"}, working_dir="/srv", user="u",
    exposed_ports={"80/tcp": {}}, volumes={"/v": {}}, stop_signal="SIGUSR1", healthcheck=HealthConfig(test=["CMD", "x"], interval=5),
)  # fmt: skip


@pytest.mark.parametrize(
    ("entrypoint", "cmd", "expected"),
    [
        (None, None, ["entry", "image"]),
        (None, ["own"], ["entry", "own"]),
        (["e"], None, ["e"]),
        (["e"], ["own"], ["e", "own"]),
        ([""], ["own"], ["own"]),
        ([], None, ["image"]),
    ],
)
def test_command_rules(entrypoint: list[str] | None, cmd: list[str] | None, expected: list[str]) -> None:
    path, args = merge.command(merge.with_image(ContainerConfig(entrypoint=entrypoint, cmd=cmd), IMAGE))
    assert [path, *args] == expected


def test_nothing_to_run_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="no command specified"):
        merge.with_image(ContainerConfig(entrypoint=[""]), IMAGE)


def test_the_rest_is_inherited_and_overridden() -> None:
    own = ContainerConfig(env=["A=own"], labels={"a": "own"}, healthcheck=HealthConfig(interval=7), exposed_ports={"90/tcp": {}})
    got = merge.with_image(own, IMAGE)
    assert (got.env, got.labels) == (["A=own", "B=image"], {"a": "own", "b": "image"})
    assert (got.working_dir, got.user, got.stop_signal) == ("/srv", "u", "SIGUSR1")
    assert set(got.exposed_ports) == {"80/tcp", "90/tcp"}
    assert got.healthcheck == HealthConfig(test=["CMD", "x"], interval=7)


def test_defaults_of_daemon_and_docker() -> None:
    defaults = Defaults(log=LogConfig("json-file", {"max-size": "1m"}), ulimits=(Ulimit("nofile", 1, 2),), init=True)
    got = merge.host_defaults(HostConfig(network_mode="default", memory=10, log_config=LogConfig("", {"max-file": "2"})), defaults)
    assert (got.network_mode, got.restart_policy, got.memory_swap, got.init) == ("bridge", RestartPolicy("no"), 20, True)
    assert got.log_config == LogConfig("json-file", {"max-size": "1m", "max-file": "2"})
    assert got.ulimits == [Ulimit("nofile", 1, 2)]
    assert got.masked_paths
    assert not merge.host_defaults(HostConfig(privileged=True), defaults).masked_paths
    for limit, expected in ((-1, None), (0, None), (5, 5)):
        assert merge.host_defaults(HostConfig(pids_limit=limit), defaults).pids_limit == expected


def test_networks_of_a_container() -> None:
    asked = {"default": EndpointSettings(aliases=["x"])}
    assert list(merge.endpoints(HostConfig(network_mode="bridge"), ContainerConfig(), asked)) == ["bridge"]
    assert list(merge.endpoints(HostConfig(network_mode="own"), ContainerConfig(), {})) == ["own"]
    assert merge.endpoints(HostConfig(network_mode="container:x"), ContainerConfig(), {}) == {}
    assert merge.endpoints(HostConfig(network_mode="own"), ContainerConfig(mac_address="02:00:00:00:00:01"), {})["own"].mac_address


@pytest.mark.parametrize(("mode", "expected"), [("bridge", "abcdefabcdef"), ("host", "machine"), ("container:x", "")])
def test_host_name(mode: str, expected: str) -> None:
    assert merge.hostname(ContainerConfig(), HostConfig(network_mode=mode), "abcdef" * 10, "machine").hostname == expected


def test_ranges_of_exposed_ports_become_ports() -> None:
    own = ContainerConfig(exposed_ports={"4000-4001/udp": {}, "3000": {}, "x-y": {}})
    assert merge.with_image(own, IMAGE).exposed_ports.keys() == {"80/tcp", "4000/udp", "4001/udp", "3000", "x-y"}
