"""Containers that another run of the project makes at the same time. The engine is a list of answers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from scow.client.transport import ApiError
from scow.compose import create as bodies
from scow.compose import labels
from scow.compose.execute import containers
from scow.compose.model.project import Project
from scow.compose.model.service import Service
from scow.compose.observe import ContainerInfo
from scow.compose.plan import Operation

SERVICE = Service(name="web", image="busybox")
TAKEN, GONE = ApiError(409, "the name is in use"), ApiError(404, "no such container")
OURS = {"Id": "b", "Config": {"Labels": {labels.PROJECT: "p", labels.HASH: bodies.digest(SERVICE, {})}}}
OLD = FOREIGN = {"Id": "c", "Config": {"Labels": {}}}


class Run:
    """Also its client and its events: every look is followed by one."""

    def __init__(self, answers: list[Any]) -> None:
        self.answers, self.ids, self.first, self.project = answers, {}, {}, Project(name="p")
        self.stopped = threading.Event()

    def client(self) -> Run:
        return self

    def watch(self) -> Run:
        return self

    def get(self, path: str) -> Any:
        found = self.answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    def until(self, look: Callable[[], Any], *args: Any, **more: Any) -> Any:
        while (found := look()) is None:
            pass
        return found

    def known(self, one: Operation, ident: str) -> None:
        self.ids[one.target] = ident


def _create(monkeypatch: pytest.MonkeyPatch, made: list[Any], answers: list[Any]) -> str:
    run: Any = Run(made + answers)
    monkeypatch.setattr(containers, "make", lambda run, one, called: run.get("create"))
    containers.create(run, Operation(id=1, kind="create", target="p-web-1", cause="", service=SERVICE))
    assert not run.answers
    return str(run.ids["p-web-1"])


def test_what_another_run_made_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _create(monkeypatch, [TAKEN], [OURS, OURS]) == "b"


def test_a_name_is_taken_before_there_is_a_container(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _create(monkeypatch, [TAKEN, GONE, GONE], [TAKEN, OURS, OURS]) == "b"
    assert _create(monkeypatch, [TAKEN, GONE, GONE], ["a"]) == "a"  # the other one failed


def test_what_is_not_wanted_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ApiError, match="in use"):
        _create(monkeypatch, [TAKEN], [FOREIGN, FOREIGN])


@pytest.mark.parametrize(
    ("answers", "found"),
    [
        (["a"], ("a", True)),
        ([TAKEN, OURS], ("b", False)),
        ([TAKEN, OLD, TAKEN, OLD, "a", OLD], ("a", True)),  # the other one gave up
        ([TAKEN, OLD, "a", OURS], ("b", False)),  # it had taken the place when we came again
    ],
)
def test_who_replaces_it_is_waited_for(monkeypatch: pytest.MonkeyPatch, answers: list[Any], found: tuple[str, bool]) -> None:
    run: Any = Run(list(answers))
    forgotten: list[str] = []
    monkeypatch.setattr(containers, "make", lambda run, one, called: run.get("create"))
    monkeypatch.setattr(containers, "forget", lambda run, ident: forgotten.append(ident))
    old = ContainerInfo(id="c", name="p-web-1", service="web")
    one = Operation(id=1, kind="recreate", target="p-web-1", cause="", service=SERVICE, old=old)
    assert containers.make_beside(run, one, one) == found
    assert not run.answers
    assert forgotten == (["a"] if "a" in answers and not found[1] else [])
