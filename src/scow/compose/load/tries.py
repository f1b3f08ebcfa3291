"""Rules by path: `{"services.*.ports": rule}` as a tree that is walked beside a document, so that only what has a rule is visited.
`*` stands for any one key or item. Called by the steps of the loader."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    Trie = dict[str | None, Any]
    Path = tuple[str, ...]

RULE = None  # the key of a trie's own rule: no document has it


def trie(rules: Mapping[str, Any]) -> Trie:
    """The tree of a table of rules."""
    root: Trie = {}
    for pattern, rule in rules.items():
        node = root
        for part in pattern.split("."):
            node = node.setdefault(part, {})
        node[RULE] = rule
    return root


def below(node: Trie | None, key: str) -> Trie | None:
    """The part of a trie for a key: the key's own rules win over those of `*`."""
    if not node:
        return None
    return node.get(key, node.get("*"))


def apply(value: Any, node: Trie, fn: Callable[[Any, Any, Path], Any], path: Path = ()) -> Any:
    """Replaces what has a rule by `fn(rule, value, path)`, from the outside in; containers are changed in place."""
    rule = node.get(RULE)
    if rule is not None:
        value = fn(rule, value, path)
    if isinstance(value, dict):
        any_key: Any = node.get("*")
        for key in [one for one in value if one in node] if any_key is None else list(value):
            value[key] = apply(value[key], node.get(key, any_key), fn, (*path, key))
    elif isinstance(value, list):
        child = node.get("*")
        if child is not None:
            for index, one in enumerate(value):
                value[index] = apply(one, child, fn, (*path, str(index)))
    return value


def dotted(path: Path) -> str:
    """A path as sentences show it."""
    return ".".join(path)
