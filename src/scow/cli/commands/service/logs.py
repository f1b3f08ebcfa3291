"""`scow service logs`: lines of all tasks of a service (or of one task), each with the task and the node it is of."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from scow.cli.command import Cli
    from scow.cli.flags import Options

from scow.cli.command import Command
from scow.cli.commands.swarm.tasks import SHORT, Names
from scow.cli.times import api_timestamp
from scow.client.api import demux, quote
from scow.client.transport import ApiError
from scow.errors import InvalidArgument, ScowError

MAX_LINE = 1 << 20
_OWN = "com.docker.swarm."


def run(cli: Cli, options: Options, args: list[str]) -> int:
    """Prints the logs of a service's tasks."""
    from scow.cli.streams import OutputGone, write_all

    path, tty, width = _target(cli, args[0])
    raw = options.flag("raw")
    if tty and not raw:
        raise ScowError("tty service logs only supported with --raw")
    try:
        since = api_timestamp(options.text("since"))
    except InvalidArgument as exc:
        raise ScowError(f'invalid value for "since": {exc.message}') from None
    params = {
        "stdout": True,
        "stderr": True,
        "since": since,
        "timestamps": options.flag("timestamps"),
        "follow": options.flag("follow"),
        "tail": options.text("tail") or None,
        "details": options.flag("details") if raw else True,
    }
    with cli.client.call("GET", path, params) as response:
        try:
            if tty:
                for piece in response.iterate():
                    write_all(1, piece)
                return 0
            stream = demux(response.iterate())
            if raw:
                for channel, piece in stream:
                    write_all(2 if channel in (2, 3) else 1, piece)
                return 0
            formatter = _Formatter(cli, options, width)
            for channel, line in _lines(stream):
                write_all(2 if channel in (2, 3) else 1, line if channel == 3 else formatter.line(line))
        except OutputGone:
            return 141
    return 0


def _target(cli: Cli, name: str) -> tuple[str, bool, int]:
    """(path of the logs, whether they are a terminal's, the width of slot numbers) of a service or a task. Raises ScowError."""
    try:
        service = cli.client.get(f"/services/{quote(name)}")
    except ApiError as exc:
        if exc.status != 404:
            raise
    else:
        spec = service.get("Spec") or {}
        tty = bool(((spec.get("TaskTemplate") or {}).get("ContainerSpec") or {}).get("TTY"))
        replicas = ((spec.get("Mode") or {}).get("Replicated") or {}).get("Replicas")
        return f"/services/{quote(service['ID'])}/logs", tty, len(str(replicas)) if replicas is not None else 0
    try:
        task = cli.client.get(f"/tasks/{quote(name)}")
    except ApiError as exc:
        if exc.status == 404:
            raise ScowError(f"no such task or service: {name}") from None
        raise
    tty = bool(((task.get("Spec") or {}).get("ContainerSpec") or {}).get("TTY"))
    return f"/tasks/{quote(task['ID'])}/logs", tty, len(str(task.get("Slot") or 0))


def _lines(stream: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """Whole lines of each channel."""
    held: dict[int, bytes] = {}
    for channel, piece in stream:
        held[channel] = held.get(channel, b"") + piece
        while (at := held[channel].find(b"\n")) >= 0 or len(held[channel]) > MAX_LINE:
            at = at if at >= 0 else MAX_LINE - 1
            line, held[channel] = held[channel][: at + 1], held[channel][at + 1 :]
            yield channel, line
    for channel, rest in held.items():
        if rest:
            yield channel, rest


class _Formatter:
    """Puts task and node before a line, in the place of the details the engine sent."""

    def __init__(self, cli: Cli, options: Options, width: int) -> None:
        self._cli = cli
        self._names = Names(cli, not options.flag("no-resolve"))
        self._options = options
        self._width = width
        self._known: dict[tuple[str, str, str], str] = {}

    def line(self, line: bytes) -> bytes:
        """A line as it is shown. Raises ScowError for one without details."""
        from urllib.parse import unquote

        parts = line.split(b" ", 2 if self._options.flag("timestamps") else 1)
        if len(parts) < (3 if self._options.flag("timestamps") else 2):
            raise ScowError(f"invalid context in log message: {line[:200].decode('utf-8', 'replace')}")
        *stamp, details, message = parts
        found = {}
        for pair in details.decode("utf-8", "replace").split(","):
            key, _, value = pair.partition("=")
            found[unquote(key)] = unquote(value)
        own = tuple(found.pop(f"{_OWN}{key}.id", "") for key in ("service", "task", "node"))
        lead = b"".join(one + b" " for one in stamp) + self._label((own[0], own[1], own[2])).encode() + b"    | "
        if self._options.flag("details"):
            lead += ",".join(f"{key}={found[key]}" for key in sorted(found)).encode() + b" "
        return lead + message

    def _label(self, own: tuple[str, str, str]) -> str:
        if own not in self._known:
            service, task, node = own
            facts: dict[str, Any] = {}
            try:
                facts = self._cli.client.get(f"/tasks/{quote(task)}")
            except ApiError:
                pass  # gone since: what the line says of itself is shown
            self._known[own] = self._named(service, task, node, facts)
        return self._known[own]

    def _named(self, service: str, task: str, node: str, facts: dict[str, Any]) -> str:
        slot = facts.get("Slot") or 0
        shown = task if self._options.flag("no-trunc") else task[:SHORT]
        label = self._names.service(service) + (f".{slot}" if slot else f".{facts.get('NodeID') or node}")
        if not self._options.flag("no-task-ids"):
            label += f".{shown}"
        return f"{label}@{self._names.node(node)}" + " " * max(0, self._width - len(str(slot)))


LOGS = Command(
    " [OPTIONS] SERVICE|TASK",
    "Fetch the logs of a service or task",
    (
        ("details", "", "bool", False, "Show extra attributes given to the log"),
        ("follow", "f", "bool", False, "Go on as output comes"),
        ("no-resolve", "", "bool", False, "Show ids in the place of names"),
        ("no-task-ids", "", "bool", False, "Leave the ids of tasks out"),
        ("no-trunc", "", "bool", False, "Print in full length"),
        ("raw", "", "bool", False, "Print lines as they are"),
        ("since", "", "string", "", 'Show what came after a time ("2013-01-02T13:23:37Z") or a while ago ("42m")'),
        ("tail", "n", "string", "all", "Number of lines to show from the end"),
        ("timestamps", "t", "bool", False, "Show when each line came"),
    ),
    run,
    1,
    1,
)
