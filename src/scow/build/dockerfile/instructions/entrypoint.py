"""`ENTRYPOINT command` in exec or shell form."""

from dataclasses import dataclass

from scow.build.dockerfile.instructions.base import Command, Instruction, command, no_flags, place
from scow.build.dockerfile.parser import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrypoint(Instruction):
    """What the container runs; never expanded."""

    command: Command


def parse(node: Node) -> Entrypoint:
    no_flags(node)
    return Entrypoint(command=command(node), **place(node))
