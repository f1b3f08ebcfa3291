"""`FROM [--platform=p] image|stage|scratch [AS name]`."""

import re
from dataclasses import dataclass, replace

from scow.build.dockerfile import lexer
from scow.build.dockerfile.errors import DockerfileError
from scow.build.dockerfile.instructions.base import Expander, Instruction, place, read_flags
from scow.build.dockerfile.parser import Node
from scow.gotemplate.values import go_quote

_STAGE = re.compile(r"^[a-z][a-z0-9-_.]*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class From(Instruction):
    """The head of a stage. `stage` in small letters ("" = unnamed), `written` and `keyword` as they stand in the file."""

    base: str
    stage: str = ""
    platform: str = ""
    written: str = ""
    keyword: str = ""

    def expanded(self, to: Expander) -> "From":
        return replace(self, base=to.word(self.base), platform=to.word(self.platform))


def parse(node: Node) -> From:
    flags = read_flags(node, strings=("platform",))
    words = lexer.blank_split(node.rest)
    if len(words) == 3 and words[1].lower() == "as":
        stage = words[2].lower()
        if not _STAGE.match(stage):
            raise DockerfileError(f"invalid name for build stage: {go_quote(words[2])}, name can't start with a number or contain symbols")
        return From(base=words[0], stage=stage, platform=flags.string("platform"), written=words[2], keyword=words[1], **place(node))
    if len(words) != 1:
        raise DockerfileError("FROM requires either one or three arguments")
    return From(base=words[0], platform=flags.string("platform"), **place(node))
