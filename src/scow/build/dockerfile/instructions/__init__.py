"""The instructions of the language by name: one file each, with its dataclass and its `parse(node)`."""

from collections.abc import Callable

from scow.build.dockerfile.errors import DockerfileError
from scow.build.dockerfile.instructions import (
    add,
    arg,
    cmd,
    copy,
    entrypoint,
    env,
    expose,
    from_,
    healthcheck,
    label,
    maintainer,
    onbuild,
    run,
    shell,
    stopsignal,
    user,
    volume,
    workdir,
)
from scow.build.dockerfile.instructions.base import Command, Expander, Instruction, hint
from scow.build.dockerfile.parser import Node

Add = add.Add
Arg = arg.Arg
Cmd = cmd.Cmd
Copy = copy.Copy
Entrypoint = entrypoint.Entrypoint
Env = env.Env
Expose = expose.Expose
From = from_.From
Healthcheck = healthcheck.Healthcheck
Label = label.Label
Maintainer = maintainer.Maintainer
Onbuild = onbuild.Onbuild
Run = run.Run
Shell = shell.Shell
StopSignal = stopsignal.StopSignal
User = user.User
Volume = volume.Volume
Workdir = workdir.Workdir

PARSERS: dict[str, Callable[[Node], Instruction]] = {
    "ADD": add.parse,
    "ARG": arg.parse,
    "CMD": cmd.parse,
    "COPY": copy.parse,
    "ENTRYPOINT": entrypoint.parse,
    "ENV": env.parse,
    "EXPOSE": expose.parse,
    "FROM": from_.parse,
    "HEALTHCHECK": healthcheck.parse,
    "LABEL": label.parse,
    "MAINTAINER": maintainer.parse,
    "ONBUILD": onbuild.parse,
    "RUN": run.parse,
    "SHELL": shell.parse,
    "STOPSIGNAL": stopsignal.parse,
    "USER": user.parse,
    "VOLUME": volume.parse,
    "WORKDIR": workdir.parse,
}


def parse(node: Node) -> Instruction:
    """The typed instruction of a node. Raises DockerfileError with the node's place."""
    reader = PARSERS.get(node.name)
    try:
        if reader is None:
            raise DockerfileError(f"unknown instruction: {node.written}" + hint(node.written, PARSERS))
        return reader(node)
    except DockerfileError as exc:
        raise exc.at(node.start, node.end, node.name) from None


__all__ = [
    "PARSERS",
    "Add",
    "Arg",
    "Cmd",
    "Command",
    "Copy",
    "Entrypoint",
    "Env",
    "Expander",
    "Expose",
    "From",
    "Healthcheck",
    "Instruction",
    "Label",
    "Maintainer",
    "Onbuild",
    "Run",
    "Shell",
    "StopSignal",
    "User",
    "Volume",
    "Workdir",
    "parse",
]
