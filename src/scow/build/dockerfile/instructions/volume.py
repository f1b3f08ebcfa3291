"""`VOLUME ["path", …]` or `VOLUME path …`."""

from dataclasses import dataclass, replace

from scow.build.dockerfile.errors import DockerfileError
from scow.build.dockerfile.instructions.base import Expander, Instruction, arguments, no_flags, place
from scow.build.dockerfile.parser import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume(Instruction):
    """Paths that containers get volumes at."""

    paths: tuple[str, ...]

    def expanded(self, to: Expander) -> "Volume":
        return replace(self, paths=tuple(to.word(path) for path in self.paths))


def parse(node: Node) -> Volume:
    no_flags(node)
    paths = tuple(path.strip() for path in arguments(node))
    if not paths:
        raise DockerfileError("VOLUME requires at least one argument")
    if not all(paths):
        raise DockerfileError("VOLUME specified can not be an empty string")
    return Volume(paths=paths, **place(node))
