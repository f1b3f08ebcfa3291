"""commit: what reaches the images, and that the container is held still."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from scow.containers.commit import CommitService
from scow.containers.lifecycle import State, Status
from scow.errors import Conflict, InvalidArgument
from scow.model.container import ContainerConfig
from tests.fakes.tasks import FakeTasks
from tests.unit.containers.test_view import made


class Images:
    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.failure: Exception | None = None

    async def commit(self, *args: Any) -> str:
        self.calls.append(args)
        if self.failure:
            raise self.failure
        return "sha256:new"


def test_running_container_is_paused_meanwhile() -> None:
    tasks, images = FakeTasks(), Images()
    service = CommitService(SimpleNamespace(tasks=tasks, images=images))  # type: ignore[arg-type]
    box = made(state=State(status=Status.RUNNING, pid=1, started_ns=5), config=ContainerConfig(cmd=["sh", "-c", "echo x"]))
    made_id = asyncio.run(service.commit(box, repo="a", tag="b", comment="c", changes=["CMD x"], config=ContainerConfig(env=["A=1"])))
    assert made_id == "sha256:new" and [call[0] for call in tasks.calls] == ["pause", "resume"]
    source, repo, tag, comment, author, changes, config = images.calls[0]
    assert source.command == "sh -c echo x"
    assert (source.container_id, repo, tag, comment, author, changes, config) == (box.id, "a", "b", "c", "", ["CMD x"], {"Env": ["A=1"]})
    images.failure = InvalidArgument("no")
    with pytest.raises(InvalidArgument):
        asyncio.run(service.commit(box))
    assert tasks.calls[-1][0] == "resume"
    asyncio.run(CommitService(SimpleNamespace(tasks=FakeTasks(), images=Images())).commit(made()))  # type: ignore[arg-type]


def test_refused() -> None:
    tasks = FakeTasks()
    service = CommitService(SimpleNamespace(tasks=tasks, images=Images()))  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument):
        asyncio.run(service.commit(made(state=State(status=Status.RUNNING, pid=1)), repo="Upper/Case"))
    assert tasks.calls == []
    with pytest.raises(Conflict):
        asyncio.run(service.commit(made(state=State(status=Status.REMOVING))))
