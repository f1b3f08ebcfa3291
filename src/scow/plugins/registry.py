"""Which plugins there are and what they can do. One `Plugins` per engine, made in wiring.

A plugin is looked up by its name each time (its files may come and go); the first use shakes hands with it.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from scow import aio, log
from scow.errors import InvalidArgument, NotFound, ScowError
from scow.plugins.remote import Plugin, Tls

logger = log.get(__name__)

SOCKETS = Path("/run/docker/plugins")
SPECS = (Path("/etc/docker/plugins"), Path("/usr/lib/docker/plugins"))
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,127}\Z")
_FILE_MAX = 64 << 10
_MANY = 200


@dataclass(frozen=True, slots=True)
class Place:
    """Where a plugin listens."""

    address: str
    tls: Tls | None = None


class Plugins:
    """The plugins of this host. Called on the loop; `close` ends the connections."""

    def __init__(self, sockets: Path = SOCKETS, specs: tuple[Path, ...] = SPECS) -> None:
        self._sockets, self._specs = sockets, specs
        self._known: dict[str, tuple[Place, Plugin]] = {}
        self._locks = aio.KeyedLock()

    def names(self) -> list[str]:
        """Every plugin there is a file of."""
        found: set[str] = set()
        for folder, endings in ((self._sockets, (".sock",)), *((spec, (".spec", ".json")) for spec in self._specs)):
            try:
                entries = sorted(folder.iterdir())[:_MANY]
            except OSError:
                continue
            for entry in entries:
                name = entry.stem if entry.suffix in endings else entry.name
                if _NAME.match(name) and (entry.suffix in endings or any((entry / f"{name}{ending}").exists() for ending in endings)):
                    found.add(name)
        return sorted(found)

    async def get(self, name: str, capability: str) -> Plugin:
        """The plugin, ready. Raises NotFound, and what is wrong with it (its file, its answers)."""
        place = self._place(name) if _NAME.match(name) else None
        if place is None:
            raise NotFound(f'plugin "{name[:200]}" not found')
        async with self._locks(name):
            known = self._known.get(name)
            if known is None or known[0] != place:
                plugin = Plugin(name, place.address, place.tls)
                try:
                    await plugin.activate()
                except BaseException:
                    await plugin.close()
                    raise
                if known is not None:
                    await known[1].close()
                known = self._known[name] = (place, plugin)
        if capability not in known[1].implements:
            raise NotFound(f'plugin "{name}" found, but it is no {capability}')
        return known[1]

    def _place(self, name: str) -> Place | None:
        for socket in (self._sockets / f"{name}.sock", self._sockets / name / f"{name}.sock"):
            if socket.is_socket():
                return Place(f"unix://{socket}")
        for folder in self._specs:
            for path in (folder / f"{name}.spec", folder / name / f"{name}.spec", folder / f"{name}.json", folder / name / f"{name}.json"):
                try:
                    with path.open("rb") as file:
                        data = file.read(_FILE_MAX)
                except OSError:
                    continue
                return parse_json(path, data) if path.suffix == ".json" else Place(_address(path, data.decode(errors="replace").strip()))
        return None

    async def close(self) -> None:
        """End the connections to all plugins."""
        known, self._known = list(self._known.values()), {}
        for _, plugin in known:
            try:
                await plugin.close()
            except (OSError, ScowError) as error:
                logger.warning("the connection to plugin %s: %s", plugin.name, error)


def parse_json(path: Path, data: bytes) -> Place:
    """What a `.json` file says. Raises InvalidArgument."""
    try:
        document = json.loads(data)
        address = document.get("Addr") or document.get("addr") or ""
        given = document.get("TLSConfig")
        tls = None
        if isinstance(given, dict):
            ca, cert, key = (str(given.get(key) or "") for key in ("CAFile", "CertFile", "KeyFile"))
            tls = Tls(ca, cert, key, verify=not given.get("InsecureSkipVerify", False))
    except (ValueError, AttributeError) as error:
        raise InvalidArgument(f"plugin file {path} is not JSON of an object: {error}") from None
    return Place(_address(path, str(address)), tls)


def _address(path: Path, text: str) -> str:
    try:
        parts = urlsplit(text)
        good = (parts.scheme == "unix" and parts.path.startswith("/")) or (
            parts.scheme in ("tcp", "http", "https") and bool(parts.hostname and parts.port)
        )
    except ValueError:
        good = False
    if not good:
        raise InvalidArgument(f"plugin file {path}: {text[:200]!r} is no address: unix:///path or tcp://host:port is needed")
    return text
