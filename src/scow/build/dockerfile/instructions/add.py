"""`ADD [--chown= --chmod= --link --exclude=… --checksum= --keep-git-dir --unpack] source… destination`."""

from dataclasses import dataclass, replace
from typing import Self

from scow.build.dockerfile.instructions.base import Expander, place, read_flags
from scow.build.dockerfile.instructions.copy import Transfer, transfer
from scow.build.dockerfile.parser import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Add(Transfer):
    """Files from the context, from a URL or a git repository. Flags that were not given are None: their default depends on the source."""

    checksum: str = ""
    keep_git_dir: bool | None = None
    unpack: bool | None = None

    def expanded(self, to: Expander) -> Self:
        return replace(Transfer.expanded(self, to), checksum=to.word(self.checksum))


def parse(node: Node) -> Add:
    flags = read_flags(node, strings=("chown", "chmod", "checksum"), bools=("link", "keep-git-dir", "unpack"), lists=("exclude",))
    sources, inline, dest = transfer(node)
    return Add(
        sources=sources,
        inline=inline,
        dest=dest,
        chown=flags.string("chown"),
        chmod=flags.string("chmod"),
        link=bool(flags.flag("link")),
        exclude=flags.many("exclude"),
        checksum=flags.string("checksum"),
        keep_git_dir=flags.flag("keep-git-dir"),
        unpack=flags.flag("unpack"),
        **place(node),
    )
