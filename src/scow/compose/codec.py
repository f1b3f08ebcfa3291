"""Trees of the loader become the classes of `model/`, and those become the documents that `config` prints and `hash.py` reads.

Both directions follow the annotations of the fields: one row in `KINDS` per name of a type. A document in YAML's order has the fields as
declared and other keys sorted as the plugin's YAML library does; in JSON's, keys are sorted by their bytes and some zeros are printed.
"""

from __future__ import annotations

from _functools import cmp_to_key, partial  # type: ignore[import-not-found]  # functools itself imports collections and types

from scow.compose.load.errors import BadValue
from scow.compose.load.numbers import text_of
from scow.compose.load.shellwords import split
from scow.compose.load.tries import dotted
from scow.compose.model import build, deploy, project, service
from scow.compose.model.build import Ssh, Ulimit
from scow.compose.model.service import EnvFile
from scow.compose.records import columns
from scow.errors import InvalidArgument
from scow.units import format_duration, parse_duration, parse_size

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Path = tuple[str, ...]
    Decoder = Callable[[Any, Path], Any]
    Encoder = Callable[[Any, bool], Any]

_TRUE, _FALSE = ("true", "y", "yes", "on", "1", "t"), ("false", "n", "no", "off", "0", "f", "")


class Single(float):
    """A number of 32 bits, which documents print with fewer digits."""


# ---------------------------------------------------------------- values


def _fail(path: Path, wanted: str) -> BadValue:
    return BadValue(path, f"{dotted(path)} must be {wanted}")


def _str(value: Any, path: Path) -> str:
    if isinstance(value, (dict, list)):
        raise _fail(path, "a string")
    return text_of(value)


def _bool(value: Any, path: Path) -> bool:
    if isinstance(value, bool):
        return value
    text = text_of(value).lower()
    if isinstance(value, (dict, list)) or text not in (*_TRUE, *_FALSE):
        raise _fail(path, "a boolean")
    return text in _TRUE


def _int(value: Any, path: Path) -> int:
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    text = value if isinstance(value, str) else ""
    if not text.lstrip("-").isdigit() or not text.isascii() or len(text) > 20:
        raise _fail(path, "a number")
    return int(text)


def _mode(value: Any, path: Path) -> int:
    if isinstance(value, str):
        try:
            return int(value, 8) if len(value) < 12 else int("x")
        except ValueError:
            raise _fail(path, "a file mode such as 0440") from None
    return _int(value, path)


def _float(value: Any, path: Path) -> Single:
    try:
        if isinstance(value, (bool, dict, list)):
            raise ValueError
        return Single(value)
    except (ValueError, TypeError, OverflowError):
        raise _fail(path, "a number") from None


def _bytes(value: Any, path: Path) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if value == "-1":  # no limit
        return -1
    try:
        return parse_size(_str(value, path))
    except InvalidArgument as exc:
        raise BadValue(path, f"{dotted(path)}: {exc.message}") from None


def _duration(value: Any, path: Path) -> int:
    try:
        return parse_duration(_str(value, path))
    except InvalidArgument as exc:
        raise BadValue(path, f"{dotted(path)}: {exc.message}") from None


def _count(value: Any, path: Path) -> int:
    if isinstance(value, str) and value.lower() == "all":
        return -1
    try:
        return _int(value, path)
    except BadValue:
        raise BadValue(path, f"{dotted(path)}: invalid value {text_of(value)!r}, the only value allowed is 'all' or a number") from None


def _words(value: Any, path: Path) -> tuple[str, ...]:
    if isinstance(value, list):
        return tuple([text_of(one) for one in value])
    if isinstance(value, dict):
        raise _fail(path, "a list")
    return () if value is None else (text_of(value),)


def _command(value: Any, path: Path) -> tuple[str, ...] | None:
    if value is None:
        return None
    if isinstance(value, list):
        return tuple([text_of(one) for one in value])
    try:
        return tuple(split(_str(value, path)))
    except ValueError as exc:
        raise BadValue(path, f"{dotted(path)}: {exc}") from None


def _test(value: Any, path: Path) -> tuple[str, ...]:
    return ("CMD-SHELL", value) if isinstance(value, str) else _words(value, path)


def _mapping(value: Any, path: Path) -> dict[str, str]:
    found = {}
    for key, one in _environment(value, path).items():
        found[key] = "" if one is None else one
    return found


def _environment(value: Any, path: Path) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    if isinstance(value, dict):
        for key, one in value.items():
            found[key] = None if one is None else _str(one, (*path, key))
    elif isinstance(value, list):
        for one in value:
            key, sep, text = text_of(one).partition("=")
            found[key] = text if sep else None
    elif value is not None:
        raise _fail(path, "a mapping or a list")
    return found


