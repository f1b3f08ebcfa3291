"""The progress of a build: `plain` lines, a live picture on a terminal (stages side by side, elapsed times, the last output), `rawjson`."""

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from scow.cli import terminal
from scow.errors import ScowError
from scow.units import human_size

TAIL = 6  # lines of a running step's output that the live picture shows
KEPT = 200  # lines that are kept for the report of a failed step
_EVERY = 0.1
MODES = ("auto", "plain", "tty", "rawjson", "quiet")


def seconds(stamp: Any) -> float:
    """A protobuf timestamp as seconds."""
    return float(stamp.seconds) + float(stamp.nanos) / 1e9


def clean(text: str) -> str:
    """Output of a step without what would move the cursor."""
    return "".join(char for char in text if char.isprintable() or char in "\t\x1b")


@dataclass(slots=True)
class Step:
    """One vertex."""

    number: int
    name: str
    started: float = 0.0
    completed: float = 0.0
    cached: bool = False
    error: str = ""
    shown: bool = False
    ended: bool = False
    partial: str = ""
    lines: list[str] = field(default_factory=list)
    statuses: dict[str, str] = field(default_factory=dict)
    reason: str = ""


class Display:
    """Takes StatusResponses; `write` gets text. The base class knows the steps, the subclasses show them."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self.write = write
        self.steps: dict[str, Step] = {}
        self.warnings: list[Any] = []
        self.began = time.time()

    def feed(self, response: Any) -> None:
        """One message of the engine."""
        touched: dict[str, Step] = {}
        for vertex in response.vertexes:
            step = self.steps.get(vertex.digest)
            if step is None:
                step = self.steps[vertex.digest] = Step(0, vertex.name)
            if vertex.HasField("started"):
                step.started = seconds(vertex.started)
                if not step.number:
                    step.number = sum(1 for one in self.steps.values() if one.number) + 1
            if vertex.HasField("completed"):
                step.completed = seconds(vertex.completed)
            elif vertex.HasField("started"):
                step.completed = 0.0
            step.cached, step.error = vertex.cached, vertex.error
            touched[vertex.digest] = step
            if not step.shown:
                self.vertex(step, False)
        for status in response.statuses:
            step = self.steps.get(status.vertex)
            if step is not None:
                self._status(step, status)
        for entry in response.logs:
            step = self.steps.get(entry.vertex)
            if step is not None:
                self._log(step, entry)
        for step in touched.values():
            self.vertex(step, bool(step.completed))
        for warning in response.warnings:
            self.warnings.append(warning)
        self.drawn()

    def _status(self, step: Step, status: Any) -> None:
        name = status.name or status.ID
        if status.ID == "scow.reason":
            step.reason = name
            return
        numbers = human_size(status.current) if status.current else ""
        if status.total:
            numbers = f"{human_size(status.current)} / {human_size(status.total)}"
        done = status.HasField("completed")
        text = f"{name} {numbers}".rstrip() + (" done" if done else "")
        known = step.statuses.get(status.ID)
        step.statuses[status.ID] = text
        if known != text and (done or known is None):
            self.status(step, text, done)

    def _log(self, step: Step, entry: Any) -> None:
        text = step.partial + entry.msg.decode("utf-8", "replace")
        *lines, step.partial = text.split("\n")
        since = max(seconds(entry.timestamp) - step.started, 0.0)
        for line in lines:
            line = clean(line.rpartition("\r")[2] if not line.endswith("\r") else line.rstrip("\r"))
            step.lines.append(f"{since:.3f} {line}")
            self.line(step, step.lines[-1])
        del step.lines[:-KEPT]

    # what subclasses do
    def vertex(self, step: Step, over: bool) -> None:
        """A step began, or is over."""

    def status(self, step: Step, text: str, done: bool) -> None:
        """A part of a step's work."""

    def line(self, step: Step, text: str) -> None:
        """A line of output."""

    def drawn(self) -> None:
        """After each message, and now and then."""

    def end(self) -> None:
        """No more messages."""

    def failure(self) -> str:
        """The report of failed steps."""
        text = ""
        for step in self.steps.values():
            if step.error and "canceled" not in step.error:
                text += f"------\n > {step.name}:\n" + "".join(f"{line}\n" for line in step.lines[-30:]) + "------\n"
        return text

    def warned(self) -> str:
        """The warnings, one line each."""
        if not self.warnings:
            return ""
        count = len(self.warnings)
        lines = [f" - {one.short.decode('utf-8', 'replace')}\n" for one in self.warnings]
        return f"\n {count} warning{'s' if count > 1 else ''} found:\n" + "".join(lines)

    def explained(self) -> str:
        """Why each step was run, or not."""
        text = ""
        for step in sorted((one for one in self.steps.values() if one.number), key=lambda one: one.number):
            why = step.reason or ("taken from the cache" if step.cached else "run")
            text += f"#{step.number} {step.name}\n   {why}\n"
        return text


