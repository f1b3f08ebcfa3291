"""Frozen records: dataclasses to type checkers, made here without the import of `dataclasses` (which brings inspect, re and ast: a third of
the time in which a small compose file was loaded) and without methods compiled for each class. Used all over `compose/`.

A record's `__dict__` has what was given, its class the defaults: a service has a hundred fields, of which a dozen are given.
"""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import dataclass as record
    from dataclasses import field, replace
    from typing import Any

__all__ = ["columns", "field", "record", "replace"]

_MADE: dict[type, _Class] = {}


class _Class:
    """What is known of one class of records."""

    __slots__ = ("annotations", "constants", "factories", "names", "required")

    def __init__(self, annotations: dict[str, str], defaults: dict[str, Any]) -> None:
        self.annotations = annotations
        self.names = annotations.keys()
        self.constants = {name: one for name, one in defaults.items() if type(one) is not _Factory}
        self.factories = [(name, one.make) for name, one in defaults.items() if type(one) is _Factory]
        self.required = frozenset(self.names - defaults.keys())


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
        if not given.keys() <= made.names or not made.required <= given.keys():
            wrong = [*(given.keys() - made.names), *(made.required - given.keys())]
            raise TypeError(f"{type(self).__name__}: unknown or missing: {', '.join(sorted(wrong))}")
        for name, make in made.factories:
            if name not in given:
                given[name] = make()
        self.__dict__.update(given)

    def __eq__(self: Any, other: object) -> Any:
        return _values(self) == _values(other) if type(other) is type(self) else NotImplemented

    def __repr__(self: Any) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in _MADE[type(self)].names)
        return f"{type(self).__name__}({shown})"


class _Frozen:
    """What those have that don't change."""

    def __hash__(self: Any) -> int:
        return hash(tuple([getattr(self, name) for name in _MADE[type(self)].names]))

    def __setattr__(self: Any, name: str, value: object) -> None:
        raise AttributeError(f"cannot assign to field {name!r}")

    def __delattr__(self: Any, name: str) -> None:
        raise AttributeError(f"cannot delete field {name!r}")


_OF_ALL = {name: one for name, one in vars(_Methods).items() if callable(one)}
_OF_FROZEN = {**_OF_ALL, **{name: one for name, one in vars(_Frozen).items() if callable(one)}}


def _values(one: Any) -> dict[str, Any]:
    return {**_MADE[type(one)].constants, **vars(one)}


def columns(cls: type) -> list[tuple[str, str, Any]]:
    """(name, annotation, default) of the fields of a class of records, as declared; "" where there is no default."""
    made = _MADE[cls]
    fresh = {name: make() for name, make in made.factories}
    return [(name, annotation, fresh.get(name, made.constants.get(name, ""))) for name, annotation in made.annotations.items()]


if not TYPE_CHECKING:

    def record(*, slots: bool, frozen: bool = False, kw_only: bool = False) -> Callable[[type], type]:
        """A class decorator. Type checkers see to `slots` and `kw_only`."""

        def decorate(cls: type) -> type:
            annotations = cls.__annotations__
            _MADE[cls] = _Class(annotations, {name: one for name, one in vars(cls).items() if name in annotations})
            for name, method in (_OF_FROZEN if frozen else _OF_ALL).items():
                setattr(cls, name, method)
            return cls

        return decorate

    def field(*, default_factory: Callable[[], Any]) -> Any:
        """The default of a field that is made anew for each record."""
        return _Factory(default_factory)

    def replace(one: Any, **changes: Any) -> Any:
        """A record with other values in some fields."""
        return type(one)(**{**vars(one), **changes})
