"""The text of a Dockerfile as nodes: directives, continuations, comments, flags, here-documents. What instructions mean comes later.

Rules by the published Dockerfile reference; a published parser's cases are in `tests/unit/build/dockerfile/cases`.
"""

import json
import re
from dataclasses import dataclass

from scow.build.dockerfile import lexer
from scow.build.dockerfile.errors import DockerfileError
from scow.build.dockerfile.lexer import Heredoc

MAX_LINE = 65535
MAX_FILE = 16 << 20
DIRECTIVES = ("escape", "syntax", "check")
INSTRUCTIONS = (
    "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK",
    "LABEL", "MAINTAINER", "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
)  # fmt: skip
_HEREDOC = ("ADD", "COPY", "RUN")
_DIRECTIVE = re.compile(r"^#[ \t]*([a-zA-Z][a-zA-Z0-9]*)[ \t]*=[ \t]*(.+?)[ \t]*$")
_SLASHES = re.compile(r"^//[ \t]*([a-zA-Z][a-zA-Z0-9]*)[ \t]*=[ \t]*(.+?)[ \t]*$")


@dataclass(frozen=True, slots=True)
class Directive:
    """`# name=value` at the top of the file."""

    name: str
    value: str
    line: int


@dataclass(frozen=True, slots=True)
class Node:
    """One instruction: name in capitals and as written, flags, the rest of its line, lines from 1, and the comments right above it."""

    name: str
    written: str
    flags: tuple[str, ...]
    rest: str
    text: str  # the whole instruction on one line
    start: int
    end: int
    escape: str = "\\"
    heredocs: tuple[Heredoc, ...] = ()
    comments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ParseWarning:
    """Something that is allowed and should not be."""

    rule: str
    message: str
    detail: str
    url: str
    line: int


@dataclass(frozen=True, slots=True)
class Document:
    """A whole file."""

    text: str
    escape: str
    directives: dict[str, Directive]
    nodes: tuple[Node, ...]
    warnings: tuple[ParseWarning, ...] = ()


def decode(data: bytes) -> str:
    """The text of a file: UTF-8, a byte order mark skipped, what is no UTF-8 replaced. Raises DockerfileError when it is too large."""
    if len(data) > MAX_FILE:
        raise DockerfileError(f"the Dockerfile is larger than {MAX_FILE >> 20} MB")
    return data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")


def parse(data: str | bytes) -> Document:
    """Read a file. Raises DockerfileError."""
    text = decode(data) if isinstance(data, bytes) else data.removeprefix("\ufeff")
    return _Parser(text).document()


