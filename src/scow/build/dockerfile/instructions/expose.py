"""`EXPOSE port[-last][/protocol] …`."""

from dataclasses import dataclass, replace

from scow.build.dockerfile import lexer
from scow.build.dockerfile.errors import DockerfileError
from scow.build.dockerfile.instructions.base import Expander, Instruction, no_flags, place
from scow.build.dockerfile.parser import Node
from scow.errors import InvalidArgument
from scow.opts.ports import parse_publish


@dataclass(frozen=True, slots=True, kw_only=True)
class Expose(Instruction):
    """Ports as written; one word may become several by expansion."""

    ports: tuple[str, ...]

    def expanded(self, to: Expander) -> "Expose":
        return replace(self, ports=tuple(port for text in self.ports for port in to.words(text)))

    def exposed(self) -> list[str]:
        """`80/tcp` names, once expanded. Raises DockerfileError for what is no port."""
        found: list[str] = []
        for text in self.ports:
            try:
                found += parse_publish(text)
            except InvalidArgument as exc:
                raise DockerfileError(exc.message, self.start, self.end, "EXPOSE", parsing=False) from None
        return found


def parse(node: Node) -> Expose:
    no_flags(node)
    ports = lexer.blank_split(node.rest)
    if not ports:
        raise DockerfileError("EXPOSE requires at least one argument")
    return Expose(ports=tuple(ports), **place(node))
