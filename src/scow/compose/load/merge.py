"""One compose file over another, and `extends`: mappings merge, texts replace, lists grow, and what the specification says of single
attributes (compose-spec 13, and the plugin where it is silent). Lists whose items have a key of their own (ports, mounts, variables…)
then keep the last item of each key. Works on the trees of `yaml.py`, in short or long forms. Called by `loader.py` and `extends.py`."""

from __future__ import annotations

from scow.compose.load.errors import BadValue
from scow.compose.load.mounts import parse_mount
from scow.compose.load.numbers import text_of
from scow.compose.load.tries import RULE, apply, below, dotted, trie

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from scow.compose.load.tries import Trie

    Path = tuple[str, ...]
    Tree = dict[str, Any]
    Key = Callable[[Any, Path], Any]

DEPENDENCY = {"condition": "service_started", "required": True}


def merge(base: Tree, over: Tree) -> Tree:
    """`over` put on `base`, which is changed. Raises BadValue."""
    merged = _merge(base, over, RULES, ())
    assert isinstance(merged, dict)
    return merged


def merge_service(base: Tree, over: Tree) -> Tree:
    """A service put on the one that it extends, which is changed. Raises BadValue."""
    merged = _merge(base, over, below(below(RULES, "services"), "x") or {}, ("services", "x"))
    assert isinstance(merged, dict)
    return merged


def unique(tree: Tree) -> Tree:
    """Lists with keys keep one item of each key: the last, at the place of the first. Raises BadValue."""
    made: Tree = apply(tree, KEYS, _keep_last)
    return made


def _merge(base: Any, over: Any, node: Trie | None, path: Path) -> Any:
    rule = node.get(RULE) if node else None
    if rule is not None:
        return rule(base, over, node, path)
    if over is None:
        return base
    if isinstance(base, dict):
        if not isinstance(over, dict):
            raise BadValue(path, f"cannot override {dotted(path)}: a mapping is wanted")
        return _mappings(base, over, node, path)
    if isinstance(base, list):
        if not isinstance(over, list):
            raise BadValue(path, f"cannot override {dotted(path)}: a list is wanted")
        return base + over
    return over


def _mappings(base: Tree, over: Tree, node: Trie | None, path: Path) -> Tree:
    for key, value in over.items():
        if key not in base or key.startswith("x-"):
            base[key] = value
        else:
            base[key] = _merge(base[key], value, below(node, key), (*path, key))
    return base


def _replace(base: Any, over: Any, node: Trie, path: Path) -> Any:
    return over


def _sequence(value: Any) -> list[Any]:
    """`KEY=value` items of a mapping, as lists have them."""
    if isinstance(value, dict):
        items = []
        for key in sorted(value):
            one = value[key]
            if one is None:
                items.append(key)
            elif isinstance(one, list):
                items += [f"{key}={text_of(each)}" for each in one]
            else:
                items.append(f"{key}={text_of(one)}")
        return sorted(items)
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


def _sequences(base: Any, over: Any, node: Trie, path: Path) -> list[Any]:
    return _sequence(base) + _sequence(over)


def _new_items(base: Any, over: Any, node: Trie, path: Path) -> list[Any]:
    there = _sequence(base)
    known = {repr(one) for one in there}
    return there + [one for one in _sequence(over) if repr(one) not in known]


def _keyed(default: Tree | None) -> Callable[[Any, Any, Trie, Path], Any]:
    """Lists of names are mappings of names to a default."""

    def rule(base: Any, over: Any, node: Trie, path: Path) -> Any:
        return _mappings(_mapping(base, default, path), _mapping(over, default, path), node, path)

    return rule


def _mapping(value: Any, default: Tree | None, path: Path) -> Tree:
    if isinstance(value, list):
        return {text_of(one): None if default is None else dict(default) for one in value if not isinstance(one, (dict, list))}
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadValue(path, f"cannot override {dotted(path)}: a mapping or a list is wanted")
    return value


def _build(base: Any, over: Any, node: Trie, path: Path) -> Any:
    first, second = ({"context": one} if isinstance(one, str) else one for one in (base, over))
    return _mappings(_mapping(first, None, path), _mapping(second, None, path), node, path)


