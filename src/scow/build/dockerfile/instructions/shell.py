"""`SHELL ["program", "argument", …]`."""

from dataclasses import dataclass

from scow.build.dockerfile import lexer
from scow.build.dockerfile.errors import DockerfileError
from scow.build.dockerfile.instructions.base import Instruction, no_flags, place
from scow.build.dockerfile.parser import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell(Instruction):
    """The shell of later command lines in shell form; not expanded."""

    shell: tuple[str, ...]


def parse(node: Node) -> Shell:
    no_flags(node)
    words = lexer.json_array(node.rest)
    if words is None and node.rest:
        raise DockerfileError("SHELL requires the arguments to be in JSON form")
    if not words:
        raise DockerfileError("SHELL requires at least one argument")
    return Shell(shell=tuple(words), **place(node))
