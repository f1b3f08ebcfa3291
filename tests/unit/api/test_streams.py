import json

from scow.api import streams
from scow.errors import Conflict
from tests.fakes.http import app_with, ask

closed: list[str] = []


async def pieces(*items, name: str = "it"):
    try:
        for item in items:
            if isinstance(item, Exception):
                raise item
            yield item
    finally:
        closed.append(name)


def serve(handler):
    closed.clear()
    return ask(app_with(lambda router: router.add("GET", "/x", handler)), "GET /x")


def test_send_and_send_checked():
    async def send(call):
        await streams.send(call, pieces(b"a", b"b"), streams.TAR, [("X-More", "y")])

    reply = serve(send)
    assert (reply.body, reply.headers["x-more"], reply.headers["content-type"], closed) == (b"ab", "y", streams.TAR, ["it"])

    async def checked(call):
        await streams.send_checked(call, pieces(Conflict("wrong")), streams.TAR)

    assert (serve(checked).status, closed) == (409, ["it"])

    async def empty(call):
        await streams.send_checked(call, pieces(), streams.TAR)

    assert (serve(empty).status, serve(empty).body) == (200, b"")


def test_progress():
    async def fine(call):
        await streams.progress(call, pieces({"status": "a"}, {"status": "b"}))

    assert serve(fine).body == b'{"status":"a"}\r\n{"status":"b"}\r\n'

    async def fails_first(call):
        await streams.progress(call, pieces(Conflict("wrong")))

    assert (serve(fails_first).status, closed) == (409, ["it"])

    async def fails_later(call):
        await streams.progress(call, pieces({"status": "a"}, Conflict("wrong")))

    reply = serve(fails_later)
    assert (reply.status, json.loads(reply.body.split(b"\r\n")[1])["errorDetail"], closed) == (200, {"message": "wrong"}, ["it"])
