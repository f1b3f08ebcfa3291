"""What a container's labels say of its dependencies: compose writes them, and the start at boot follows them. Loops and names that are no
more are harmless: whoever waits does so for a while only. Called by `recover.py`."""

import asyncio
import time
from collections.abc import Mapping

from scow.containers.container import Container

_PREFIX = "com.docker.compose."
_HEALTHY = "service_healthy"
_LOOK = 0.1
_HEALTH_SECONDS = 60.0


def dependencies(container: Container, everything: Mapping[str, Container]) -> dict[str, str]:
    """Id -> condition of the containers of its project that its own is to start after."""
    labels = container.config.labels
    project, text = labels.get(f"{_PREFIX}project"), labels.get(f"{_PREFIX}depends_on")
    if not project or not text:
        return {}
    words = [word.split(":") for word in text.split(",") if word]
    wanted = {word[0]: word[1] if len(word) > 1 else "" for word in words}
    found = {}
    for other in everything.values():
        marks = other.config.labels
        service = marks.get(f"{_PREFIX}service", "")
        if other is not container and marks.get(f"{_PREFIX}project") == project and service in wanted:
            found[other.id] = wanted[service]
    return found


async def settled(container: Container, condition: str) -> None:
    """Until a container that was started is healthy, where the condition asks for it; not longer than a while."""
    end = time.monotonic() + _HEALTH_SECONDS
    while condition == _HEALTHY and time.monotonic() < end:
        health = container.state.health
        if not container.state.alive or health is None or health.status != "starting":
            return
        await asyncio.sleep(_LOOK)
