"""YAML as compose files mean it: scalars by the rules of YAML 1.2 (`on` and `12:30` are texts), merge keys, `!reset` and `!override`,
and the place of every value. Parsing is libyaml's; what is made of its nodes is decided here. Called by `loader.py` and `extends.py`.

Bounds: size of a text, depth, and number of values after aliases are followed (an alias is a copy, so that merging may change it).
"""

from __future__ import annotations

from scow.compose.load.errors import LoadError, Place
from scow.compose.load.libyaml import (
    AliasEvent,
    CollectionEndEvent,
    ComposerError,
    CParser,
    DocumentStartEvent,
    MappingNode,
    MappingStartEvent,
    ScalarEvent,
    ScalarNode,
    SequenceNode,
    YAMLError,
)

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    Path = tuple[str, ...]

MAX_TEXT = 16 << 20
MAX_DEPTH = 64
MAX_VALUES = 500_000

_SCALAR, _SEQUENCE, _MAPPING = ScalarNode, SequenceNode, MappingNode
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_NUMERIC = frozenset("0123456789+-.")
_OF_FLOATS = _NUMERIC | frozenset("eE")
_BASES = {"x": (16, frozenset("0123456789abcdefABCDEF")), "b": (2, frozenset("01")), "o": (8, frozenset("01234567"))}
_STR, _PLAIN, _RESET, _OVERRIDE = "tag:yaml.org,2002:str", "plain", "!reset", "!override"
_TAKES = (_RESET, _OVERRIDE)
_STRICT: dict[str, Any] = {
    "tag:yaml.org,2002:int": int,
    "tag:yaml.org,2002:float": (int, float),
    "tag:yaml.org,2002:bool": bool,
    "tag:yaml.org,2002:null": type(None),
}


class _Loader(CParser):  # type: ignore[misc]
    """libyaml without PyYAML's idea of what a plain scalar is: a node has the tag that is written, or one of ours."""

    file = ""
    nodes = 0

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        return _PLAIN if kind is _SCALAR and implicit[0] else _STR

    def descend_resolver(self, parent: Any, index: Any) -> None:
        """Called before each node: the parser itself would fill the memory."""
        self.nodes += 1
        if self.nodes > MAX_VALUES:
            mark = getattr(parent, "start_mark", None)
            place = Place(self.file, mark.line + 1, mark.column + 1) if mark else Place(self.file)
            raise LoadError(f"yaml: more than {MAX_VALUES} values", place)

    def ascend_resolver(self) -> None:
        """Rules by path are not used."""


