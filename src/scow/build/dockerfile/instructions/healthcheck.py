"""`HEALTHCHECK [--interval= --timeout= --start-period= --start-interval= --retries=] CMD command`, or `HEALTHCHECK NONE`."""

from dataclasses import dataclass

from scow.build.dockerfile import lexer
from scow.build.dockerfile.errors import DockerfileError
from scow.build.dockerfile.instructions.base import Instruction, place, read_flags
from scow.build.dockerfile.parser import Node
from scow.errors import InvalidArgument
from scow.gotemplate.values import go_quote
from scow.units import parse_duration

MIN_INTERVAL_NS = 1_000_000
_DURATIONS = ("interval", "timeout", "start-period", "start-interval")


@dataclass(frozen=True, slots=True, kw_only=True)
class Healthcheck(Instruction):
    """`test` as an image's config has it (`["CMD", …]`, `["CMD-SHELL", text]`, `["NONE"]`); times in nanoseconds, 0 = not given."""

    test: tuple[str, ...]
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


def parse(node: Node) -> Healthcheck:
    words = node.rest.split(None, 1)
    if not words:
        raise DockerfileError("HEALTHCHECK requires at least one argument")
    kind, rest = words[0].upper(), words[1] if len(words) > 1 else ""
    if kind == "NONE":
        if rest:
            raise DockerfileError("HEALTHCHECK NONE takes no arguments")
        return Healthcheck(test=("NONE",), **place(node))
    if kind != "CMD":
        raise DockerfileError(f"Unknown type {go_quote(kind)} in HEALTHCHECK (try CMD)")
    flags = read_flags(node, strings=(*_DURATIONS, "retries"))
    command = lexer.json_array(rest)
    if not (rest if command is None else command):
        raise DockerfileError("Missing command after HEALTHCHECK CMD")
    times = {name.replace("-", "_"): _duration(name, flags.string(name)) for name in _DURATIONS}
    return Healthcheck(
        test=("CMD-SHELL", rest) if command is None else ("CMD", *command),
        retries=_retries(flags.string("retries")),
        **times,
        **place(node),
    )


def _duration(name: str, text: str) -> int:
    if not text:
        return 0
    try:
        value = parse_duration(text)
    except InvalidArgument as exc:
        raise DockerfileError(exc.message) from None
    if value and value < MIN_INTERVAL_NS:
        raise DockerfileError(f"Interval {go_quote(name)} cannot be less than 1ms")
    return value


def _retries(text: str) -> int:
    if not text:
        return 0
    digits = text.removeprefix("-").removeprefix("+")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 9:
        raise DockerfileError(f"strconv.ParseInt: parsing {go_quote(text)}: invalid syntax")
    if text.startswith("-") and int(digits):
        raise DockerfileError(f"--retries cannot be negative ({int(text)})")
    return int(digits)
