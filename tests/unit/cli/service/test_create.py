"""Changes of services that others change in the same moment."""

from types import SimpleNamespace
from typing import Any

import pytest

from scow.cli.command import Cli, ExitCode
from scow.cli.commands.service import create
from scow.client.transport import ApiError


class Engine:
    """A service that its load scales while a user writes: `stale` writes come too late."""

    def __init__(self, stale: int) -> None:
        self.stale, self.version, self.written = stale, 1, []

    def get(self, path: str, params: Any = None) -> Any:
        spec = {"Name": "web", "Mode": {"Replicated": {"Replicas": self.version}}, "Labels": {"seen": str(self.version)}}
        return {"ID": "svc", "Version": {"Index": self.version}, "Spec": spec}

    def call(self, method: str, path: str, params: Any = None, body: Any = None, headers: Any = None) -> Any:
        if self.stale:
            self.stale -= 1
            self.version += 1
            raise ApiError(500, "rpc error: code = Unknown desc = update out of sequence")
        assert params["version"] == self.version
        self.written.append(body)
        return SimpleNamespace(json=dict)


def scale(engine: Engine, tmp_path: Any) -> int:
    given = SimpleNamespace(flag=lambda name: name == "detach")
    return create.scale(Cli(lambda: engine, lambda name: "", str(tmp_path)), given, ["web=7"])


def test_a_service_that_moves_meanwhile_is_scaled_as_it_is_now(tmp_path: Any) -> None:
    engine = Engine(stale=3)
    assert scale(engine, tmp_path) == 0
    assert engine.written == [{"Name": "web", "Mode": {"Replicated": {"Replicas": 7}}, "Labels": {"seen": "4"}}]


def test_one_that_never_rests_is_given_up(tmp_path: Any) -> None:
    with pytest.raises(ExitCode) as caught:
        scale(Engine(stale=100), tmp_path)
    assert "out of sequence" in caught.value.message
