"""Execs: what is asked of the runtime, what clients see, what is refused."""

import asyncio
import json
import socket
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scow.aio import Supervisor
from scow.containers.container import Container
from scow.containers.exec import ExecService, merge_env, process_of, read_spec
from scow.containers.lifecycle import State, Status
from scow.errors import Conflict, InvalidArgument, NotFound
from scow.model.container import ContainerConfig, ExecCreate, ExecStart
from scow.runtime.task import StartFailed
from scow.runtime.types import Exit
from tests.fakes.tasks import FakeTasks
from tests.unit.containers.test_view import made

CAPS = ["CAP_CHOWN", "CAP_KILL"]
SPEC: dict[str, Any] = {
    "process": {
        "args": ["sleep"], "cwd": "/tmp", "terminal": False, "user": {"uid": 1000, "gid": 1000}, "noNewPrivileges": True,
        "env": ["PATH=/bin", "HOSTNAME=box", "A=1", "HOME=/home/user"], "capabilities": {"bounding": CAPS},
    }
}  # fmt: skip


class Events:
    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, str]]] = []

    def save(self, container: Container) -> None: ...
    def erase(self, container: Container) -> None: ...

    def publish(self, container: Container, action: str, attributes: dict[str, str]) -> None:
        self.seen.append((action, dict(attributes)))


class World:
    def __init__(self, tmp_path: Path) -> None:
        self.events = Events()
        self.tasks = FakeTasks()
        self.box = made("box", State(status=Status.RUNNING, pid=7, started_ns=5))
        self.box.config = ContainerConfig(env=["A=1"], user="user")
        self.box.ledger = self.events
        self.box.bundle = tmp_path
        (tmp_path / "config.json").write_text(json.dumps(SPEC))
        etc = tmp_path / "rootfs/etc"
        etc.mkdir(parents=True)
        (etc / "passwd").write_text("root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n")
        (etc / "group").write_text("root:x:0:\nusers:x:100:user\n")
        self.supervisor = Supervisor("test")
        parts = SimpleNamespace(
            tasks=self.tasks, on_ended=[], on_running=[], supervisor=self.supervisor, store=SimpleNamespace(by_id=lambda _: self.box)
        )
        self.execs = ExecService(parts)  # type: ignore[arg-type]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_environment_is_merged_as_docker_does() -> None:
    assert merge_env(["A=1", "B=2", "C=3"], ["B=x=y", "C", "D="]) == ["A=1", "B=x=y", "D="]


def test_process_of_the_containers_own_user(world: World) -> None:
    process = process_of(world.box, SPEC, ExecCreate(cmd=["id", "-u"], env=["B=2"], working_dir="/etc"))
    assert process["args"] == ["id", "-u"] and process["cwd"] == "/etc" and process["user"]["uid"] == 1000 and process["noNewPrivileges"]
    assert set(process["env"]) == {"PATH=/bin", "HOSTNAME=box", "A=1", "B=2", "HOME=/home/user"}


def test_process_of_another_user_has_its_home_and_rights(world: World) -> None:
    root = process_of(world.box, SPEC, ExecCreate(cmd=["x"], user="root", tty=True))
    assert "HOME=/root" in root["env"] and "TERM=xterm" in root["env"] and root["terminal"]
    assert root["capabilities"]["effective"] == CAPS
    user = process_of(world.box, SPEC, ExecCreate(cmd=["x"], user="user"))
    assert user["user"] == {"uid": 1000, "gid": 1000, "additionalGids": [1000, 100]} and "effective" not in user["capabilities"]
    with pytest.raises(InvalidArgument, match="unable to find user nobody"):
        process_of(world.box, SPEC, ExecCreate(cmd=["x"], user="nobody"))


def test_privileged_gets_all_there_is(world: World) -> None:
    process = process_of(world.box, SPEC, ExecCreate(cmd=["x"], user="0", privileged=True))
    assert set(process["capabilities"]["effective"]) == set(process["capabilities"]["bounding"]) > {"CAP_CHOWN"}


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (Status.CREATED, "is not running"),
        (Status.EXITED, "is not running"),
        (Status.PAUSED, "is paused"),
        (Status.RESTARTING, "restarting"),
    ],
)
def test_refused_unless_running(world: World, status: Status, text: str) -> None:
    world.box.state = State(status=status)
    with pytest.raises(Conflict, match=text):
        world.execs.create(world.box, ExecCreate(cmd=["x"]))


def test_a_damaged_bundle_is_named(world: World) -> None:
    (world.box.bundle / "config.json").unlink(missing_ok=True)
    with pytest.raises(Conflict, match=r"was damaged .*config\.json: no such file or directory\): restart the container"):
        read_spec(world.box)
    world.box.state = State(status=Status.EXITED)
    with pytest.raises(Conflict, match="is not running"):
        read_spec(world.box)


