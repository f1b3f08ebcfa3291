"""Engines that are too old, or not what a flag is for, are refused before the command runs."""

import pytest

from scow.cli import main
from tests.fakes.wire import FakeEngine, reply


@pytest.fixture
def engine(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("DOCKER_API_VERSION", raising=False)
    ping = reply(200, b"", "Api-Version: 1.40", "Ostype: linux", "Docker-Experimental: false")
    with FakeEngine(tmp_path / "s", {"HEAD /_ping": ping, "POST /containers/create": reply(201, {"Id": "a" * 64})}) as made:
        yield made


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["create", "--gpus", "all", "x"], ""),
        (["create", "--annotation", "a=b", "x"], '"--annotation" requires API version 1.43, but the Docker daemon API version is 1.40'),
        (["save", "--platform", "linux/arm64", "x"], '"--platform" requires API version 1.48, but the Docker daemon API version is 1.40'),
        (["volume", "prune", "-a"], '"--all" requires API version 1.42, but the Docker daemon API version is 1.40'),
        (["volume", "update", "x", "--availability", "drain"], "scow volume update requires API version 1.42"),
        (["create", "--cpu-count", "1", "x"], '"--cpu-count" is only supported on a Docker daemon running on windows'),
        (["start", "--checkpoint", "c", "x"], '"--checkpoint" is only supported on a Docker daemon with experimental features enabled'),
        (["checkpoint", "ls", "x"], "scow checkpoint ls is only supported on a Docker daemon with experimental features enabled"),
    ],
)
def test_what_the_engine_must_be(engine, capsys, argv, text):
    code = main.main(["-H", engine.url, *argv])
    assert text in capsys.readouterr().err
    assert code == (1 if text else 0)


@pytest.mark.parametrize(
    ("version", "argv", "text"),
    [
        ("1.24", ["container", "prune", "-f"], "scow container prune requires API version 1.25, but the Docker daemon API version is 1.24"),
        ("1.24", ["system", "df"], "scow system df requires API version 1.25"),
        ("v1.24", ["plugin", "ls"], "scow plugin ls requires API version 1.25"),
        ("1.24", ["create", "--init", "x"], '"--init" requires API version 1.25'),
        ("1.30", ["logs", "--until", "1h", "x"], '"--until" requires API version 1.35'),
    ],
)
def test_a_version_of_the_users(engine, capsys, monkeypatch, version, argv, text):
    monkeypatch.setenv("DOCKER_API_VERSION", version)
    assert main.main(["-H", engine.url, *argv]) == 1
    assert text in capsys.readouterr().err
    assert engine.seen == []
