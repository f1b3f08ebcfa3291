"""The volume driver behind a plugin (`VolumeDriver.*` of Docker's plugin protocol). Called by `service.py`."""

import posixpath
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scow.errors import InvalidArgument, ScowError
from scow.plugins.remote import LONG_SECONDS, SHORT_SECONDS, Plugin, PluginAway, PluginFailed
from scow.units import parse_timestamp
from scow.volumes.driver import Found, MountFailed

CAPABILITY = "VolumeDriver"
_NAME_MAX = 255
_LIST_MAX = 20_000


class PluginDriver:
    """Volumes of one plugin."""

    def __init__(self, plugin: Plugin) -> None:
        self.plugin = plugin
        self._scope = ""

    @property
    def name(self) -> str:
        """The plugin's name."""
        return self.plugin.name

    async def _call(self, verb: str, body: dict[str, Any], seconds: float = SHORT_SECONDS) -> dict[str, Any]:
        return await self.plugin.call(f"{CAPABILITY}.{verb}", body, seconds)

    async def scope(self) -> str:
        """Asked once; plugins that were written before capabilities are local."""
        if not self._scope:
            try:
                found = (await self._call("Capabilities", {})).get("Capabilities")
            except PluginFailed:
                found = None
            scope = found.get("Scope") if isinstance(found, dict) else None
            self._scope = "global" if isinstance(scope, str) and scope.lower() == "global" else "local"
        return self._scope

    def check(self, name: str, options: Mapping[str, str]) -> None:
        """Any printable name: what is good is the plugin's business."""
        if len(name) > _NAME_MAX or not name.isprintable() or name in (".", "..") or "/" in name:
            raise InvalidArgument(f"create {name[:40]!r}: a volume's name is at most {_NAME_MAX} printable characters without slashes")

    async def create(self, name: str, options: Mapping[str, str]) -> None:
        """Unless the plugin has it."""
        if await self.get(name) is None:
            await self._call("Create", {"Name": name, "Opts": dict(options)}, LONG_SECONDS)

    async def remove(self, name: str) -> None:
        """As the plugin does it."""
        await self._call("Remove", {"Name": name}, LONG_SECONDS)

    async def get(self, name: str) -> Found | None:
        """What the plugin says no to is unknown to it."""
        try:
            answer = (await self._call("Get", {"Name": name})).get("Volume")
        except PluginFailed:
            return None
        return _found(answer) if isinstance(answer, dict) and answer.get("Name") == name else None

    async def list(self) -> list[Found]:
        """Rows that make no sense are left out."""
        rows = (await self._call("List", {})).get("Volumes") or []
        if not isinstance(rows, list):
            raise PluginFailed(f'plugin "{self.name}" answered List with what is no list')
        found = [_found(row) for row in rows[:_LIST_MAX] if isinstance(row, dict)]
        return [one for one in found if one.name and len(one.name) <= _NAME_MAX and one.name.isprintable() and "/" not in one.name]

    async def mount(self, name: str, options: Mapping[str, str], user: str) -> Path:
        """The plugin mounts where it likes; a path that is none of this host is refused."""
        try:
            answer = await self._call("Mount", {"Name": name, "ID": user}, LONG_SECONDS)
            place = answer.get("Mountpoint") or (await self._call("Path", {"Name": name})).get("Mountpoint")
        except ScowError as error:
            raise MountFailed(f"error while mounting volume '{name}': {error.message}") from None
        if not isinstance(place, str) or not place.startswith("/") or "\0" in place or posixpath.normpath(place) in ("/", "//"):
            await self.unmount(name, options, user, True)
            shown = place[:200] if isinstance(place, str) else place
            raise MountFailed(f"error while mounting volume '{name}': plugin \"{self.name}\" gave {shown!r} as its place, which is no path")
        return Path(posixpath.normpath(place))

    async def unmount(self, name: str, options: Mapping[str, str], user: str, last: bool) -> None:
        """As the plugin does it."""
        await self._call("Unmount", {"Name": name, "ID": user}, LONG_SECONDS)


def _found(row: dict[str, Any]) -> Found:
    name, place, status, created = (row.get(key) for key in ("Name", "Mountpoint", "Status", "CreatedAt"))
    moment = 0
    if isinstance(created, str) and created:
        try:
            moment = max(parse_timestamp(created[:64]), 0)
        except ScowError:
            moment = 0
    return Found(
        name if isinstance(name, str) else "", place if isinstance(place, str) else "", moment, status if isinstance(status, dict) else None
    )


__all__ = ["CAPABILITY", "PluginAway", "PluginDriver", "PluginFailed"]
