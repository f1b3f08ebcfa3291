"""YAML as compose files mean it: scalars by the rules of YAML 1.2 (`on` and `12:30` are texts), merge keys, `!reset` and `!override`,
and the place of every value. Parsing is libyaml's; what is made of its nodes is decided here. Called by `loader.py` and `extends.py`.

Bounds: size of a text, depth, and number of values after aliases are followed (an alias is a copy, so that merging may change it).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from scow.cli import libraries
from scow.compose.load.errors import LoadError, Place

libraries.load()
import yaml  # noqa: E402
from yaml._yaml import CParser  # noqa: E402

MAX_TEXT = 16 << 20
MAX_DEPTH = 64
MAX_VALUES = 500_000
Path = tuple[str, ...]

_SCALAR, _SEQUENCE, _MAPPING = yaml.ScalarNode, yaml.SequenceNode, yaml.MappingNode
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_NUMERIC = frozenset("0123456789+-.")
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)\Z")
_BASED = re.compile(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+))\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_STR, _PLAIN, _RESET, _OVERRIDE = "tag:yaml.org,2002:str", "plain", "!reset", "!override"
_STRICT: dict[str, Any] = {
    "tag:yaml.org,2002:int": int,
    "tag:yaml.org,2002:float": (int, float),
    "tag:yaml.org,2002:bool": bool,
    "tag:yaml.org,2002:null": type(None),
}


class _Loader(CParser):  # type: ignore[misc]
    """libyaml without PyYAML's idea of what a plain scalar is: a node has the tag that is written, or one of ours."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        return _PLAIN if kind is _SCALAR and implicit[0] else _STR

    def descend_resolver(self, node: Any, index: Any) -> None:
        """Rules by path are not used."""

    def ascend_resolver(self) -> None:
        """Rules by path are not used."""


