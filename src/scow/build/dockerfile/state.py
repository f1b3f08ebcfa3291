"""One stage while it is converted: its tree so far, its image's config, its variables, and the names that its steps are shown under."""

import math
from dataclasses import dataclass, field

from scow.build.dockerfile.errors import DockerfileError
from scow.build.dockerfile.expand import expand
from scow.build.dockerfile.imageconfig import ImageConfig
from scow.build.dockerfile.instructions import Instruction
from scow.build.dockerfile.stages import Stage
from scow.build.dockerfile.tree import Tree
from scow.build.llb.ops import Location, Meta, Platform, Range


@dataclass(slots=True)
class Bound:
    """An instruction and the stages that it reads (--from, in the order of its mounts; None = not from a stage)."""

    one: Instruction
    sources: tuple["StageState | None", ...] = ()
    trigger: bool = False


@dataclass(slots=True, eq=False)
class StageState:
    """A stage, or an image that only --from names (`stage` is None then)."""

    base_name: str
    stage: Stage | None = None
    shown: str = ""
    base: "StageState | None" = None
    platform: Platform | None = None
    commands: list[Bound] = field(default_factory=list)
    tree: Tree | None = None
    image: ImageConfig = field(default_factory=lambda: ImageConfig.empty(Platform()))
    base_config: object = None
    env: dict[str, str] = field(default_factory=dict)
    args: list[tuple[str, str | None]] = field(default_factory=list)
    declared: set[str] = field(default_factory=set)
    paths: set[str] = field(default_factory=set)
    """What is read of it; shared with the context it comes from."""
    seen: dict[str, Instruction] = field(default_factory=dict)
    total: int = 0
    number: int = 0
    trigger: bool = False
    resolved: bool = False
    started: bool = False
    done: bool = False
    replaced: bool = False
    """A named context took the place of the stage."""
    ignore_cache: bool = False
    workdir_set: bool = False
    cmd_set: bool = False
    show_platform: bool = False
    start: int = 0
    end: int = 0

    @property
    def cwd(self) -> str:
        """The working directory."""
        return str(self.image.config.get("WorkingDir") or "/")

    def step(self, text: str, platform: Platform | None = None) -> str:
        """`[stage 2/3] text`, counting on."""
        if self.total == 0:
            return text
        self.number += 1
        head = f"{platform or self.platform} " if self.show_platform and (platform or self.platform) else ""
        head += f"{self.shown} " if self.shown else ""
        width = int(1 + math.log10(self.total))
        return f"[{head}{self.number:>{width}}/{self.total}] {'ONBUILD ' if self.trigger else ''}{text}"

    def title(self, text: str, escape: str, raw_quotes: bool = False) -> str:
        """An instruction's text as its step is named: its word in capitals, variables of the environment replaced."""
        word, blank, rest = text.partition(" ")
        text = word.upper() + blank + rest
        try:
            return expand(text, self.env, escape, raw_quotes=raw_quotes, skip_unset=raw_quotes).text
        except DockerfileError:
            return text

    def meta(self, name: str, text: str) -> Meta:
        """What is said about a step of this stage."""
        return Meta(name=name, ignore_cache=self.ignore_cache, description={"com.docker.dockerfile.v1.command": text})


def location(one: Instruction) -> Location:
    """The lines of an instruction, in the Dockerfile (source 0)."""
    return Location(0, (Range(one.start, one.end),))
