"""Names and numbers of signals as Docker reads them."""

import signal

from scow.errors import InvalidArgument

_BY_NAME = {name.removeprefix("SIG"): int(value) for name, value in signal.Signals.__members__.items() if name.startswith("SIG")}
_RTMIN, _RTMAX = 34, 64
_BY_NAME |= {f"RTMIN+{n}": _RTMIN + n for n in range(1, 16)} | {f"RTMAX-{n}": _RTMAX - n for n in range(1, 15)}
_BY_NAME |= {"RTMIN": _RTMIN, "RTMAX": _RTMAX}

SIGKILL = int(signal.SIGKILL)
SIGTERM = int(signal.SIGTERM)


def parse(text: str) -> int:
    """The number of `9`, `KILL`, `sigkill`, `RTMIN+3`. Raises InvalidArgument."""
    if text.isascii() and text.isdigit() and len(text) < 4:
        number = int(text)
        if 0 < number <= _RTMAX:
            return number
    found = _BY_NAME.get(text.upper().removeprefix("SIG"))
    if found is None:
        raise InvalidArgument(f"invalid signal: {text}")
    return found


def of_container(stop_signal: str) -> int:
    """The signal that asks a container to end; TERM when its configuration names none or nonsense."""
    try:
        return parse(stop_signal) if stop_signal else SIGTERM
    except InvalidArgument:
        return SIGTERM
