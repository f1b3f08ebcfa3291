"""`WORKDIR path`."""

from dataclasses import dataclass, replace

from scow.build.dockerfile.instructions.base import Expander, Instruction, exactly_one, place
from scow.build.dockerfile.parser import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Workdir(Instruction):
    """The working directory of later steps; relative to the one before."""

    path: str

    def expanded(self, to: Expander) -> "Workdir":
        return replace(self, path=to.word(self.path))


def parse(node: Node) -> Workdir:
    return Workdir(path=exactly_one(node), **place(node))
