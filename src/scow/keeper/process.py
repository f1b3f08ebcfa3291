"""One process the keeper holds: a container's init or an exec, with its stdio, its log and its attached clients.

Output goes pipe → clients and log, in turns bounded by time so that no process starves another. Stored: its log file and hold (hold.py).
"""

import contextlib
import fcntl
import os
import socket
import time
from collections.abc import Callable
from typing import Any

from scow.keeper import hold, jsonlog
from scow.keeper.attach import Client
from scow.keeper.logfile import LogFile
from scow.keeper.loop import IN, OUT, Loop
from scow.kernel import tty

_TURN = 0.002  # seconds, and
_BUDGET = 256 * 1024  # bytes that one stream may take of a turn of the loop: who floods does not hold up the others
_READ = 128 * 1024
_DRAIN = 4 << 20  # most that is taken of a stream after the process has ended, before the exit is told
_CALM = 0.001  # pause for a writer of many small pieces: fewer, larger reads
_FLOOD = 60 * 1024  # a pipe this full made its writer wait: it gets a larger one, as few do that (root's pipes are 64 MB together)
_PIPE = 256 * 1024
_SILENT = 1.0  # an output that ends is most of the time a process that ends


class Stream:
    """An output of the process."""

    def __init__(self, process: "Process", fd: int, number: int, region: hold.Region | None) -> None:
        self._process = process
        self.fd = fd
        self.number = number
        self._name = "stdout" if number == 1 else "stderr"
        self._region = region
        self._small = 0
        self._calm = False
        self._grown = False
        self.open = True
        os.set_blocking(fd, False)
        if region is not None and process.log is not None:
            if region.torn >= 0:
                process.log.repair(region.torn)
            self._store()
        self.watch()

    def watch(self) -> None:
        """Read on, unless a client or calm holds the stream."""
        if not self.open:
            return
        if self._calm or self._process.congested:
            self._process.loop.forget(self.fd)
        else:
            self._process.loop.watch(self.fd, IN, self._ready)

    def _ready(self, _events: int) -> None:
        started = time.monotonic()
        taken = 0
        while self.open and not self._process.congested:
            count = self._take()
            taken += max(count, 0)
            if count < _READ // 4 or taken >= _BUDGET or time.monotonic() - started > _TURN:
                break
        if 0 < taken < _READ // 4:
            self._small += 1
            if self._small >= 4:
                self._calm = True
                self._process.loop.after(_CALM, self._calmed)
        elif taken > _FLOOD and not self._grown:
            self._grow()
        self.watch()

    def _grow(self) -> None:
        self._grown = True
        with contextlib.suppress(OSError):  # a terminal, or too many large pipes
            fcntl.fcntl(self.fd, fcntl.F_SETPIPE_SZ, _PIPE)

    def _calmed(self) -> None:
        self._calm = False
        if self.open and not self._more():
            self._small = 0
        self.watch()

    def _more(self) -> bool:
        count = self._take()
        return count > 0

    def _take(self) -> int:
        """Read once and pass on; the count, 0 when nothing waited."""
        region, process = self._region, self._process
        chunk = b""
        try:
            if region is not None:
                count = region.read_from(self.fd)
                if count and process.clients:
                    chunk = region.newest(count)
            else:
                chunk = os.read(self.fd, _READ)
                count = len(chunk)
        except BlockingIOError:
            return 0
        except OSError:
            count = 0  # EIO: the last terminal user has gone
        if not count:
            self._end()
            return 0
        if chunk:
            process.feed(chunk, self.number)
        self._store()
        return count

    def _store(self, final: bool = False) -> None:
        region, log = self._region, self._process.log
        if region is None or log is None:
            return
        while region.start < region.end:
            log.rotate_if_full()
            room = log.room()
            data = region.data(max(room, 2 * jsonlog.PARTIAL))
            texts, _ = jsonlog.cut(data, final and region.start + len(data) == region.end)
            if not texts:
                return
            if (
                jsonlog.least(texts) > room
            ):  # a flood into a small file: each file gets its share, or a batch would make one as large as itself
                texts = [jsonlog.first_lines(texts[0], room * len(texts[0]) // jsonlog.least(texts[:1]))]
            records = log.encode(texts, self._name, time.time_ns())
            total = sum(map(len, records))
            if total > room:
                texts = [jsonlog.first_lines(texts[0], len(texts[0]) * room // total)]
                records = log.encode(texts, self._name, time.time_ns())
            taken = sum(map(len, texts))
            region.writing(log.size)
            log.write(records)
            region.taken(taken)

    def drain(self) -> None:
        """Take what the ended process has left."""
        total = 0
        while self.open and total < _DRAIN:
            count = self._take()
            if not count:
                break
            total += count

    def _end(self) -> None:
        if not self.open:
            return
        self.open = False
        self._store(final=True)
        self._region = None  # unmapped now, not when the cycles of this process are collected
        self._process.loop.forget(self.fd)
        os.close(self.fd)
        self._process.stream_ended()

    def close(self) -> None:
        """Give the stream up, keeping what was read."""
        self._end()


class Process:
    """Stdio, log and clients of one process. `tell(event, …)` reports to the daemon."""

    def __init__(self, loop: Loop, meta: dict[str, Any], fds: dict[str, int], tell: Callable[[dict[str, Any]], None]) -> None:
        self.loop = loop
        self.meta = meta
        self.container_id: str = meta["id"]
        self.exec_id: str = meta["exec"]
        self.pidfd = fds["pidfd"]
        self.hold_fd = fds.get("hold", -1)
        self._tell = tell
        self._stdin = fds.get("in", -1)
        self.master = fds.get("master", -1)
        self.clients: list[Client] = []
        self._input: list[tuple[Client | None, bytes]] = []
        self._input_ends = False
        self.exited = False
        self.told = False  # the daemon knows of the exit
        plan = meta.get("log")
        self.log: LogFile | None = None
        if plan:
            with contextlib.suppress(OSError):
                self.log = LogFile(plan)
        regions: tuple[hold.Region | None, hold.Region | None] = (None, None)
        if self.hold_fd >= 0 and self.log is not None:
            regions = hold.regions(self.hold_fd)
        self.streams: list[Stream] = []
        if self.master >= 0:
            self._stdin = os.dup(self.master)
            os.set_blocking(self._stdin, False)
        elif self._stdin >= 0:
            os.set_blocking(self._stdin, False)
        for name, number in (("master", 1), ("out", 1), ("err", 2)):
            if name in fds:
                # the terminal's descriptor is read by a duplicate, `master` stays for the window size
                fd = os.dup(fds[name]) if name == "master" else fds[name]
                self.streams.append(Stream(self, fd, number, regions[number - 1]))

    def descriptors(self) -> dict[str, int]:
        """What a daemon keeps duplicates of."""
        found = {"pidfd": self.pidfd}
        if self.hold_fd >= 0:
            found["hold"] = self.hold_fd
        if self.master >= 0:
            found["master"] = self.master
            return found
        if self._stdin >= 0:
            found["in"] = self._stdin
        for stream in self.streams:
            if stream.open:
                found["out" if stream.number == 1 else "err"] = stream.fd
        return found

    # output

    @property
    def congested(self) -> bool:
        """Whether a client is too far behind; an ended process's last words are taken all the same."""
        return not self.exited and any(client.congested for client in self.clients)

    def feed(self, data: bytes, number: int) -> None:
        """Pass output to the clients."""
        for client in tuple(self.clients):
            client.feed(data, number)

    def _room(self) -> None:
        for stream in self.streams:
            stream.watch()

    def stream_ended(self) -> None:
        """One output has come to its end. The clients' end comes after the exit was told, or soon if the process lives on in silence."""
        if self.silent:
            if self.told:
                self._finish_clients()
            elif not self.exited:
                self.loop.after(_SILENT, self._silent_alive)

    def _silent_alive(self) -> None:
        if not self.exited:
            self._finish_clients()

    def _finish_clients(self) -> None:
        for client in tuple(self.clients):
            client.finish()

    @property
    def silent(self) -> bool:
        """Whether all output has been taken."""
        return not any(stream.open for stream in self.streams)

    # clients and input

    def attach(self, sock: socket.socket, options: dict[str, Any], early: bytes) -> None:
        """Add a client; `options`: stdin, stdout, stderr, mux, keys (hex)."""
        client = Client(
            self.loop,
            sock,
            streams=(bool(options["stdin"]), bool(options["stdout"]), bool(options["stderr"])),
            mux=bool(options["mux"]) and self.master < 0,
            keys=bytes.fromhex(options["keys"]),
            on_input=self._on_input,
            on_input_end=self._on_input_end,
            on_room=self._room,
            on_gone=self._on_gone,
        )
        self.clients.append(client)
        if early and client.stdin:
            client.take_input(early)
        if self.silent and (self.told or not self.exited):
            client.finish()

    def _on_gone(self, client: Client, detached: bool) -> None:
        if detached:
            self._tell({"ev": "detach", "id": self.container_id, "exec": self.exec_id})
        elif client in self.clients:
            self.clients.remove(client)

    def _on_input(self, client: Client, data: bytes) -> bool:
        if self._stdin < 0:
            return True
        self._input.append((client, data))
        self._write_input()
        return not self._input

    def _on_input_end(self, client: Client) -> None:
        if self.meta["once"] and self.master < 0:
            self._input_ends = True
            self._write_input()
        elif not self.exec_id or self.master >= 0:
            # Docker ends an attachment whose input has ended when the process's own input stays open. A terminal's always does: clients
            # that recognise the detach keys themselves end their input too
            client.finish()

    def _write_input(self, _events: int = 0) -> None:
        while self._input and self._stdin >= 0:
            client, data = self._input[0]
            try:
                count = os.write(self._stdin, data)
            except BlockingIOError:
                self.loop.watch(self._stdin, OUT, self._write_input)
                return
            except OSError:
                self._input_ends = True
                for waiting, _ in self._input:
                    if waiting is not None:
                        waiting.resume()
                self._input.clear()
                break
            if count < len(data):
                self._input[0] = (client, data[count:])
                continue
            self._input.pop(0)
            if client is not None and not any(other is client for other, _ in self._input):
                client.resume()
        if self._stdin >= 0:
            self.loop.forget(self._stdin)
            if self._input_ends:
                self.close_stdin()

    def close_stdin(self) -> None:
        """End the process's input; the daemon drops its duplicate when told."""
        if self._stdin >= 0:
            self.loop.forget(self._stdin)
            os.close(self._stdin)
            self._stdin = -1
            if self.master < 0:
                self._tell({"ev": "stdin", "id": self.container_id, "exec": self.exec_id})

    def resize(self, rows: int, cols: int) -> None:
        """Set the terminal's size; not a terminal, or gone: nothing."""
        if self.master >= 0:
            with contextlib.suppress(OSError):
                tty.set_size(self.master, rows, cols)

    def drain(self) -> None:
        """The process has ended: take its last output, whatever the clients do."""
        self.exited = True
        for stream in self.streams:
            stream.drain()

    def close(self) -> None:
        """Give all up: streams, log, clients (after what waits for them)."""
        for stream in self.streams:
            stream.close()
        for client in tuple(self.clients):
            client.finish()
        if self._stdin >= 0:
            self.loop.forget(self._stdin)
            os.close(self._stdin)
            self._stdin = -1
        for fd in (self.master, self.hold_fd):
            if fd >= 0:
                os.close(fd)
        self.master = self.hold_fd = -1
        self.loop.forget(self.pidfd)
        os.close(self.pidfd)
        if self.log is not None:
            self.log.close()
            self.log = None