def scalar(text: str) -> Any:
    """What a plain scalar stands for."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMERIC:
        return text
    number = _number(text.replace("_", ""))
    return text if number is None else number


def _number(text: str) -> int | float | None:
    """What a text stands for that begins as numbers do; None where it is none."""
    digits = text[1:] if text[:1] in ("+", "-") else text
    value: int | None = None
    if digits.isdecimal() and digits.isascii() and (digits[0] != "0" or len(digits) == 1):
        value = int(text) if len(text) < 25 else 1 << 64
        return value if -(1 << 63) <= value < 1 << 64 else float(text[:400])
    if digits[:1] == "0":
        base, allowed = _BASES.get(digits[1:2].lower(), (0, frozenset()))
        figures = digits[2:]
        if not base:  # 0755
            (base, allowed), figures = _BASES["o"], digits[1:]
        if figures and allowed.issuperset(figures):
            value = int(figures, base) if len(figures) < 70 else 1 << 64
            return None if value >= 1 << 64 else -value if text[0] == "-" else value
    if len(text) < 400 and _OF_FLOATS.issuperset(text):
        try:
            return float(text)
        except ValueError:
            return None
    return None


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
        if type(node) is _SCALAR:
            return self._scalar(node)
        self._count += len(node.value)
        if depth > MAX_DEPTH:
            raise self._fail(f"nested deeper than {MAX_DEPTH} levels", node)
        if self._count > MAX_VALUES:
            raise self._fail(f"more than {MAX_VALUES} values: aliases are copied wherever they stand", node)
        mark = id(node)
        if mark in self._open:
            raise self._fail("an alias stands inside what it names (a cycle)", node)
        self._open.add(mark)
        found = self._mapping(node, path, depth) if type(node) is _MAPPING else self._sequence(node, path, depth)
        self._open.discard(mark)
        return found

    def _sequence(self, node: Any, path: Path, depth: int) -> list[Any]:
        found = []
        for index, one in enumerate(node.value):
            if type(one) is _SCALAR and one.tag not in _TAKES:  # most are, and need no path
                found.append(self._scalar(one))
            elif not self._reset(one, below := (*path, str(index))):
                found.append(self._value(one, below, depth + 1))
        return found

    def _reset(self, node: Any, path: Path) -> bool:
        """Whether the node is to be left out; notes `!reset` and `!override`."""
        if node.tag in _TAKES:
            self.resets.append(path)
            return bool(node.tag == _RESET)
        return False

    def _mapping(self, node: Any, path: Path, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: list[dict[str, Any]] = []
        for key_node, value_node in node.value:
            if type(key_node) is not _SCALAR:
                raise self._fail("a key is a text", key_node)
            key = key_node.value
            if key_node.tag == _PLAIN:
                if key == "<<":
                    merged.extend(self._merged(value_node, path, depth))
                    continue
                if (key[:1] in _NUMERIC or key in _WORDS) and not isinstance(scalar(key), str):
                    where = f" in {'.'.join(path)}" if path else ""
                    raise self._fail(f"Non-string key{where}: {key[:80]}", key_node)
            if key in found:
                raise self._fail(f'mapping key "{key[:80]}" already defined', key_node)
            if type(value_node) is _SCALAR and value_node.tag not in _TAKES:
                found[key] = self._scalar(value_node)
            elif not self._reset(value_node, below := (*path, key)):
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
        tag = node.tag
        if tag == _PLAIN or (tag == _OVERRIDE and not node.style):
            return scalar(node.value)
        if tag in _STRICT:
            value = scalar(node.value)
            if not isinstance(value, _STRICT[tag]):
                raise self._fail(f"cannot decode {node.value[:40]!r} as {tag.rpartition(':')[2]}", node)
            return value
        return node.value

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

    def span(self, path: Path) -> tuple[int, int] | None:
        """(begin, end) of the text of a value, in characters of the file; None where it is not there."""
        node = self.root
        for part in path:
            step = _step(node, part, 0)
            if step is None:
                return None
            node = step[1]
        return node.start_mark.index, node.end_mark.index


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
    text = text.removeprefix(b"\xef\xbb\xbf")
    try:
        try:
            roots = _roots(text.decode(), file)
        except ComposerError as exc:
            if exc.problem != "second occurrence":
                raise
            roots = _Composer(text.decode(), file).roots()
    except UnicodeDecodeError as exc:
        raise LoadError(f"yaml: not UTF-8 (byte {text[exc.start]:#04x})", _place(text, exc.start, file)) from None
    except YAMLError as exc:
        raise _broken(exc, text, file) from None
    except RecursionError:
        raise LoadError("yaml: nested too deeply", Place(file)) from None
    for root in roots:
        yield Document(file, root)


def _roots(text: str, file: str) -> list[Any]:
    loader = _Loader(text)
    loader.file = file
    found = []
    try:
        while loader.check_node():
            found.append(loader.get_node())
    finally:
        loader.dispose()
    return found


class _Composer:
    """Nodes from the parser's events, for texts that set one anchor twice, which YAML allows and libyaml's composer does not."""

    def __init__(self, text: str, file: str) -> None:
        self.parser, self.file = CParser(text), file
        self.anchors: dict[str, Any] = {}
        self.nodes = 0

    def roots(self) -> list[Any]:
        """The node of each document."""
        found = []
        self.parser.get_event()  # the stream starts
        while isinstance(self.parser.get_event(), DocumentStartEvent):
            self.anchors = {}
            found.append(self._node(self.parser.get_event()))
            self.parser.get_event()
        return found

    def _node(self, event: Any) -> Any:
        mark, anchor = event.start_mark, event.anchor
        place = Place(self.file, mark.line + 1, mark.column + 1)
        if isinstance(event, AliasEvent):
            if anchor not in self.anchors:
                raise LoadError(f"yaml: line {mark.line + 1}: found undefined alias", place)
            return self.anchors[anchor]
        self.nodes += 1
        if self.nodes > MAX_VALUES:
            raise LoadError(f"yaml: more than {MAX_VALUES} values", place)
        scalar = isinstance(event, ScalarEvent)
        tag = event.tag
        if tag in (None, "!"):
            tag = _PLAIN if scalar and event.implicit[0] else _STR
        node: Any
        if scalar:
            node = ScalarNode(tag, event.value, mark, event.end_mark, event.style)
        else:
            node = (MappingNode if isinstance(event, MappingStartEvent) else SequenceNode)(tag, [], mark, event.end_mark)
        if anchor is not None:
            self.anchors[anchor] = node
        if not scalar:
            while not isinstance(inner := self.parser.get_event(), CollectionEndEvent):
                first = self._node(inner)
                node.value.append((first, self._node(self.parser.get_event())) if type(node) is _MAPPING else first)
        return node


def _place(text: bytes, offset: int, file: str) -> Place:
    start = text.rfind(b"\n", 0, offset) + 1
    return Place(file, text.count(b"\n", 0, offset) + 1, len(text[start:offset].decode("utf-8", "replace")) + 1)


def _broken(exc: YAMLError, text: bytes, file: str) -> LoadError:
    mark = getattr(exc, "problem_mark", None)
    if mark:
        return LoadError(f"yaml: line {mark.line + 1}: {exc.problem}", Place(file, mark.line + 1, mark.column + 1))
    return LoadError(f"yaml: {getattr(exc, 'reason', None) or exc}", _place(text, getattr(exc, "position", None) or 0, file))
