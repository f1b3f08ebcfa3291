"""Waiting for what containers become, by the engine's events. Used by `execute/` and foreground `up`."""

from __future__ import annotations

import threading

from scow.client.api import Client, filters_param
from scow.compose import labels
from scow.errors import ScowError

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

ACTIONS = ("start", "die", "health_status", "destroy", "stop", "kill", "pause", "unpause", "oom", "restart", "create", "rename")
SETTLE = 0.5  # seconds that a container without a check must have run to be ready: what can't start ends within them
AGAIN = 10.0  # seconds until a state is looked at again although no event came: the stream may have broken


class TimedOut(ScowError):
    """What was waited for did not come."""


class Watch:
    """Follows the events of a project's containers from a thread; `until` waits for a state."""

    def __init__(self, client: Client, project: str) -> None:
        """Opens the stream: events from now on are seen."""
        self._changed = threading.Condition()
        self._count = 0
        wanted: dict[str, dict[str, bool]] = {
            "type": {"container": True},
            "label": {labels.of_project(project): True},
            "event": dict.fromkeys(ACTIONS, True),
        }
        self._seen: list[Callable[[dict[str, Any]], None]] = []
        self._response = client.call("GET", "/events", {"filters": filters_param(wanted)})
        threading.Thread(target=self._read, daemon=True).start()

    def close(self) -> None:
        """Ends the stream."""
        self._response.close()

    def listen(self, heard: Callable[[dict[str, Any]], None]) -> None:
        """Calls `heard` with each event, from the reading thread."""
        self._seen.append(heard)

    def wake(self) -> None:
        """Who waits looks again."""
        with self._changed:
            self._count += 1
            self._changed.notify_all()

    def _read(self) -> None:
        from scow.client.api import json_values

        try:
            for event in json_values(self._response.iterate()):
                for heard in self._seen:
                    heard(event)
                self.wake()
        except (ScowError, OSError, ValueError):
            pass

    def until(
        self,
        look: Callable[[], Any],
        timeout: float | None = None,
        stopped: Callable[[], bool] = lambda: False,
        again: float = AGAIN,
    ) -> Any:
        """What `look` gives once it is not None; asked after each event, and every `again` seconds. Raises TimedOut after `timeout`
        seconds. None when `stopped`."""
        import time

        end = None if timeout is None else time.monotonic() + timeout
        while not stopped():
            count = self._count
            found = look()
            if found is not None:
                return found
            left = again if end is None else min(again, end - time.monotonic())
            if left <= 0:
                raise TimedOut("timeout waiting for containers")
            with self._changed:
                if self._count == count:
                    self._changed.wait(left)
        return None
