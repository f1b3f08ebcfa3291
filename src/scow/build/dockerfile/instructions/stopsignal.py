"""`STOPSIGNAL SIG|number`."""

from dataclasses import dataclass, replace

from scow.build.dockerfile.instructions.base import Expander, Instruction, exactly_one, place
from scow.build.dockerfile.parser import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class StopSignal(Instruction):
    """The signal that asks the container to end; `scow.opts.signals` says whether it exists, once expanded."""

    signal: str

    def expanded(self, to: Expander) -> "StopSignal":
        return replace(self, signal=to.word(self.signal))


def parse(node: Node) -> StopSignal:
    return StopSignal(signal=exactly_one(node), **place(node))
