"""1.25: containers may remove themselves (before, the client did)."""

from typing import Any

from scow.api.versions._tools import child, drop


def _create(value: Any) -> Any:
    drop(child(value, "HostConfig"), "AutoRemove")
    return value


UP = {"container.create": _create}
