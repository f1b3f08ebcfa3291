"""Small grammars of run's flags: restart policy, ulimit, security options, file modes of a command line."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

from scow.errors import InvalidArgument


def parse_restart(text: str) -> dict[str, Any]:
    """The API's RestartPolicy of `no|always|unless-stopped|on-failure[:N]`. Raises InvalidArgument."""
    name, sep, count = text.partition(":")
    policy: dict[str, Any] = {"Name": name, "MaximumRetryCount": 0}
    if not text:
        return policy
    if not name or ":" in count:
        raise InvalidArgument("invalid restart policy format: " + ("no policy provided before colon" if not name else "too many colons"))
    if sep and count:
        if not count.isascii() or not count.lstrip("-").isdigit():
            raise InvalidArgument("invalid restart policy format: maximum retry count must be an integer")
        policy["MaximumRetryCount"] = int(count)
    return policy


def parse_security(words: list[str]) -> list[str]:
    """--security-opt values; a seccomp file is replaced by its content. Raises InvalidArgument."""
    found = []
    for word in words:
        key, sep, value = word.partition("=")
        if not sep and key != "no-new-privileges":
            if ":" not in word:
                raise InvalidArgument(f'invalid --security-opt: "{word}"')
            key, _, value = word.partition(":")
        if key == "seccomp" and value not in ("unconfined", "builtin"):
            word = "seccomp=" + _profile(value)
        found.append(word)
    return found


def _profile(path: str) -> str:
    import json

    try:
        with open(path, "rb") as file:
            data = file.read(16 * 1024 * 1024)
    except OSError as exc:
        raise InvalidArgument(f"opening seccomp profile ({path}) failed: open {path}: {(exc.strerror or '').lower()}") from None
    try:
        return json.dumps(json.loads(data), separators=(",", ":"))
    except ValueError as exc:
        raise InvalidArgument(f"compacting json for seccomp profile ({path}) failed: {exc}") from None
