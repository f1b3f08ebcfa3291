"""`up --wait`: what counts as ready. The engine is a list of answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from scow.compose import observe
from scow.compose.commands import ready
from scow.compose.model.project import Project
from scow.compose.model.service import Dependency, Service
from scow.compose.observe import ContainerInfo
from scow.errors import ScowError

Json = dict[str, Any]
RUNS: Json = {"State": {"Status": "running"}}
HEALTHY: Json = {"State": {"Status": "running", "Health": {"Status": "healthy"}}}
DONE: Json = {"State": {"Status": "exited", "ExitCode": 0}}
GONE: Json = {"State": {"Status": "exited", "ExitCode": 2}}


class Engine:
    """Answers for each container, the last one again and again; also a session and its display."""

    def __init__(self, answers: dict[str, list[Json]]) -> None:
        self.answers = answers
        self.client = self.progress = self

    def get(self, path: str) -> Json:
        rows = self.answers[path.split("/")[2]]
        return rows.pop(0) if len(rows) > 1 else rows[0]

    def dial(self) -> Engine:
        return self

    def event(self, *words: Any) -> None: ...

    def end(self) -> None: ...


class Watch:
    """Every look is followed by an event."""

    def __init__(self, client: Engine, project: str) -> None: ...

    def close(self) -> None: ...

    def until(self, look: Callable[[], Any], timeout: float | None, again: float) -> Any:
        while (found := look()) is None:
            pass
        return found


@pytest.mark.parametrize(
    ("answers", "wrong"),
    [
        ({"a": [RUNS, RUNS, GONE]}, "a exited"),  # it was seen before it ended
        ({"a": [RUNS]}, ""),
        ({"a": [HEALTHY, GONE], "b": [HEALTHY]}, "a exited"),  # it ended while b was waited for
        ({"a": [HEALTHY], "b": [HEALTHY]}, ""),
        ({"a": [HEALTHY], "job": [RUNS, DONE], "b": [HEALTHY]}, ""),  # another wants it completed
        ({"a": [HEALTHY], "job": [RUNS, GONE], "b": [HEALTHY]}, "exit 2"),
    ],
)
def test_ready(monkeypatch: pytest.MonkeyPatch, answers: dict[str, list[Json]], wrong: str) -> None:
    rows = tuple(ContainerInfo(id=name, name=name, service=name) for name in answers)
    monkeypatch.setattr(observe, "containers", lambda client, project: (rows, (1, 45)))
    monkeypatch.setattr(ready, "Watch", Watch)
    session: Any = Engine({name: list(found) for name, found in answers.items()})
    needs = {"job": Dependency(condition="service_completed_successfully")}
    project = Project(name="p", services={**{name: Service(name=name) for name in answers}, "a": Service(name="a", depends_on=needs)})
    if not wrong:
        ready.wait_services(session, project, set())
        return
    with pytest.raises(ScowError, match=wrong):
        ready.wait_services(session, project, set(answers))
