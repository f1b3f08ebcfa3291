"""Routes: a tree of path segments. `{x}` is one segment, `{x:path}` one or more (names of images hold slashes)."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

from scow.api.call import Handler, Route


class _Node:
    __slots__ = ("children", "names", "param", "routes")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.param: _Node | None = None
        self.routes: dict[str, tuple[Route, tuple[str, ...]]] = {}


class Router:
    """The table of routes."""

    def __init__(self) -> None:
        self._root = _Node()
        self._greedy: list[tuple[Route, tuple[str, ...], str, tuple[str, ...]]] = []
        self._all: list[Route] = []

    def add(self, method: str, pattern: str, handler: Handler, cancel: bool = False, follow: bool = False, since: int = 0) -> None:
        """Register a handler; a later one for the same endpoint replaces the first."""
        route = Route(method, pattern, handler, cancel or follow, follow, since)
        self._all.append(route)
        segments = pattern.strip("/").split("/")
        greedy = [at for at, segment in enumerate(segments) if segment.endswith(":path}")]
        if greedy:
            at = greedy[0]
            self._greedy.append((route, tuple(segments[:at]), segments[at][1:-6], tuple(segments[at + 1 :])))
            return
        node, names = self._root, []
        for segment in segments:
            if segment.startswith("{"):
                names.append(segment[1:-1])
                node.param = node.param or _Node()
                node = node.param
            else:
                node = node.children.setdefault(segment, _Node())
        node.routes[method] = (route, tuple(names))

    @property
    def routes(self) -> Iterable[Route]:
        """All registered routes."""
        return tuple(self._all)

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """The route of a path (percent-encoded, without version prefix) and its decoded parameters."""
        segments = [unquote(segment, errors="replace") for segment in path[1:].split("/")]
        found = self._walk(self._root, segments, 0, [], method)
        if found is not None:
            (route, names), values = found
            return route, dict(zip(names, values, strict=True))
        for route, before, name, after in self._greedy:
            first, last = len(before), len(segments) - len(after)
            if route.method != method or last - first < 1 or tuple(segments[:first]) != before or tuple(segments[last:]) != after:
                continue
            value = "/".join(segments[first:last])
            if value:
                return route, {name: value}
        return None

    def _walk(self, node: _Node, segments: list[str], at: int, values: list[str], method: str) -> tuple[Any, list[str]] | None:
        if at == len(segments):
            entry = node.routes.get(method)
            return (entry, values) if entry is not None else None
        segment = segments[at]
        child = node.children.get(segment)
        if child is not None:
            found = self._walk(child, segments, at + 1, values, method)
            if found is not None:
                return found
        if node.param is not None and segment:
            return self._walk(node.param, segments, at + 1, [*values, segment], method)
        return None
