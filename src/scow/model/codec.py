"""JSON to dataclass and back, as Go's encoding/json does it.

Keys match without regard to case, null leaves the default, unknown keys are dropped, a wrong type is an `InvalidArgument` with Go's
sentence. A field's JSON key is its `metadata["json"]`, or its name in CamelCase. A class may give `__wrap__` names: see `key`.
"""

import dataclasses
import functools
import json
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from scow.errors import InvalidArgument

T = TypeVar("T")

Decoder = Callable[[Any, str], Any]
_INT64 = 1 << 63
_MANY = 65_536  # entries of one list or object: more is no request but a way to keep the engine busy


def key(name: str, default: Any = dataclasses.MISSING, factory: Any = dataclasses.MISSING, **marks: Any) -> Any:
    """A field whose JSON key is `name`. `default` or `factory` as in `dataclasses.field`; `strs=True` accepts a string for a list."""
    meta = {"json": name, **marks}
    if factory is not dataclasses.MISSING:
        return dataclasses.field(default_factory=factory, metadata=meta)
    return dataclasses.field(default=default, metadata=meta)


def json_key(field: "dataclasses.Field[Any]") -> str:
    """The JSON key of a dataclass field."""
    named = field.metadata.get("json")
    return named if named else "".join(part.capitalize() for part in field.name.split("_"))


def parse(data: bytes | str) -> Any:
    """Strict JSON text to Python values. Raises InvalidArgument: malformed, trailing data, NaN, too deep, not UTF-8."""
    if not isinstance(data, str):
        try:
            data = data.decode()
        except UnicodeDecodeError as exc:
            raise InvalidArgument("invalid JSON: the body is not UTF-8") from exc
    try:
        return json.loads(data, parse_constant=_constant, parse_int=_integer)
    except json.JSONDecodeError as exc:
        if exc.pos >= len(data.rstrip()):
            raise InvalidArgument("invalid JSON: unexpected EOF") from exc
        if exc.msg == "Extra data":
            raise InvalidArgument("invalid JSON: unexpected content after JSON") from exc
        raise InvalidArgument(f"invalid JSON: {exc.msg} at offset {exc.pos}") from exc
    except RecursionError as exc:
        raise InvalidArgument("invalid JSON: exceeded max depth") from exc


def _constant(text: str) -> Any:
    raise InvalidArgument(f"invalid JSON: invalid character in literal {text}")


def _integer(text: str) -> int:
    if len(text) > 40:  # beyond any integer of the API, and int() of a long text is quadratic
        raise InvalidArgument(f"invalid JSON: number {text[:20]}… out of range")
    return int(text)


def decode(cls: type[T], data: bytes | str | Mapping[str, Any]) -> T:
    """Build `cls` from JSON text or from parsed JSON. Raises InvalidArgument."""
    value = parse(data) if isinstance(data, bytes | str) else data
    if value is None:
        value = {}
    decoded: T = _decoder(typing.cast(Any, cls))(value, "")
    return decoded


_PLAIN = frozenset({str, int, bool, float, type(None)})


def encode(obj: Any) -> Any:
    """The JSON-ready form of a dataclass (or of a list, dict or plain value holding some), every key present."""
    keys = _keys(type(obj))
    if keys is not None:
        # nearly all values are plain: asking here spares a call for each
        return {name: part if type(part := getattr(obj, attribute)) in _PLAIN else encode(part) for attribute, name in keys}
    if isinstance(obj, dict):
        return {name: value if type(value) in _PLAIN else encode(value) for name, value in obj.items()}
    if isinstance(obj, list | tuple):
        return [value if type(value) in _PLAIN else encode(value) for value in obj]
    return obj


def _made_keys(cls: Any) -> tuple[tuple[str, str], ...] | None:
    """(attribute, JSON key) of each field of a dataclass, None for other types."""
    return tuple((field.name, json_key(field)) for field in dataclasses.fields(cls)) if dataclasses.is_dataclass(cls) else None


_keys: Callable[[Any], tuple[tuple[str, str], ...] | None] = functools.cache(_made_keys)


def _mismatch(value: Any, path: str, want: str) -> InvalidArgument:
    kind = {bool: "bool", str: "string", int: "number", float: "number", list: "array", dict: "object"}.get(type(value), "value")
    where = f" into Go struct field {path}" if path else " into Go value"
    return InvalidArgument(f"json: cannot unmarshal {kind}{where} of type {want}")


