"""`CMD command` in exec or shell form."""

from dataclasses import dataclass

from scow.build.dockerfile.instructions.base import Command, Instruction, command, no_flags, place
from scow.build.dockerfile.parser import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Cmd(Instruction):
    """What the container runs, or the arguments of its ENTRYPOINT; never expanded."""

    command: Command


def parse(node: Node) -> Cmd:
    no_flags(node)
    return Cmd(command=command(node), **place(node))
