"""Names of signals as `--stop-signal` and `kill` take them."""

import signal

from scow.errors import InvalidArgument

_NUMBERS: dict[str, int] = {s.name.removeprefix("SIG"): s.value for s in signal.Signals}
_NUMBERS |= {"RTMIN": 34, "RTMAX": 64, "POLL": 29, "IOT": 6, "CLD": 17, "UNUSED": 31}
_NUMBERS |= {f"RTMIN+{n}": 34 + n for n in range(1, 16)}
_NUMBERS |= {f"RTMAX-{n}": 64 - n for n in range(1, 15)}


def parse(text: str) -> int:
    """The number of `SIGTERM`, `term` or `15`. Raises InvalidArgument with dockerd's text."""
    if text.isascii() and text.isdigit() and len(text) < 5:
        number = int(text)
        if number == 0 or number > 64:
            raise InvalidArgument(f"Invalid signal: {text}")
        return number
    found = _NUMBERS.get(text.upper().removeprefix("SIG"))
    if found is None:
        raise InvalidArgument(f"Invalid signal: {text}")
    return found
