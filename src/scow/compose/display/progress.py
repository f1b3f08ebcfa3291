"""How operations go, on standard error: a table that is redrawn (tty), a line per change (plain), JSON lines (json), nothing (quiet).
Called from many threads."""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any


class Progress:
    """Plain lines; the other kinds derive from it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def event(self, label: str, word: str, detail: str = "", done: bool = False, failed: bool = False) -> None:
        """A resource's new state: `Container p-web-1`, `Starting`."""
        with self._lock:
            self._show(label, word, detail, done, failed)

    def part(self, label: str, line: dict[str, Any]) -> None:
        """A line of the engine's about a part of it: a layer that is pulled or pushed."""

    def close(self) -> None:
        """The last drawing."""

    def _show(self, label: str, word: str, detail: str, done: bool, failed: bool) -> None:
        sys.stderr.write(f" {label}  {word} {detail}".rstrip() + "\n")
        sys.stderr.flush()


class Quiet(Progress):
    """Nothing."""

    def _show(self, label: str, word: str, detail: str, done: bool, failed: bool) -> None:
        return


class JsonLines(Progress):
    """One JSON object per change."""

    def _show(self, label: str, word: str, detail: str, done: bool, failed: bool) -> None:
        row: dict[str, object] = {"id": label, "status": "Error" if failed else "Done" if done else "Working", "text": word}
        if detail:
            row["details"] = detail
        sys.stderr.write(json.dumps(row) + "\n")
        sys.stderr.flush()


class Live(Progress):
    """A table on the terminal, with elapsed times."""

    def __init__(self, width: int, colour: bool = True) -> None:
        super().__init__()
        self._rows: dict[str, tuple[str, str, bool, bool, float, float]] = {}
        self._drawn = 0
        self._width = max(width, 40)
        self._colour = colour
        self._open = True

    def _show(self, label: str, word: str, detail: str, done: bool, failed: bool) -> None:
        now = time.monotonic()
        began = self._rows[label][4] if label in self._rows else now
        self._rows[label] = (word, detail, done, failed, began, now)
        self._draw()

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text

    def _draw(self) -> None:
        finished = sum(1 for row in self._rows.values() if row[2])
        lines = [f"[+] Running {finished}/{len(self._rows)}"]
        wide = max((len(label) for label in self._rows), default=0)
        for label, (word, detail, done, failed, began, ended) in list(self._rows.items())[-200:]:
            mark = self._paint("31", "✘") if failed else self._paint("32", "✔") if done else self._paint("33", "⠿")
            seconds = (ended if done else time.monotonic()) - began
            text = f"{label:<{wide}}  {word} {detail}".rstrip()
            lines.append(f" {mark} {text[: self._width - 12]:<{self._width - 12}}{seconds:>7.1f}s")
        up = f"\x1b[{self._drawn}A" if self._drawn else ""
        sys.stderr.write(up + "".join(f"\r\x1b[2K{line}\n" for line in lines))
        sys.stderr.flush()
        self._drawn = len(lines)


def make(mode: str, terminal: bool, width: int, colour: bool = True) -> Progress:
    """The display for `--progress` mode auto, tty, plain, json, rawjson or quiet."""
    if mode == "quiet":
        return Quiet()
    if mode in ("json", "rawjson"):
        return JsonLines()
    if mode == "tty" or (mode in ("auto", "") and terminal):
        return Live(width or 80, colour)
    return Progress()
