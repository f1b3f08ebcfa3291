import asyncio

from scow.http.messages import Response, StreamWriter


class Line:
    """What a writer sends."""

    def __init__(self) -> None:
        self.sent = b""

    def send(self, data: bytes) -> None:
        self.sent += data

    def send_parts(self, parts) -> None:
        self.sent += b"".join(parts)

    async def drain(self) -> None: ...


def written(*pieces: bytes, chunked: bool = True, bodyless: bool = False) -> bytes:
    line = Line()

    async def main() -> None:
        writer = StreamWriter(line, chunked, bodyless)  # type: ignore[arg-type]
        for piece in pieces:
            await writer.write(piece)
        await writer.end()
        await writer.end()

    asyncio.run(main())
    return line.sent


def test_framing():
    assert written(b"abc", b"", b"0123456789abcdef") == b"3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n"
    assert written(b"abc", b"d", chunked=False) == b"abcd"
    assert written(b"abc", bodyless=True) == b""
    large = b"x" * (1 << 20)
    assert written(large) == b"100000\r\n" + large + b"\r\n0\r\n\r\n"


def test_headers_of_a_reply():
    reply = Response(201, b"{}", [("A", "b")], "application/json")
    assert reply.headers == [("A", "b"), ("Content-Type", "application/json")]
    assert Response(204).headers == []
