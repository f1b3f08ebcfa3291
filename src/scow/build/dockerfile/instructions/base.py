"""What all instructions share: their place, their flags, command lines in shell or exec form."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, Self, TypedDict

from scow.build.dockerfile import lexer
from scow.build.dockerfile.errors import DockerfileError
from scow.build.dockerfile.lexer import FALSE, TRUE, Heredoc
from scow.build.dockerfile.parser import Node
from scow.gotemplate.values import go_quote


class Expander(Protocol):
    """Replaces variables with the values that hold at an instruction's start. Raises DockerfileError."""

    def word(self, text: str) -> str:
        """One word, quotes taken off."""

    def words(self, text: str) -> tuple[str, ...]:
        """The words that a text becomes."""

    def content(self, text: str) -> str:
        """The text of a here-document: quotes mean nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """One typed instruction. `text` is the source on one line, `start` and `end` its lines, `comments` those right above it."""

    text: str = ""
    start: int = 0
    end: int = 0
    comments: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The instruction's word in capitals."""
        return type(self).__name__.upper()

    def expanded(self, to: Expander) -> Self:
        """The same with variables replaced where the language allows them."""
        return self


class Place(TypedDict):
    """The fields of Instruction that come from a node: `Run(..., **place(node))`."""

    text: str
    start: int
    end: int
    comments: tuple[str, ...]


def place(node: Node) -> Place:
    """Where a node stands in the file."""
    return {"text": node.text, "start": node.start, "end": node.end, "comments": node.comments}


@dataclass(frozen=True, slots=True)
class Command:
    """A command line: words of the exec form, or (`shell`) one text for the shell, with the here-documents it opens."""

    args: tuple[str, ...]
    shell: bool
    heredocs: tuple[Heredoc, ...] = ()


def command(node: Node) -> Command:
    """The command line of CMD, ENTRYPOINT, RUN and HEALTHCHECK. Raises DockerfileError."""
    words = lexer.json_array(node.rest)
    if words is not None:
        return Command(tuple(words), False)
    return Command((node.rest,) if node.rest else (), True, node.heredocs)


def arguments(node: Node) -> list[str]:
    """The words of an instruction that takes a JSON array or words between blanks."""
    words = lexer.json_array(node.rest)
    return lexer.blank_split(node.rest) if words is None else words


@dataclass(frozen=True, slots=True)
class Flags:
    """The flags of one instruction by name."""

    strings: dict[str, str]
    bools: dict[str, bool]
    lists: dict[str, tuple[str, ...]]

    def string(self, name: str) -> str:
        return self.strings.get(name, "")

    def flag(self, name: str) -> bool | None:
        return self.bools.get(name)

    def many(self, name: str) -> tuple[str, ...]:
        return self.lists.get(name, ())


def read_flags(node: Node, strings: Iterable[str] = (), bools: Iterable[str] = (), lists: Iterable[str] = ()) -> Flags:
    """Check a node's flags against those it may have. Raises DockerfileError with Docker's texts."""
    known_strings, known_bools, known_lists = set(strings), set(bools), set(lists)
    found = Flags({}, {}, {})
    for flag in node.flags:
        name, has, value = flag.removeprefix("--").partition("=")
        if name in known_lists:
            if not has:
                raise DockerfileError(f"missing a value on flag: {name}")
            found.lists[name] = (*found.lists.get(name, ()), value)
        elif name in found.strings or name in found.bools:
            raise DockerfileError(f"duplicate flag specified: {name}")
        elif name in known_bools:
            if value in TRUE or (not has):
                found.bools[name] = True
            elif value in FALSE:
                found.bools[name] = False
            else:
                raise DockerfileError(f"expecting boolean value for flag {name}, not: {value}")
        elif name in known_strings:
            if not has:
                raise DockerfileError(f"missing a value on flag: {name}")
            found.strings[name] = value
        else:
            raise DockerfileError(
                f"unknown flag: --{name}" + hint(name, known_strings | known_bools | known_lists).replace("mean ", "mean --")
            )
    return found


def no_flags(node: Node) -> None:
    """Refuse flags on an instruction that has none."""
    read_flags(node)


def hint(word: str, known: Iterable[str]) -> str:
    """` (did you mean x?)` for a mistyped word, or nothing."""
    from scow.opts.suggest import nearest

    spelled = {one.lower(): one for one in known}
    found = nearest(word, spelled, 1)
    return f" (did you mean {spelled[found[0]]}?)" if found else ""


def exactly_one(node: Node) -> str:
    """The only argument of an instruction, a text with blanks perhaps."""
    no_flags(node)
    if not node.rest:
        raise DockerfileError(f"{node.name} requires exactly one argument")
    return node.rest


def pairs(node: Node) -> tuple[tuple[str, str], ...]:
    """`k=v …` or `k v` of ENV and LABEL, quotes still on. Raises DockerfileError."""
    no_flags(node)
    words = lexer.words(node.rest, node.escape)
    if not words:
        raise DockerfileError(f"{node.name} requires at least one argument")
    if "=" not in words[0]:
        parts = lexer.blank_split(node.rest, 1)
        if len(parts) < 2:
            raise DockerfileError(f"{node.name} must have two arguments")
        return ((parts[0], parts[1]),)
    found = []
    for word in words:
        key, has, value = word.partition("=")
        if not has:
            raise DockerfileError(f"Syntax error - can't find = in {go_quote(word)}. Must be of the form: name=value")
        if not key:
            raise DockerfileError(f"{node.name} names can not be blank")
        found.append((key, value))
    return tuple(found)


def is_legacy_pair(node: Node) -> bool:
    """Whether ENV or LABEL is written without `=`."""
    words = lexer.words(node.rest, node.escape)
    return bool(words) and "=" not in words[0]
