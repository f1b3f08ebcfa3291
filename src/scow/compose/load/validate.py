"""A tree against the compose specification's schema (`compose-spec.json`, without its prose), and rules that a schema can't say.

The first wrong value is told with its path, the wrong key and the nearest right ones. An own walk instead of a validation library: of the
schema language only a dozen words are used, and where several forms are allowed the one that was meant is told of.
Called by `loader.py` after each file; errors are BadValue.
"""

from __future__ import annotations

import functools
import os
import re
from typing import Any

from scow import fastjson
from scow.compose.load.errors import BadValue
from scow.compose.load.numbers import text_of
from scow.compose.load.tries import Trie, apply, dotted, trie

Path = tuple[str, ...]
Schema = dict[str, Any]
_WORDS = {
    "object": "a mapping",
    "array": "a list",
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "a boolean",
    "null": "empty",
}
_KINDS: dict[type, frozenset[str]] = {
    dict: frozenset({"object"}),
    list: frozenset({"array"}),
    str: frozenset({"string"}),
    bool: frozenset({"boolean"}),
    int: frozenset({"integer", "number"}),
    float: frozenset({"number"}),
    type(None): frozenset({"null"}),
}


@functools.cache
def _schema() -> Schema:
    with open(os.path.join(os.path.dirname(__file__), "compose-spec.json"), "rb") as file:
        loaded: Schema = fastjson.loads(file.read())
    return loaded


@functools.cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text)


def check_schema(tree: dict[str, Any]) -> None:
    """Raises BadValue where the tree is not what the specification describes."""
    _check(tree, _schema(), ())


def _resolved(schema: Schema) -> Schema:
    while "$ref" in schema:
        schema = _schema()["definitions"][schema["$ref"].rpartition("/")[2]]
    return schema


def _check(value: Any, schema: Schema, path: Path) -> None:
    if "$ref" in schema:
        schema = _resolved(schema)
    choices = schema.get("oneOf")
    if choices is not None:
        _check_one_of(value, choices, path)
        return
    wanted = schema.get("type")
    if wanted is not None and not _is(value, wanted):
        raise BadValue(path, f"{_name(path)} must be {_described(wanted)}")
    if isinstance(value, dict):
        _check_mapping(value, schema, path)
    elif isinstance(value, list):
        items = schema.get("items")
        if items is not None:
            for index, one in enumerate(value):
                _check(one, items, (*path, str(index)))
        if schema.get("uniqueItems"):
            _check_unique(value, path)
    elif "enum" in schema and value not in schema["enum"]:
        raise BadValue(path, f"{_name(path)} must be one of the following: " + ", ".join(f'"{one}"' for one in schema["enum"]))
    elif "minimum" in schema or "maximum" in schema:
        if isinstance(value, (int, float)) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
            bounds = (("greater", schema.get("minimum")), ("less", schema.get("maximum")))
            wanted = " and ".join(f"{word} than or equal to {bound}" for word, bound in bounds if bound is not None)
            raise BadValue(path, f"{_name(path)} must be {wanted}")
    elif "pattern" in schema and isinstance(value, str) and not _pattern(schema["pattern"]).search(value):
        raise BadValue(path, f'{_name(path)} does not match pattern "{schema["pattern"]}"')


def _is(value: Any, wanted: Any) -> bool:
    kinds = _KINDS.get(type(value), frozenset())
    if isinstance(wanted, str):
        return wanted in kinds or (wanted == "integer" and isinstance(value, float) and value.is_integer())
    return any(_is(value, one) for one in wanted)


def _described(wanted: Any) -> str:
    return " or ".join(_WORDS[one] for one in ([wanted] if isinstance(wanted, str) else wanted))


def _check_mapping(value: dict[str, Any], schema: Schema, path: Path) -> None:
    properties = schema.get("properties", {})
    patterns = schema.get("patternProperties")
    extra = schema.get("additionalProperties", True)
    for key, one in value.items():
        known = properties.get(key)
        if known is not None:
            _check(one, known, (*path, key))
            continue
        matched = False
        for pattern, below in (patterns or {}).items():
            if _pattern(pattern).search(key):
                matched = True
                if below:
                    _check(one, below, (*path, key))
        if matched or extra is True:
            continue
        if extra is False:
            raise BadValue((*path, key), _unknown(path, key, properties), key=True)
        _check(one, extra, (*path, key))
    for key in schema.get("required", ()):
        if key not in value:
            raise BadValue(path, f"{_name(path)}: {key} is required")


