"""The user's terminal: raw mode, its size, the detach keys."""

from __future__ import annotations

import posix

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

from scow.errors import ScowError

DETACH_KEYS = "ctrl-p,ctrl-q"


def is_terminal(fd: int) -> bool:
    """Whether the descriptor is a terminal."""
    return posix.isatty(fd)


def size(fd: int = 1) -> tuple[int, int]:
    """(rows, columns), (0, 0) where there is no terminal."""
    for candidate in (fd, 0, 2):
        try:
            found = posix.get_terminal_size(candidate)
        except OSError:
            continue
        return found.lines, found.columns
    return 0, 0


def parse_keys(text: str) -> bytes:
    """The bytes of `ctrl-p,ctrl-q` or `a,b`. Raises ScowError."""
    found = bytearray()
    for word in text.split(","):
        if len(word) == 1 and word.isascii():
            found.append(ord(word))
            continue
        key = word.lower()
        if key == "del":
            found.append(127)
        elif key.startswith("ctrl-") and len(key) == 6 and (key[5].isalpha() or key[5] in "@[\\]^_"):
            found.append(ord(key[5].upper()) & 0x1F)
        else:
            raise ScowError(f"Unknown character: '{word}'")
    return bytes(found)


class RawMode:
    """Raw mode of a terminal while the context lasts."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._saved: list[Any] | None = None

    def __enter__(self) -> RawMode:
        import termios

        try:
            self._saved = termios.tcgetattr(self._fd)
        except termios.error:
            return self
        mode = termios.tcgetattr(self._fd)
        mode[0] &= ~(
            termios.BRKINT
            | termios.ICRNL
            | termios.INPCK
            | termios.ISTRIP
            | termios.IXON
            | termios.IGNBRK
            | termios.PARMRK
            | termios.INLCR
            | termios.IGNCR
        )
        mode[1] &= ~termios.OPOST
        mode[2] = (mode[2] & ~(termios.CSIZE | termios.PARENB)) | termios.CS8
        mode[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.IEXTEN | termios.ISIG)
        mode[6][termios.VMIN] = 1
        mode[6][termios.VTIME] = 0
        termios.tcsetattr(self._fd, termios.TCSANOW, mode)
        return self

    def __exit__(self, *_: object) -> None:
        if self._saved is not None:
            import termios

            termios.tcsetattr(self._fd, termios.TCSANOW, self._saved)


class Escape:
    """Finds the detach keys in typed bytes; a part of the sequence is held back until it is clear what it is."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._seen = 0

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """(bytes to pass on, whether the sequence is complete)."""
        keys = self._keys
        if not keys:
            return data, False
        out = bytearray()
        for byte in data:
            if byte == keys[self._seen]:
                self._seen += 1
                if self._seen == len(keys):
                    self._seen = 0
                    return bytes(out), True
                continue
            if self._seen:
                out += keys[: self._seen]
                self._seen = 0
                if byte == keys[0]:
                    self._seen = 1
                    continue
            out.append(byte)
        return bytes(out), False