def test_bad_requests(world: World) -> None:
    with pytest.raises(InvalidArgument, match="No exec command specified"):
        world.execs.create(world.box, ExecCreate())
    with pytest.raises(InvalidArgument, match="detach keys"):
        world.execs.create(world.box, ExecCreate(cmd=["x"], detach_keys="ctrl-1"))
    with pytest.raises(NotFound, match="No such exec instance: 00"):
        world.execs.inspect("00")


def test_life_of_a_detached_exec(world: World) -> None:
    async def run() -> None:
        execs, box = world.execs, world.box
        eid = execs.create(box, ExecCreate(cmd=["sh", "-c", "x"], user="user"))
        before = execs.inspect(eid)
        assert (before["Running"], before["ExitCode"], before["Pid"]) == (False, None, 0) and eid in box.exec_ids
        assert before["ProcessConfig"] == {"tty": False, "entrypoint": "sh", "arguments": ["-c", "x"], "privileged": False, "user": "user"}
        await execs.start(eid, ExecStart(detach=True), None)
        assert execs.inspect(eid)["Running"] and execs.inspect(eid)["Pid"] == 4242
        with pytest.raises(Conflict, match="already running"):
            execs.ready(eid)
        world.tasks.end(box.id, eid, 12)
        after = execs.inspect(eid)
        assert (after["Running"], after["ExitCode"], after["CanRemove"]) == (False, 12, True) and not box.exec_ids
        with pytest.raises(Conflict, match="has already run"):
            execs.ready(eid)
        assert [action for action, _ in world.events.seen] == ["exec_create: sh -c x", "exec_start: sh -c x", "exec_die"]
        assert world.events.seen[-1][1] == {"execID": eid, "exitCode": "12"}

    asyncio.run(run())


def test_one_that_an_earlier_daemon_started_has_its_code(world: World) -> None:
    world.execs.exited(world.box.id, "e" * 64, Exit(12, 1))
    found = world.execs.inspect("e" * 64)
    assert (found["Running"], found["ExitCode"], found["ContainerID"]) == (False, 12, world.box.id)


def test_one_that_ends_before_its_start_has_returned(world: World) -> None:
    async def run() -> None:
        world.tasks.outcome = lambda *_: 3
        eid = world.execs.create(world.box, ExecCreate(cmd=["x"]))
        await world.execs.start(eid, ExecStart(detach=True), None)
        assert (world.execs.inspect(eid)["Running"], world.execs.inspect(eid)["ExitCode"]) == (False, 3)

    asyncio.run(run())


@pytest.mark.parametrize("tty", [False, True])
def test_failed_start_is_told_in_the_stream_and_in_the_exit_code(world: World, tty: bool) -> None:
    async def run() -> bytes:
        world.tasks.outcome = lambda *_: StartFailed("no such program", 127)
        eid = world.execs.create(world.box, ExecCreate(cmd=["x"], tty=tty, attach_stdout=True))
        ours, theirs = socket.socketpair()
        with ours:
            await world.execs.start(eid, ExecStart(), theirs)
            assert world.execs.inspect(eid)["ExitCode"] == 127
            ours.settimeout(10)
            data = b""
            while more := ours.recv(1000):
                data += more
        with pytest.raises(StartFailed):
            await world.execs.start(world.execs.create(world.box, ExecCreate(cmd=["x"])), ExecStart(detach=True), None)
        return data

    text = b"no such program\r\n"
    assert asyncio.run(run()) == (text if tty else struct.pack(">BxxxI", 1, len(text)) + text)


def test_resize_needs_a_process(world: World) -> None:
    async def run() -> None:
        eid = world.execs.create(world.box, ExecCreate(cmd=["x"], tty=True))
        with pytest.raises(Conflict):
            await world.execs.resize(eid, 1, 2)
        await world.execs.start(eid, ExecStart(detach=True), None)
        await world.execs.resize(eid, 40, 100)
        assert world.tasks.calls == [("resize", eid, 40, 100)]

    asyncio.run(run())


def test_the_end_of_the_container_forgets_what_never_started(world: World) -> None:
    async def run() -> None:
        eid = world.execs.create(world.box, ExecCreate(cmd=["x"]))
        world.execs.container_ended(world.box)
        with pytest.raises(NotFound):
            world.execs.inspect(eid)
        assert not world.box.exec_ids

    asyncio.run(run())


def test_a_private_run_collects_output_and_is_killed_when_late(world: World) -> None:
    async def run() -> None:
        def write(exec_id: str, process: dict[str, Any], clients: list[Any]) -> int:
            clients[0].sock.sendall(b"x" * 50)
            return 2

        world.tasks.outcome = write
        assert await world.execs.run(world.box, ["check"], 10, 20) == (2, b"x" * 20)
        world.tasks.outcome = lambda *_: None
        assert await world.execs.run(world.box, ["check"], 0.01, 20) == (None, b"")
        assert world.tasks.calls[0][0] == "signal"
        await world.supervisor.close()

    asyncio.run(run())
