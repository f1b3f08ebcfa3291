"""A tree against the compose specification's schema (`compose-spec.json`, without its prose), and rules that a schema can't say.

The first wrong value is told with its path, the wrong key and the nearest right ones. An own walk instead of a validation library: of the
schema language only a dozen words are used, and where several forms are allowed the one that was meant is told of.
Called by `loader.py` after each file; errors are BadValue.
"""

from __future__ import annotations

import os

from scow import fastjson
from scow.compose.load.errors import BadValue
from scow.compose.load.numbers import text_of
from scow.compose.load.tries import apply, dotted, trie

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from scow.compose.load.tries import Trie

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
_CLASSES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
_NAME = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
_LOWER = frozenset("abcdefghijklmnopqrstuvwxyz")
# the patterns for keys, without re
_KEYS: dict[str, Callable[[str], bool]] = {
    "^x-": lambda key: key.startswith("x-"),
    "^[a-zA-Z0-9._-]+$": lambda key: bool(key) and _NAME.issuperset(key),
    "^[a-z]+$": lambda key: bool(key) and _LOWER.issuperset(key),
    "^.+$": lambda key: bool(key) and "\n" not in key,
    ".+": lambda key: bool(key.strip("\n")),
}


class _Form:
    """A schema made ready for looking up; made when it is first met, since a file uses a part of the specification only."""

    __slots__ = (
        *("additional", "bounds", "choices", "classes", "enum", "items", "keys", "pattern", "plain", "properties", "required", "unique"),
        "wanted",
    )

    def __init__(self, schema: Schema) -> None:
        choices = schema.get("oneOf", ())
        self.choices: tuple[Schema, ...] = tuple(choices)
        self.wanted: list[str] = list(dict.fromkeys(kind for one in choices for kind in _form(one).wanted)) or _list(schema.get("type", []))
        self.classes = frozenset(cls for kind in self.wanted for cls in _CLASSES[kind])
        self.properties: dict[str, Schema] = schema.get("properties", {})
        self.keys = [(_KEYS[pattern], below) for pattern, below in schema.get("patternProperties", {}).items()]
        self.additional: Any = schema.get("additionalProperties", True)
        self.required: list[str] = schema.get("required", [])
        self.items: Schema | None = schema.get("items")
        self.unique = bool(schema.get("uniqueItems"))
        self.enum: list[Any] | None = schema.get("enum")
        self.bounds: tuple[Any, Any] = (schema.get("minimum"), schema.get("maximum"))
        self.pattern: str = schema.get("pattern", "")
        # a text or number of the right kind is right
        self.plain = not choices and self.enum is None and self.bounds == (None, None) and not self.pattern


_read: list[Schema] = []
_forms: dict[int, _Form] = {}  # by the identity of the schema, which lives as long


def _schema() -> Schema:
    if not _read:
        with open(os.path.join(os.path.dirname(__file__), "compose-spec.json"), "rb") as file:
            _read.append(fastjson.loads(file.read()))
    return _read[0]


def _form(schema: Schema) -> _Form:
    form = _forms.get(id(schema))
    if form is None:
        reference = schema.get("$ref")
        form = _form(_schema()["definitions"][reference.rpartition("/")[2]]) if reference else _Form(schema)
        _forms[id(schema)] = form
    return form


def check_schema(tree: dict[str, Any]) -> None:
    """Raises BadValue where the tree is not what the specification describes."""
    _check(tree, _form(_schema()), ())


def _check(value: Any, form: _Form, path: Path) -> None:
    if not _fits(value, form):
        raise BadValue(path, f"{_name(path)} must be {_described(form.wanted)}")
    if form.choices:
        _check_choices(value, form, path)
    elif isinstance(value, dict):
        _check_mapping(value, form, path)
    elif isinstance(value, list):
        if form.items is not None:
            items = _form(form.items)
            for index, one in enumerate(value):
                if not (items.plain and type(one) is str and str in items.classes):
                    _check(one, items, (*path, str(index)))
        if form.unique:
            _check_unique(value, path)
    elif not form.plain:
        _check_scalar(value, form, path)


def _fits(value: Any, form: _Form) -> bool:
    """Whether a form is for that kind of value."""
    classes = form.classes
    return type(value) in classes or not classes or (int in classes and isinstance(value, float) and value.is_integer())


def _check_scalar(value: Any, form: _Form, path: Path) -> None:
    if form.enum is not None:
        if value not in form.enum:
            raise BadValue(path, f"{_name(path)} must be one of the following: " + ", ".join(f'"{one}"' for one in form.enum))
        return
    low, high = form.bounds
    if isinstance(value, (int, float)) and not ((low is None or low <= value) and (high is None or value <= high)):
        wanted = " and ".join(f"{word} than or equal to {bound}" for word, bound in (("greater", low), ("less", high)) if bound is not None)
        raise BadValue(path, f"{_name(path)} must be {wanted}")
    if form.pattern and isinstance(value, str):
        import re  # two attributes have a pattern

        if not re.search(form.pattern, value):
            raise BadValue(path, f'{_name(path)} does not match pattern "{form.pattern}"')


def _described(wanted: list[str]) -> str:
    return " or ".join(_WORDS[one] for one in wanted)


def _check_mapping(value: dict[str, Any], form: _Form, path: Path) -> None:
    properties, additional = form.properties, form.additional
    for key, one in value.items():
        known = properties.get(key)
        if known is not None:
            _check(one, _form(known), (*path, key))
            continue
        matched = False
        for matches, below in form.keys:
            if matches(key):
                matched = True
                if below:
                    _check(one, _form(below), (*path, key))
        if matched or additional is True:
            continue
        if additional is False:
            raise BadValue((*path, key), _unknown(path, key, properties), key=True)
        _check(one, _form(additional), (*path, key))
    for key in form.required:
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


def _list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _check_choices(value: Any, form: _Form, path: Path) -> None:
    """The form is chosen by the kind of the value, so that what is told is about the form that was meant."""
    problem: BadValue | None = None
    for choice in form.choices:
        one = _form(choice)
        if not _fits(value, one):
            continue
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
    if isinstance(value, dict) and not value.get("target"):
        raise BadValue(path, f"{dotted(path)} is missing a target port")
    host = value.get("host_ip") if isinstance(value, dict) else None
    if host:
        import ipaddress

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
