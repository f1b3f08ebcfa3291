"""Swarms of several nodes in one process: real links with real certificates, engines that run nothing."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from scow.errors import NotFound, Unavailable
from scow.filters import Filters
from scow.metadata import Database
from scow.swarm.node import SwarmNode
from scow.swarm.service import SwarmService
from tests.fakes.executor import FakeExecutor
from tests.support.asynchronous import until
from tests.support.ports import free_port

needs_etcd = pytest.mark.skipif(shutil.which("etcd") is None, reason="etcd is not installed")
NOTHING = Filters.parse("", set())
SPEC = {"Dispatcher": {"HeartbeatPeriod": 300_000_000}}


class Host:
    """An engine that may be part of a swarm. It runs nothing; links, certificates and etcd are real."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.db = Database(folder / "meta.db")
        self.engine = FakeExecutor()
        self.port = free_port()
        self.swarm = self._service()

    def _service(self) -> SwarmService:
        return SwarmService(self.db, self.engine, lambda *event: None, lambda ref: "", data=self.folder, run=self.folder / "run")

    @property
    def listen(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def id(self) -> str:
        """Its node's, "" in no swarm; as it is stored, so also while the daemon is down."""
        row = self.db.table("swarm_node").get("node")
        return str(row["node_id"]) if row else ""

    @property
    def node(self) -> SwarmNode:
        """What its daemon runs as a part of the swarm."""
        found = self.swarm._node
        assert found is not None
        return found

    async def start(self) -> None:
        """The daemon comes up again after `swarm.close()`."""
        self.swarm = self._service()
        await self.swarm.start()

    async def restart(self) -> None:
        await self.swarm.close()
        await self.start()

    async def init(self) -> None:
        await self.swarm.init({"ListenAddr": self.listen, "AdvertiseAddr": self.listen, "Spec": SPEC})

    async def join(self, manager: "Host", role: str = "worker", **more: Any) -> None:
        token = manager.swarm.inspect()["JoinTokens"][role.capitalize()]
        addresses = {"ListenAddr": self.listen, "AdvertiseAddr": self.listen, "RemoteAddrs": [manager.listen]}
        await self.swarm.join({**addresses, "JoinToken": token, **more})

    def nodes(self) -> dict[str, dict[str, Any]]:
        return {row["ID"]: row for row in self.swarm.control.nodes(NOTHING)}

    def running(self, service: str) -> list[dict[str, Any]]:
        filters = Filters.parse('{"service": ["' + service + '"]}', {"service"})
        try:
            tasks = self.swarm.control.tasks(filters)
        except NotFound:
            return []  # made at another manager a moment ago
        return [task for task in tasks if task["Status"]["State"] == "running" and task["DesiredState"] == "running"]


@asynccontextmanager
async def hosts(folder: Path, count: int) -> AsyncIterator[list[Host]]:
    """That many, in no swarm."""
    made = [Host(folder / f"n{number}") for number in range(count)]
    try:
        yield made
    finally:
        for host in reversed(made):
            await host.swarm.close()
            host.db.close()


@asynccontextmanager
async def pair(folder: Path) -> AsyncIterator[list[Host]]:
    """A manager and a worker that has joined it."""
    async with hosts(folder, 2) as made:
        boss, worker = made
        await boss.init()
        await worker.join(boss)
        yield made


@asynccontextmanager
async def managers(folder: Path, count: int, workers: int = 0) -> AsyncIterator[list[Host]]:
    """Managers of one swarm that agree on who leads (the first does), and workers after them."""
    async with hosts(folder, count + workers) as made:
        await made[0].init()
        for number, host in enumerate(made[1:], 1):
            await host.join(made[0], "manager" if number < count else "worker")
        await until(lambda: settled(made[:count]))
        yield made


def web(replicas: int, **mode: Any) -> dict[str, Any]:
    template = {"ContainerSpec": {"Image": "x"}, "RestartPolicy": {"Delay": 0}}
    return {"Name": "web", "TaskTemplate": template, "Mode": mode or {"Replicated": {"Replicas": replicas}}}


def statuses(host: Host) -> list[str]:
    rows = [row.get("ManagerStatus") for row in host.nodes().values()]
    return sorted("leader" if row["Leader"] else row["Reachability"] for row in rows if row)


def settled(made: list[Host]) -> bool:
    """Every host answers, and they agree on a leader and reachable managers."""
    wanted = ["leader", *["reachable"] * (len(made) - 1)]
    try:
        return all(statuses(host) == wanted for host in made)
    except Unavailable:
        return False


def settled_without(made: list[Host], gone: Host) -> bool:
    """The others have a leader, and `gone` is not it."""
    rest = [host for host in made if host is not gone]
    try:
        return all("leader" in statuses(host) and not host.nodes()[gone.id]["ManagerStatus"]["Leader"] for host in rest)
    except (Unavailable, KeyError):
        return False
