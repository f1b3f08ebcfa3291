"""What a verb is, as `Command` is for `scow`'s own. Each file of this package holds some, `table.py` names them."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Callable

    from scow.cli.flags import Flag, Options
    from scow.compose.session import Session


class Verb:
    """One verb: `usage` (its words after the name), `flags`, `run(session, options, arguments)`, how many arguments it takes."""

    __slots__ = ("flags", "interspersed", "least", "most", "run", "usage")

    def __init__(
        self,
        usage: str,
        flags: tuple[Flag, ...],
        run: Callable[[Session, Options, list[str]], int | None],
        least: int = 0,
        most: int = -1,
        interspersed: bool = True,
    ) -> None:
        self.usage, self.flags, self.run = usage, flags, run
        self.least, self.most, self.interspersed = least, most, interspersed


def grace(options: Options) -> int | None:
    """`--timeout` in seconds, None where it isn't given."""
    return options.number("timeout") if options.given("timeout") else None