def syntax(data: str | bytes) -> Directive | None:
    """The frontend that a file asks for: `# syntax=`, `// syntax=` or a JSON object, perhaps below a `#!` line."""
    text = decode(data) if isinstance(data, bytes) else data.removeprefix("\ufeff")
    lines = text.split("\n", 64)[:64]
    first = 1
    if lines[0].startswith("#!"):
        lines, first = lines[1:], 2
    for pattern in (_DIRECTIVE, _SLASHES):
        seen: set[str] = set()
        for number, line in enumerate(lines, first):
            match = pattern.match(line.rstrip("\r").lstrip())
            if not match or match[1].lower() not in DIRECTIVES or match[1].lower() in seen:
                break
            seen.add(match[1].lower())
            if match[1].lower() == "syntax":
                return Directive("syntax", match[2], number)
    head = "\n".join(lines).lstrip()
    if head.startswith("{"):
        try:
            value, _ = json.JSONDecoder().raw_decode(text[text.index("{") :])
        except (ValueError, RecursionError):
            return None
        found = value.get("syntax")
        if isinstance(found, str) and found:
            return Directive("syntax", found, first)
    return None


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.lines = _lines(text)
        self.at = 0
        self.escape = "\\"
        self.directives: dict[str, Directive] = {}
        self.top = True
        self.nodes: list[Node] = []
        self.warnings: list[ParseWarning] = []

    def document(self) -> Document:
        comments: list[str] = []
        while self.at < len(self.lines):
            line = self.take().lstrip()
            if line.startswith("#"):
                if not self.directive(line):
                    comments.append(line[1:].strip())
                continue
            self.top = False
            start = self.at
            line, ended = self.continued(line)
            if ended and not line:
                comments = []
                continue
            self.instruction(start, line, ended, tuple(comments))
            comments = []
        if not self.nodes:
            raise DockerfileError("file with no instructions", max(1, len(self.lines)), parsing=False)
        return Document(self.text, self.escape, self.directives, tuple(self.nodes), tuple(self.warnings))

    def take(self) -> str:
        line = self.lines[self.at].rstrip("\r\n")
        self.at += 1
        if len(line) > MAX_LINE:
            raise DockerfileError(f"dockerfile line greater than maximum allowed size of {MAX_LINE}", self.at)
        return line

    def directive(self, line: str) -> bool:
        match = _DIRECTIVE.match(line) if self.top else None
        if not match or match[1].lower() not in DIRECTIVES:
            self.top = False
            return False
        name = match[1].lower()
        if name in self.directives:
            raise DockerfileError(f"only one {name} parser directive can be used", self.at)
        self.directives[name] = Directive(name, match[2], self.at)
        if name == "escape":
            if match[2] not in ("\\", "`"):
                raise DockerfileError(f"invalid escape token '{match[2]}' does not match ` or \\", self.at)
            self.escape = match[2]
        return True

    def continued(self, line: str) -> tuple[str, bool]:
        """The line without its continuation character, and whether the instruction ends here."""
        bare = line.rstrip(" \t")
        if bare.endswith(self.escape) and not bare[:-1].endswith(self.escape):
            return bare[:-1], False
        return line, True

    def instruction(self, start: int, line: str, ended: bool, comments: tuple[str, ...]) -> None:
        parts = [line]
        empty = False
        while not ended and self.at < len(self.lines):
            line = self.take()
            bare = line.lstrip()
            if bare.startswith("#"):
                continue
            if not bare:
                empty = True
                continue
            line, ended = self.continued(line)
            parts.append(line)
        joined = "".join(parts)
        if empty:
            self.warnings.append(
                ParseWarning(
                    "NoEmptyContinuation",
                    f"Empty continuation line found in: {joined.strip()}",
                    "Empty continuation lines will become errors in a future release",
                    "https://docs.docker.com/go/dockerfile/rule/no-empty-continuation/",
                    self.at,
                )
            )
        if not joined.strip():
            return
        end = self.at
        try:
            node = node_of(joined, start, end, self.escape, comments)
            documents = self.heredocs(node, start)
        except DockerfileError as exc:
            raise exc.at(start, self.at, joined.split()[0].upper()) from None
        if documents:
            node = Node(node.name, node.written, node.flags, node.rest, node.text, start, self.at, self.escape, documents, comments)
        self.nodes.append(node)

    def heredocs(self, node: Node, start: int) -> tuple[Heredoc, ...]:
        target = node
        if node.name == "ONBUILD" and node.rest:
            target = node_of(node.rest, start, start, self.escape, ())
        if target.name not in _HEREDOC or "<<" not in node.text or lexer.json_array(target.rest) is not None:
            return ()
        return tuple(one.filled(self.body(one)) for one in lexer.heredocs(node.text))

    def body(self, document: Heredoc) -> str:
        begun = self.at
        while self.at < len(self.lines):
            line = self.lines[self.at].rstrip("\r\n")
            self.at += 1
            if (line.lstrip("\t") if document.chomp else line) == document.name:
                return "".join(self.lines[begun : self.at - 1])
        raise DockerfileError(f"unterminated heredoc: the line {document.name} that ends it is missing")


def _lines(text: str) -> list[str]:
    """Lines with their ends; only "\\n" ends a line, unlike in str.splitlines."""
    lines = text.split("\n")
    last = lines.pop()
    lines = [line + "\n" for line in lines]
    return [*lines, last] if last else lines


def node_of(line: str, start: int, end: int, escape: str, comments: tuple[str, ...]) -> Node:
    """The node of one joined line (of a file, or behind ONBUILD)."""
    text = line.strip()
    written, *others = text.split(None, 1)
    flags, rest = lexer.flags(others[0]) if others else ([], "")
    return Node(written.upper(), written, tuple(flags), rest.strip(), text, start, end, escape, (), comments)
