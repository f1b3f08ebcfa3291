"""Providers of services and the model runner's plugin, as programs that answer."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scow.compose import models, providers
from scow.compose.model.project import Model, Project
from scow.compose.model.service import Dependency, ModelUse, Provider, Service
from scow.errors import ScowError


class Progress:
    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def event(self, label: str, word: str, detail: str = "", done: bool = False, failed: bool = False) -> None:
        self.seen.append((label, word))


def session(folder: Path) -> Any:
    """What of a session is used, with plugins in a folder."""
    cli = SimpleNamespace(
        config={}, config_dir=str(folder), host="unix:///engine.sock", context="default", host_for_plugins=lambda: "", err=lambda text: None
    )
    warnings: list[str] = []
    return SimpleNamespace(
        cli=cli,
        environ={"PATH": "/usr/bin:/bin", "LOG": str(folder / "log")},
        progress=Progress(),
        given=SimpleNamespace(flag=lambda name: False),
        dry=False,
        would=lambda sentence: False,
        end=lambda: None,
        warn=warnings.append,
        warnings=warnings,
    )


def program(folder: Path, name: str, *lines: str) -> None:
    (folder / "cli-plugins").mkdir(exist_ok=True)
    path = folder / "cli-plugins" / f"docker-{name}"
    path.write_text('#!/bin/sh\necho "$*" >>$LOG\n' + "\n".join(lines) + "\n")
    path.chmod(0o755)


def say(kind: str, message: str) -> str:
    return f"echo '{json.dumps({'type': kind, 'message': message})}'"


def project(**options: tuple[str, ...]) -> Project:
    db = Service(name="db", provider=Provider(type="cloud", options=options))
    app = Service(name="app", image="x", depends_on={"db": Dependency()}, environment={"KEY": "mine"})
    return Project(name="p", services={"app": app, "db": db, "other": Service(name="other", image="x")}, environment={"FROM": "files"})


def test_what_a_provider_tells_reaches_those_that_depend_on_it(tmp_path: Path) -> None:
    program(
        tmp_path, "cloud", '[ "$2" = metadata ] && exit 1', say("info", "making"), 'echo "$FROM $DOCKER_HOST" >>$LOG',
        say("setenv", "URL=db://x?a=b"), say("rawsetenv", "KEY=theirs"), say("debug", "ignored"),
    )  # fmt: skip
    told = session(tmp_path)
    made = providers.up(told, project(type=("mysql",), size=("1", "2")))
    assert set(made.services) == {"app", "other"}
    assert made.services["app"].environment == {"KEY": "theirs", "DB_URL": "db://x?a=b"}
    assert made.services["app"].depends_on
    assert made.services["other"].environment == {}
    assert ("db", "making") in told.progress.seen and told.progress.seen[-1] == ("db", "Created")
    assert "overrides" in told.warnings[0]
    log = (tmp_path / "log").read_text().splitlines()
    assert log[1:] == ["compose --project-name=p up --type=mysql --size=1 --size=2 db", "files unix:///engine.sock"]
    assert providers.down(told, project()) == 1
    assert "compose --project-name=p down db" in (tmp_path / "log").read_text()


def test_its_metadata_says_which_options_it_takes_and_whether_it_can_be_stopped(tmp_path: Path) -> None:
    facts = {"up": {"parameters": [{"name": "size", "required": True}]}, "stop": {}}
    program(tmp_path, "cloud", f"[ \"$2\" = metadata ] && echo '{json.dumps(facts)}'", "exit 0")
    told = session(tmp_path)
    with pytest.raises(ScowError, match='required parameter "size" is missing'):
        providers.up(told, project(kind=("x",)))
    providers.up(told, project(size=("1",), kind=("x",)))
    providers.down(told, project(size=("1",)), "stop")
    log = (tmp_path / "log").read_text().splitlines()
    assert [line for line in log if "metadata" not in line] == [
        "compose --project-name=p up --size=1 db", "compose --project-name=p stop db",
    ]  # fmt: skip
    program(tmp_path, "cloud", "exit 1")
    assert providers.down(told, project(), "stop") == 1  # it has no stop: passed over


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ((say("error", "no money"),), "service db: no money"),
        ((say("setenv", "nothing"),), "is no NAME=value"),
        (("echo hello",), "its answer is no JSON: 'hello'"),
        (("echo '[]'",), "invalid response"),
        ((say("dance", ""),), "invalid response from provider cloud: dance"),
        (("echo why >&2; exit 4",), "ended with status 4: why"),
        ((say("error", "over"), "exec sleep 1000"), "over"),
    ],
)
def test_providers_that_fail(tmp_path: Path, lines: tuple[str, ...], text: str) -> None:
    program(tmp_path, "cloud", '[ "$2" = metadata ] && exit 1', *lines)
    with pytest.raises(ScowError, match=text.replace("[", r"\[")):
        providers.up(session(tmp_path), project())


@pytest.mark.parametrize("kind", ["cloud", "compose", "../x"])
def test_providers_that_are_not_there(tmp_path: Path, kind: str) -> None:
    lone = Project(name="p", services={"db": Service(name="db", provider=Provider(type=kind))})
    with pytest.raises(ScowError, match="neither a plugin"):
        providers.up(session(tmp_path), lone)


def test_models_are_fetched_set_up_and_told_of(tmp_path: Path) -> None:
    app = Service(name="app", image="x", models={"my-llm": None, "other": ModelUse(endpoint_var="WHERE", model_var="WHAT")})
    kinds = {
        "my-llm": Model(name="my-llm", model="ai/some", context_size=1024, runtime_flags=("--fast",)),
        "other": Model(name="other", model="ai/here"),
        "unused": Model(name="unused", model="ai/unused"),
    }
    wanted = Project(name="p", services={"app": app}, models=kinds)
    told = session(tmp_path)
    with pytest.raises(ScowError, match="requires the Docker Model plugin"):
        models.provide(told, wanted)
    program(
        tmp_path, "model", "case $1 in", "ls) echo '[{\"id\": \"x\", \"tags\": [\"ai/here\"]}]';;", "pull) echo 50%;;",
        "status) echo '{\"endpoint\": \"http://runner/v1\"}';;", "esac",
    )  # fmt: skip
    made = models.provide(told, wanted)
    assert made.services["app"].environment == {
        "MY_LLM_MODEL": "ai/some", "MY_LLM_URL": "http://runner/v1", "WHAT": "ai/here", "WHERE": "http://runner/v1",
    }  # fmt: skip
    assert (tmp_path / "log").read_text().splitlines() == [
        "ls --json", "pull ai/some", "configure --context-size 1024 ai/some -- --fast", "configure ai/here", "status --json",
    ]  # fmt: skip
