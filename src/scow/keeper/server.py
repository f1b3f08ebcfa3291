"""The keeper's server: runs the OCI runtime for the daemon, watches what it started, records each exit and then tells it.

Stored: exit records in run/exits. A daemon may come and go; the keeper ends once neither is left. See docs/design/runtime.md.
"""

import contextlib
import os
import signal
import socket
import time
from collections import deque
from typing import Any

from scow.keeper import protocol
from scow.keeper.loop import HUP, IN, OUT, Loop
from scow.keeper.process import Process
from scow.kernel import pidfd, spawn, syscalls, tty

_COLLECT_STEP = 0.005
_COLLECT_TRIES = 600  # 3 seconds
_LINGER = 2.0  # how long an ended process's output may stay open by others
_ALONE = 0.2  # a daemon that is back at once finds us still
_FIRST_DAEMON = 30.0
_GREETING = 10.0  # a runtime that takes longer than this is not waited for
_MAX_QUEUE = 20_000
_MAX_TEXT = 16 * 1024

Key = tuple[str, str]


class Connection:
    """The daemon's end: requests in, replies and events out, queued while the socket is full."""

    def __init__(self, keeper: "Keeper", sock: socket.socket) -> None:
        self._keeper = keeper
        self._sock = sock
        sock.setblocking(False)
        self._queue: deque[tuple[dict[str, Any], list[int]]] = deque()
        self.open = True
        keeper.loop.watch(sock.fileno(), IN, self._ready)

    def send(self, message: dict[str, Any], fds: list[int] | None = None) -> None:
        """Send or queue; the descriptors stay the caller's."""
        if not self.open:
            return
        if not self._queue:
            try:
                protocol.send(self._sock, message, fds)
                return
            except BlockingIOError:
                pass
            except OSError:
                self.close()
                return
        if len(self._queue) >= _MAX_QUEUE:
            self.close()
            return
        self._queue.append((message, [os.dup(fd) for fd in fds or ()]))
        self._keeper.loop.watch(self._sock.fileno(), IN | OUT, self._ready)

    def _ready(self, events: int) -> None:
        if events & OUT:
            while self._queue:
                message, fds = self._queue[0]
                try:
                    protocol.send(self._sock, message, fds)
                except BlockingIOError:
                    break
                except OSError:
                    self.close()
                    return
                self._queue.popleft()
                for fd in fds:
                    os.close(fd)
            if not self._queue:
                self._keeper.loop.watch(self._sock.fileno(), IN, self._ready)
        if events & (IN | HUP):
            for _ in range(32):
                try:
                    received = protocol.receive(self._sock)
                except BlockingIOError:
                    return
                except (OSError, ValueError):
                    received = None
                if received is None:
                    self.close()
                    return
                self._keeper.handle(self, *received)
                if not self.open:
                    return

    def close(self) -> None:
        """The daemon has gone."""
        if not self.open:
            return
        self.open = False
        self._keeper.loop.forget(self._sock.fileno())
        self._sock.close()
        for _, fds in self._queue:
            for fd in fds:
                os.close(fd)
        self._queue.clear()
        self._keeper.daemon_gone(self)


