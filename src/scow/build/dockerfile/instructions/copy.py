"""`COPY [--from= --chown= --chmod= --link --parents --exclude=…] source… destination`."""

from dataclasses import dataclass, replace
from typing import Self

from scow.build.dockerfile import lexer
from scow.build.dockerfile.errors import DockerfileError
from scow.build.dockerfile.instructions.base import Expander, Instruction, arguments, place, read_flags
from scow.build.dockerfile.parser import Node


@dataclass(frozen=True, slots=True)
class Inline:
    """A file whose text stands in the Dockerfile; variables in it are replaced when `expand`."""

    path: str
    data: str
    expand: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer(Instruction):
    """What COPY and ADD have in common."""

    sources: tuple[str, ...]
    inline: tuple[Inline, ...] = ()
    dest: str
    chown: str = ""
    chmod: str = ""
    link: bool = False
    exclude: tuple[str, ...] = ()

    def expanded(self, to: Expander) -> Self:
        return replace(
            self,
            sources=tuple(to.word(one) for one in self.sources),
            inline=tuple(replace(one, data=to.content(one.data)) if one.expand else one for one in self.inline),
            dest=to.word(self.dest),
            chown=to.word(self.chown),
            chmod=to.word(self.chmod),
            exclude=tuple(to.word(one) for one in self.exclude),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy(Transfer):
    """Files from the context, or from a stage, image or named context (`from_`)."""

    from_: str = ""
    parents: bool = False


def transfer(node: Node) -> tuple[tuple[str, ...], tuple[Inline, ...], str]:
    """Sources, inline files and destination of COPY and ADD. Raises DockerfileError."""
    words = arguments(node)
    if not words:
        raise DockerfileError(f"{node.name} requires at least one argument")
    if len(words) < 2:
        raise DockerfileError(
            f"{node.name} requires at least two arguments, but only one was provided. Destination could not be determined"
        )
    *given, dest = words
    if not node.heredocs:
        return tuple(given), (), dest
    if lexer.heredoc(dest):
        raise DockerfileError(f"{node.name} cannot accept a heredoc as a destination")
    known = {one.name: one for one in node.heredocs}
    sources, inline = [], []
    for word in given:
        opened = lexer.heredoc(word)
        if opened and opened.name in known:
            document = known[opened.name]
            inline.append(Inline(document.name, document.data, document.expand))
        else:
            sources.append(word)
    return tuple(sources), tuple(inline), dest


def parse(node: Node) -> Copy:
    flags = read_flags(node, strings=("from", "chown", "chmod"), bools=("link", "parents"), lists=("exclude",))
    sources, inline, dest = transfer(node)
    return Copy(
        sources=sources,
        inline=inline,
        dest=dest,
        from_=flags.string("from"),
        chown=flags.string("chown"),
        chmod=flags.string("chmod"),
        link=bool(flags.flag("link")),
        parents=bool(flags.flag("parents")),
        exclude=flags.many("exclude"),
        **place(node),
    )
