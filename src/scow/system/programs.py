"""Versions of the programs below the engine (runtime, init), asked once for each file and kept."""

import os
import re
from collections.abc import Awaitable, Callable

from scow.errors import ScowError

_VERSION = re.compile(r"([A-Za-z][\w-]*) version ([0-9][\w.+~-]*)")
_ARGS = ("--version",)

Run = Callable[[list[str]], Awaitable[tuple[int, bytes, bytes]]]


def parse(output: str) -> str:
    """`crun 1.8.1` of what `crun --version` prints; "" when it says nothing of the kind."""
    found = _VERSION.search(output[:4096])
    return f"{found[1]} {found[2]}" if found else ""


class Programs:
    """Asks programs for their versions. `run` runs a command: (exit code, standard output, standard error)."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._known: dict[tuple[str, int], str] = {}

    async def version(self, path: str) -> str:
        """The version of the program at `path`, "" when it can't be told."""
        try:
            key = (path, os.stat(path).st_mtime_ns)
        except (OSError, ValueError):
            return ""
        if key not in self._known:
            try:
                code, out, err = await self._run([path, *_ARGS])
            except ScowError:
                return ""
            self._known[key] = parse((out + b"\n" + err).decode("utf-8", "replace")) if code == 0 else ""
        return self._known[key]
