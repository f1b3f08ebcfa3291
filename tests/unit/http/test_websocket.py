import pytest

from scow.http.head import BadRequest, parse
from scow.http.websocket import accept_head, client_frame, frame, next_frame


def test_accept_key_of_the_rfc():
    head = parse(
        b"GET /x HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in accept_head(head)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
def test_frames_round(size):
    payload = bytes(range(256)) * (size // 256 + 1)
    payload = payload[:size]
    data = client_frame(2, payload)
    assert next_frame(data + b"more") == (2, payload, len(data))
    assert next_frame(data[:-1]) is None


def test_unmasked_and_huge_frames_are_refused():
    with pytest.raises(BadRequest):
        next_frame(frame(2, b"x"))
    with pytest.raises(BadRequest):
        next_frame(b"\x82\xff" + (1 << 40).to_bytes(8, "big") + b"\0" * 4)
