"""Builds of several services in one display: each feeds a part, whose steps are named after the service (`[web 1/3] FROM …`) among the
others'. Used by `building.py`, in one event loop."""

from __future__ import annotations

import hashlib
from typing import Any

from scow.cli.commands.builder.display import Display


class Part(Display):
    """What one build tells, handed on to the display of all. It keeps the steps of its own, for the report of a failure."""

    def __init__(self, name: str, whole: Display) -> None:
        super().__init__(whole.write)
        self._name, self._whole = name, whole

    def feed(self, response: Any) -> None:
        """See Display."""
        super().feed(response)
        for vertex in response.vertexes:
            vertex.digest = self._digest(vertex.digest)
            vertex.name = named(self._name, vertex.name)
        for part in (response.statuses, response.logs, response.warnings):
            for one in part:
                one.vertex = self._digest(one.vertex)
        self._whole.feed(response)

    def _digest(self, digest: str) -> str:
        """Two builds may have the same step: each shows its own."""
        return "sha256:" + hashlib.sha256(f"{self._name}\0{digest}".encode()).hexdigest()

    def drawn(self) -> None:
        """See Display."""
        self._whole.drawn()

    def warned(self) -> str:
        """See Display."""
        return ""  # all are shown at the end, by the whole


def named(service: str, step: str) -> str:
    """A step's name with the service's: `[1/3] FROM x` becomes `[web 1/3] FROM x`."""
    return f"[{service} {step[1:]}" if step.startswith("[") else f"[{service}] {step}"
