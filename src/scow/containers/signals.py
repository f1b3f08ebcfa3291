"""Signals of containers; the grammar is `opts.signals`'s."""

import signal

from scow.errors import InvalidArgument
from scow.opts.signals import parse

__all__ = ["SIGKILL", "SIGTERM", "of_container", "parse"]

SIGKILL = int(signal.SIGKILL)
SIGTERM = int(signal.SIGTERM)


def of_container(stop_signal: str) -> int:
    """The signal that asks a container to end; TERM when its configuration names none or nonsense."""
    try:
        return parse(stop_signal) if stop_signal else SIGTERM
    except InvalidArgument:
        return SIGTERM