class Plain(Display):
    """Lines, for logs."""

    def __init__(self, write: Callable[[str], None]) -> None:
        super().__init__(write)
        self._last = 0

    def _head(self, step: Step) -> None:
        if step.number != self._last:
            self.write(("\n" if self._last else "") + (f"#{step.number} {step.name}\n" if not step.shown else f"#{step.number} ...\n"))
            self._last = step.number
        step.shown = True

    def vertex(self, step: Step, over: bool) -> None:
        if not step.number or step.ended:
            return
        if not step.shown:
            self._head(step)
        if over:
            self._head(step)
            step.ended = True
            for text in step.statuses.values():
                if not text.endswith(" done"):
                    self.write(f"#{step.number} {text}\n")
            if step.error:
                self.write(f"#{step.number} {'CANCELED' if 'context canceled' in step.error else 'ERROR: ' + step.error}\n")
            elif step.cached:
                self.write(f"#{step.number} CACHED\n")
            else:
                self.write(f"#{step.number} DONE {step.completed - step.started:.1f}s\n")

    def status(self, step: Step, text: str, done: bool) -> None:
        if step.number and not step.ended and done:
            self._head(step)
            self.write(f"#{step.number} {text}\n")

    def line(self, step: Step, text: str) -> None:
        if step.number:
            self._head(step)
            self.write(f"#{step.number} {text}\n")


class Live(Display):
    """A picture that is drawn again and again: what runs, with its last lines, below what is done."""

    def __init__(self, write: Callable[[str], None]) -> None:
        super().__init__(write)
        self._height = 0
        self._at = 0.0

    def drawn(self) -> None:
        now = time.monotonic()
        if now - self._at >= _EVERY:
            self._at = now
            self.write(self._picture(False))

    def end(self) -> None:
        self.write(self._picture(True))
        self._height = 0

    def _picture(self, final: bool) -> str:
        height, width = terminal.size(2)
        width = width or 80
        rows = self._rows(width, final)
        if not final and height and len(rows) > height - 1:
            rows = [rows[0], *rows[-(height - 2) :]]
        text = f"\x1b[{self._height}A" if self._height else ""
        text += "".join(f"\r{row}\x1b[K\n" for row in rows)
        if len(rows) < self._height:
            text += "\x1b[J"
        self._height = len(rows)
        return text

    def _rows(self, width: int, final: bool) -> list[str]:
        steps = [step for step in self.steps.values() if step.number]
        done = sum(1 for step in steps if step.completed)
        state = "FINISHED" if final and all(step.completed for step in steps) else ""
        rows = [f"[+] Building {time.time() - self.began:.1f}s ({done}/{len(self.steps)}) {state}".rstrip()]
        for step in steps:
            took = (step.completed or time.time()) - step.started
            mark = "ERROR " if step.error else "CACHED " if step.cached else ""
            right = f"{max(took, 0.0):.1f}s"
            left = f" => {mark}{step.name}"
            room = width - len(right) - 2
            left = left if len(left) <= room else left[: max(room - 3, 0)] + "..."
            colour = "\x1b[31m" if step.error else "\x1b[34m" if step.completed else ""
            rows.append(f"{colour}{left:<{max(room, 1)}} {right}" + ("\x1b[0m" if colour else ""))
            if not step.completed:
                rows += [f" => => {text}"[: width - 1] for text in list(step.statuses.values())[-3:]]
                rows += [f" => => # {text.partition(' ')[2]}"[: width - 1] for text in step.lines[-TAIL:]]
        return rows


class RawJson(Display):
    """The engine's messages, a JSON object each, as they come."""

    def feed(self, response: Any) -> None:
        super().feed(response)
        from google.protobuf.json_format import MessageToDict

        self.write(json.dumps(MessageToDict(response)) + "\n")


def make(mode: str, quiet: bool) -> Display:
    """The display of a --progress mode. Raises ScowError."""
    if mode not in MODES:
        raise ScowError(f"invalid progress mode {mode}: use {', '.join(MODES)}")

    def write(text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()

    if quiet or mode == "quiet":
        return Display(write)
    if mode == "rawjson":
        return RawJson(write)
    capable = terminal.is_terminal(2) and os.environ.get("TERM", "dumb") not in ("", "dumb")
    if mode == "tty" and not capable:
        raise ScowError("failed to get console: the progress is not shown on a terminal; use --progress=plain")
    return Live(write) if mode == "tty" or (mode == "auto" and capable) else Plain(write)
