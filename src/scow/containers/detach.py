"""Detach keys: `ctrl-p,ctrl-q` as the bytes a terminal sends. The keeper recognises them in the input of an attachment."""

from scow.errors import InvalidArgument

DEFAULT = b"\x10\x11"
_MAX_KEYS = 32
_CONTROL = {f"ctrl-{chr(code + 96)}": code for code in range(1, 27)} | {
    "ctrl-@": 0,
    "ctrl-[": 27,
    "ctrl-\\": 28,
    "ctrl-]": 29,
    "ctrl-^": 30,
    "ctrl-_": 31,
    "DEL": 127,
}


def parse(text: str) -> bytes:
    """The bytes of a key sequence; "" is Docker's default. Raises InvalidArgument."""
    if not text:
        return DEFAULT
    codes = bytearray()
    for name in text.split(","):
        code = _CONTROL.get(name, ord(name) if len(name) == 1 and name.isascii() else -1)
        if code < 0 or len(codes) == _MAX_KEYS:
            raise InvalidArgument(f"Invalid detach keys ({text[:100]}) provided")
        codes.append(code)
    return bytes(codes)
