"""A task manager over a real crun, with a rootfs from busybox-static."""

import asyncio
import json
import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scow.ids import new_id
from scow.logdrivers.plan import LogPlan
from scow.runtime.task import Attachment, Exit, Runtime, Stdio, TaskManager, TaskSpec

WAIT = 60.0
APPLETS = ("sh", "echo", "cat", "sleep", "ls", "true", "seq", "stty", "head", "yes")


def needs_root() -> None:
    if os.geteuid() != 0 or not shutil.which("crun") or not os.path.exists("/bin/busybox"):
        pytest.skip("needs root, crun and busybox-static")


class Bench:
    """One engine's run directory; `manager` may be dropped and made anew, as a daemon that dies."""

    def __init__(self, base: Path) -> None:
        self.run_dir = base / "run"
        self.base = base
        self.rootfs = base / "rootfs"
        for name in ("bin", "proc", "dev", "sys", "tmp"):
            (self.rootfs / name).mkdir(parents=True)
        shutil.copy("/bin/busybox", self.rootfs / "bin" / "busybox")
        for name in APPLETS:
            (self.rootfs / "bin" / name).symlink_to("busybox")
        self.exits: dict[str, Exit] = {}
        self.exec_exits: dict[str, Exit] = {}
        self.manager = self.new_manager()
        self.ids: list[str] = []

    def new_manager(self) -> TaskManager:
        manager = TaskManager(self.run_dir, {"crun": Runtime("crun")}, "crun")
        manager.on_exit = self.exits.__setitem__
        manager.on_exec_exit = lambda _container, execution, result: self.exec_exits.__setitem__(execution, result)
        return manager

    async def open(self) -> None:
        await self.manager.open()
        await self.manager.recover()

    async def drop(self) -> None:
        """What kill -9 of the daemon leaves: the connection ends, nothing is told."""
        await self.manager.close()

    def spec(self, *args: str, tty: bool = False, stdin: bool = False, attachments: list[Attachment] | None = None, **log: Any) -> TaskSpec:
        container_id = new_id()
        self.ids.append(container_id)
        bundle = self.run_dir / "bundles" / container_id
        bundle.mkdir(parents=True)
        kinds = ("pid", "ipc", "uts", "mount", "network")
        config = {
            "ociVersion": "1.0.2",
            "process": {"terminal": tty, "user": {"uid": 0, "gid": 0}, "args": list(args), "env": ["PATH=/bin"], "cwd": "/"},
            "root": {"path": str(self.rootfs), "readonly": True},
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]},
                {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance", "ptmxmode=0666"]},
            ],
            "linux": {"namespaces": [{"type": kind} for kind in kinds], "cgroupsPath": f"/scow-test/{container_id}"},
        }
        (bundle / "config.json").write_text(json.dumps(config))
        plan = LogPlan("json-file", self.base / f"{container_id}.log", **log)
        return TaskSpec(container_id, bundle, "", Stdio(tty=tty, stdin=stdin, stdin_once=stdin, rows=24, cols=80), plan, attachments or [])

    async def ended(self, container_id: str) -> Exit:
        await until(lambda: container_id in self.exits)
        return self.exits[container_id]

    def records(self, spec: TaskSpec) -> list[dict[str, str]]:
        assert spec.log.path is not None
        return [json.loads(line) for line in spec.log.path.read_text().splitlines()]

    def keeper_pid(self) -> int:
        return int((self.run_dir / "keeper.pid").read_text())

    def kill_keeper(self) -> None:
        os.kill(self.keeper_pid(), signal.SIGKILL)

    async def finish(self) -> None:
        for container_id in self.ids:
            await self.manager.delete(container_id)
        await until(lambda: not self.manager._super.live)
        await self.manager.close(end_keeper=True)


async def until(condition: Callable[[], Any], seconds: float = WAIT) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "condition not met in time"
        await asyncio.sleep(0.01)


async def read_all(sock: socket.socket) -> bytes:
    sock.setblocking(False)
    data = b""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(WAIT):
        while chunk := await loop.sock_recv(sock, 65536):
            data += chunk
    return data


async def read_until(sock: socket.socket, mark: bytes) -> bytes:
    sock.setblocking(False)
    data = b""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(WAIT):
        while mark not in data:
            chunk = await loop.sock_recv(sock, 65536)
            assert chunk, data
            data += chunk
    return data


@pytest.fixture
def bench() -> Iterator[Bench]:
    needs_root()
    base = Path(tempfile.mkdtemp(prefix="rt", dir="/var/tmp"))
    yield Bench(base)
    shutil.rmtree(base, ignore_errors=True)


def use(bench: Bench, test: Callable[[Bench], Any]) -> None:
    """Run an async test between open and finish."""

    async def whole() -> None:
        await bench.open()
        try:
            await test(bench)
        finally:
            await bench.finish()

    asyncio.run(whole())
