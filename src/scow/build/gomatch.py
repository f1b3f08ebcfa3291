"""Go's `filepath.Match` for one component of a path: `*`, `?`, `[a-z]`, `[^a]`, `\\x`. Pure."""

from __future__ import annotations

import re


def has_meta(text: str) -> bool:
    """Whether a path has wildcards."""
    return any(char in text for char in "*?[\\")


def compile(pattern: str) -> re.Pattern[str]:
    """The rule for one component; `.match(name)` is whole. Raises ValueError for a malformed pattern. No nested repetition."""
    out: list[str] = []
    at = 0
    size = len(pattern)
    while at < size:
        char = pattern[at]
        at += 1
        if char == "*":
            if not out or out[-1] != "[^/]*":
                out.append("[^/]*")
        elif char == "?":
            out.append("[^/]")
        elif char == "\\":
            if at == size:
                raise ValueError("syntax error in pattern")
            out.append(re.escape(pattern[at]))
            at += 1
        elif char == "[":
            body, at = _class(pattern, at)
            out.append(body)
        else:
            out.append(re.escape(char))
    try:
        return re.compile("".join(out) + r"\Z", re.DOTALL)
    except re.error:
        raise ValueError("syntax error in pattern") from None


def _class(pattern: str, at: int) -> tuple[str, int]:
    negated = pattern.startswith("^", at)
    if negated:
        at += 1
    ranges: list[str] = []
    while True:
        if at >= len(pattern):
            raise ValueError("syntax error in pattern")
        if pattern[at] == "]" and ranges:
            break
        low, at = _char(pattern, at)
        high = low
        if pattern.startswith("-", at):
            high, at = _char(pattern, at + 1)
        if high < low:  # matches nothing, as in Go
            ranges.append("")
            continue
        ranges.append(f"{re.escape(low)}-{re.escape(high)}" if high != low else re.escape(low))
    inside = "".join(ranges)
    if not inside:
        return ("[^/]" if negated else "(?!)"), at + 1
    return (f"(?![/{inside}])[^/]" if negated else f"(?!/)[{inside}]"), at + 1


def _char(pattern: str, at: int) -> tuple[str, int]:
    if at >= len(pattern) or pattern[at] in "-]":
        raise ValueError("syntax error in pattern")
    if pattern[at] == "\\":
        at += 1
        if at >= len(pattern):
            raise ValueError("syntax error in pattern")
    if at + 1 >= len(pattern):
        raise ValueError("syntax error in pattern")
    return pattern[at], at + 1
