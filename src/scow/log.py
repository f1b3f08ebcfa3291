"""Logging: standard loggers, with fields bound to the running task.

A message is a fixed sentence; what varies is a field: `with log.bind(container=short_id): logger.info("started")`.
"""

import contextlib
import contextvars
import logging
import sys
from collections.abc import Iterator
from typing import TextIO

_fields: contextvars.ContextVar[dict[str, str] | None] = contextvars.ContextVar("log_fields", default=None)


def get(name: str) -> logging.Logger:
    """The logger of a module; pass `__name__`."""
    return logging.getLogger(name)


@contextlib.contextmanager
def bind(**fields: str) -> Iterator[None]:
    """Add fields to every line logged inside the block, also by tasks started in it."""
    token = _fields.set({**(_fields.get() or {}), **fields})
    try:
        yield
    finally:
        _fields.reset(token)


class _Formatter(logging.Formatter):
    def __init__(self, json_lines: bool) -> None:
        super().__init__("%(message)s")
        self._json = json_lines

    def format(self, record: logging.LogRecord) -> str:
        message = super().format(record)
        fields = _fields.get() or {}
        stamp = self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}"
        level = record.levelname.lower()
        if self._json:
            import json

            return json.dumps({"time": stamp, "level": level, "msg": message, "logger": record.name, **fields})
        tail = "".join(f" {key}={value}" for key, value in fields.items())
        return f"time={stamp} level={level} msg={message!r}{tail}"


def setup(level: str, json_lines: bool = False, stream: TextIO = sys.stderr) -> None:
    """Send every logger of the process to `stream` from `level` on (debug, info, warn, error, fatal)."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Formatter(json_lines))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel({"warn": "WARNING", "fatal": "CRITICAL"}.get(level, level.upper()))
