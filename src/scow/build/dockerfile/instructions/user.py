"""`USER user[:group]`."""

from dataclasses import dataclass, replace

from scow.build.dockerfile.instructions.base import Expander, Instruction, exactly_one, place
from scow.build.dockerfile.parser import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class User(Instruction):
    """Who later steps and the container run as."""

    user: str

    def expanded(self, to: Expander) -> "User":
        return replace(self, user=to.word(self.user))


def parse(node: Node) -> User:
    return User(user=exactly_one(node), **place(node))
