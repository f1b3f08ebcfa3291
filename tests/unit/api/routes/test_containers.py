import asyncio
from types import SimpleNamespace

import pytest

from scow.api.routes import containers
from scow.errors import Conflict, NotFound, NotModified
from tests.fakes.http import Recorder, app_with, ask

ROW = {"Id": "c1", "NetworkSettings": {"Networks": {"n": {"DNSNames": ["x"], "GwPriority": 1}}}}


def routes(**results: object):
    service = Recorder({"create": ("c1", None), "get": "container", "update": [], "prune": {}, **results}, frozenset({"get", "waiter"}))
    view = Recorder(
        {"inspect": ROW, "inspect_bytes": b'{"Id":"c1"}', "inspect_sized": {"SizeRw": 1}}, frozenset({"inspect", "inspect_bytes"})
    )
    listing = Recorder({"encoded": b"[]", "entries": [ROW]}, frozenset({"encoded"}))
    return service, listing, app_with(lambda router: containers.register(router, service, view, listing))


def test_list():
    _, listing, app = routes()
    assert ask(app, 'GET /containers/json?all=1&limit=-3&filters={"status":["running"]}').json == []
    query = listing.calls[-1][1][0]
    assert (query.all, query.limit, query.size, query.filters.values("status")) == (True, 0, False, {"running"})
    assert ask(app, "GET /containers/json?size=1").json == [ROW]
    old = ask(app, "GET /v1.43/containers/json").json
    assert old == [{"Id": "c1", "NetworkSettings": {"Networks": {"n": {}}}}]
    assert ask(app, "GET /containers/json?limit=many").status == 400
    assert ask(app, 'GET /containers/json?filters={"nope":["x"]}').status == 400


def test_inspect():
    _, _, app = routes()
    assert ask(app, "GET /containers/c1/json").json == {"Id": "c1"}
    assert ask(app, "GET /containers/c1/json?size=1").json == {"SizeRw": 1}
    assert "DNSNames" not in ask(app, "GET /v1.43/containers/c1/json").body.decode()
    _, _, app = routes(get=NotFound("No such container: c1"))
    assert (ask(app, "GET /containers/c1/json").status, ask(app, "GET /containers/c1/json").message) == (404, "No such container: c1")


def test_create():
    service, _, app = routes()
    made = ask(app, "POST /containers/create?name=web&platform=linux/amd64", {"Image": "box", "HostConfig": {"AutoRemove": True}})
    assert (made.status, made.json) == (201, {"Id": "c1", "Warnings": []})
    request, name, platform = service.calls[-1][1]
    assert (request.image, request.host_config.auto_remove, name, platform) == ("box", True, "web", "linux/amd64")
    for body in (None, {}, b"null", b"[]", b'{"Image": 5}', b"{", b"\xff"):
        assert ask(app, "POST /containers/create", body).status == 400, body
    assert ask(app, "POST /containers/create", b"{}", {"Content-Type": "text/plain"}).status == 400


@pytest.mark.parametrize(
    ("line", "call"),
    [
        ("POST /containers/c1/start", ("start", ("c1",), {})),
        ("POST /containers/c1/stop?t=3&signal=HUP", ("stop", ("c1", "HUP", 3), {})),
        ("POST /v1.41/containers/c1/stop?t=3&signal=HUP", ("stop", ("c1", "", 3), {})),
        ("POST /containers/c1/restart", ("restart", ("c1", "", None), {})),
        ("POST /containers/c1/kill?signal=9", ("kill", ("c1", "9"), {})),
        ("POST /containers/c1/pause", ("pause", ("c1",), {})),
        ("POST /containers/c1/unpause", ("unpause", ("c1",), {})),
        ("POST /containers/c1/rename?name=n", ("rename", ("c1", "n"), {})),
        ("DELETE /containers/c1?v=1&force=true", ("remove", ("c1",), {"force": True, "volumes": True, "link": False})),
    ],
)
def test_verbs(line, call):
    service, _, app = routes()
    assert ask(app, line).status == 204
    assert service.calls[-1] == call


def test_resize_update_prune():
    service, _, app = routes()
    assert ask(app, "POST /containers/c1/resize?h=4&w=5").status == 200
    assert service.calls[-1] == ("resize", ("c1", 4, 5), {})
    assert ask(app, "POST /containers/c1/update", {"Memory": 5000000}).json == {"Warnings": []}
    assert service.calls[-1][1][1].memory == 5000000
    assert ask(app, "POST /containers/prune").json == {}
    assert ask(app, "POST /v1.24/containers/prune").status == 404


def test_start_takes_no_body_and_no_checkpoint():
    _, _, app = routes()
    assert ask(app, "POST /containers/c1/start", {"HostConfig": {}}).status == 400
    assert ask(app, "POST /containers/c1/start?checkpoint=x").status == 400


def test_statuses_of_errors():
    for error, status in ((NotModified("x"), 304), (Conflict("x"), 409), (RuntimeError("surprise"), 500)):
        _, _, app = routes(start=error)
        assert ask(app, "POST /containers/c1/start").status == status


def test_wait_answers_at_once_and_ends_with_the_code():
    def waiter(_ref, condition):
        future = asyncio.get_running_loop().create_future()
        future.set_result(SimpleNamespace(code=7, error="cannot be removed"))
        conditions.append(condition)
        return future

    conditions: list[str] = []
    _, _, app = routes(waiter=waiter)
    assert ask(app, "POST /containers/c1/wait?condition=removed").json == {"StatusCode": 7, "Error": {"Message": "cannot be removed"}}
    assert ask(app, "POST /v1.29/containers/c1/wait?condition=removed").status == 200
    assert conditions == ["removed", ""]