def _unknown(path: Path, key: str, known: dict[str, Any]) -> str:
    from scow.opts.suggest import nearest

    near = nearest(key, known)
    hint = f" (did you mean {' or '.join(near)}?)" if near else ""
    return f"{_name(path)} Additional property {key} is not allowed{hint}"


def _name(path: Path) -> str:
    return dotted(path) or "(root)"


def _check_unique(value: list[Any], path: Path) -> None:
    seen: set[str] = set()
    for index, one in enumerate(value):
        mark = repr(one)
        if mark in seen:
            raise BadValue(
                (*path, str(index)),
                f"{_name(path)} items at {index} and before it are equal: {text_of(one) if not isinstance(one, dict) else mark}",
            )
        seen.add(mark)


def _types(schema: Schema) -> Any:
    schema = _resolved(schema)
    if "oneOf" in schema:
        return [kind for one in schema["oneOf"] for kind in _list(_types(one))]
    return schema.get("type", [])


def _list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _check_one_of(value: Any, choices: list[Schema], path: Path) -> None:
    """The form is chosen by the kind of the value, so that what is told is about the form that was meant."""
    fitting = [one for one in choices if _is(value, _types(one))]
    if not fitting:
        kinds = list(dict.fromkeys(kind for one in choices for kind in _list(_types(one))))
        raise BadValue(path, f"{_name(path)} must be {_described(kinds)}")
    problem: BadValue | None = None
    for one in fitting:
        try:
            _check(value, one, path)
        except BadValue as exc:
            problem = problem or exc
        else:
            return
    if problem:
        raise problem


# ---------------------------------------------------------------- rules beside the schema


def check_rules(tree: dict[str, Any]) -> None:
    """Rules for single values of a merged tree with defaults. Raises BadValue."""
    apply(tree, RULES, lambda rule, value, path: rule(value, path))


def _external(value: Any, path: Path) -> Any:
    if isinstance(value, dict) and value.get("external") is True:
        for key in value:
            if key not in ("name", "external") and not key.startswith("x-"):
                raise BadValue((*path, key), f'{dotted(path)}: conflicting parameters "external" and "{key}" specified', key=True)
    return value


def _sources(*keys: str) -> Any:
    def rule(value: Any, path: Path) -> Any:
        given = [key for key in keys if isinstance(value, dict) and key in value]
        names = "|".join(keys)
        if len(given) > 1:
            raise BadValue((*path, given[1]), f"{dotted(path)}: {names} attributes are mutually exclusive", key=True)
        if not given and not (isinstance(value, dict) and ("external" in value or "driver" in value)):
            raise BadValue(path, f"{dotted(path)}: one of {names} must be set")
        return value

    return rule


def _blank(value: Any, path: Path) -> Any:
    if not value:
        raise BadValue(path, f"{dotted(path)}: value can't be blank")
    return value


def _devices(value: Any, path: Path) -> Any:
    if isinstance(value, dict) and "count" in value and "device_ids" in value:
        raise BadValue(path, f'{dotted(path)}: "count" and "device_ids" attributes are exclusive')
    return value


def _port(value: Any, path: Path) -> Any:
    import ipaddress

    if isinstance(value, dict) and not value.get("target"):
        raise BadValue(path, f"{dotted(path)} is missing a target port")
    host = value.get("host_ip") if isinstance(value, dict) else None
    if host:
        try:
            ipaddress.ip_address(text_of(host).partition("%")[0])
        except ValueError:
            raise BadValue((*path, "host_ip"), f"{dotted(path)}: invalid ip address: {text_of(host)}") from None
    return value


def _mount(value: Any, path: Path) -> Any:
    if isinstance(value, dict):
        if value.get("type") == "bind" and not value.get("source"):
            raise BadValue(path, f'{dotted(path)}: invalid mount config for type "bind": field Source must not be empty')
        if not value.get("target"):
            raise BadValue(path, f"{dotted(path)} is missing a mount target")
    return value


RULES: Trie = trie(
    {
        "volumes.*": _external,
        "configs.*": _sources("file", "environment", "content"),
        "secrets.*": _sources("file", "environment"),
        "services.*.develop.watch.*.path": _blank,
        "services.*.deploy.resources.reservations.devices.*": _devices,
        "services.*.gpus.*": _devices,
        "services.*.ports.*": _port,
        "services.*.volumes.*": _mount,
    }
)
