import random
import struct

import pytest

from scow.network.dns import message


def query(name: str, kind: int = message.A, ident: int = 7, flags: int = 0x0100) -> bytes:
    return struct.pack(">HHHHHH", ident, flags, 1, 0, 0, 0) + message.encode_name(name) + struct.pack(">HH", kind, 1)


def test_a_question_is_read_and_answered() -> None:
    asked = message.parse(query("Web.Example"))
    assert (asked.ident, asked.name, asked.kind, asked.size) == (7, "web.example", message.A, 512)
    answer = message.reply(asked, [message.address("10.0.0.2")])
    assert struct.unpack_from(">HHHHHH", answer) == (7, 0x8180, 1, 1, 0, 0)
    assert answer.endswith(b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 600, 4) + bytes([10, 0, 0, 2]))
    assert message.answers(answer, asked, 7) and not message.answers(answer, asked, 8)


def test_too_much_is_truncated() -> None:
    asked = message.parse(query("a"))
    answer = message.reply(asked, [message.address("10.0.0.2")] * 100, limit=512)
    assert message.truncated(answer) and len(answer) < 512


def test_edns_size() -> None:
    data = bytearray(query("a") + b"\0" + struct.pack(">HHIH", message.OPT, 1232, 0, 0))
    data[11] = 1
    assert message.parse(bytes(data)).size == 1232


def test_reverse_names() -> None:
    assert message.reverse("4.3.2.1.in-addr.arpa") == "1.2.3.4"
    assert message.reverse("x.in-addr.arpa") == message.reverse("example.com") == message.reverse("1.ip6.arpa") == ""


@pytest.mark.parametrize(
    "data", [b"", b"x" * 11, query("a")[:-1], query("a")[:12] + b"\xc0\x0c\0\1\0\1", query("a")[:12] + b"\x3fab", query("a", flags=0x8000)]
)
def test_hostile_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(message.BadMessage):
        message.parse(data)


def test_noise_never_does_more_than_raise() -> None:
    source = random.Random(1)
    for _ in range(500):
        data = bytearray(query("some.name"))
        for _ in range(4):
            data[source.randrange(len(data))] = source.randrange(256)
        try:
            message.parse(bytes(data))
        except message.BadMessage:
            assert len(message.error(bytes(data), message.FORMERR)) in (0, 12)


def test_answers_are_never_answered() -> None:
    assert message.error(query("a", flags=0x8000), message.FORMERR) == b""
