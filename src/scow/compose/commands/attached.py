"""`up` in the foreground: the output of the containers until they have ended, or the user has had enough. Called by `up.py`."""

from __future__ import annotations

import contextlib
import queue
import signal
import sys
import threading
import time

from scow.cli.command import ExitCode
from scow.cli.flags import Options
from scow.client.api import container_path, demux
from scow.compose import observe, reconcile
from scow.compose.commands.preparing import Prepared, carry_out
from scow.compose.commands.verb import grace
from scow.compose.display import logs, progress
from scow.compose.execute.executor import execute
from scow.compose.execute.run import Run
from scow.compose.load.errors import unknown_service
from scow.compose.observe import ContainerInfo
from scow.compose.plan import side_by_side
from scow.compose.session import Session
from scow.compose.waiting import Watch
from scow.errors import ScowError

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from scow.compose import watching

JOIN = 5.0  # seconds that the last output gets to arrive


class Foreground:
    """One `up` that stays."""

    def __init__(self, session: Session, options: Options, made: Prepared) -> None:
        self.session, self.options, self.made = session, options, made
        self.project = made.project
        self.code_from = options.text("exit-code-from")
        if self.code_from and self.code_from not in self.project.services:
            raise unknown_service(self.code_from, self.project.services)
        self.cascade = bool(self.code_from) or options.flag("abort-on-container-exit")
        self.on_failure = options.flag("abort-on-container-failure")
        self.news: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self.shown: dict[str, ContainerInfo] = {}
        self.silent: dict[str, ContainerInfo] = {}  # their end counts, their output is not shown
        self.live: set[str] = set()
        self.idle: set[str] = set()  # not started yet: an attached stream of theirs does not end
        self.reading: dict[str, threading.Thread] = {}
        self.stopping = False
        self.code = 0
        self.printer = logs.Printer([], True)
        self.starter: Run | None = None
        self.starting: threading.Thread | None = None
        self.rules: list[watching.Rule] = []

    def run(self) -> int:
        """The exit status."""
        session = self.session
        carry_out(session, self.made, timeout=grace(self.options))
        observed = observe.observe(session.client, self.project.name)
        wanted = self._attached()
        chosen = [one for one in observed.containers if one.service in wanted and not one.oneoff]
        colour = session.colour and not self.options.flag("no-color")
        self.printer = logs.Printer([logs.name_of(one) for one in chosen], not self.options.flag("no-log-prefix"), colour)
        self.printer.gone = lambda: self.news.put(("gone", None))
        watch = Watch(session.dial(), self.project.name)
        watch.listen(lambda event: self.news.put(("event", event)))
        if chosen:
            session.cli.out(f"Attaching to {', '.join(logs.name_of(one) for one in chosen)}\n")
            session.cli.flush()
        counted = set(self.made.services) | {self.code_from} if self.made.services else set(self.project.services)
        self.silent = {one.id: one for one in observed.containers if one.service in counted - wanted and not one.oneoff}
        for one in chosen:
            self.shown[one.id] = one
            self.live.add(one.id)
            if one.state == "created":
                self.idle.add(one.id)
            self._attach(one)
        options = self.made.options
        again = reconcile.Options(
            recreate="never",
            recreate_others="never",
            services=options.services,
            separator=options.separator,
            fresh=frozenset(one.service.name for one in self.made.plan.operations if one.kind in ("create", "recreate") and one.service),
        )
        plan = reconcile.reconcile(self.project, observed, again)
        if self.options.flag("watch"):
            from scow.compose import watching

            self.rules = watching.rules(self.project, self.made.services)
        self.starter = starter = session.begin(self.project, observed, progress.Quiet())
        with _signals(lambda number: self.news.put(("signal", number))):
            self.starting = threading.Thread(target=self._work, args=("started", lambda: execute(starter, plan)), daemon=True)
            self.starting.start()
            try:
                return self._loop()
            finally:
                watch.close()

    def _work(self, word: str, do: Callable[[], Any]) -> None:
        try:
            do()
            self.news.put((word, None))
        except BaseException as exc:
            self.news.put((word, exc))

    def _watch_files(self) -> None:
        """Watches files from when the services run, for what was seen of them before: until then there is nothing to bring changes to."""
        from scow.compose.commands.watch import follow

        def work() -> None:
            follow(self.session, self.project, self.made.services, found=self.rules)

        threading.Thread(target=self._work, args=("watched", work), daemon=True).start()

    def _attached(self) -> set[str]:
        options = self.options
        services = self.project.services
        if options.list("attach"):
            for name in options.list("attach"):
                if name not in services:
                    raise unknown_service(name, services)
            found = set(options.list("attach"))
        elif self.made.services and not options.flag("attach-dependencies") and not self.code_from:
            found = set(self.made.services)
        else:
            found = {name for name, one in services.items() if one.attach is not False}
        return found - set(options.list("no-attach"))

    # ------------------------------------------------ what happens

    def _loop(self) -> int:
        started = False
        interrupted = False
        while not (started and not self.live):
            word, what = self.news.get()
            if word == "event":
                self._event(what)
            elif word == "started":
                started = True
                if what is not None and not self.stopping:
                    raise what
                if self.options.flag("watch") and not self.stopping:
                    self._watch_files()
            elif word == "gone":
                raise BrokenPipeError  # nobody reads on: the containers stay
            elif word == "watched" and what is not None:
                self.session.cli.err(f"watch: {getattr(what, 'message', what)}\n")
            elif word == "stopped":
                if what is not None:
                    raise what
                break
            elif word == "signal":
                if self.stopping:
                    self._end(True)
                elif what == signal.SIGHUP:
                    raise ExitCode(129)
                else:
                    interrupted = True
                    sys.stderr.write("Gracefully stopping... (press Ctrl+C again to force)\n")
                    sys.stderr.flush()
                    self._end(False)
        if self.starter:
            self.starter.close()
        end = time.monotonic() + JOIN
        for ident, thread in list(self.reading.items()):
            if ident not in self.idle:
                thread.join(max(0.0, end - time.monotonic()))
        return 130 if interrupted else self.code

    def _event(self, event: dict[str, Any]) -> None:
        actor = event.get("Actor") or {}
        ident, action = str(actor.get("ID") or ""), str(event.get("Action") or "")
        one = self.shown.get(ident)
        if one is None:
            if action == "die" and ident in self.silent:
                self._died(self.silent[ident], str((actor.get("Attributes") or {}).get("exitCode") or "0"))
            return
        if action == "start":
            self.idle.discard(ident)
            self.live.add(ident)
            thread = self.reading.get(ident)
            if thread is None or not thread.is_alive():
                self._follow(one, event)
        elif action == "die" and ident in self.live:
            self._died(one, str((actor.get("Attributes") or {}).get("exitCode") or "0"))
        elif action == "destroy":
            self.live.discard(ident)

    def _died(self, one: ContainerInfo, text: str) -> None:
        try:
            state = self.session.client.get(container_path(one.id, "json")).get("State") or {}
        except ScowError:
            state = {}
        code = int(text) if text.lstrip("-").isdigit() else 0
        again = bool(state.get("Restarting") or state.get("Running")) and not self.stopping
        if not again:
            self.live.discard(one.id)
        thread = self.reading.get(one.id)
        if thread is not None:
            thread.join(0.5)  # what it said comes before that it has gone
        if not self.stopping and one.id in self.shown:
            sys.stdout.write(f"{logs.name_of(one)} exited with code {code}\n")
            sys.stdout.flush()
        if again:
            return
        if self.cascade or (self.on_failure and code) or (self.on_failure and self.stopping):
            if not self.stopping:
                sys.stderr.write("Aborting on container exit...\n")
                sys.stderr.flush()
                self.code_from = self.code_from or one.service
                self._end(False)
            if one.service == self.code_from:
                self.code = code

    def _end(self, kill: bool) -> None:
        """Stops all containers of the project's services, or kills them."""
        self.stopping = True
        if self.starter is not None:
            self.starter.halt()
        end = self.session.begin(self.project, self.made.observed, timeout=grace(self.options))

        def work() -> None:
            if self.starting is not None:
                # a container writes before the engine calls it running: what is being started is stopped, too
                self.starting.join(JOIN if kill else None)
            found = [one for one in observe.containers(self.session.dial(), self.project.name)[0] if one.running and not one.oneoff]
            found = [one for one in found if one.service in self.project.services]
            execute(end, side_by_side("kill", found, "SIGKILL") if kill else reconcile.teardown(found, (), (), remove=False))
            self.session.end()

        threading.Thread(target=self._work, args=("stopped", work), daemon=True).start()

    # ------------------------------------------------ output

    def _read(self, one: ContainerInfo, work: Callable[[], None]) -> None:
        self.reading[one.id] = thread = threading.Thread(target=work, daemon=True)
        thread.start()

    def _attach(self, one: ContainerInfo) -> None:
        client = self.session.dial()
        tty = bool((client.get(container_path(one.id, "json")).get("Config") or {}).get("Tty"))
        conn, _ = client.hijack(container_path(one.id, "attach"), {"stream": True, "stdout": True, "stderr": True})

        def pieces() -> Iterator[bytes]:
            while data := conn.recv():
                yield data

        def work() -> None:
            name = logs.name_of(one)
            parts = ((1, piece) for piece in pieces()) if tty else demux(pieces())
            with contextlib.suppress(OSError):
                for channel, line in logs.pieces_of_lines(parts):
                    if self.options.flag("timestamps"):
                        line = _stamp() + line
                    self.printer.line(name, line, 2 if channel == 2 else 1)

        self._read(one, work)

    def _follow(self, one: ContainerInfo, event: dict[str, Any]) -> None:
        nanos = int(event.get("timeNano") or 0)
        since = f"{nanos // 1_000_000_000}.{nanos % 1_000_000_000:09d}"
        params: dict[str, object] = {"follow": True, "since": since, "timestamps": self.options.flag("timestamps")}
        self._read(one, lambda: logs.follow(self.session.dial(), one, self.printer, params, apart=True))


def _stamp() -> bytes:
    now = time.time_ns()
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now // 1_000_000_000))}.{now % 1_000_000_000:09d}Z ".encode()


@contextlib.contextmanager
def _signals(heard: Callable[[int], None]) -> Iterator[None]:
    """Hands signals that ask to end to `heard`."""
    old = {number: signal.signal(number, lambda number, _: heard(number)) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
