"""`MAINTAINER author` (deprecated)."""

from dataclasses import dataclass, replace

from scow.build.dockerfile.instructions.base import Expander, Instruction, exactly_one, place
from scow.build.dockerfile.parser import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintainer(Instruction):
    """The author of the image."""

    author: str

    def expanded(self, to: Expander) -> "Maintainer":
        return replace(self, author=to.word(self.author))


def parse(node: Node) -> Maintainer:
    return Maintainer(author=exactly_one(node), **place(node))
