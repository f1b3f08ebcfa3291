import pytest

from scow.http.head import BadRequest, Heads, parse

HOST = b"Host: d\r\n"


def head(line: bytes = b"GET /x HTTP/1.1", fields: bytes = HOST) -> bytes:
    return line + b"\r\n" + fields + b"\r\n"


def test_plain_head():
    found = parse(head(b"GET /a?b=c HTTP/1.1", HOST + b"X-Y: 1\r\nx-y: 2\r\n"))
    assert (found.method, found.target, found.minor, found.keep_alive, found.length) == ("GET", "/a?b=c", 1, True, 0)
    assert found.headers["x-y"] == "1, 2"


def test_absolute_target_and_upgrade():
    found = parse(head(b"POST http://other/_ping HTTP/1.1", HOST + b"Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 2\r\n"))
    assert (found.target, found.upgrade, found.length) == ("/_ping", "tcp", 2)


def test_keep_alive_by_version():
    assert not parse(head(b"GET / HTTP/1.0", b"")).keep_alive
    assert not parse(head(fields=HOST + b"Connection: close\r\n")).keep_alive
    assert parse(head(fields=HOST + b"Transfer-Encoding: chunked\r\n")).length is None


@pytest.mark.parametrize(
    "data",
    [
        b"garbage\r\n\r\n",
        head(fields=b""),
        head(b"GET _ping HTTP/1.1"),
        head(b"GET / HTTP/9.9"),
        head(fields=HOST + b"Content-Length: abc\r\n"),
        head(fields=HOST + b"Content-Length: -5\r\n"),
        head(fields=HOST + b"Content-Length: 1\r\nContent-Length: 1\r\n"),
        head(fields=HOST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"),
        head(fields=HOST + b"Transfer-Encoding: gzip, chunked\r\n"),
        head(fields=HOST + b"Bad Header: x\r\n"),
        b"GET / HTTP/1.1\nHost: d\n\r\n\r\n",
        head(fields=HOST + b"X: a\rb\r\n"),
    ],
)
def test_malformed_heads_are_refused(data):
    with pytest.raises(BadRequest):
        parse(data)


def test_repeated_heads_are_remembered():
    heads = Heads()
    assert heads.parse(head()) is heads.parse(head())
