"""The short form of a mount: `[source:]target[:options]`. A source that starts with `.`, `/` or `~` is a path, else a volume's name.
A letter before the first colon is a Windows drive (`c:\\data:/data`), as the compose plugin has it on every system."""

from __future__ import annotations

import posixpath

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

PROPAGATIONS = ("rprivate", "private", "rshared", "shared", "rslave", "slave")


def parse_mount(text: str) -> dict[str, Any]:
    """The long form. Raises ValueError."""
    if not text:
        raise ValueError("invalid empty volume spec")
    if len(text) <= 2:
        return {"type": "volume", "target": posixpath.normpath(text)}
    parts: list[str] = []
    piece = ""
    for char in text + "\0":
        if char == "\0" or (char == ":" and not (len(piece) == 1 and piece.isalpha())):
            if not piece:
                raise ValueError(f"invalid spec: {text}: empty section between colons")
            parts.append(piece)
            piece = ""
        else:
            piece += char
    if len(parts) > 3:
        raise ValueError(f"invalid spec: {text}: too many colons")
    mount: dict[str, Any] = {}
    bind: dict[str, Any] = {}
    volume: dict[str, Any] = {}
    source = parts[0] if len(parts) > 1 else ""
    for option in parts[2].split(",") if len(parts) == 3 else []:
        if option in ("ro", "rw"):
            mount["read_only"] = option == "ro"
        elif option == "nocopy":
            volume["nocopy"] = True
        elif option in PROPAGATIONS:
            bind["propagation"] = option
        elif option in ("z", "Z"):
            bind["selinux"] = option
    if not mount.get("read_only"):
        mount.pop("read_only", None)
    if _is_path(source):
        bind["create_host_path"] = True
        mount |= {"type": "bind", "bind": bind}
        if volume:
            mount["volume"] = volume
    else:
        mount |= {"type": "volume", "volume": volume}
        if bind:
            mount["bind"] = bind
    if source:
        mount["source"] = source
    return mount | {"target": clean(parts[1] if len(parts) > 1 else parts[0])}


def _is_path(source: str) -> bool:
    return source[:1] in (".", "/", "~") or source.startswith("\\\\") or (len(source) > 1 and source[0].isalpha() and source[1] == ":")


def clean(target: str) -> str:
    """A path in a container without `.`, `..` and doubled slashes."""
    if not target:
        return ""
    path = posixpath.normpath(target)
    return path[1:] if path.startswith("//") else path
