"""`ADD [--chown= --chmod= --link --exclude=… --checksum= --keep-git-dir --unpack] source… destination`."""

from dataclasses import dataclass, replace

from scow.build.dockerfile.instructions.base import Expander, Instruction, place, read_flags
from scow.build.dockerfile.instructions.copy import Inline, expanded_inline, transfer
from scow.build.dockerfile.parser import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Add(Instruction):
    """Files from the context, from a URL or a git repository. Flags that were not given are None: their default depends on the source."""

    sources: tuple[str, ...]
    inline: tuple[Inline, ...] = ()
    dest: str
    chown: str = ""
    chmod: str = ""
    link: bool = False
    exclude: tuple[str, ...] = ()
    checksum: str = ""
    keep_git_dir: bool | None = None
    unpack: bool | None = None

    def expanded(self, to: Expander) -> "Add":
        return replace(
            self,
            sources=tuple(to.word(one) for one in self.sources),
            inline=expanded_inline(self.inline, to),
            dest=to.word(self.dest),
            chown=to.word(self.chown),
            chmod=to.word(self.chmod),
            exclude=tuple(to.word(one) for one in self.exclude),
            checksum=to.word(self.checksum),
        )


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
