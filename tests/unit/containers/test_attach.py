"""attach: who is refused, who waits for the start, what is handed on."""

import asyncio
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

from scow.aio import Supervisor
from scow.containers.attach import AttachQuery, AttachService
from scow.containers.lifecycle import State, Status
from scow.containers.logs import plan_of
from scow.errors import Conflict, InvalidArgument
from scow.model.container import ContainerConfig
from tests.fakes.tasks import FakeTasks
from tests.unit.containers.test_view import made

RUNNING = State(status=Status.RUNNING, pid=1, started_ns=5)
ALL = AttachQuery(stream=True, stdin=True, stdout=True, stderr=True)


def world() -> tuple[FakeTasks, SimpleNamespace, AttachService]:
    tasks = FakeTasks()
    parts = SimpleNamespace(tasks=tasks, on_running=[], supervisor=Supervisor("test"))
    return tasks, parts, AttachService(parts)  # type: ignore[arg-type]


def test_refused_before_the_hijack() -> None:
    _, _, service = world()
    for status, text in ((Status.PAUSED, "is paused"), (Status.RESTARTING, "is restarting")):
        with pytest.raises(Conflict, match=text):
            service.check(made(state=State(status=status)), ALL)
    with pytest.raises(InvalidArgument):
        service.check(made(), AttachQuery(detach_keys="ctrl-1"))
    service.check(made(), ALL)


@pytest.mark.parametrize("tty", [False, True])
def test_running_container_gets_the_client_at_once(tty: bool) -> None:
    tasks, _, service = world()
    box = made(state=RUNNING, config=ContainerConfig(tty=tty, open_stdin=True))
    tasks.alive.add(box.id)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        asyncio.run(service.attach(box, ALL, theirs, b"early"))
        client = tasks.attached[0][1]
        assert (client.sock, client.early, client.stdin, client.mux) == (theirs, b"early", True, not tty)
        assert client.detach_keys == (b"\x10\x11" if tty else b"")


def test_created_container_keeps_the_client_until_it_starts() -> None:
    async def run() -> None:
        tasks, parts, service = world()
        box = made()
        gone, left = socket.socketpair()
        await service.attach(box, ALL, left)
        gone.close()
        ours, theirs = socket.socketpair()
        with ours:
            await service.attach(box, ALL, theirs)
            assert [one.sock for one in box.pending_attachments] == [theirs]  # the one that left was dropped
            assert box.pending_attachments[0].stdin is False  # the container has no stdin
            box.state = RUNNING
            tasks.alive.add(box.id)
            parts.on_running[0](box)
            await parts.supervisor.drain(30)
            assert tasks.attached[0][1].sock is theirs and not box.pending_attachments
            theirs.close()

    asyncio.run(run())


def test_stream_ends_when_the_container_is_gone_or_nothing_was_asked() -> None:
    _, _, service = world()
    for query in (ALL, AttachQuery(stdout=True), AttachQuery(stream=True)):
        ours, theirs = socket.socketpair()
        with ours:
            asyncio.run(service.attach(made(state=RUNNING), query, theirs))
            ours.settimeout(10)
            assert ours.recv(10) == b""


def test_logs_replay(tmp_path: Path) -> None:
    _, _, service = world()
    box = made(state=RUNNING)
    box.dir = tmp_path
    path = plan_of(box).path
    assert path is not None
    path.write_text('{"log":"early\\n","stream":"stdout","time":"2024-01-01T00:00:01.000000001Z"}\n')
    ours, theirs = socket.socketpair()
    with ours:
        asyncio.run(service.attach(box, AttachQuery(logs=True, stdout=True), theirs))
        assert ours.recv(100) == b"\x01\0\0\0\0\0\0\x06early\n"