def _too_many(value: list[Any] | dict[str, Any], path: str) -> InvalidArgument:
    return InvalidArgument(f"{path or 'the request'} has too many entries: {len(value)} (at most {_MANY})")


def _string(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise _mismatch(value, path, "string")
    if value.isascii():
        return value
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # a lone surrogate becomes U+FFFD, as in Go


def _bool(value: Any, path: str) -> bool:
    if not isinstance(value, bool):
        raise _mismatch(value, path, "bool")
    return value


def _int(value: Any, path: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not -_INT64 <= value < _INT64:
        raise _mismatch(value, path, "int64")
    return value


def _float(value: Any, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _mismatch(value, path, "float64")
    return float(value)


def _any(value: Any, path: str) -> Any:
    return value


_SCALARS: dict[Any, Decoder] = {str: _string, bool: _bool, int: _int, float: _float, Any: _any, object: _any}
_ZERO: dict[Any, Any] = {str: "", bool: False, int: 0, float: 0.0}


@functools.cache
def _decoder(hint: Any) -> Decoder:
    if hint in _SCALARS:
        return _SCALARS[hint]
    if dataclasses.is_dataclass(hint):
        return _dataclass(typing.cast(type, hint))
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        inner = [arg for arg in args if arg is not type(None)]
        return _decoder(inner[0])  # null is handled by the holder: it means the default
    if origin in (list, tuple):
        return _list(args[0], tuple if origin is tuple else list)
    if origin is dict:
        return _dict(args[1])
    if hint is dict:
        return _dict(Any)
    raise TypeError(f"no decoder for {hint!r}")


def _list(element: Any, build: Callable[[Any], Any]) -> Decoder:
    inner, zero = _decoder(element), _ZERO.get(element)

    def decode_list(value: Any, path: str) -> Any:
        if not isinstance(value, list):
            raise _mismatch(value, path, f"[]{getattr(element, '__name__', 'value')}")
        if len(value) > _MANY:
            raise _too_many(value, path)
        if zero is not None:
            return build([zero if item is None else inner(item, path) for item in value])
        return build([inner(item, path) for item in value if item is not None])

    return decode_list


def _dict(element: Any) -> Decoder:
    nullable = type(None) in typing.get_args(element) or element in (Any, object)
    bare = next(arg for arg in typing.get_args(element) if arg is not type(None)) if nullable and typing.get_args(element) else element
    inner = _decoder(element)
    empty = typing.get_origin(bare) or bare  # what null makes of an element: Go's zero value
    name_of = getattr(bare, "__name__", "value")

    def decode_dict(value: Any, path: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise _mismatch(value, path, f"map[string]{name_of}")
        if len(value) > _MANY:
            raise _too_many(value, path)
        out: dict[str, Any] = {}
        for name, item in value.items():
            if item is None:
                out[_string(name, path)] = None if nullable else empty()
            else:
                out[_string(name, path)] = inner(item, f"{path}.{name}" if path else name)
        return out

    return decode_dict


def _strings(value: Any, path: str) -> list[str]:
    """Go's strslice: a list of strings, or one string."""
    if isinstance(value, str):
        return [value]
    out: list[str] = _list(str, list)(value, path)
    return out


def _dataclass(cls: type) -> Decoder:
    table: dict[str, tuple[str, Decoder]] | None = None

    def build_table() -> dict[str, tuple[str, Decoder]]:
        hints = typing.get_type_hints(cls)
        out = {}
        for field in dataclasses.fields(cls):
            decoder = _strings if field.metadata.get("strs") else field.metadata.get("decoder") or _decoder(hints[field.name])
            out[json_key(field).lower()] = (field.name, decoder)
        return out

    def decode_object(value: Any, path: str) -> Any:
        nonlocal table
        if table is None:
            table = build_table()
        if not isinstance(value, dict):
            raise _mismatch(value, path, cls.__name__)
        values: dict[str, Any] = {}
        for name, item in value.items():
            known = table.get(name.lower())
            if known is not None and item is not None:
                attribute, inner = known
                values[attribute] = inner(item, f"{path}.{name}" if path else f"{cls.__name__}.{name}")
        return cls(**values)

    return decode_object
