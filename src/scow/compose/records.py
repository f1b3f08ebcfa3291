"""Frozen, slotted records: dataclasses to type checkers, made here without the import of `dataclasses` (which brings inspect, re and ast:
a third of the time in which a small compose file was loaded) and without methods compiled for each class. Used all over `compose/`."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import dataclass as record
    from dataclasses import field, replace
    from typing import Any

__all__ = ["columns", "field", "record", "replace"]

_put = object.__setattr__
_MADE: dict[type, _Class] = {}


class _Class:
    """What is known of one class of records."""

    __slots__ = ("annotations", "constants", "factories", "names")

    def __init__(self, names: tuple[str, ...], annotations: dict[str, str], defaults: dict[str, Any]) -> None:
        self.names = names
        self.annotations = annotations
        self.constants = {name: one for name, one in defaults.items() if type(one) is not _Factory}
        self.factories = [(name, one.make) for name, one in defaults.items() if type(one) is _Factory]


class _Factory:
    """A default that is made anew for each record."""

    __slots__ = ("make",)

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make


class _Methods:
    """What every record has."""

    def __init__(self: Any, *placed: Any, **given: Any) -> None:
        made = _MADE[type(self)]
        if placed:
            given.update(zip(made.names, placed, strict=False))
        for name, make in made.factories:
            if name not in given:
                given[name] = make()
        values = {**made.constants, **given}
        try:
            for name in made.names:
                _put(self, name, values.pop(name))
        except KeyError:
            raise TypeError(f"{type(self).__name__}: {name} is missing") from None
        if values:
            raise TypeError(f"{type(self).__name__} has no {', '.join(values)}")

    def __eq__(self: Any, other: object) -> Any:
        return _values(self) == _values(other) if type(other) is type(self) else NotImplemented

    def __repr__(self: Any) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in _MADE[type(self)].names)
        return f"{type(self).__name__}({shown})"


class _Frozen:
    """What those have that don't change."""

    def __hash__(self: Any) -> int:
        return hash(tuple(_values(self)))

    def __setattr__(self: Any, name: str, value: object) -> None:
        raise AttributeError(f"cannot assign to field {name!r}")

    def __delattr__(self: Any, name: str) -> None:
        raise AttributeError(f"cannot delete field {name!r}")


_OF_ALL = {name: one for name, one in vars(_Methods).items() if callable(one)}
_OF_FROZEN = {**_OF_ALL, **{name: one for name, one in vars(_Frozen).items() if callable(one)}}


def _values(one: Any) -> list[Any]:
    return [getattr(one, name) for name in _MADE[type(one)].names]


def columns(cls: type) -> list[tuple[str, str, Any]]:
    """(name, annotation, default) of the fields of a class of records, as declared; "" where there is no default."""
    made = _MADE[cls]
    fresh = {name: make() for name, make in made.factories}
    return [(name, made.annotations[name], fresh.get(name, made.constants.get(name, ""))) for name in made.names]


if not TYPE_CHECKING:

    def record(*, slots: bool, frozen: bool = False, kw_only: bool = False) -> Callable[[type], type]:
        """A class decorator; type checkers see to `kw_only`."""
        assert slots

        def decorate(cls: type) -> type:
            annotations = dict(cls.__annotations__)
            names = tuple(annotations)
            body = {name: one for name, one in vars(cls).items() if name not in ("__dict__", "__weakref__")}
            defaults = {name: body.pop(name) for name in names if name in body}
            made = type(cls.__name__, cls.__bases__, {**body, **(_OF_FROZEN if frozen else _OF_ALL), "__slots__": names})
            _MADE[made] = _Class(names, annotations, defaults)
            return made

        return decorate

    def field(*, default_factory: Callable[[], Any]) -> Any:
        """The default of a field that is made anew for each record."""
        return _Factory(default_factory)

    def replace(one: Any, **changes: Any) -> Any:
        """A record with other values in some fields."""
        for name in _MADE[type(one)].names:
            if name not in changes:
                changes[name] = getattr(one, name)
        return type(one)(**changes)
