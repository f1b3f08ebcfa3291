"""How operations go, on standard error (or `out`): a table redrawn (tty), a line per change (plain), JSON lines (json), nothing (quiet).
Called from many threads."""

from __future__ import annotations

import os
import sys
import threading
import time

from scow.units import human_size

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

EVERY = 0.1  # seconds between two drawings
MAX_LAYERS = 1000


class Progress:
    """Plain lines; the other kinds derive from it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.out = sys.stderr

    def event(self, label: str, word: str, detail: str = "", done: bool = False, failed: bool = False) -> None:
        """A resource's new state: `Container p-web-1`, `Starting`."""
        with self._lock:
            self._show(label, word, detail, done, failed)

    def part(self, label: str, line: dict[str, Any]) -> None:
        """A line of the engine's about a part of it: a layer that is pulled or pushed."""

    def close(self) -> None:
        """The last drawing."""

    def _show(self, label: str, word: str, detail: str, done: bool, failed: bool) -> None:
        self._write(f" {label}  {word} {detail}".rstrip() + "\n")

    def _write(self, text: str) -> None:
        """Whoever stopped reading does not stop the work."""
        try:
            self.out.write(text)
            self.out.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.out.fileno())


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
        import json  # its import costs the other kinds 10 ms

        self._write(json.dumps(row) + "\n")


class Live(Progress):
    """A table on the terminal, redrawn in place, with elapsed times and the bytes of pulls; no more rows than the terminal has."""

    def __init__(self, width: int, rows: int = 24, colour: bool = True) -> None:
        super().__init__()
        self._rows: dict[str, tuple[str, str, bool, bool, float, float]] = {}
        self._layers: dict[str, dict[str, tuple[int, int]]] = {}
        self._drawn = 0
        self._width, self._height = max(width, 20), max(rows, 8)
        self._colour = colour
        self._closed = threading.Event()
        self._last = 0.0
        threading.Thread(target=self._tick, daemon=True).start()

    def part(self, label: str, line: dict[str, Any]) -> None:
        """Counts the bytes of layers."""
        detail = line.get("progressDetail") or {}
        ident = str(line.get("id") or "")
        if not ident:
            return
        with self._lock:
            layers = self._layers.setdefault(label, {})
            done, total = int(detail.get("current") or 0), int(detail.get("total") or 0)
            if total and (ident in layers or len(layers) < MAX_LAYERS):
                layers[ident] = (done, total)
            elif ident in layers and str(line.get("status") or "").endswith(("complete", "exists")):
                layers[ident] = (layers[ident][1], layers[ident][1])
            if label in self._rows and not self._rows[label][2]:
                word, _, finished, failed, began, ended = self._rows[label]
                self._rows[label] = (word, _bytes(layers), finished, failed, began, ended)

    def _show(self, label: str, word: str, detail: str, done: bool, failed: bool) -> None:
        now = time.monotonic()
        began = self._rows[label][4] if label in self._rows else now
        self._rows[label] = (word, detail, done, failed, began, now)
        self._draw(done or failed)

    def _tick(self) -> None:
        while not self._closed.wait(EVERY):
            with self._lock:
                if any(not row[2] for row in self._rows.values()):
                    self._draw(True)

    def close(self) -> None:
        """The last drawing."""
        self._closed.set()
        with self._lock:
            if self._rows:
                self._draw(True)
                self._rows = {}

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text

    def _draw(self, now: bool) -> None:
        moment = time.monotonic()
        if (self._closed.is_set() and not now) or (not now and moment - self._last < EVERY):
            return
        self._last = moment
        finished = sum(1 for row in self._rows.values() if row[2])
        shown = list(self._rows.items())
        room = self._height - 2
        if len(shown) > room:  # what goes on is of more interest than what has ended
            busy = [one for one in shown if not one[1][2]][:room]
            shown = ([one for one in shown if one[1][2]][len(busy) - room :] if len(busy) < room else []) + busy
        lines = [f"[+] Running {finished}/{len(self._rows)}"]
        wide = max((len(label) for label in self._rows), default=0)
        for label, (word, detail, done, failed, began, ended) in shown:
            mark = self._paint("31", "✘") if failed else self._paint("32", "✔") if done else self._paint("33", "⠿")
            seconds = (ended if done else moment) - began
            text = f"{label:<{wide}}  {word} {detail}".rstrip().replace("\n", " ")
            lines.append(f" {mark} {text[: self._width - 12]:<{self._width - 12}}{seconds:>7.1f}s")
        up = f"\x1b[{self._drawn}A" if self._drawn else ""
        self._write(up + "".join(f"\r\x1b[2K{line}\n" for line in lines))
        self._drawn = len(lines)


def _bytes(layers: dict[str, tuple[int, int]]) -> str:
    done, total = sum(one for one, _ in layers.values()), sum(one for _, one in layers.values())
    return f"{human_size(done, 3)} / {human_size(total, 3)}" if total else ""


def make(mode: str, terminal: bool, size: tuple[int, int], colour: bool = True) -> Progress:
    """The display for `--progress` mode auto, tty, plain, json, rawjson or quiet; `size` is the terminal's (rows, columns)."""
    if mode == "quiet":
        return Quiet()
    if mode in ("json", "rawjson"):
        return JsonLines()
    if mode == "tty" or (mode in ("auto", "") and terminal):
        return Live(size[1] or 80, size[0] or 24, colour)
    return Progress()
