"""How the head of a reply is written. Pure but for the clock of the Date header; a `Response` keeps the head it was sent with."""

import time
from collections.abc import Iterable

from scow.http.messages import REASONS, Response

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class _Clock:
    """The Date header, made once a second (`email.utils` would cost a twentieth of the way to the first `_ping`)."""

    def __init__(self) -> None:
        self._second = 0
        self._line = b""

    def line(self) -> bytes:
        now = int(time.time())
        if now != self._second:
            at = time.gmtime(now)
            clock = f"{at.tm_hour:02d}:{at.tm_min:02d}:{at.tm_sec:02d}"
            text = f"Date: {_DAYS[at.tm_wday]}, {at.tm_mday:02d} {_MONTHS[at.tm_mon]} {at.tm_year} {clock} GMT\r\n"
            self._second, self._line = now, text.encode()
        return self._line


_clock = _Clock()


def head(status: int, headers: Iterable[tuple[str, str]], more: str, minor: int, close: bool, extra: bytes) -> bytes:
    """The head of a reply that is written in pieces: `more` says how long it is, `extra` are the application's own lines."""
    lines = [f"HTTP/1.{minor} {status} {REASONS.get(status, 'Status')}\r\n"]
    lines += [f"{name}: {value}\r\n" for name, value in headers]
    lines.append(more)
    if close:
        lines.append("Connection: close\r\n")
    elif minor == 0:
        lines.append("Connection: keep-alive\r\n")
    return "".join(lines).encode("utf-8", "replace") + extra + _clock.line() + b"\r\n"


def whole(response: Response, head_only: bool, close: bool, minor: int, extra: bytes) -> bytes:
    """A reply whose body is there already."""
    plain = minor == 1 and not close and not head_only
    if plain and response.wire is not None:
        return response.wire + _clock.line() + b"\r\n" + response.body
    status, body = response.status, response.body
    lines = [f"HTTP/1.{minor} {status} {REASONS.get(status, 'Status')}\r\n"]
    lines += [f"{name}: {value}\r\n" for name, value in response.headers]
    if status >= 200 and status not in (204, 304):
        lines.append(f"Content-Length: {len(body) if response.length is None else response.length}\r\n")
    else:
        body = b""
    if close:
        lines.append("Connection: close\r\n")
    elif minor == 0:
        lines.append("Connection: keep-alive\r\n")
    start = "".join(lines).encode("utf-8", "replace") + extra
    if plain and body is response.body:
        response.wire = start
    text = start + _clock.line() + b"\r\n"
    return text if head_only else text + body
