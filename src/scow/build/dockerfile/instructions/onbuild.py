"""`ONBUILD instruction`: what a build FROM this image does first."""

import re
from dataclasses import dataclass, replace

from scow.build.dockerfile.errors import DockerfileError
from scow.build.dockerfile.instructions.base import Expander, Instruction, no_flags, place
from scow.build.dockerfile.parser import Node

_PREFIX = re.compile(r"^\s*ONBUILD\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Onbuild(Instruction):
    """The trigger's source, as the image keeps it."""

    expression: str

    def expanded(self, to: Expander) -> "Onbuild":
        return replace(self, expression=to.word(self.expression))


def parse(node: Node) -> Onbuild:
    no_flags(node)
    if not node.rest:
        raise DockerfileError("ONBUILD requires at least one argument")
    trigger = node.rest.split()[0].upper()
    if trigger == "ONBUILD":
        raise DockerfileError('Chaining ONBUILD via "ONBUILD ONBUILD" isn\'t allowed')
    if trigger in ("MAINTAINER", "FROM"):
        raise DockerfileError(f"{trigger} isn't allowed as an ONBUILD trigger")
    expression = _PREFIX.sub("", node.text)
    for document in node.heredocs:
        expression += f"\n{document.content}{document.name}"
    return Onbuild(expression=expression, **place(node))
