"""`logs`: the output of a project's containers, in the order of time, or as it comes; all of it on standard output, as the plugin does."""

from __future__ import annotations

import heapq
import threading
import time

from scow.cli.flags import Options
from scow.cli.times import api_timestamp
from scow.compose.commands.verb import Verb
from scow.compose.display import logs
from scow.compose.observe import ContainerInfo, container_info
from scow.compose.session import Session
from scow.compose.waiting import Watch
from scow.errors import InvalidArgument, ScowError

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


def run(session: Session, options: Options, args: list[str]) -> int:
    """Prints logs."""
    _, _, chosen = session.acting(args)
    index = options.number("index")
    if index:
        if len(args) != 1:
            raise ScowError("--index requires one service to be selected")
        chosen = [one for one in chosen if one.number == index]
        if not chosen:
            raise ScowError(f'service "{args[0]}" is not running container #{index}')
    params: dict[str, object] = {"tail": options.text("tail") or None}
    for name in ("since", "until"):
        try:
            params[name] = api_timestamp(options.text(name))
        except InvalidArgument as exc:
            raise ScowError(f'invalid value for "{name}": {exc.message}') from None
    stamps = options.flag("timestamps")
    colour = session.colour and not options.flag("no-color")
    printer = logs.Printer([logs.name_of(one) for one in chosen], not options.flag("no-log-prefix"), colour)
    if options.flag("follow"):
        return _follow(session, chosen, set(args), printer, {**params, "follow": True, "timestamps": stamps})
    _print(session, chosen, printer, params, stamps)
    return 0


def _print(session: Session, chosen: list[ContainerInfo], printer: logs.Printer, params: dict[str, object], stamps: bool) -> None:
    """All that there is, the lines of all containers in the order of their times."""

    def lines(at: int, one: ContainerInfo) -> Iterator[tuple[bytes, int, int, bytes]]:
        try:
            for number, (_, line) in enumerate(logs.lines(session.dial(), one, {**params, "timestamps": True})):
                stamp, _, text = line.partition(b" ")
                yield stamp, at, number, line if stamps else text
        except ScowError as exc:
            session.warn(f"{one.name}: {exc.message}")

    for _, at, _, line in heapq.merge(*(lines(at, one) for at, one in enumerate(chosen))):
        printer.line(logs.name_of(chosen[at]), line)


def _follow(session: Session, chosen: list[ContainerInfo], services: set[str], printer: logs.Printer, params: dict[str, object]) -> int:
    """As it comes, until all containers have ended; new ones of the services join."""
    threads: dict[str, threading.Thread] = {}
    _, name = session.known() if not chosen else (None, chosen[0].labels.get("com.docker.compose.project", ""))
    watch = Watch(session.dial(), name)
    lock = threading.Lock()

    def begin(one: ContainerInfo, more: dict[str, object]) -> None:
        with lock:
            old = threads.get(one.id)
            if old is not None and old.is_alive():
                old.join(1.0)
            threads[one.id] = thread = threading.Thread(
                target=logs.follow, args=(session.dial(), one, printer, {**params, **more}), daemon=True
            )
            thread.start()

    def heard(event: dict[str, Any]) -> None:
        if event.get("Action") != "start":
            return
        actor = event.get("Actor") or {}
        marks = actor.get("Attributes") or {}
        one = container_info({"Id": actor.get("ID"), "Names": ["/" + str(marks.get("name"))], "Labels": marks})
        if one.oneoff or (services and one.service not in services):
            return
        nanos = int(event.get("timeNano") or 0)
        begin(one, {"since": f"{nanos // 1_000_000_000}.{nanos % 1_000_000_000:09d}", "tail": None})

    gone = threading.Event()
    printer.gone = gone.set
    watch.listen(heard)
    for one in chosen:
        begin(one, {})
    while any(thread.is_alive() for thread in list(threads.values())) and not gone.is_set():
        for thread in list(threads.values()):
            thread.join(0.2)
        time.sleep(0.05)
        if not any(thread.is_alive() for thread in list(threads.values())):
            time.sleep(0.5)  # a container that restarts
    watch.close()
    if gone.is_set():
        raise BrokenPipeError
    return 0


LOGS = Verb(
    " [OPTIONS] [SERVICE...]",
    (
        ("follow", "f", "bool", False, "Go on as output comes"),
        ("index", "", "int", 0, "Which container of the service"),
        ("no-color", "", "bool", False, "Without colours"),
        ("no-log-prefix", "", "bool", False, "Without the containers' names"),
        ("since", "", "string", "", "Show what came after a time or a while ago (42m)"),
        ("tail", "n", "string", "all", "Number of lines to show from the end of each container's log"),
        ("timestamps", "t", "bool", False, "Show when each line came"),
        ("until", "", "string", "", "Show what came before a time or a while ago"),
    ),
    run,
)
