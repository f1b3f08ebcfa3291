import asyncio

import pytest

from scow.http.body import HIGH_WATER, BodyBroken, BodyReader, BodyTooLarge, ChunkFramer, LengthFramer
from scow.http.head import BadRequest


def test_length_body_leaves_what_follows():
    framer = LengthFramer(4)
    assert framer.feed(b"ab") == ([b"ab"], b"")
    assert framer.feed(b"cdREST") == ([b"cd"], b"REST")
    assert framer.done


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
def test_chunked_body_in_any_pieces(step):
    framer, data, pieces, rest = ChunkFramer(), b"3;x=y\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\nT: v\r\n\r\nNEXT", [], b""
    for at in range(0, len(data), step):
        if framer.done:
            rest += data[at : at + step]
        else:
            found, more = framer.feed(data[at : at + step])
            pieces += found
            rest += more
    assert b"".join(pieces) == b"abc0123456789abcdef"
    assert framer.done
    assert rest == b"NEXT"


@pytest.mark.parametrize(
    "data", [b"x\r\n", b"-1\r\n", b"3\r\nabcd\r\n", b"3\nabc\r\n", b"\r\n", b"0x3\r\n", b"f" * 5000, b"1" * 16 + b"\r\n"]
)
def test_broken_chunks_are_refused(data):
    with pytest.raises(BadRequest):
        ChunkFramer().feed(data)


def reader():
    calls: list[str] = []
    return BodyReader(lambda: calls.append("pause"), lambda: calls.append("resume"), lambda: calls.append("first")), calls


def test_whole_body_and_limit():
    async def run() -> None:
        body, _ = reader()
        body.put(b"a")
        body.put(b"b")
        body.end()
        assert await body.whole(10) == b"ab"
        body, _ = reader()
        body.put(b"abc")
        with pytest.raises(BodyTooLarge):
            await body.whole(2)

    asyncio.run(run())


def test_backpressure_and_break():
    async def run() -> None:
        body, calls = reader()
        body.put(b"x" * (HIGH_WATER + 1))
        assert calls == ["pause"]
        await body.read()
        assert calls == ["pause", "resume"]
        body.fail(BodyBroken("gone"))
        with pytest.raises(BodyBroken):
            await body.read()

    asyncio.run(run())
