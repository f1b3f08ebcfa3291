"""The client's side of WebSocket."""

import os

from scow.http.websocket import frame, unmask


def client_frame(kind: int, payload: bytes) -> bytes:
    """A masked frame as a client sends it."""
    mask = os.urandom(4)
    plain = frame(kind, payload)
    head = bytearray(plain[: len(plain) - len(payload)])
    head[1] |= 0x80
    return bytes(head) + mask + unmask(payload, mask)
