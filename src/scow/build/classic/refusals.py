"""What only BuildKit understands, refused by name."""

from scow.build.dockerfile import instructions as lang
from scow.build.dockerfile.errors import DockerfileError
from scow.build.dockerfile.instructions.base import Instruction

_ADVICE = "requires BuildKit. Build with `docker buildx build` (or without DOCKER_BUILDKIT=0) to use it"


def check(one: Instruction) -> None:
    """Raises DockerfileError for an instruction that uses what the classic builder doesn't have."""
    for used, what in _uses(one):
        if used:
            raise DockerfileError(f"the {what} {_ADVICE}", one.start, one.end, one.name, parsing=False)


def _uses(one: Instruction) -> list[tuple[object, str]]:
    match one:
        case lang.Run():
            return [
                (one.mounts, "--mount option"),
                (one.network != "default", "--network option"),
                (one.security != "sandbox", "--security option"),
                (one.devices, "--device option"),
                (one.command.heredocs, "here-document"),
            ]
        case lang.Copy():
            return [
                (one.chmod, "--chmod option"),
                (one.link, "--link option"),
                (one.parents, "--parents option"),
                (one.exclude, "--exclude option"),
                (one.inline, "here-document"),
            ]
        case lang.Add():
            return [
                (one.chmod, "--chmod option"),
                (one.link, "--link option"),
                (one.exclude, "--exclude option"),
                (one.checksum, "--checksum option"),
                (one.keep_git_dir is not None, "--keep-git-dir option"),
                (one.unpack is not None, "--unpack option"),
                (one.inline, "here-document"),
            ]
        case _:
            return []
