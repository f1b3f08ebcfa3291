"""libyaml's parser out of PyYAML: `CParser`, the kinds of nodes, `YAMLError`. Called by `yaml.py` only.

Importing `yaml` as a whole brings PyYAML's own reader, scanner, resolver and emitter with their regular expressions: 20 ms, a third of what
loading a compose file may cost, for nothing that is used here. Its extension module needs the package's marks, tokens, events and nodes,
and names of errors; that is what the package holds until somebody asks it for more.
"""

from __future__ import annotations

import sys
from _frozen_importlib import module_from_spec  # importlib itself imports warnings and types
from _frozen_importlib_external import PathFinder

from scow.cli import libraries

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

_ERRORS = {  # module -> the class of it that the extension module raises, beside the reader's
    "scanner": "ScannerError",
    "parser": "ParserError",
    "composer": "ComposerError",
    "constructor": "ConstructorError",
    "emitter": "EmitterError",
    "serializer": "SerializerError",
    "representer": "RepresenterError",
}


class _Names:
    """A module that is not imported, but for one name."""

    def __init__(self, name: str, value: type) -> None:
        setattr(self, name, value)


def _lean() -> None:
    """Puts the package in place with what its extension module needs."""
    spec = PathFinder.find_spec("yaml")
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError("PyYAML is not installed", name="yaml")
    loader, package = spec.loader, module_from_spec(spec)
    sys.modules["yaml"] = package
    from yaml import error, events, nodes, tokens

    for module in (error, events, nodes, tokens):
        vars(package).update({name: one for name, one in vars(module).items() if isinstance(one, type)})

    class ReaderError(error.YAMLError):  # type: ignore[misc]
        """A character that may not be there, at a byte of the text."""

        def __init__(self, name: str, position: int, character: int, encoding: str, reason: str) -> None:
            super().__init__(reason)
            self.position, self.reason = position, reason

    vars(package)["reader"] = _Names("ReaderError", ReaderError)
    for name, cls in _ERRORS.items():
        vars(package)[name] = _Names(cls, type(cls, (error.MarkedYAMLError,), {}))

    def whole(name: str) -> Any:
        del package.__getattr__
        loader.exec_module(package)
        return getattr(package, name)

    package.__getattr__ = whole  # type: ignore[method-assign]


libraries.load()
if "yaml" not in sys.modules:
    _lean()

from yaml._yaml import CParser  # noqa: E402
from yaml.error import YAMLError  # noqa: E402
from yaml.events import AliasEvent, CollectionEndEvent, DocumentStartEvent, MappingStartEvent, ScalarEvent  # noqa: E402
from yaml.nodes import MappingNode, ScalarNode, SequenceNode  # noqa: E402

ComposerError: type[YAMLError] = sys.modules["yaml"].composer.ComposerError

__all__ = [
    "AliasEvent",
    "CParser",
    "CollectionEndEvent",
    "ComposerError",
    "DocumentStartEvent",
    "MappingNode",
    "MappingStartEvent",
    "ScalarEvent",
    "ScalarNode",
    "SequenceNode",
    "YAMLError",
]
