"""The short form of mounts, `[source:]destination[:mode]`, and its modes; used by the daemon for HostConfig.Binds and VolumesFrom."""

import posixpath
from dataclasses import dataclass

from scow.errors import InvalidArgument

PROPAGATIONS = frozenset({"private", "rprivate", "slave", "rslave", "shared", "rshared"})
_RW = frozenset({"ro", "rw"})
_LABEL = frozenset({"z", "Z"})
_CONSISTENCY = frozenset({"consistent", "cached", "delegated", "default"})


@dataclass(frozen=True, slots=True)
class Mode:
    """What the third part says; `propagation` "" = not said."""

    rw: bool = True
    propagation: str = ""
    nocopy: bool = False


@dataclass(frozen=True, slots=True)
class Bind:
    """One short form: `source` is an absolute host path, a volume's name or "" (an anonymous volume)."""

    source: str
    destination: str
    text: str
    mode: Mode


def parse_mode(text: str, volume: bool, given: str) -> Mode:
    """Read a mode; each kind of word may come once. Raises InvalidArgument."""
    if not text:
        return Mode()
    seen: set[str] = set()
    rw, propagation, nocopy = True, "", False
    for word in text.split(","):
        if word in _RW:
            kind, rw = "rw", word == "rw"
        elif word in _LABEL:
            kind = "label"
        elif word in _CONSISTENCY:
            kind = "consistency"
        elif word in PROPAGATIONS and not volume:
            kind, propagation = "propagation", word
        elif word == "nocopy" and volume:
            kind, nocopy = "nocopy", True
        else:
            raise InvalidArgument(f"invalid mode: {given}")
        if kind in seen:
            raise InvalidArgument(f"invalid mode: {given}")
        seen.add(kind)
    return Mode(rw, propagation, nocopy)


def check_destination(path: str, kind: str = "") -> str:
    """The clean form of a mount target. Raises InvalidArgument: relative, the root, or not a path."""
    prefix = f'invalid mount config for type "{kind}": ' if kind else ""
    if "\0" in path:
        raise InvalidArgument(f"{prefix}invalid mount path: it contains a NUL byte")
    if not path.startswith("/"):
        raise InvalidArgument(f"{prefix}invalid mount path: '{path}' mount path must be absolute")
    clean = "/" + posixpath.normpath(path).lstrip("/")
    if clean == "/":
        raise InvalidArgument(f"{prefix}invalid specification: destination can't be '/'")
    return clean


def parse(text: str) -> Bind:
    """Read a short form. Raises InvalidArgument with dockerd's texts."""
    parts = text.split(":")
    if len(parts) > 3 or not all(parts) or "\0" in text:
        raise InvalidArgument(f"invalid volume specification: '{text}'")
    if len(parts) == 1:
        source, destination, mode = "", parts[0], ""
    elif len(parts) == 2:
        source, destination, mode = parts[0], parts[1], ""
    else:
        source, destination, mode = parts
    volume = not source.startswith("/")
    kind = "volume" if volume else "bind"
    try:
        clean = check_destination(destination, kind)
    except InvalidArgument as error:
        raise InvalidArgument(f"invalid volume specification: '{text}': {error.message}") from None
    if not volume:
        source = "/" + posixpath.normpath(source).lstrip("/")
    return Bind(source, clean, mode, parse_mode(mode, volume, mode))


def parse_volumes_from(text: str) -> tuple[str, str]:
    """(container, mode) of `container[:mode]`. Raises InvalidArgument."""
    if not text:
        raise InvalidArgument("volumesFrom specification cannot be an empty string")
    container, _, mode = text.partition(":")
    mode = mode or "rw"
    if not container:
        raise InvalidArgument(f"invalid volumes-from specification: {text}")
    parse_mode(mode, True, mode)
    return container, mode
