"""/version, /info, /events, /system/df."""

from collections.abc import Awaitable, Callable
from typing import Any

from scow.api import MAX_VERSION, MIN_VERSION, version_text
from scow.api.call import Call
from scow.api.router import Router
from scow.api.routes import events
from scow.errors import InvalidArgument
from scow.events import EventBus
from scow.http.messages import Response
from scow.system.version import version

_DF_KINDS = {"container", "image", "volume", "build-cache"}

Info = Callable[[], Awaitable[dict[str, Any]]]
Usage = Callable[..., Awaitable[dict[str, Any]]]


def register_basics(router: Router, bus: EventBus, runtime_version: str = "") -> None:
    """The routes that need nothing of the engine."""
    document = version(version_text(MAX_VERSION), version_text(MIN_VERSION), runtime_version)

    def show_version(call: Call) -> Response:
        return call.json(document, kind="version")

    async def show_events(call: Call) -> Response | None:
        return await events.stream(call, bus)

    router.add("GET", "/version", show_version)
    router.add("GET", "/events", show_events, follow=True)


def register(router: Router, info: Info, usage: Usage) -> None:
    """The routes that look at everything."""

    async def show_info(call: Call) -> Response:
        return call.json(await info(), kind="info")

    async def df(call: Call) -> Response:
        kinds = (
            frozenset(kind for text in call.query.all("type") for kind in text.split(",") if kind) if call.version >= 42 else frozenset()
        )
        unknown = kinds - _DF_KINDS
        if unknown:
            raise InvalidArgument(f"unknown object type: {sorted(unknown)[0]}")
        more = {"storage": True} if call.query.boolean("storage") else {}  # scow's own: where the bytes on the disk are
        return call.json(await usage(kinds or frozenset(_DF_KINDS), **more), kind="system.df")

    router.add("GET", "/info", show_info)
    router.add("GET", "/system/df", df)
