"""The small grammars inside an instruction: leading flags, JSON arrays, words that keep their quotes, here-documents' names."""

import json
from dataclasses import dataclass, replace

from scow.build.dockerfile.errors import DockerfileError
from scow.build.dockerfile.expand import expand

_DECODER = json.JSONDecoder()
TRUE = ("1", "t", "T", "true", "TRUE", "True")
FALSE = ("0", "f", "F", "false", "FALSE", "False")
"""How Go spells truth values."""


def blank_split(text: str, most: int = -1) -> list[str]:
    """Split at runs of blanks; at most `most` cuts. Empty text gives no words."""
    return text.split(None, most) if text.strip() else []


def flags(text: str) -> tuple[list[str], str]:
    """The `--flag=value` words at the start, quotes and backslashes taken off, and the rest of the line."""
    found: list[str] = []
    at, size = 0, len(text)
    while True:
        while at < size and text[at].isspace():
            at += 1
        if text[at : at + 2] != "--":
            return found, text[at:]
        word: list[str] = []
        quote = ""
        while at < size and (quote or not text[at].isspace()):
            char = text[at]
            if char == quote:
                quote = ""
            elif not quote and char in "'\"":
                quote = char
            elif char == "\\":
                at += 1
                word.append(text[at : at + 1])
            else:
                word.append(char)
            at += 1
        joined = "".join(word)
        if joined == "--":
            return found, text[at:]
        found.append(joined)


def json_array(text: str) -> list[str] | None:
    """The strings of a JSON array, or None when the text is no JSON array (then it is plain text). An array of other things is an error."""
    rest = text.lstrip()
    if not rest.startswith("["):
        return None
    try:
        value, _ = _DECODER.raw_decode(rest)
    except (ValueError, RecursionError):
        return None
    if not all(isinstance(one, str) for one in value):
        raise DockerfileError("When using JSON array syntax, arrays must be comprised of strings only.")
    return [one.encode("utf-8", "replace").decode() for one in value]


def words(text: str, escape: str) -> list[str]:
    """Split at blanks outside of quotes; quotes and escapes stay in the words."""
    found: list[str] = []
    word: list[str] = []
    quote = ""
    quoted = False
    at = 0
    while at < len(text):
        char = text[at]
        at += 1
        if char == escape and quote != "'":
            if at == len(text):
                break
            word += (char, text[at])
            at += 1
        elif quote:
            quote = "" if char == quote else quote
            word.append(char)
        elif char.isspace():
            if quoted or word:
                found.append("".join(word))
            word, quoted = [], False
        else:
            if char in "'\"":
                quote, quoted = char, True
            word.append(char)
    if quoted or word:
        found.append("".join(word))
    return found


@dataclass(frozen=True, slots=True)
class Heredoc:
    """One here-document: `<<[-]name`, its text as written, whether variables in it are replaced, the descriptor before `<<`."""

    name: str
    expand: bool = True
    chomp: bool = False
    fd: int = 0
    content: str = ""

    @property
    def data(self) -> str:
        """The text with leading tabs taken off where `<<-` asks for it."""
        if not self.chomp:
            return self.content
        return "\n".join(line.lstrip("\t") for line in self.content.split("\n"))

    def filled(self, content: str) -> "Heredoc":
        return replace(self, content=content)


def heredoc(word: str) -> Heredoc | None:
    """The here-document that a word opens, without its text."""
    before, mark, rest = word.partition("<<")
    if not mark or not (before == "" or (before.isascii() and before.isdigit())) or "<" in rest:
        return None
    chomp = rest.startswith("-")
    rest = rest[1:] if chomp else rest
    if not rest:
        return None
    try:
        plain = expand(rest, {}, skip_unset=True).words
        raw = expand(rest, {}, raw_quotes=True, raw_escapes=True, skip_unset=True).words
    except DockerfileError:
        return None
    if len(plain) != 1 or len(raw) != 1:
        return None
    return Heredoc(plain[0], plain == raw, chomp, int(before[:9]) if before else 0)


def heredocs(line: str) -> list[Heredoc]:
    """The here-documents that a line opens, in order."""
    if "<<" not in line:
        return []
    try:
        found = expand(line, {}, raw_quotes=True, raw_escapes=True, skip_unset=True).words
    except DockerfileError:
        return []
    return [one for word in found if (one := heredoc(word))]