def _hosts(value: Any, path: Path) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    pairs: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        pairs = list(value.items())
    for item in value if isinstance(value, list) else []:
        text = text_of(item)
        name, sep, address = text.partition("=")
        if not sep:
            name, sep, address = text.partition(":")
        if not sep:
            raise BadValue(path, f"{dotted(path)}: invalid additional host, missing IP: {text}")
        pairs.append((name, address))
    for name, addresses in pairs:
        for one in addresses if isinstance(addresses, list) else [addresses]:
            for address in text_of(one).split(","):
                if len(address) > 2 and address[0] == "[" and address[-1] == "]":
                    address = address[1:-1]
                found.setdefault(name, []).append(address)
    return {name: tuple(addresses) for name, addresses in found.items()}


def _ssh(value: Any, path: Path) -> tuple[Ssh, ...]:
    pairs = _environment(value, path)
    return tuple(Ssh(id=name, path=one or "") for name, one in pairs.items())


def _ulimit(value: Any, path: Path) -> Ulimit:
    if isinstance(value, dict):
        return Ulimit(soft=_int(value.get("soft", 0), (*path, "soft")), hard=_int(value.get("hard", 0), (*path, "hard")))
    return Ulimit(single=_int(value, path))


# ---------------------------------------------------------------- documents


def _same(value: Any, json: bool) -> Any:
    return value


def _list(value: Any, json: bool) -> Any:
    return list(value)


def _text(value: Any, json: bool) -> Any:
    return str(value)


def _period(value: Any, json: bool) -> Any:
    return format_duration(value)


def _plain(value: Any, json: bool) -> Any:
    """Keys that are not fields: sorted."""
    if isinstance(value, dict):
        return {key: _plain(value[key], json) for key in ordered(value, json)}
    return [_plain(one, json) for one in value] if isinstance(value, list) else value


def _host_lines(value: dict[str, tuple[str, ...]], json: bool) -> Any:
    return sorted(f"{name}={address}" for name, addresses in value.items() for address in addresses)


def _keys(value: tuple[Ssh, ...], json: bool) -> Any:
    return [f"{one.id}: {one.path}" if one.path else one.id for one in value]


def _limit(value: Ulimit, json: bool) -> Any:
    if value.single:
        return value.single
    both = {"soft": value.soft, "hard": value.hard}
    return {key: one for key, one in both.items() if one} if json else both


def _env_file(value: EnvFile, json: bool) -> Any:
    if value.required:
        return value.path
    return {"path": value.path, "required": False} | ({"format": value.format} if value.format and json else {})


def _compare(first: str, second: str) -> int:
    """The order of keys in the plugin's YAML: letters after other characters, numbers by their value."""
    digits = False
    for at, (a, b) in enumerate(zip(first, second, strict=False)):
        if a == b:
            digits = a.isdigit()
            continue
        if a.isalpha() and b.isalpha():
            return -1 if a < b else 1
        if a.isalpha() or b.isalpha():
            return -1 if (a.isalpha() if digits else b.isalpha()) else 1
        left, right = _run(first, at), _run(second, at)
        lead = ""
        if "0" in (a, b):
            back = at - 1
            while back >= 0 and first[back].isdigit():
                if first[back] != "0":
                    lead = "1"
                    break
                back -= 1
        one, other = int((lead + left) or "0"), int((lead + right) or "0")
        if one != other:
            return -1 if one < other else 1
        if len(left) != len(right):
            return -1 if len(left) < len(right) else 1
        return -1 if a < b else 1
    return len(first) - len(second)


def _run(text: str, at: int) -> str:
    end = at
    while end < len(text) and end < at + 18 and text[end] in "0123456789":
        end += 1
    return text[at:end]


_natural = cmp_to_key(_compare)


def ordered(keys: Any, json: bool) -> list[str]:
    """The order in which a document has keys that are not fields."""
    return sorted(keys) if json else sorted(keys, key=_natural)


# ---------------------------------------------------------------- the table

KINDS: dict[str, tuple[Decoder, Encoder]] = {
    "str": (_str, _same),
    "bool": (_bool, _same),
    "OptOut": (_bool, _same),
    "External": (_bool, _same),
    "int": (_int, _same),
    "Mode": (_mode, _same),
    "Count": (_count, _same),
    "Cpus": (_float, _same),
    "Bytes": (_bytes, _text),
    "Duration": (_duration, _period),
    "Words": (_words, _list),
    "Command": (_command, _list),
    "Test": (_test, _list),
    "Mapping": (_mapping, _plain),
    "Environment": (_environment, _plain),
    "Hosts": (_hosts, _host_lines),
    "Ulimit": (_ulimit, _limit),
    "tuple[Ssh, ...]": (_ssh, _keys),
}
# printed in JSON though they are empty
_ALWAYS_JSON: dict[tuple[str, str], Any] = {
    **dict.fromkeys((("Service", "command"), ("Service", "entrypoint"), ("Hook", "command"))),
    ("Watch", "exec"): {"command": None},
}
_ALWAYS = frozenset(
    {
        *(("Watch", "path"), ("Watch", "action"), ("Dependency", "required")),
        *(("WeightDevice", "path"), ("WeightDevice", "weight"), ("ThrottleDevice", "path"), ("ThrottleDevice", "rate")),
        *(("GenericResource", "kind"), ("GenericResource", "value")),
    }
)
_PRINTED = _ALWAYS | _ALWAYS_JSON.keys()
_CAPITALS = frozenset({"WeightDevice", "ThrottleDevice"})  # their fields have no names of their own in the plugin's JSON

