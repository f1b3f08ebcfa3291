"""A parsed file as stages of typed instructions, and the words of ONBUILD as instructions."""

from collections.abc import Sequence
from dataclasses import dataclass

from scow.build.dockerfile import instructions, parser
from scow.build.dockerfile.errors import DockerfileError
from scow.build.dockerfile.instructions import Arg, From, Instruction
from scow.build.dockerfile.instructions.base import hint
from scow.build.dockerfile.parser import Document


@dataclass(frozen=True, slots=True)
class Stage:
    """One FROM and what follows it. `index` counts from 0; `commands` are unexpanded."""

    index: int
    head: From
    commands: tuple[Instruction, ...]

    @property
    def name(self) -> str:
        """The stage's name in small letters, "" when it has none."""
        return self.head.stage


@dataclass(frozen=True, slots=True)
class Stages:
    """The ARGs before the first FROM, and the stages in order."""

    args: tuple[Arg, ...]
    stages: tuple[Stage, ...]

    def find(self, name: str) -> Stage | None:
        """The stage of a name (any case; the last one of that name wins) or a number."""
        for stage in reversed(self.stages):
            if stage.name and stage.name == name.lower():
                return stage
        if name.isascii() and name.isdigit() and len(name) < 6 and int(name) < len(self.stages):
            return self.stages[int(name)]
        return None

    def target(self, name: str) -> Stage:
        """The stage that --target names, the last one without. Raises DockerfileError."""
        if not name:
            return self.stages[-1]
        found = self.find(name)
        if not found:
            known = [stage.name for stage in self.stages if stage.name]
            raise DockerfileError(f'target stage "{name}" could not be found' + hint(name, known))
        return found


def read(document: Document) -> Stages:
    """Type every instruction and sort them into stages. Raises DockerfileError."""
    args: list[Arg] = []
    stages: list[Stage] = []
    commands: list[Instruction] = []

    def close() -> None:
        if stages:
            last = stages[-1]
            stages[-1] = Stage(last.index, last.head, tuple(commands))
            commands.clear()

    for node in document.nodes:
        one = instructions.parse(node)
        if isinstance(one, From):
            close()
            stages.append(Stage(len(stages), one, ()))
        elif stages:
            commands.append(one)
        elif isinstance(one, Arg):
            args.append(one)
        else:
            raise DockerfileError("no build stage in current context", node.start, node.end, node.name)
    close()
    if not stages:
        last = document.nodes[-1]
        raise DockerfileError("dockerfile contains no stages to build", last.start, last.end, last.name, parsing=False)
    return Stages(tuple(args), tuple(stages))


def triggers(expressions: Sequence[str], escape: str = "\\") -> list[Instruction]:
    """The instructions that an image's OnBuild list holds. Raises DockerfileError."""
    found: list[Instruction] = []
    for text in expressions:
        source = text if escape == "\\" else f"# escape={escape}\n{text}"
        try:
            nodes = parser.parse(source).nodes
            for node in nodes:
                if node.name in ("ONBUILD", "MAINTAINER", "FROM"):
                    raise DockerfileError(f"{node.name} isn't allowed as an ONBUILD trigger")
                found.append(instructions.parse(node))
        except DockerfileError as exc:
            raise DockerfileError(f"in the trigger ONBUILD {text[:200]}: {exc.reason}") from None
    return found
