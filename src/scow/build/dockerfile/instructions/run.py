"""`RUN [--mount=… --network= --security= --device=…] command`."""

from dataclasses import dataclass, replace

from scow.build.dockerfile.errors import DockerfileError
from scow.build.dockerfile.instructions.base import Command, Expander, Instruction, command, place, read_flags
from scow.build.dockerfile.instructions.mount import Mount, parse_mount
from scow.build.dockerfile.parser import Node

NETWORKS = ("", "default", "none", "host")
SECURITY = ("", "sandbox", "insecure")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run(Instruction):
    """A command of the build; its text is never expanded, its flags are."""

    command: Command
    mounts: tuple[Mount, ...] = ()
    network: str = "default"
    security: str = "sandbox"
    devices: tuple[str, ...] = ()

    def expanded(self, to: Expander) -> "Run":
        return replace(
            self,
            mounts=tuple(parse_mount(mount.text, to) for mount in self.mounts),
            network=to.word(self.network),
            security=to.word(self.security),
            devices=tuple(to.word(one) for one in self.devices),
        )


def parse(node: Node) -> Run:
    flags = read_flags(node, strings=("network", "security"), lists=("mount", "device"))
    network, security = flags.string("network"), flags.string("security")
    if network not in NETWORKS and "$" not in network:
        raise DockerfileError(f'network "{network}" is not valid: use default, none or host')
    if security not in SECURITY and "$" not in security:
        raise DockerfileError(f'security "{security}" is not valid: use sandbox or insecure')
    return Run(
        command=command(node),
        mounts=tuple(parse_mount(text) for text in flags.many("mount")),
        network=network or "default",
        security=security or "sandbox",
        devices=flags.many("device"),
        **place(node),
    )
