"""Every live process: started through the keeper, watched by pidfd here, ended exactly once. For `runtime.task`.

The one owner of "who awaits this exit" is this daemon: it watches the pidfd of each process, so no death of a keeper loses an exit.
The keeper's record is waited for first (it comes after the last output is in the log); what the kernel says is the fallback.
Stored: exit records in run/exits (also written here when the keeper did not). See docs/design/runtime.md.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scow import aio, log
from scow.errors import Internal, ScowError
from scow.keeper import protocol
from scow.kernel import pidfd, tty
from scow.runtime import live as parts
from scow.runtime.link import KeeperGone, Link
from scow.runtime.live import Kit, Live
from scow.runtime.types import Exit

logger = log.get(__name__)
Key = tuple[str, str]
_KEEPER_WORD = 0.05  # first look for ourselves, after the pidfd fired
_STEP = 0.02
_MISSED = 1000
_OWN_RECORD = 1.0  # a known exit is recorded by us when no keeper has done it by then
_BUSY = 15.0  # the same while a keeper is there: on a loaded machine it may take long to write down the last output
_UNKNOWN = 5.0
_LEASE = 60.0
_ATTEMPTS = 5


class RunFailed(ScowError):
    """The runtime refused; the message is its log."""


def to_exit(record: dict[str, Any]) -> Exit:
    """An exit record as the engine knows it."""
    return Exit(int(record["code"]), int(record["at"]), bool(record.get("oom")), bool(record.get("known", True)))


class Supervision:
    """The table of live processes and the keeper's link."""

    def __init__(
        self,
        run_dir: Path,
        on_settled: Callable[[Live], None],
        on_detach: Callable[[str, str], None],
        reap_orphans: Callable[[], None],
    ) -> None:
        self.exits_dir = run_dir / "exits"
        self._on_settled, self._on_detach, self._reap_orphans = on_settled, on_detach, reap_orphans
        self.live: dict[Key, Live] = {}
        self._missed: dict[Key, dict[str, Any]] = {}  # exits told before the answer of their start was read
        self._launching: set[Key] = set()
        self._ended_inputs: set[tuple[str, str]] = set()
        self._link = Link(run_dir, self._event, self._lost)
        self._tasks = aio.Supervisor("runtime")
        self._ready = asyncio.Event()
        self._closing = False
        self._reviving = False

    async def open(self) -> None:
        """Find or start the keeper; its processes are in `live` afterwards."""
        try:
            await self._link.open()
        except KeeperGone:  # it was about to leave: `_lost` has begun to start another
            await self._keeper()
            return
        self._ready.set()

    async def close(self, end_keeper: bool) -> None:
        """Leave; the keeper goes on while it has processes, or ends at once if asked and it has none."""
        self._closing = True
        if end_keeper and self._link.up and not self.live:
            with contextlib.suppress(ScowError, TimeoutError):
                async with asyncio.timeout(2):
                    await self._link.request({"op": "end"})
        await self._tasks.close()
        self._link.close()
        self._link.reap()
        for process in self.live.values():
            self._unwatch(process)
            process.close()
        self.live.clear()

    # starting

    async def launch(self, meta: dict[str, Any], argv: list[str], files: tuple[Path, Path], kit: Kit, undo: Callable[[], Any]) -> Live:
        """Run the runtime through the keeper once; RunFailed with its log. Survives the keeper's death: what was started is adopted.

        `files`: where the runtime writes pid and log. `undo()` (awaitable) removes a half-started process.
        """
        key = (meta["id"], meta["exec"])
        self._launching.add(key)
        try:
            return await self._launch(meta, argv, files, kit, undo)
        finally:
            self._launching.discard(key)

    async def _launch(self, meta: dict[str, Any], argv: list[str], files: tuple[Path, Path], kit: Kit, undo: Callable[[], Any]) -> Live:
        pid_file, log_file = files
        self._ended_inputs.discard((meta["id"], meta["exec"]))
        self._missed.pop((meta["id"], meta["exec"]), None)  # of an earlier process of this name
        for _ in range(_ATTEMPTS):
            await self._keeper()
            for path in files:
                with contextlib.suppress(FileNotFoundError):
                    path.unlink()
            lease, lease_child = os.pipe2(os.O_CLOEXEC)
            message = {
                "op": "run",
                "meta": meta,
                "argv": argv,
                "pid_file": str(pid_file),
                "log_file": str(log_file),
                "rows": meta.get("rows", 0),
                "cols": meta.get("cols", 0),
                "clients": [parts.options(attachment) for attachment in kit.attachments],
            }
            try:
                try:
                    future = self._link.begin(message, {**kit.fds, "lease": lease_child})
                finally:
                    os.close(lease_child)
                reply, found = await future
            except KeeperGone:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LEASE):
                        await aio.readable(lease)
                orphan = self._aftermath(meta, pid_file, kit)
                if orphan is not None:
                    await self._keeper()
                    self._watch(orphan)
                    # from here on a revival adopts it like the others, only its clients would be lost
                    with contextlib.suppress(KeeperGone):
                        await self._adopt(orphan, kit)
                    return orphan
                if (ended := self._ended_early(meta, pid_file, kit)) is not None:
                    return ended
                await undo()
                continue
            finally:
                os.close(lease)
            if "failed" in reply:
                raise RunFailed(reply["failed"])
            process = Live({**meta, "pid": reply["pid"], "at": reply["at"]}, {**kit.held(), **found})
            self._watch(process)
            early = self._missed.pop((process.container_id, process.exec_id), None)
            if early is not None and protocol.is_of(early, process.pid):
                self._finish(process, early)
            return process
        raise Internal("the keeper ended again and again while the process was started")

    def _aftermath(self, meta: dict[str, Any], pid_file: Path, kit: Kit) -> Live | None:
        """The process a runtime left behind whose keeper died before it could tell."""
        fds: dict[str, int] = {}
        try:
            pid = int(pid_file.read_text())
            fds["pidfd"] = pidfd.open_pid(pid)
            listener = kit.listener()
            if listener is not None:
                listener.setblocking(False)
                fds["master"] = tty.receive_master(listener)
        except (OSError, ValueError):
            for fd in fds.values():
                os.close(fd)
            return None
        return Live({**meta, "pid": pid, "at": time.time_ns()}, {**kit.held(), **fds})

    def _ended_early(self, meta: dict[str, Any], pid_file: Path, kit: Kit) -> Live | None:
        """The process that had run and ended, with its record, before its keeper died untold: it must not run twice."""
        record = protocol.read_record(str(self.exits_dir), protocol.record_name(meta["id"], meta["exec"]))
        try:
            pid = int(pid_file.read_text())
        except (OSError, ValueError):
            return None
        if record is None or record.get("pid") != pid:
            return None
        process = Live({**meta, "pid": pid, "at": min(time.time_ns(), int(record["at"]))}, kit.held())
        self.live[process.container_id, process.exec_id] = process
        asyncio.get_running_loop().call_soon(self._finish, process, record)
        return process

    async def _keeper(self) -> None:
        try:
            async with asyncio.timeout(30):
                await self._ready.wait()
        except TimeoutError:
            raise KeeperGone("the keeper cannot be started: see keeper.log in the exec root") from None

    async def _adopt(self, process: Live, kit: Kit | None = None) -> None:
        clients = kit.attachments if kit is not None else []
        fds = {**process.fds}
        if kit is not None:
            fds |= {name: fd for name, fd in kit.fds.items() if name.startswith(("client", "early"))}
        message = {"op": "adopt", "meta": process.meta, "clients": [parts.options(attachment) for attachment in clients]}
        await self._link.request(message, fds)

    # requests about a live process

    async def ask(self, key: Key, message: dict[str, Any], fds: dict[str, int] | None = None) -> None:
        """A request about one process, sent again when the keeper died meanwhile."""
        for attempt in range(_ATTEMPTS):
            await self._keeper()
            try:
                await self._link.request({**message, "id": key[0], "exec": key[1]}, fds)
                return
            except KeeperGone:
                if attempt == _ATTEMPTS - 1:
                    raise
                await asyncio.sleep(_STEP)

    # the keeper's word

    def _event(self, message: dict[str, Any], fds: dict[str, int]) -> None:
        kind = message.get("ev")
        if kind == "process":
            meta = message["meta"]
            if (meta["id"], meta["exec"]) not in self.live:
                self._watch(Live(meta, fds))
                return
        for fd in fds.values():
            os.close(fd)
        process = self.live.get((message.get("id", ""), message.get("exec", "")))
        if kind == "exit":
            if process is not None and protocol.is_of(message, process.pid):
                self._finish(process, message)
            elif (key := (message.get("id", ""), message.get("exec", ""))) in self._launching and len(self._missed) < _MISSED:
                self._missed[key] = message
            elif key[1] and process is None:
                # an exec that a daemon before us was starting when it died: nobody asks for its code
                with contextlib.suppress(FileNotFoundError):
                    (self.exits_dir / protocol.record_name(*key)).unlink()
        elif kind == "stdin":
            if process is not None:
                process.drop("in")
            elif len(self._ended_inputs) < _MISSED:  # said before the start was: its input is dropped when it is registered
                self._ended_inputs.add((message.get("id", ""), message.get("exec", "")))
        elif kind == "detach":
            self._on_detach(message["id"], message["exec"])

    def _lost(self) -> None:
        self._ready.clear()
        if not self._closing and not self._reviving:
            logger.warning("the keeper has ended, another one is started")
            self._reviving = True
            self._tasks.start(self._revive(), "revive")

    async def _revive(self) -> None:
        delay = 0.0
        while True:
            await asyncio.sleep(delay)
            self._link.reap()
            try:
                await self._link.open()
                for process in list(self.live.values()):
                    if process.exit is None and "pidfd" in process.fds:
                        try:
                            await self._adopt(process)
                        except Internal as error:  # one that cannot be held must not keep the others from being held
                            logger.error("container %s: %s", process.container_id[:12], error.message)
                if self._link.up:
                    break
            except (ScowError, OSError, TimeoutError) as error:
                logger.error("a new keeper could not be started: %s", error)
                self._link.close()
                delay = min(2.0, delay * 2 + 0.05)
        logger.info("a new keeper holds the containers")
        self._reviving = False
        self._tasks.start(self._sweep(), "sweep")
        self._ready.set()

    async def _sweep(self) -> None:
        for delay in (0.5, 2.0, 10.0):
            await asyncio.sleep(delay)
            self._reap_orphans()

    # exits

    def watch(self, process: Live) -> None:
        """Add a process found by other means (recovery)."""
        self._watch(process)

    def _watch(self, process: Live) -> None:
        old = self.live.get((process.container_id, process.exec_id))
        if old is not None:
            # its exit was told by other means, or nobody waits for it any more: it must not be told of the new one
            old.exit = old.exit or Exit(255, time.time_ns(), known=False)
            self._unwatch(old)
            old.close()
        self.live[process.container_id, process.exec_id] = process
        if (process.container_id, process.exec_id) in self._ended_inputs:
            self._ended_inputs.discard((process.container_id, process.exec_id))
            process.drop("in")
        asyncio.get_running_loop().add_reader(process.fds["pidfd"], self._ended, process)

    def _unwatch(self, process: Live) -> None:
        if "pidfd" in process.fds:
            asyncio.get_running_loop().remove_reader(process.fds["pidfd"])

    def _ended(self, process: Live) -> None:
        self._unwatch(process)
        self._reap(process)
        self._tasks.start(self._settle(process), "settle")

    def _reap(self, process: Live) -> None:
        if process.reaped is None and "pidfd" in process.fds and (code := pidfd.reap(process.fds["pidfd"])) is not None:
            process.reaped = (code, time.time_ns())

    async def _settle(self, process: Live) -> None:
        """See an exit through to its record, whoever writes it."""
        started = time.monotonic()
        ended_at = time.time_ns()
        delay = _KEEPER_WORD
        name = protocol.record_name(process.container_id, process.exec_id)
        while process.exit is None:
            await asyncio.sleep(delay)
            delay = _STEP
            if process.exit is not None:
                return
            record = protocol.read_record(str(self.exits_dir), name)
            if record is None or not protocol.is_of(record, process.pid):
                self._reap(process)
                waited = time.monotonic() - started
                if waited < (_BUSY if self._link.up else _OWN_RECORD):
                    continue
                code = process.reaped[0] if process.reaped else pidfd.exit_info(process.fds["pidfd"])
                if code is None and waited < _UNKNOWN:
                    continue
                oom = not process.exec_id and protocol.oom_killed(process.meta.get("oom", []))
                at = process.reaped[1] if process.reaped else ended_at
                record = {"code": 255 if code is None else code, "at": at, "oom": oom, "known": code is not None, "pid": process.pid}
                try:
                    record = protocol.write_record(str(self.exits_dir), name, record)
                except OSError as error:
                    logger.error("exit record %s: %s", name, error)
            elif self._link.up and time.monotonic() - started < _OWN_RECORD:
                continue  # the keeper's message is under way
            self._finish(process, record)

    async def settled(self) -> None:
        """Wait for the exits that are under way."""
        end = time.monotonic() + _BUSY + 1
        for process in list(self.live.values()):
            while process.exit is None and "pidfd" in process.fds and pidfd.ended(process.fds["pidfd"]) and time.monotonic() < end:  # noqa: ASYNC110
                await asyncio.sleep(_STEP)

    def settle(self, process: Live, record: dict[str, Any]) -> bool:
        """A record found by other means (recovery): whether it is this process's end, which is told then."""
        if not protocol.is_of(record, process.pid) or not pidfd.ended(process.fds["pidfd"]):
            return False
        self._finish(process, record)
        return True

    def _finish(self, process: Live, record: dict[str, Any]) -> None:
        if process.exit is not None:
            return
        process.exit = to_exit(record)
        self._unwatch(process)
        self._reap(process)
        process.close()
        key = (process.container_id, process.exec_id)
        if self.live.get(key) is process:
            del self.live[key]
        try:
            self._on_settled(process)
        finally:
            with contextlib.suppress(KeeperGone):
                # the keeper lets the clients see the end now, and records nothing any more
                self._link.send({"op": "seen", "id": key[0], "exec": key[1], "pid": process.pid})
