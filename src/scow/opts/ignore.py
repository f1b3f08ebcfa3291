"""`.dockerignore`: which files of a build context are left out. Pure; used by the client, the classic builder and the Dockerfile frontend.

Rules as in Docker's documentation ("Dockerfile reference, .dockerignore file"): one pattern a line, cleaned like a path, `*` and `?` within
a component, `**` for any number of them, `!` takes back, the last pattern that matches decides, and a pattern matches all that lies below
what it names.
"""

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass

from scow.errors import InvalidArgument

_MAX_PATTERNS = 10_000
_MAX_LENGTH = 4096
_BOM = "\ufeff"


@dataclass(frozen=True, slots=True)
class Rule:
    """One pattern: its cleaned text, whether it takes back, and what it matches exactly."""

    pattern: str
    negative: bool
    regex: "re.Pattern[str]"


def lines(text: str) -> list[str]:
    """The patterns in the text of a file, cleaned, comments and blank lines left out."""
    found: list[str] = []
    for number, raw in enumerate(text.split("\n")):
        line = raw.removeprefix(_BOM) if number == 0 else raw
        if line.startswith("#"):
            continue
        pattern = line.strip()
        if not pattern:
            continue
        sign = ""
        if pattern.startswith("!"):
            sign, pattern = "!", pattern[1:].strip()
        if pattern:
            pattern = posixpath.normpath(pattern)
            if len(pattern) > 1 and pattern.startswith("/"):
                pattern = pattern.lstrip("/")
        found.append(sign + pattern)
    return found


def _translate(pattern: str) -> str:
    """A pattern as a regular expression without nested repetition. Raises InvalidArgument."""
    out: list[str] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "*":
            if not pattern.startswith("*", at):
                out.append("[^/]*")
                continue
            while pattern.startswith("*", at):
                at += 1
            if pattern.startswith("/", at):
                at += 1
            out.append(".*" if at >= len(pattern) else "(?:.*/)?")
        elif char == "?":
            out.append("[^/]")
        elif char == "[":
            end = pattern.find("]", at + 1)
            if end < 0:
                raise InvalidArgument(f"error from .dockerignore: syntax error in pattern: {pattern!r}")
            inner = pattern[at:end]
            at = end + 1
            sign = "^" if inner.startswith("^") else ""
            body = re.escape(inner[len(sign) :]).replace("\\-", "-")
            out.append(f"[{sign}{body}]")
        elif char == "\\" and at < len(pattern):
            out.append(re.escape(pattern[at]))
            at += 1
        else:
            out.append(re.escape(char))
    return "".join(out)


def _rule(pattern: str) -> Rule:
    negative = pattern.startswith("!")
    text = pattern[1:] if negative else pattern
    if not text:
        raise InvalidArgument('illegal exclusion pattern: "!"')
    if len(text) > _MAX_LENGTH:
        raise InvalidArgument(".dockerignore has a pattern of more than 4096 characters")
    try:
        return Rule(text, negative, re.compile(_translate(text) + r"\Z", re.DOTALL))
    except re.error as error:
        raise InvalidArgument(f"error from .dockerignore: syntax error in pattern: {text!r}") from error


class Ignore:
    """Patterns in order."""

    def __init__(self, patterns: Iterable[str]) -> None:
        """Raises InvalidArgument for a malformed pattern, and for too many."""
        given = list(patterns)
        if len(given) > _MAX_PATTERNS:
            raise InvalidArgument(f".dockerignore has more than {_MAX_PATTERNS} patterns")
        self.rules = tuple(_rule(pattern) for pattern in given)
        self._takes_back = any(rule.negative for rule in self.rules)

    @classmethod
    def parse(cls, text: str) -> "Ignore":
        """The patterns of a file's text. Raises InvalidArgument."""
        return cls(lines(text))

    def excludes(self, path: str) -> bool:
        """Whether the file or directory (relative, clean) is left out: by a pattern for itself or for a directory above it."""
        path = path.strip("/")
        if not path or not self.rules:
            return False
        parts = path.split("/")
        prefixes = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
        left_out = False
        for rule in self.rules:
            if rule.negative != left_out:
                continue
            if any(rule.regex.match(prefix) for prefix in prefixes):
                left_out = not rule.negative
        return left_out

    def prunes(self, directory: str) -> bool:
        """Whether a directory that is left out needs no look inside: no pattern takes back what may lie below it."""
        if not self._takes_back:
            return True
        own = directory.strip("/").split("/")
        for rule in self.rules:
            if not rule.negative:
                continue
            theirs = rule.pattern.split("/")
            for mine, other in zip(own, theirs, strict=False):
                if "**" in other:
                    return False
                if not re.match(_translate(other) + r"\Z", mine, re.DOTALL):
                    break
            else:
                return False
        return True
