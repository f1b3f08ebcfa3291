"""Framing tricks at the API: what one reader could take for one request and another for two gets a single refusal, then the end."""

import re
import socket

import pytest

HOST = b"Host: x\r\n"
SMUGGLED = b"GET /info HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


def talk(engine, data, half_close=True):
    """Everything the engine answers to these bytes until it closes."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(60)
        sock.connect(engine.socket)
        try:
            sock.sendall(data)
            if half_close:
                sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # refused in the middle
        out = b""
        try:
            while chunk := sock.recv(65536):
                out += chunk
        except ConnectionResetError:
            pass
    return out


def post(fields, body=b"{}"):
    return b"POST /volumes/create HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n" + fields + b"\r\n" + body


AMBIGUOUS = {
    "length and chunks": post(b"Content-Length: 5\r\n" + CHUNKED, b"0\r\n\r\n"),
    "chunks and length": post(CHUNKED + b"Content-Length: 5\r\n", b"0\r\n\r\n"),
    "two lengths": post(b"Content-Length: 0\r\nContent-Length: 2\r\n"),
    "two equal lengths": post(b"Content-Length: 2\r\nContent-Length: 2\r\n"),
    "a list of lengths": post(b"Content-Length: 2, 2\r\n"),
    "a signed length": post(b"Content-Length: +2\r\n"),
    "a negative length": post(b"Content-Length: -2\r\n"),
    "a length in hex": post(b"Content-Length: 0x2\r\n"),
    "a length beyond 64 bits": post(b"Content-Length: 18446744073709551618\r\n"),
    "a length with a digit of another script": post("Content-Length: \u0662\r\n".encode()),
    "an empty length": post(b"Content-Length: \r\n"),
    "two encodings": post(CHUNKED + b"Transfer-Encoding: identity\r\n", b"0\r\n\r\n"),
    "a list of encodings": post(b"Transfer-Encoding: identity, chunked\r\n", b"0\r\n\r\n"),
    "chunked twice": post(b"Transfer-Encoding: chunked, chunked\r\n", b"0\r\n\r\n"),
    "an unknown encoding": post(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"),
    "an encoding with a vertical tab": post(b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n"),
    "an encoding in quotes": post(b'Transfer-Encoding: "chunked"\r\n', b"0\r\n\r\n"),
    "an encoding on HTTP/1.0": post(CHUNKED, b"0\r\n\r\n").replace(b"HTTP/1.1", b"HTTP/1.0", 1),
    "a space before the colon": post(b"Content-Length : 2\r\n"),
    "a tab in a name": post(b"Transfer-Encoding\t: chunked\r\n", b"0\r\n\r\n"),
    "a folded line": post(b"Content-Length: 0\r\n 2\r\n"),
    "a folded encoding": post(b"X: y\r\n Transfer-Encoding: chunked\r\n", b""),
    "a folded first line": b"GET /_ping HTTP/1.1\r\n Host: x\r\n\r\n",
    "a NUL in a value": post(b"X: a\x00b\r\n"),
    "a bare CR in a value": post(b"X: a\rContent-Length: 2\r\n"),
    "a bare LF": post(b"X: a\nContent-Length: 2\r\n"),
    "lines that end with LF alone": b"GET /_ping HTTP/1.1\nHost: x\n\n",
    "a nameless field": post(b": x\r\n"),
    "a field that is none": post(b"garbage\r\n"),
    "two hosts": b"GET /_ping HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "no host": b"GET /_ping HTTP/1.1\r\n\r\n",
    "a chunk size with a sign": post(CHUNKED, b"+2\r\n{}\r\n0\r\n\r\n"),
    "a chunk size with 0x": post(CHUNKED, b"0x2\r\n{}\r\n0\r\n\r\n"),
    "a chunk size beyond 64 bits": post(CHUNKED, b"10000000000000002\r\n{}\r\n0\r\n\r\n"),
    "a chunk size with a space in front": post(CHUNKED, b" 2\r\n{}\r\n0\r\n\r\n"),
    "a chunk line that ends with LF": post(CHUNKED, b"2\n{}\r\n0\r\n\r\n"),
    "a chunk extension that holds LF": post(CHUNKED, b"2;x\ny\r\n{}\r\n0\r\n\r\n"),
    "a chunk longer than its size": post(CHUNKED, b"2\r\n{}}\r\n0\r\n\r\n"),
    "a chunk that ends with LF": post(CHUNKED, b"2\r\n{}\n0\r\n\r\n"),
    "no chunk at all": post(CHUNKED, b"\r\n\r\n"),
    "a version of the future": b"GET /_ping HTTP/1.10\r\n" + HOST + b"\r\n",
    "no version": b"GET /_ping\r\n" + HOST + b"\r\n",
    "a URL with a space": b"GET /_ping x HTTP/1.1\r\n" + HOST + b"\r\n",
    "a URL with a control character": b"GET /_pi\x01ng HTTP/1.1\r\n" + HOST + b"\r\n",
    "an authority for a URL": b"CONNECT x:1 HTTP/1.1\r\n" + HOST + b"\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


@pytest.mark.parametrize("what", AMBIGUOUS)
def test_an_ambiguous_request_is_refused_once(engine, what):
    answer = talk(engine, AMBIGUOUS[what] + SMUGGLED)
    assert re.match(rb"HTTP/1\.[01] 4\d\d ", answer), (what, answer[:300])
    assert answer.count(b"HTTP/1.") == 1, answer[:2000]
    assert b"Connection: close" in answer
    assert b"OperatingSystem" not in answer


def test_huge_heads_and_many_fields_are_refused(engine):
    for data in (
        b"GET /" + b"a" * (300 << 10) + b" HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /_ping HTTP/1.1\r\n" + HOST + b"X: " + b"y" * (300 << 10) + b"\r\n\r\n",
        b"GET /_ping HTTP/1.1\r\n" + HOST + b"".join(b"X%d: y\r\n" % n for n in range(1000)) + b"\r\n",
    ):
        answer = talk(engine, data)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 431 "), answer[:300]
    endless = post(CHUNKED, b"2\r\n{}\r\n0\r\n" + b"X: y\r\n" * 20_000)
    assert talk(engine, endless).startswith((b"HTTP/1.1 4", b"")) and engine.client.get("/_ping").status == 200


def test_no_header_comes_back_from_the_url(engine):
    for path in ("/%0d%0aSet-Cookie:%20a=b", "/containers/x%0d%0aX-Evil:%201/json", "/v1.51%0d%0aX-Evil:1/info"):
        answer = talk(engine, b"GET " + path.encode() + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        head = answer.partition(b"\r\n\r\n")[0]
        assert answer.startswith(b"HTTP/1.1 4") and b"Evil" not in head and b"Cookie" not in head


def test_what_follows_a_hijack_is_input_and_no_request(engine):
    made = engine.container("cat", OpenStdin=True, StdinOnce=True, AttachStdin=True)
    upgrade = b"POST /containers/%b/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
    answer = talk(engine, upgrade % made.encode() + SMUGGLED)
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert answer.endswith(SMUGGLED)
    assert b"OperatingSystem" not in answer
    assert engine.wait(made) == 0


def test_a_websocket_takes_masked_frames_only(engine):
    made = engine.container("cat", OpenStdin=True)
    head = b"GET /containers/%b/attach/ws?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    keys = b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    answer = talk(engine, head % made.encode() + keys + SMUGGLED)
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert b"OperatingSystem" not in answer
    assert SMUGGLED not in answer
    assert engine.logs(made) == b""
    engine.api("DELETE", f"/containers/{made}?force=1")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""])
def test_a_form_of_a_web_page_changes_nothing(engine, kind):
    reply = engine.api("POST", "/volumes/create", b'{"Name": "from-a-web-page"}', {"Content-Type": kind})
    assert reply.status == 400
    assert engine.api("GET", "/volumes/from-a-web-page").status == 404


def test_a_pipeline_is_answered_in_order(engine):
    ping = b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = talk(engine, ping + post(CHUNKED, b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n") + ping)
    assert re.findall(rb"HTTP/1\.1 (\d+)", answer) == [b"200", b"201", b"200"]
    name = re.search(rb'"Name": ?"([0-9a-f]+)"', answer)
    assert name is not None
    assert engine.api("DELETE", f"/volumes/{name[1].decode()}").status == 204
