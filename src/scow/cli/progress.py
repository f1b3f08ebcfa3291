"""A bar on a terminal's standard error while bytes go by; nothing at all elsewhere (pipes, dumb terminals), so that scripts see only
what docker prints. Called by load, save, import, export and cp.
"""

from __future__ import annotations

import posix

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

EVERY = 0.1  # seconds between two drawings
BAR = 30


def drawable() -> bool:
    """Whether standard error is a terminal that can rewrite a line."""
    return posix.isatty(2) and posix.environ.get(b"TERM", b"dumb") not in (b"dumb", b"")


def line(label: str, done: int, total: int, seconds: float, width: int) -> str:
    """One drawing: `Loading [=====>      ]  12MB/40MB  8MB/s`, cut to the width; without a total there is no bar."""
    from scow.units import human_size

    rate = f"  {human_size(done / seconds, 3)}/s" if seconds > 0.5 else ""
    if total > 0:
        share = min(done / total, 1.0)
        filled = int(share * BAR)
        bar = "=" * filled + (">" if filled < BAR else "") + " " * (BAR - filled - 1)
        text = f"{label} [{bar[:BAR]}] {share * 100:3.0f}%  {human_size(done, 3)}/{human_size(total, 3)}{rate}"
    else:
        text = f"{label}  {human_size(done, 3)}{rate}"
    if 0 < width <= len(text):
        text = f"{label}  {human_size(done, 3)}"
    return text[: width - 1] if width > 1 else text


class Meter:
    """Counts bytes and draws them now and then; a context, at whose end the line is gone."""

    def __init__(self, label: str, total: int = 0) -> None:
        """`total` is 0 where it isn't known."""
        self.label, self.total, self.done = label, total, 0
        self._draws = drawable()
        self._began = self._last = _now()
        self._drawn = False

    def __enter__(self) -> Meter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._drawn:
            _write("\r\033[K")

    def add(self, count: int) -> None:
        """Some bytes went by."""
        self.done += count
        if not self._draws:
            return
        now = _now()
        if now - self._last < EVERY:
            return
        self._last = now
        from scow.cli.terminal import size

        _write("\r" + line(self.label, self.done, self.total, now - self._began, size(2)[1]) + "\033[K")
        self._drawn = True

    def watch(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """The pieces, counted."""
        for piece in pieces:
            self.add(len(piece))
            yield piece


def _now() -> float:
    import time

    return time.monotonic()


def _write(text: str) -> None:
    try:
        posix.write(2, text.encode())
    except OSError:
        pass
