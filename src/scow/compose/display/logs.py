"""Logs of containers, a line at a time, with a coloured prefix per service. Called from one thread per container."""

from __future__ import annotations

import os
import threading

from scow.client.api import Client, container_path, demux
from scow.compose.labels import PROJECT
from scow.compose.observe import ContainerInfo
from scow.errors import ScowError

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

COLOURS = ("36", "33", "32", "35", "34", "36;1", "33;1", "32;1", "35;1", "34;1")
MAX_LINE = 1024 * 1024


class Printer:
    """Writes whole lines: `web-1  | text`."""

    def __init__(self, names: list[str], prefix: bool = True, colour: bool = False) -> None:
        self._width = max((len(name) for name in names), default=0)
        self._colours: dict[str, str] = {}
        self._prefix, self._colour = prefix, colour
        self._lock = threading.Lock()
        self.gone: Callable[[], object] = lambda: None  # called when nobody reads our output any more

    def line(self, name: str, data: bytes, fd: int = 1) -> None:
        """One line, without its end."""
        with self._lock:
            head = b""
            if self._prefix:
                self._width = max(self._width, len(name))
                text = f"{name:<{self._width}}  | "
                if self._colour:
                    code = self._colours.setdefault(name, COLOURS[len(self._colours) % len(COLOURS)])
                    text = f"\x1b[{code}m{text}\x1b[0m"
                head = text.encode()
            view = memoryview(head + data + b"\n")
            try:
                while view:
                    view = view[os.write(fd, view) :]
            except BrokenPipeError:
                self.gone()
                raise


def pieces_of_lines(pieces: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """(stream, line) out of (stream, piece)."""
    held: dict[int, bytes] = {}
    for channel, piece in pieces:
        data = held.get(channel, b"") + piece
        *lines, rest = data.split(b"\n")
        for line in lines:
            yield channel, line.removesuffix(b"\r")
        if len(rest) > MAX_LINE:
            yield channel, rest
            rest = b""
        held[channel] = rest
    for channel, rest in held.items():
        if rest:
            yield channel, rest


def lines(client: Client, one: ContainerInfo, params: dict[str, object]) -> Iterator[tuple[int, bytes]]:
    """(stream, line) of a container's log; ends with it, or with the container where it is followed. Raises ScowError."""
    tty = bool((client.get(container_path(one.id, "json")).get("Config") or {}).get("Tty"))
    with client.call("GET", container_path(one.id, "logs"), {"stdout": True, "stderr": True, **params}) as response:
        pieces = ((1, piece) for piece in response.iterate()) if tty else demux(response.iterate())
        yield from pieces_of_lines(pieces)


def follow(client: Client, one: ContainerInfo, printer: Printer, params: dict[str, object], apart: bool = False) -> None:
    """Prints a container's log, `apart` its standard error on ours; ends with it, or with the container where it is followed."""
    try:
        for channel, line in lines(client, one, params):
            printer.line(name_of(one), line, channel if apart else 1)
    except (ScowError, OSError):
        return


def name_of(one: ContainerInfo) -> str:
    """How the log calls a container: its name without the project's."""
    project = one.labels.get(PROJECT, "")
    for separator in ("-", "_"):
        if one.name.startswith(project + separator + one.service):
            return one.name.removeprefix(project + separator)
    return one.name
