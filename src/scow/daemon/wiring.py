"""Builds every service with exactly what it uses, in start order, and registers the routes."""

from dataclasses import dataclass, field
from typing import Any

from scow import log
from scow.api.app import App
from scow.daemon.lifecycle import Lifecycle
from scow.daemon.options import Options
from scow.daemon.reload import Reloader
from scow.events import EventBus

logger = log.get(__name__)


@dataclass(slots=True)
class Engine:
    """The running engine as `main` sees it."""

    parts: dict[str, Any] = field(default_factory=dict)

    async def shutdown(self, options: Options) -> None:
        """End containers (or leave them to the keeper) before the services go."""


async def build(options: Options, app: App, reloader: Reloader, lifecycle: Lifecycle) -> Engine:
    """Start the engine behind an API that already answers `_ping`. Raises ScowError."""
    bus = EventBus()
    from scow.api.routes import system, unsupported

    unsupported.register(app.router)
    system.register_basics(app.router, bus)
    return Engine()
