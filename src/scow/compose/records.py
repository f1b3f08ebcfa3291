"""Frozen dataclasses that cost little at import: their methods are shared, where `dataclasses` compiles half a dozen for each class
(a quarter of the time in which a compose file is loaded). Used by `project.py`; `fields` and `replace` of dataclasses work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, FrozenInstanceError, dataclass, fields
from typing import TYPE_CHECKING, Any

__all__ = ["record"]

if TYPE_CHECKING:
    from dataclasses import dataclass as record  # checked as what they are
else:

    def record(**options: bool) -> Callable[[type], type]:
        """A class decorator; the options are those of every record: frozen, slots, kw_only."""
        assert options == {"frozen": True, "slots": True, "kw_only": True}

        def decorate(cls: type) -> type:
            for name in _SHARED:
                setattr(cls, name, _Methods.__dict__[name])
            cls.__doc__ = cls.__doc__ or cls.__name__  # else dataclasses works out a signature
            made = dataclass(init=False, repr=False, eq=False, slots=True)(cls)
            _rows[made] = tuple([(one.name, one.default, one.default_factory) for one in fields(made)])
            return made

        return decorate


_rows: dict[type, tuple[tuple[str, Any, Any], ...]] = {}
_put = object.__setattr__


def _values(one: Any) -> tuple[Any, ...]:
    return tuple([getattr(one, name) for name, _, _ in _rows[type(one)]])


class _Methods:
    """What every record has."""

    def __init__(self: Any, **given: Any) -> None:
        for name, default, factory in _rows[type(self)]:
            if name in given:
                _put(self, name, given.pop(name))
            elif factory is not MISSING:
                _put(self, name, factory())
            elif default is not MISSING:
                _put(self, name, default)
            else:
                raise TypeError(f"{type(self).__name__}: {name} is missing")
        if given:
            raise TypeError(f"{type(self).__name__} has no {', '.join(given)}")

    def __eq__(self: Any, other: object) -> Any:
        return _values(self) == _values(other) if type(other) is type(self) else NotImplemented

    def __hash__(self: Any) -> int:
        return hash(_values(self))

    def __repr__(self: Any) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name, _, _ in _rows[type(self)])
        return f"{type(self).__name__}({shown})"

    def __setattr__(self: Any, name: str, value: object) -> None:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self: Any, name: str) -> None:
        raise FrozenInstanceError(f"cannot delete field {name!r}")


_SHARED = ("__init__", "__eq__", "__hash__", "__repr__", "__setattr__", "__delattr__")
