"""`LABEL k=v …`, and the old form `LABEL k v`."""

from dataclasses import dataclass, replace

from scow.build.dockerfile.instructions.base import Expander, Instruction, is_legacy_pair, pairs, place
from scow.build.dockerfile.parser import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Label(Instruction):
    """Labels in order; `legacy`: written without `=`."""

    pairs: tuple[tuple[str, str], ...]
    legacy: bool = False

    def expanded(self, to: Expander) -> "Label":
        return replace(self, pairs=tuple((to.word(key), to.word(value)) for key, value in self.pairs))


def parse(node: Node) -> Label:
    return Label(pairs=pairs(node), legacy=is_legacy_pair(node), **place(node))
