"""`ARG name[=default] …`"""

from dataclasses import dataclass, replace

from scow.build.dockerfile import lexer
from scow.build.dockerfile.errors import DockerfileError
from scow.build.dockerfile.instructions.base import Expander, Instruction, no_flags, place
from scow.build.dockerfile.parser import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Arg(Instruction):
    """Build arguments with their defaults (None: no default)."""

    args: tuple[tuple[str, str | None], ...]

    def expanded(self, to: Expander) -> "Arg":
        return replace(self, args=tuple((to.word(key), None if value is None else to.word(value)) for key, value in self.args))


def parse(node: Node) -> Arg:
    no_flags(node)
    words = lexer.words(node.rest, node.escape)
    if not words:
        raise DockerfileError("ARG requires at least one argument")
    args: list[tuple[str, str | None]] = []
    for word in words:
        key, has, value = word.partition("=")
        if not key:
            raise DockerfileError("ARG names can not be blank")
        args.append((key, value if has else None))
    return Arg(args=tuple(args), **place(node))