_CLASSES: dict[str, Any] = {name: one for part in (build, deploy, service, project) for name, one in vars(part).items()}
_plans: dict[type, Any] = {}


def _kind(annotation: str) -> tuple[Decoder, Encoder]:
    """How a type is read and printed. `X | None` is read as X where something is given."""
    found = KINDS.get(annotation)
    if found is not None:
        return found
    if annotation.endswith(" | None"):
        found = _kind(annotation.removesuffix(" | None"))
    elif annotation.startswith("tuple["):
        found = _sequence(*_kind(annotation[6:].partition(",")[0]))
    elif annotation.startswith("dict[str, "):
        inner = annotation[10:-1]
        found = _table(*_kind(inner), optional=inner.endswith("| None"))
    else:
        cls: type = _CLASSES[annotation]
        found = (partial(_decode, cls), _env_file if cls is EnvFile else _object)
    KINDS[annotation] = found
    return found


def _decode(cls: type, value: Any, path: Path) -> Any:
    return decode(cls, value, path)


def _object(value: Any, json: bool) -> Any:
    return encode(value, json)


def _sequence(decoder: Decoder, encoder: Encoder) -> tuple[Decoder, Encoder]:
    def read(value: Any, path: Path) -> Any:
        if not isinstance(value, list):
            raise _fail(path, "a list")
        return tuple([decoder(one, (*path, str(index))) for index, one in enumerate(value)])

    return read, lambda value, json: [encoder(one, json) for one in value]


def _table(decoder: Decoder, encoder: Encoder, optional: bool) -> tuple[Decoder, Encoder]:
    def read(value: Any, path: Path) -> Any:
        if not isinstance(value, dict):
            raise _fail(path, "a mapping")
        return {key: None if one is None and optional else decoder(one, (*path, key)) for key, one in value.items()}

    def write(value: Any, json: bool) -> Any:
        return {key: None if value[key] is None else encoder(value[key], json) for key in ordered(value, json)}

    return read, write


def _plan(cls: type) -> Any:
    plan = _plans.get(cls)
    if plan is None:
        rows = {
            name: (*_kind(annotation), default, (cls.__name__, name), annotation)
            for name, annotation, default in columns(cls)
            if name != "extensions"
        }
        plan = _plans[cls] = (rows, len(rows) < len(columns(cls)))
    return plan


def decode(cls: type, tree: Any, path: Path, **given: Any) -> Any:
    """An object of one of the model's classes. Keys that the class does not have are its extensions. Raises BadValue."""
    if tree is None:
        tree = {}
    if not isinstance(tree, dict):
        raise _fail(path, "a mapping")
    rows, extensible = _plan(cls)
    extensions = {}
    for key, value in tree.items():
        row = rows.get(key)
        if row is None:
            if key.startswith("x-"):
                extensions[key] = value
        elif value is not None:
            given[key] = row[0](value, (*path, key))
    if extensions and extensible:
        given["extensions"] = extensions
    return cls(**given)


def encode(value: Any, json: bool = False, skip: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The document of an object: fields that are not given are left out."""
    rows, extensible = _plan(type(value))
    capitals = json and type(value).__name__ in _CAPITALS
    found: dict[str, Any] = {}
    given = vars(value)  # the rest are defaults of the class, of which few are printed
    for name, (_, encoder, default, mark, annotation) in rows.items():
        if name in skip or (name not in given and not default and mark not in _PRINTED):
            continue
        one = getattr(value, name)
        if one is None:
            if json and mark in _ALWAYS_JSON:
                found[name] = _ALWAYS_JSON[mark]
            continue
        # an empty command is one; an object is printed where it is optional and given, and always in JSON
        if not one or (annotation in _OBJECTS and one == default):
            kept = mark in _ALWAYS or (annotation.endswith("| None") and one is not None) or (json and annotation in _OBJECTS)
            if not kept:
                continue
        found[name.capitalize() if capitals else name] = encoder(one, json)
    if extensible and not json:
        found |= _plain(value.extensions, json)
    return found


_OBJECTS = frozenset({"Resources", "Placement", "Ipam"})
