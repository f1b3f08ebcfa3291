import asyncio

import pytest

from scow.aio import Supervisor
from scow.api import app as apps
from scow.api.app import App
from scow.api.call import Call
from scow.errors import Conflict, InvalidArgument
from scow.http.head import BadRequest, parse
from scow.http.messages import Request, Response
from tests.fakes.http import app_with, ask, asked


def show(call: Call) -> Response:
    return call.json({"version": call.version, "id": call.path.get("id"), "q": call.query.text("q")})


async def late(call: Call) -> Response:
    raise InvalidArgument("no good")


async def nothing(call: Call) -> None:
    return None


async def breaks(call: Call) -> None:
    writer = await call.stream()
    await writer.write(b"begun")
    raise Conflict("in the middle")


def routes(router) -> None:
    router.add("GET", "/thing/{id}", show)
    router.add("GET", "/late", late)
    router.add("GET", "/nothing", nothing)
    router.add("GET", "/new", show, since=44)
    router.add("GET", "/breaks", breaks, cancel=True)
    router.add("GET", "/events", show, follow=True)
    router.add("GET", "/networks", show)


APP = app_with(routes)


@pytest.mark.parametrize(
    ("line", "status", "text"),
    [
        ("GET /_ping", 200, b"OK"),
        ("HEAD /v1.24/_ping", 200, b""),
        ("GET /v1.23/_ping", 400, b"too old. Minimum supported API version is 1.24"),
        ("GET /thing/a%20b?q=%C3%A9+x", 200, '{"version":51,"id":"a b","q":"é x"}'.encode()),
        ("GET /v1.40/thing/x", 200, b'"version":40'),
        ("GET /v1.52/thing/x", 400, b"client version 1.52 is too new. Maximum supported API version is 1.51"),
        ("GET /v2.0/thing/x", 400, b"too new"),
        ("GET /v1.0/thing/x", 400, b"too old"),
        ("GET /v1.24.1/thing/x", 400, b"too old"),
        ("GET /v1.99/unheard", 404, b"page not found"),
        ("GET /v1/thing/x", 400, b"client version 1 is too old"),
        ("GET /v/thing/x", 404, b"page not found"),
        ("GET //thing/x", 301, b""),
        ("POST /thing/x", 404, b"page not found"),
        ("GET /thing/%zz", 400, b"invalid URL escape"),
        ("GET /thing/x?q=%z", 400, b"invalid URL escape"),
        ("OPTIONS /anything", 200, b""),
        ("GET /late", 400, b'{"message":"no good"}\n'),
        ("GET /nothing", 204, b""),
        ("GET /v1.43/new", 404, b"page not found"),
        ("GET /v1.44/new", 200, b"44"),
        ("GET /networks/", 200, b"51"),
    ],
)
def test_answers(line, status, text):
    reply = ask(APP, line)
    assert (reply.status, text in reply.body) == (status, True), reply.body


@pytest.mark.parametrize(
    ("target", "clean"),
    [("//thing/x", "/thing/x"), ("/thing/../late?a=b", "/late?a=b"), ("/thing/%2F/a%20b", "/thing/a%20b"), ("/v1.44//new/", "/v1.44/new/")],
)
def test_an_unclean_path_leads_to_the_clean_one(target: str, clean: str) -> None:
    assert ask(APP, f"GET {target}").headers["location"] == clean


def test_a_stream_that_breaks_ends_the_connection(caplog):
    from scow.http.messages import ClientGone

    with pytest.raises(ClientGone):
        ask(APP, "GET /breaks")
    assert "in the middle" in caplog.text


def request(target: str) -> Request:
    return Request(None, parse(f"GET {target} HTTP/1.1\r\nHost: d\r\n\r\n".encode()), None)  # type: ignore[arg-type]


def test_whose_work_ends_with_its_client():
    app = App(Supervisor("test"))
    routes(app.router)
    app.opened()
    for target, left, half in (("/late", False, False), ("/breaks", True, False), ("/events", True, True)):
        made = request(target)
        app._plan(made.head)
        assert (app.cancellable(made, False), app.cancellable(made, True)) == (left, half), target
    assert app.cancellable(request("/late"), False), "not routed yet"


def test_before_the_engine_is_ready(monkeypatch):
    async def main() -> None:
        app = App(Supervisor("test"))
        routes(app.router)
        assert (await asked(app, "GET /_ping")).body == b"OK"
        waiting = asyncio.get_running_loop().create_task(asked(app, "GET /thing/x"))
        await asyncio.sleep(0)
        assert not waiting.done()
        app.opened()
        assert (await waiting).status == 200
        monkeypatch.setattr(apps, "_BOOT_SECONDS", 0.001)
        late_one = App(Supervisor("test"))
        reply = await asked(late_one, "GET /thing/x")
        assert (reply.status, reply.message) == (503, "the engine is still starting")

    asyncio.run(main())


def test_what_is_no_http():
    app = App(Supervisor("test"))
    reply = app.malformed(BadRequest("malformed request", 431))
    assert (reply.status, reply.body) == (431, b'{"message":"malformed request"}\n')
