"""`extends`: a service on top of another one, of the same file or another. Called by `loader.py` for each file, before merging."""

from __future__ import annotations

from scow.compose.load.errors import BadValue, LoadError
from scow.compose.load.merge import merge_service
from scow.compose.load.yaml import MAX_VALUES

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Tree = dict[str, Any]
    Path = tuple[str, ...]
    # (path of the file as written, where it is written) -> (its services in long forms, full path, its resets)
    Reader = Callable[[str, Path], tuple[Tree, str, list[Path]]]

MAX_CHAIN = 64


def copy(value: Any) -> Any:
    """A tree that may be changed without changing the first."""
    if isinstance(value, dict):
        return {key: copy(one) for key, one in value.items()}
    return [copy(one) for one in value] if isinstance(value, list) else value


def size(value: Any) -> int:
    """How many values a tree has."""
    if isinstance(value, dict):
        return 1 + sum(size(one) for one in value.values())
    return 1 + sum(size(one) for one in value) if isinstance(value, list) else 1


def reset(tree: Any, paths: list[Path]) -> None:
    """Takes what stands at the paths out of a tree."""
    for path in paths:
        node = tree
        for part in path[:-1]:
            node = node.get(part) if isinstance(node, dict) else None
        if path and isinstance(node, dict):
            node.pop(path[-1], None)


class Extender:
    """The services of one file. `read` gets at other files."""

    def __init__(self, services: Tree, file: str, resets: list[Path], read: Reader) -> None:
        self.services = services
        self.file = file
        self.resets = resets
        self.read = read
        self.budget = MAX_VALUES

    def all(self) -> None:
        """Extends every service, in place. Raises BadValue, LoadError."""
        for name in list(self.services):
            self.services[name] = self._extended(name, self.services, self.file, [self.resets], [])

    def _extended(self, name: str, services: Tree, file: str, resets: list[list[Path]], chain: list[tuple[str, str]]) -> Any:
        service = services[name]
        here: Path = ("services", name)
        if service is None:
            return None
        if not isinstance(service, dict):
            raise BadValue(here, f"services.{name} must be a mapping")
        wanted = service.get("extends")
        if wanted is None:
            return service
        source = wanted.get("service") if isinstance(wanted, dict) else wanted
        other = wanted.get("file") if isinstance(wanted, dict) else None
        if not isinstance(source, str) or not (other is None or isinstance(other, str)):
            raise BadValue((*here, "extends"), f"services.{name}.extends: a service is wanted, and maybe a file")
        if (file, name) in chain:
            first, *rest = [*chain, (file, name)]
            lines = [f"  {first[1]} in {first[0]}", *(f"  extends {one} in {where}" for where, one in rest)]
            raise BadValue((*here, "extends"), "Circular reference:\n" + "\n".join(lines))
        if len(chain) >= MAX_CHAIN:
            raise BadValue((*here, "extends"), f"services.{name}.extends: a chain of more than {MAX_CHAIN}")
        chain = [*chain, (file, name)]
        below = services
        if other is not None:
            below, other_file, more = self.read(other, (*here, "extends", "file"))
            if source not in below:
                raise BadValue((*here, "extends"), f'cannot extend service "{name}" in {file}: service "{source}" not found in {other}')
            resets, file = [*resets, more], other_file
        elif source not in below:
            raise BadValue((*here, "extends"), f'cannot extend service "{name}" in {file}: service "{source}" not found')
        base = self._extended(source, below, file, resets, chain)
        if base is None:
            return service
        self.budget -= size(base)
        if self.budget < 0:
            raise LoadError("services that extend others have too many values")
        base = copy(base)
        for paths in resets:
            reset({"services": {name: base}}, paths)
        merged = merge_service(base, {key: value for key, value in service.items() if key != "extends"})
        merged.pop("extends", None)
        services[name] = merged
        return merged