class Keeper:
    """All processes by (container id, exec id), "" for the container itself."""

    def __init__(self, run_dir: str, listener: socket.socket) -> None:
        self.loop = Loop()
        self._exits = os.path.join(run_dir, "exits")
        self._listener = listener
        self._processes: dict[Key, Process] = {}
        self._daemon: Connection | None = None
        self._running = 0
        self._greeting: list[tuple[Connection, dict[str, Any]]] = []  # said hello while a runtime ran
        self._sweeping = False
        listener.setblocking(False)
        self.loop.watch(listener.fileno(), IN, self._accept)
        self.loop.after(_FIRST_DAEMON, self._leave_if_alone)

    def _accept(self, _events: int) -> None:
        with contextlib.suppress(BlockingIOError):
            sock, _ = self._listener.accept()
            old, self._daemon = self._daemon, Connection(self, sock)
            if old is not None:
                old.close()

    def daemon_gone(self, connection: Connection) -> None:
        """A connection has ended."""
        if self._daemon is connection:
            self._daemon = None
            self._leave_soon()

    def _leave_soon(self) -> None:
        if self._daemon is None:
            self.loop.after(_ALONE, self._leave_if_alone)

    def _leave_if_alone(self) -> None:
        if self._daemon is None and not self._running and all(process.told for process in self._processes.values()):
            self.loop.stopped = True

    def _tell(self, event: dict[str, Any]) -> None:
        if self._daemon is not None:
            self._daemon.send(event)

    # requests

    def handle(self, connection: Connection, message: dict[str, Any], fds: list[int]) -> None:
        """Do one request; a bad one is answered with its error. Descriptors not taken are closed."""
        named: dict[str, int] = dict(zip(message.get("fds", ()), fds, strict=False))
        left = set(fds)
        try:
            handler = getattr(self, f"_op_{message['op']}")
            handler(connection, message, named, left)
        except Exception as error:  # the keeper holds every container: no request may end it
            connection.send({"re": message.get("n", 0), "error": f"{type(error).__name__}: {error}"})
        for fd in left:
            with contextlib.suppress(OSError):
                os.close(fd)

    def _op_hello(self, connection: Connection, message: dict[str, Any], _named: dict[str, int], _left: set[int]) -> None:
        """A daemon that died may have left a run under way: the next one hears of everything there is, so it waits for the run's end."""
        if not self._running:
            self._greet(connection, message)
            return
        self._greeting.append((connection, message))
        self.loop.after(_GREETING, self._greet_all)

    def _greet_all(self) -> None:
        waiting, self._greeting = self._greeting, []
        for connection, message in waiting:
            self._greet(connection, message)

    def _greet(self, connection: Connection, message: dict[str, Any]) -> None:
        for process in self._processes.values():
            found = process.descriptors()
            connection.send({"ev": "process", "meta": process.meta, "exited": process.exited, "fds": list(found)}, list(found.values()))
        connection.send({"re": message["n"], "version": protocol.VERSION, "pid": os.getpid()})

    def _op_end(self, connection: Connection, message: dict[str, Any], _named: dict[str, int], _left: set[int]) -> None:
        connection.send({"re": message["n"]})
        if not self._processes:
            self.loop.stopped = True

    def _op_run(self, connection: Connection, message: dict[str, Any], named: dict[str, int], left: set[int]) -> None:
        """Run the OCI runtime once; the process it leaves behind becomes ours."""
        key = (message["meta"]["id"], message["meta"]["exec"])
        old = self._processes.get(key)
        if old is not None:
            if not old.exited and not pidfd.ended(old.pidfd):
                raise ValueError("already running")
            old.drain()
            self._drop(key)
        child = {number: named[name] for number, name in enumerate(("child_in", "child_out", "child_err")) if name in named}
        if "lease" in named:
            child[3] = named["lease"]
        runtime = pidfd.open_pid(pid := spawn.spawn(message["argv"], child))
        for name in ("child_in", "child_out", "child_err", "lease"):
            if name in named:
                os.close(named[name])
                left.discard(named[name])
        left.clear()  # the rest goes on with the run
        self._running += 1

        def done(_events: int) -> None:
            code = pidfd.reap(runtime)
            if code is None:
                return
            self.loop.forget(runtime)
            os.close(runtime)
            self._running -= 1
            self._runtime_done(connection, message, named, code)
            if not self._running:
                self._greet_all()
            self._sweep_soon()
            self._leave_soon()

        del pid
        self.loop.watch(runtime, IN, done)

    def _runtime_done(self, connection: Connection, message: dict[str, Any], named: dict[str, int], code: int) -> None:
        meta = message["meta"]
        open_fds = {fd for name, fd in named.items() if name not in ("child_in", "child_out", "child_err", "lease")}
        try:
            if code != 0:
                raise OSError(_read_text(message["log_file"]) or f"the runtime ended with {code}")
            meta["pid"] = int(_read_text(message["pid_file"]))
            meta["at"] = time.time_ns()
            held: dict[str, int] = {name: named[name] for name in ("in", "out", "err", "hold") if name in named}
            held["pidfd"] = pidfd.open_pid(meta["pid"])
            if "console" in named:
                with socket.socket(fileno=os.dup(named["console"])) as listener:
                    listener.setblocking(False)
                    held["master"] = tty.receive_master(listener)
                if meta.get("rows"):
                    tty.set_size(held["master"], meta["rows"], meta["cols"])
        except (OSError, ValueError) as error:
            connection.send({"re": message["n"], "failed": str(error)[-_MAX_TEXT:]})
            for fd in open_fds:
                os.close(fd)
            return
        process = self._hold(meta, held)
        open_fds -= set(held.values())
        extra = [held[name] for name in ("pidfd", "master") if name in held]
        connection.send({"re": message["n"], "pid": meta["pid"], "at": meta["at"], "fds": ["pidfd", "master"][: len(extra)]}, extra)
        self._attach_all(process, message.get("clients", []), named, open_fds)
        for fd in open_fds:
            os.close(fd)

    def _hold(self, meta: dict[str, Any], fds: dict[str, int]) -> Process:
        process = Process(self.loop, meta, fds, self._tell)
        self._processes[meta["id"], meta["exec"]] = process
        self.loop.watch(process.pidfd, IN, lambda _events: self._ended(process))
        return process

    def _attach_all(self, process: Process, clients: list[dict[str, Any]], named: dict[str, int], left: set[int]) -> None:
        for number, options in enumerate(clients):
            early = b""
            if f"early{number}" in named:
                with open(os.dup(named[f"early{number}"]), "rb") as file:
                    file.seek(0)
                    early = file.read()
            fd = named[f"client{number}"]
            left.discard(fd)
            process.attach(socket.socket(fileno=fd), options, early)

    def _op_adopt(self, connection: Connection, message: dict[str, Any], named: dict[str, int], left: set[int]) -> None:
        """Take over a process of a keeper that died; one we have already stays as it is."""
        if (message["meta"]["id"], message["meta"]["exec"]) in self._processes:
            connection.send({"re": message["n"]})
            return
        held: dict[str, int] = {name: named[name] for name in ("in", "out", "err", "hold", "master", "pidfd") if name in named}
        left -= set(held.values())
        process = self._hold(message["meta"], held)
        self._attach_all(process, message.get("clients", []), named, left)
        connection.send({"re": message["n"]})

    def _op_attach(self, connection: Connection, message: dict[str, Any], named: dict[str, int], left: set[int]) -> None:
        process = self._processes.get((message["id"], message["exec"]))
        if process is None:
            raise LookupError("no such process")
        self._attach_all(process, message["clients"], named, left)
        connection.send({"re": message["n"]})

    def _op_resize(self, connection: Connection, message: dict[str, Any], _named: dict[str, int], _left: set[int]) -> None:
        process = self._processes.get((message["id"], message["exec"]))
        if process is None:
            raise LookupError("no such process")
        process.resize(int(message["rows"]), int(message["cols"]))
        connection.send({"re": message["n"]})

    # exits

    def _ended(self, process: Process) -> None:
        self.loop.forget(process.pidfd)
        process.drain()
        self._collect(process, 0)

    def _collect(self, process: Process, tries: int) -> None:
        if process.told or self._processes.get((process.container_id, process.exec_id)) is not process:
            return  # the daemon knows already, and may have removed the record
        name = protocol.record_name(process.container_id, process.exec_id)
        record = protocol.read_record(self._exits, name) if tries else None
        if record is not None and not protocol.is_of(record, process.meta["pid"]):
            record = None
        code = pidfd.collect(process.pidfd) if record is None else None
        if record is None and code is None and tries < _COLLECT_TRIES:
            # its parent (a daemon, init) has not reaped it yet, or its own parent has only just gone
            self.loop.after(_COLLECT_STEP, lambda: self._collect(process, tries + 1))
            return
        if record is None:
            known = code is not None
            record = {
                "code": code if code is not None else 255,
                "at": time.time_ns(),
                "oom": not process.exec_id and protocol.oom_killed(process.meta.get("oom", [])),
                "known": known,
                "pid": process.meta["pid"],
            }
            with contextlib.suppress(OSError):
                record = protocol.write_record(self._exits, name, record)
        process.drain()
        self._tell({"ev": "exit", "id": process.container_id, "exec": process.exec_id, **record})
        # the clients' end waits for the daemon: who sees the stream end must find the exit code in the daemon's answer
        if self._daemon is None:
            self._seen(process)
        else:
            self.loop.after(_LINGER, lambda: self._seen(process))
        self._sweep_soon()

    def _op_seen(self, _connection: Connection, message: dict[str, Any], _named: dict[str, int], _left: set[int]) -> None:
        """The daemon knows of this exit, from us or by itself."""
        process = self._processes.get((message["id"], message["exec"]))
        if process is None or not protocol.is_of(process.meta, message.get("pid")):
            return
        if not process.exited:
            self.loop.forget(process.pidfd)
            process.drain()
            pidfd.reap(process.pidfd)
        self._seen(process)

    def _seen(self, process: Process) -> None:
        key = (process.container_id, process.exec_id)
        if process.told or self._processes.get(key) is not process:
            return
        process.told = True
        self._leave_soon()
        if process.silent:
            self._drop(key, process)
        else:
            self.loop.after(_LINGER, lambda: self._drop(key, process))

    def _drop(self, key: Key, process: Process | None = None) -> None:
        current = self._processes.get(key)
        if current is None or (process is not None and current is not process):
            return
        del self._processes[key]
        current.close()
        self._leave_soon()

    def _sweep_soon(self) -> None:
        if not self._sweeping:
            self._sweeping = True
            self.loop.after(0.5, self._sweep)

    def _sweep(self) -> None:
        """Reap orphans that are nobody's (helpers, strays). Never while a runtime runs: its child may be to come."""
        self._sweeping = False
        if self._running:
            self._sweep_soon()
            return
        known = {process.meta["pid"] for process in self._processes.values()}
        for _ in range(1000):
            try:
                info = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if info is None:
                return
            if info.si_pid in known:
                self._sweep_soon()
                return
            with contextlib.suppress(ChildProcessError):
                os.waitpid(info.si_pid, os.WNOHANG)


def _read_text(path: str) -> str:
    try:
        with open(path, errors="replace") as file:
            return file.read(_MAX_TEXT).strip()
    except OSError:
        return ""


def main(run_dir: str) -> None:
    """Serve on descriptor 3 until neither daemon nor process is left."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    syscalls.set_child_subreaper()
    syscalls.keep_heap(1 << 20, 2 << 20)
    syscalls.set_name("scow-keeper")
    os.chdir("/")
    os.set_inheritable(3, False)
    keeper = Keeper(run_dir, socket.socket(fileno=3))
    keeper.loop.run()
