"""Which keys of ~/.docker/config.json have the type that they must have. Pure; called by `Cli.config`, so nothing expensive is imported."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

_FORMATS = "config images networks nodes plugins ps secret serviceInspect services stats tasks volumes"
_TEXTS = frozenset((*(f"{name}Format" for name in _FORMATS.split(" ")), "credsStore", "currentContext", "detachKeys"))
_MAPS_OF_TEXTS = frozenset(("HttpHeaders", "aliases", "credHelpers", "features"))
_MAPS_OF_MAPS = frozenset(("auths", "plugins", "proxies"))
_LISTS = frozenset(("cliPluginsExtraDirs", "pruneFilters"))


def usable(config: object) -> tuple[dict[str, Any], str]:
    """(the keys that can be used, what is wrong with the others or ""). `null` is no error, as in Go."""
    if config is None:
        return {}, ""
    if not isinstance(config, dict):
        return {}, f"it must be an object, it is {_kind(config)}"
    found, wrong = {}, []
    for key, value in config.items():
        fault = "" if value is None else _fault(key, value)
        if fault:
            wrong.append(fault)
        else:
            found[key] = value
    return found, "; ".join(wrong[:5])


def _fault(key: str, value: object) -> str:
    if key in _TEXTS:
        return "" if isinstance(value, str) else f"{key} must be a string, it is {_kind(value)}"
    if key in _LISTS:
        if not isinstance(value, list):
            return f"{key} must be an array, it is {_kind(value)}"
        return _inner(key, dict(enumerate(value)), str, "a string")
    if key in _MAPS_OF_TEXTS or key in _MAPS_OF_MAPS:
        if not isinstance(value, dict):
            return f"{key} must be an object, it is {_kind(value)}"
        return _inner(key, value, str, "a string") if key in _MAPS_OF_TEXTS else _inner(key, value, dict, "an object")
    return ""


def _inner(key: str, values: dict[Any, object], kind: type, word: str) -> str:
    for name, value in values.items():
        if value is not None and not isinstance(value, kind):
            return f"{key}[{name!r}] must be {word}, it is {_kind(value)}"
    return ""


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "a boolean"
    for kind, word in ((str, "a string"), ((int, float), "a number"), (list, "an array"), (dict, "an object")):
        if isinstance(value, kind):
            return word
    return "null"
