"""What the task manager takes and gives; `runtime.task` exports all of it. Nothing is stored."""

import socket
from dataclasses import dataclass, field
from pathlib import Path

from scow.errors import InvalidArgument, NotFound
from scow.logdrivers.plan import LogPlan


@dataclass(frozen=True, slots=True)
class Runtime:
    """An OCI runtime: program and arguments that come before the command."""

    path: str
    args: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stdio:
    """How a process is connected. `stdin_once`: its input ends when an attached client's input ends."""

    tty: bool = False
    stdin: bool = False
    stdin_once: bool = False
    rows: int = 0
    cols: int = 0


@dataclass(slots=True)
class Attachment:
    """A client to connect; the socket passes to the manager, which closes it in any case. `mux` is ignored on a terminal."""

    sock: socket.socket
    early: bytes = b""
    stdin: bool = False
    stdout: bool = True
    stderr: bool = True
    mux: bool = True
    detach_keys: bytes = b""


@dataclass(slots=True)
class TaskSpec:
    """A container to run: the bundle holds config.json and rootfs; `runtime` "" is the default one."""

    container_id: str
    bundle: Path
    runtime: str
    stdio: Stdio
    log: LogPlan
    attachments: list[Attachment] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Started:
    """The process runs (or has run already)."""

    pid: int
    at_ns: int


@dataclass(frozen=True, slots=True)
class Exit:
    """The process has ended; `known` False: nobody could learn how, the code is 255."""

    code: int
    at_ns: int
    oom: bool = False
    known: bool = True


@dataclass(frozen=True, slots=True)
class Task:
    """A live container found by `recover`; `execs` are its live exec ids."""

    container_id: str
    pid: int
    started_ns: int
    execs: tuple[str, ...] = ()


class StartFailed(InvalidArgument):
    """The runtime could not start the process; `exit_code` is 126, 127 or 128 as dockerd's."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class NoTask(NotFound):
    """The container (or exec) has no live process."""
