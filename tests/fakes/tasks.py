"""A scripted task manager: execs end when told to; what was asked is remembered."""

import asyncio
from collections.abc import Callable
from typing import Any

from scow.runtime.task import Attachment, Exit, NoTask, Started, StartFailed, Stdio


class FakeTasks:
    """`outcome(exec_id, process, attachments)` decides an exec: None = it runs, an exit code = it ends at once, an exception = it fails."""

    def __init__(self) -> None:
        self.execs: dict[str, tuple[dict[str, Any], Stdio, list[Attachment]]] = {}
        self.attached: list[tuple[str, Attachment]] = []
        self.calls: list[tuple[Any, ...]] = []
        self.outcome: Callable[[str, dict[str, Any], list[Attachment]], int | StartFailed | None] = lambda *_: None
        self.on_exit: Callable[..., None] = lambda *_: None
        self.on_exec_exit: Callable[..., None] = lambda *_: None
        self.on_detach: Callable[..., None] = lambda *_: None
        self.alive: set[str] = set()

    async def exec(
        self, container_id: str, exec_id: str, process: dict[str, Any], stdio: Stdio, attachments: list[Attachment] | None = None
    ) -> Started:
        clients = attachments or []
        self.execs[exec_id] = (process, stdio, clients)
        result = self.outcome(exec_id, process, clients)
        if isinstance(result, StartFailed):
            for client in clients:
                client.sock.close()
            raise result
        if result is not None:
            self.end(container_id, exec_id, result)
        await asyncio.sleep(0)
        return Started(4242, 1)

    def end(self, container_id: str, exec_id: str, code: int) -> None:
        for client in self.execs[exec_id][2]:
            client.sock.close()
        self.on_exec_exit(container_id, exec_id, Exit(code, 2))

    async def exec_signal(self, container_id: str, exec_id: str, signum: int = 9) -> None:
        self.calls.append(("signal", exec_id, signum))

    async def exec_resize(self, container_id: str, exec_id: str, rows: int, cols: int) -> None:
        self.calls.append(("resize", exec_id, rows, cols))

    async def attach(self, container_id: str, attachment: Attachment) -> None:
        if container_id not in self.alive:
            attachment.sock.close()
            raise NoTask("gone")
        self.attached.append((container_id, attachment))

    async def pause(self, container_id: str) -> None:
        self.calls.append(("pause", container_id))

    async def resume(self, container_id: str) -> None:
        self.calls.append(("resume", container_id))
