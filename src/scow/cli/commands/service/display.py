"""Lines that belong to names and are drawn again as they change: on a terminal in their place, elsewhere each change on a line of its own
(docker repeats also what did not change, five times a second). Called by `progress.py` and `swarm ca --rotate`."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from scow.cli.command import Cli

BAR = 50


class Display:
    """What `scow service create` shows while it waits. `quiet` shows nothing."""

    def __init__(self, cli: Cli, quiet: bool = False) -> None:
        import posix

        self._cli = cli
        self._quiet = quiet
        self._drawing = posix.isatty(1) and cli.env("TERM") not in ("", "dumb")
        self._lines: dict[str, str] = {}

    def line(self, name: str, text: str) -> None:
        """`name: text`; without a name, a line that stays."""
        shown = f"{name}: {text}" if name else text
        if self._quiet:
            return
        if not self._drawing or not name:
            if name and self._lines.get(name) == shown:
                return
            if self._drawing:
                self.end()
            self._lines[name] = shown
            self._cli.out(shown + "\n")
            self._cli.flush()
            return
        self._draw(name, shown)

    def bar(self, name: str, text: str, done: int, total: int) -> None:
        """`name: text [====>   ]`, on terminals only."""
        if self._quiet or not self._drawing:
            return
        filled = BAR * min(done, total) // total if total > 0 else 0
        drawn = "=" * filled + ">" if filled < BAR else "=" * BAR
        self._draw(name, f"{name}: {text} [{drawn[:BAR]:<{BAR}}] ")

    def end(self) -> None:
        """What is drawn stays as it is; what follows comes below."""
        self._lines = {}

    def _draw(self, name: str, shown: str) -> None:
        from scow.cli.terminal import size

        width = size(1)[1]
        shown = shown[: width - 1] if width > 1 else shown
        if name not in self._lines:
            self._lines[name] = shown
            self._cli.out(shown + "\n")
        elif self._lines[name] != shown:
            self._lines[name] = shown
            up = len(self._lines) - list(self._lines).index(name)
            self._cli.out(f"\033[{up}A\r{shown}\033[K\033[{up}B\r")
        self._cli.flush()
