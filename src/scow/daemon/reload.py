"""SIGHUP: read the file again, check everything, then change what may change, or nothing at all."""

import dataclasses
from collections.abc import Callable
from typing import Any

from scow import log
from scow.daemon import config
from scow.daemon.options import Options, table
from scow.errors import ScowError

logger = log.get(__name__)

Apply = Callable[[Options], None]


def merged(current: Options, fresh: Options) -> Options:
    """`current` with the reloadable options of `fresh`; the others keep their value until a restart."""
    values = {option.attribute: getattr(fresh, option.attribute) for option in table() if option.reload}
    return dataclasses.replace(current, **values)


def ignored(current: Options, fresh: Options) -> list[str]:
    """The options that differ and need a restart."""
    return [
        option.key for option in table() if not option.reload and getattr(current, option.attribute) != getattr(fresh, option.attribute)
    ]


class Reloader:
    """Holds the options in force and the parts of the daemon that take new ones."""

    def __init__(self, options: Options, flags: dict[str, Any], parts: dict[str, Apply]) -> None:
        self.options = options
        self._flags = flags
        self._parts = parts

    def add(self, name: str, apply: Apply) -> None:
        """Tell `apply` of every new value."""
        self._parts[name] = apply

    def reload(self) -> bool:
        """Whether the new options are in force. On any failure the old ones are, everywhere."""
        try:
            fresh = config.load(self._flags)
        except ScowError as error:
            logger.error("reload refused, the old options stay: %s", error.message)
            return False
        new, old = merged(self.options, fresh), self.options
        done: list[str] = []
        try:
            for name, apply in self._parts.items():
                done.append(name)
                apply(new)
        except Exception as error:
            logger.error("reload failed, back to the old options: %s", error)
            for name in reversed(done):
                try:
                    self._parts[name](old)
                except Exception:
                    logger.exception("going back failed for %s", name)
            return False
        self.options = new
        for key in ignored(old, fresh):
            logger.warning("%s changed in the configuration file: it takes a restart", key)
        logger.info("options reloaded")
        return True
