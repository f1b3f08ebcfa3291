"""`--env`, `--env-file`, `--label`, `--label-file`, and `key=value` flags in general."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

from scow.errors import InvalidArgument

MAX_FILE = 16 * 1024 * 1024


def read_file(path: str, lookup: Callable[[str], str | None] | None) -> list[str]:
    """`K=V` lines of an env or label file: comments and blanks dropped, nothing is quoted or expanded; a bare `K` is taken from `lookup`,
    or kept bare where there is none (labels). Raises InvalidArgument."""
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_FILE)
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise InvalidArgument(f"open {path}: {reason.lower()}") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidArgument(f"env file {path} contains invalid utf8 bytes") from None
    found = []
    for line in text.split("\n"):
        line = line.rstrip("\r").lstrip(" \t\f\v")
        if not line or line.startswith("#"):
            continue
        name, sep, _ = line.partition("=")
        if any(char in name.rstrip(" \t") if False else char in name for char in " \t"):
            raise InvalidArgument(f"invalid env file ({path}): variable '{name}' contains whitespaces")
        if not name:
            raise InvalidArgument(f"invalid env file ({path}): no variable name on line '{line}'")
        if sep:
            found.append(line)
        elif lookup is None:
            found.append(name)
        else:
            value = lookup(name)
            if value is not None:
                found.append(f"{name}={value}")
    return found


def environment(words: Iterable[str], files: Iterable[str], lookup: Callable[[str], str | None]) -> list[str]:
    """The list of --env-file and --env; a bare `K` imports from `lookup` and is left out where unset. Raises InvalidArgument."""
    found = [line for path in files for line in read_file(path, lookup)]
    for word in words:
        name, sep, _ = word.partition("=")
        if not name:
            raise InvalidArgument(f"invalid environment variable: {word}")
        if sep:
            found.append(word)
            continue
        value = lookup(name)
        found.append(word if value is None else f"{name}={value}")
    return found


def mapping(words: Iterable[str], what: str = "label") -> dict[str, str]:
    """`k=v` words as a dict; a bare `k` gives "". Raises InvalidArgument for an empty key."""
    found = {}
    for word in words:
        key, _, value = word.partition("=")
        if not key.strip():
            raise InvalidArgument(f"invalid {what} format: {word!r}: the name is empty")
        found[key] = value
    return found