def _logging(base: Any, over: Any, node: Trie, path: Path) -> Any:
    if not isinstance(base, dict) or not isinstance(over, dict):
        return base if over is None else over
    if base.get("driver") == over.get("driver") or "driver" not in base or "driver" not in over:
        return _mappings(base, over, node, path)
    return over


def _pools(base: Any, over: Any, node: Trie, path: Path) -> Any:
    """Address pools of a network, by subnet."""
    if not isinstance(base, list) or not isinstance(over, list):
        raise BadValue(path, f"cannot override {dotted(path)}: a list is wanted")
    found: dict[Any, Tree] = {}
    for one in (*base, *over):
        if isinstance(one, dict):
            subnet = text_of(one.get("subnet"))
            found[subnet] = _mappings(found[subnet], one, node, path) if subnet in found else one
    return list(found.values())


RULES: Trie = trie(
    {
        "networks.*.ipam.config": _pools,
        **dict.fromkeys(("networks.*.labels", "volumes.*.labels"), _sequences),
        **dict.fromkeys(
            (
                f"services.*.{key}"
                for key in (
                    *("annotations", "build.args", "build.additional_contexts", "build.labels", "deploy.labels", "dns", "dns_opt"),
                    *("dns_search", "env_file", "environment", "label_file", "labels", "sysctls", "tmpfs", "volumes.*.volume.labels"),
                )
            ),
            _sequences,
        ),
        **dict.fromkeys(("services.*.extra_hosts", "services.*.build.extra_hosts"), _new_items),
        **dict.fromkeys(("services.*.command", "services.*.entrypoint", "services.*.healthcheck.test", "services.*.ulimits.*"), _replace),
        "services.*.build": _build,
        "services.*.depends_on": _keyed(DEPENDENCY),
        "services.*.networks": _keyed(None),
        "services.*.models": _keyed({}),
        "services.*.logging": _logging,
    }
)


# ---------------------------------------------------------------- keys of items


def _keep_last(key: Key, value: Any, path: Path) -> Any:
    if not isinstance(value, list):
        return value
    found: dict[Any, Any] = {}
    for one in value:
        found[key(one, path)] = one
    return list(found.values())


def _name(item: Any, path: Path) -> Any:
    if isinstance(item, (dict, list)):
        return id(item)
    return text_of(item).partition("=")[0]


def _mount(item: Any, path: Path) -> Any:
    if isinstance(item, dict):
        return text_of(item.get("target")) or id(item)
    if isinstance(item, str):
        try:
            return parse_mount(item).get("target", item)
        except ValueError:
            return item
    return id(item)


def _device(item: Any, path: Path) -> Any:
    if isinstance(item, dict):
        return text_of(item.get("target")) or id(item)
    parts = text_of(item).split(":")
    return parts[0] if len(parts) == 1 else parts[1]


def _file(folder: str) -> Key:
    def key(item: Any, path: Path) -> Any:
        if isinstance(item, dict):
            return text_of(item.get("target")) or f"{folder}/{text_of(item.get('source'))}"
        return f"{folder}/{text_of(item)}"

    return key


def _port(item: Any, path: Path) -> Any:
    if isinstance(item, dict):
        parts = (item.get("host_ip", "0.0.0.0"), item.get("published"), item.get("target"), item.get("protocol", "tcp"))
        return ":".join(text_of(part) for part in parts)
    return text_of(item)


def _env_file(item: Any, path: Path) -> Any:
    return text_of(item.get("path")) if isinstance(item, dict) else text_of(item)


KEYS: Trie = trie(
    {
        **dict.fromkeys(("networks.*.labels", "networks.*.ipam.options"), _name),
        **dict.fromkeys(
            (
                f"services.*.{key}"
                for key in (
                    *("annotations", "build.args", "build.additional_contexts", "build.platforms", "build.tags", "build.labels"),
                    *("cap_add", "cap_drop", "deploy.labels", "dns", "dns_opt", "dns_search", "environment", "expose", "labels", "links"),
                    *("networks.*.aliases", "networks.*.link_local_ips", "profiles", "sysctls", "tmpfs"),
                )
            ),
            _name,
        ),
        "services.*.devices": _device,
        "services.*.configs": _file(""),
        "services.*.secrets": _file("/run/secrets"),
        "services.*.env_file": _env_file,
        "services.*.ports": _port,
        "services.*.volumes": _mount,
    }
)