def scalar(text: str) -> Any:
    """What a plain scalar stands for."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMERIC:
        return text
    plain = text.replace("_", "")
    if _INT.match(plain):
        value = int(plain) if len(plain) < 25 else 1 << 64
        return value if -(1 << 63) <= value < 1 << 64 else float(plain[:400])
    based = _BASED.match(plain)
    if based:
        sign, hexa, binary, octal = based.groups()
        digits, base = (hexa, 16) if hexa else (binary, 2) if binary else (octal, 8)
        value = int(digits, base) if len(digits) < 70 else 1 << 64
        if value < 1 << 64:
            return -value if sign == "-" else value
        return text
    if len(plain) < 400 and _FLOAT.match(plain):
        return float(plain)
    return text


class Document:
    """One YAML document: `tree` is its value, `resets` the paths that `!reset` and `!override` take from what was read before."""

    __slots__ = ("_count", "_open", "file", "resets", "root", "tree")

    def __init__(self, file: str, root: Any) -> None:
        self.file = file
        self.root = root
        self.resets: list[Path] = []
        self._count = 0
        self._open: set[int] = set()
        self.tree = self._value(root, (), 0)

    def _fail(self, message: str, node: Any) -> LoadError:
        return LoadError(f"yaml: {message}", Place(self.file, node.start_mark.line + 1, node.start_mark.column + 1))

    def _value(self, node: Any, path: Path, depth: int) -> Any:
        self._count += 1
        if type(node) is _SCALAR:
            return self._scalar(node)
        if depth > MAX_DEPTH:
            raise self._fail(f"nested deeper than {MAX_DEPTH} levels", node)
        if self._count > MAX_VALUES:
            raise self._fail(f"more than {MAX_VALUES} values: aliases are copied wherever they stand", node)
        mark = id(node)
        if mark in self._open:
            raise self._fail("an alias stands inside what it names (a cycle)", node)
        self._open.add(mark)
        try:
            if type(node) is _MAPPING:
                return self._mapping(node, path, depth)
            return [
                self._value(one, (*path, str(index)), depth + 1)
                for index, one in enumerate(node.value)
                if not self._reset(one, (*path, str(index)))
            ]
        finally:
            self._open.discard(mark)

    def _reset(self, node: Any, path: Path) -> bool:
        """Whether the node is to be left out; notes `!reset` and `!override`."""
        tag = node.tag
        if tag in (_RESET, _OVERRIDE):
            self.resets.append(path)
            return bool(tag == _RESET)
        return False

    def _mapping(self, node: Any, path: Path, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: list[dict[str, Any]] = []
        for key_node, value_node in node.value:
            if type(key_node) is not _SCALAR:
                raise self._fail("a key is a text", key_node)
            key = key_node.value
            if key == "<<" and key_node.tag == _PLAIN:
                merged.extend(self._merged(value_node, path, depth))
                continue
            if key_node.tag == _PLAIN and (key[:1] in _NUMERIC or key in _WORDS) and not isinstance(scalar(key), str):
                raise self._fail(f"Non-string key in {'.'.join(path)}: {key[:80]}" if path else f"Non-string key: {key[:80]}", key_node)
            if key in found:
                raise self._fail(f'mapping key "{key}" already defined', key_node)
            below = (*path, key)
            if not self._reset(value_node, below):
                found[key] = self._value(value_node, below, depth + 1)
        for one in merged:
            for key, value in one.items():
                found.setdefault(key, value)
        return found

    def _merged(self, node: Any, path: Path, depth: int) -> list[dict[str, Any]]:
        nodes = node.value if type(node) is _SEQUENCE else [node]
        if any(type(one) is not _MAPPING for one in nodes):
            raise self._fail("map merge requires map or sequence of maps as the value", node)
        return [self._value(one, path, depth + 1) for one in nodes]

    def _scalar(self, node: Any) -> Any:
        tag, text = node.tag, node.value
        if tag == _PLAIN or (tag == _OVERRIDE and not node.style):
            return scalar(text)
        if tag in _STRICT:
            value = scalar(text)
            if not isinstance(value, _STRICT[tag]):
                raise self._fail(f"cannot decode {text[:40]!r} as {tag.rpartition(':')[2]}", node)
            return value
        return text

    def place(self, path: Path, key: bool = False) -> tuple[int, Place]:
        """(how much of the path is in this document, where its end is written); `key` asks for the place of the last key."""
        node, at, depth = self.root, self.root, 0
        for part in path:
            step = _step(node, part, 0)
            if step is None:
                break
            depth += 1
            at, node = step
        if not key or depth < len(path):
            at = at if depth else node
        return depth, Place(self.file, at.start_mark.line + 1, at.start_mark.column + 1)


def _step(node: Any, part: str, depth: int) -> tuple[Any, Any] | None:
    """(node of the key or item, node of the value) below a node; merged mappings are looked through."""
    if type(node) is _SEQUENCE:
        if part.isdigit() and int(part) < len(node.value):
            child = node.value[int(part)]
            return child, child
        return None
    if type(node) is not _MAPPING or depth > MAX_DEPTH:
        return None
    for key, value in node.value:
        if key.value == part:
            return key, value
    for key, value in node.value:
        if key.value == "<<":
            for one in value.value if type(value) is _SEQUENCE else [value]:
                found = _step(one, part, depth + 1)
                if found:
                    return found
    return None


def documents(text: bytes, file: str) -> Iterator[Document]:
    """The documents of a text. Raises LoadError."""
    if len(text) > MAX_TEXT:
        raise LoadError(f"yaml: larger than {MAX_TEXT >> 20} MB", Place(file))
    try:
        loader = _Loader(text.decode("utf-8-sig"))
    except UnicodeDecodeError as exc:
        raise LoadError(f"yaml: not UTF-8 (byte {exc.start})", Place(file)) from None
    except yaml.YAMLError as exc:
        raise _broken(exc, file) from None
    try:
        while True:
            try:
                root = loader.get_node() if loader.check_node() else None
            except yaml.YAMLError as exc:
                raise _broken(exc, file) from None
            except RecursionError:
                raise LoadError("yaml: nested too deeply", Place(file)) from None
            if root is None:
                return
            yield Document(file, root)
    finally:
        loader.dispose()


def _broken(exc: yaml.YAMLError, file: str) -> LoadError:
    mark = getattr(exc, "problem_mark", None)
    problem = getattr(exc, "problem", None) or getattr(exc, "reason", None) or str(exc).splitlines()[0]
    place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file)
    line = f" line {mark.line + 1}:" if mark else ""
    return LoadError(f"yaml:{line} {problem}", place)
