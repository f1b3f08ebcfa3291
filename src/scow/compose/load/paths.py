"""Paths in compose files are relative to the project's directory (in an included or extended file: to that file's). Changes trees in
place."""

from __future__ import annotations

import os

from scow.compose.load.tries import apply, trie

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    from scow.compose.load.tries import Trie

REMOTE = ("https://", "http://", "git://", "ssh://", "github.com/", "git@", "oci://")


def resolve(tree: dict[str, Any], base: str, home: str) -> None:
    """Makes every relative path of a tree one below `base`."""
    apply(tree, RULES, lambda rule, value, path: rule(value, base, home))


def expand_user(path: str, home: str) -> str:
    """`~` and `~/x` with the user's home."""
    return os.path.join(home, path[2:]) if path == "~" or path.startswith("~/") else path


def join(base: str, path: str) -> str:
    """A path below a directory, without `.` and `..`; an absolute one as it is."""
    if path.startswith("/") or not path:
        return path
    return os.path.normpath(os.path.join(base, path))


def is_remote(path: str) -> bool:
    """Whether it is a git repository, an archive on a web server or an artifact of a registry."""
    return path.startswith(REMOTE) or ".git#" in path or (path.endswith(".git") and "/" in path and not path.startswith((".", "/", "~")))


def _path(value: Any, base: str, home: str) -> Any:
    if isinstance(value, list):
        return [_path(one, base, home) for one in value]
    return join(base, expand_user(value, home)) if isinstance(value, str) else value


def _context(value: Any, base: str, home: str) -> Any:
    if isinstance(value, str) and ("://" in value or value.startswith(REMOTE) or value.startswith("service:")):
        return value
    return _path(value, base, home)


def _extended(value: Any, base: str, home: str) -> Any:
    return value if isinstance(value, str) and is_remote(value) else _path(value, base, home)


def _watched(value: Any, base: str, home: str) -> Any:
    found = _path(value, base, home)
    return os.path.realpath(found) if isinstance(found, str) and os.path.isabs(found) and os.path.exists(found) else found


def _unix(value: Any, base: str, home: str) -> Any:
    """A path that may be one of Windows."""
    if isinstance(value, str) and len(value) > 2 and value[0].isalpha() and value[1] == ":" and value[2] in "\\/":
        return value
    return _path(value, base, home)


def _mount(value: Any, base: str, home: str) -> Any:
    if isinstance(value, dict) and value.get("type") == "bind" and "source" in value:
        value["source"] = _unix(value["source"], base, home)
    return value


def _volume(value: Any, base: str, home: str) -> Any:
    options = value.get("driver_opts") if isinstance(value, dict) and value.get("driver") == "local" else None
    if isinstance(options, dict) and options.get("o") == "bind" and "device" in options:
        options["device"] = _unix(options["device"], base, home)
    return value


RULES: Trie = trie(
    {
        "services.*.build.context": _context,
        "services.*.build.additional_contexts.*": _context,
        "services.*.build.ssh.*": _unix,
        "services.*.env_file.*.path": _path,
        "services.*.label_file.*": _path,
        "services.*.extends.file": _extended,
        "services.*.develop.watch.*.path": _watched,
        "services.*.volumes.*": _mount,
        "configs.*.file": _unix,
        "secrets.*.file": _unix,
        "volumes.*": _volume,
    }
)
