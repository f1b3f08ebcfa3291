"""Names of resource limits, and the form `name=soft[:hard]`."""

from scow.errors import InvalidArgument

NAMES = frozenset(
    [
        "core",
        "cpu",
        "data",
        "fsize",
        "locks",
        "memlock",
        "msgqueue",
        "nice",
        "nofile",
        "nproc",
        "rss",
        "rtprio",
        "rttime",
        "sigpending",
        "stack",
    ]
)


def check(name: str, soft: int, hard: int) -> None:
    """Refuse an unknown name or a soft limit above the hard one (-1 = unlimited). Raises InvalidArgument."""
    if name not in NAMES:
        raise InvalidArgument(f"invalid ulimit type: {name}")
    if hard >= 0 and (soft > hard or soft == -1):
        raise InvalidArgument(f"ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}")


def parse(text: str) -> tuple[str, int, int]:
    """(name, soft, hard) of `name=soft[:hard]`. Raises InvalidArgument."""
    name, equals, rest = text.partition("=")
    if not equals or not rest:
        raise InvalidArgument(f"invalid ulimit argument: {text}")
    parts = rest.split(":")
    if len(parts) > 2:
        raise InvalidArgument(f"too many limit value arguments - {rest}, can only have up to two, `soft[:hard]`")
    try:
        numbers = [int(part) for part in parts]
    except ValueError:
        raise InvalidArgument(f"invalid ulimit argument: {text}") from None
    soft, hard = numbers[0], numbers[-1]
    check(name, soft, hard)
    return name, soft, hard
