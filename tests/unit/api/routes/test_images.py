import json
from types import SimpleNamespace

from scow.api.routes import images
from scow.errors import Conflict, NotFound
from tests.fakes.http import Recorder, app_with, ask


def routes(**results: object):
    service = Recorder(
        {"list": [], "inspect": {"Id": "i", "Size": 3}, "history": [], "remove": [{"Untagged": "x"}], "prune": {}, **results},
        frozenset({"inspect", "history", "tag", "travel"}),
        frozenset({"import_", "load", "save"}),
    )
    return service, app_with(lambda router: images.register(router, service, lambda: {"running"}))


def lines(body: bytes) -> list[dict]:
    return [json.loads(line) for line in body.split(b"\r\n") if line]


def test_list_inspect_history_tag_remove_prune():
    service, app = routes()
    assert ask(app, "GET /images/json?all=1&digests=1&shared-size=1&manifests=1").json == []
    assert service.calls[-1][2] == {"shared_size": True, "digests": True, "manifests": True}
    ask(app, "GET /v1.41/images/json?shared-size=1&manifests=1")
    assert service.calls[-1][2] == {"shared_size": False, "digests": False, "manifests": False}
    assert ask(app, "GET /images/a/b:c/json").json == {"Id": "i", "Size": 3}
    assert service.calls[-1][1][0] == "a/b:c"
    assert ask(app, "GET /v1.43/images/x/json").json["VirtualSize"] == 3
    assert ask(app, "GET /images/x/history").json == []
    assert ask(app, "POST /images/x/tag?repo=r&tag=t").status == 201
    assert service.calls[-1][1] == ("x", "r", "t")
    assert ask(app, "DELETE /images/x?force=1").json == [{"Untagged": "x"}]
    assert service.calls[-1][1:] == (("x", True, False), {"running": {"running"}, "platforms": []})
    assert ask(app, "POST /images/prune").json == {}


def test_platforms():
    service, app = routes()
    platform = json.dumps({"os": "linux", "architecture": "arm", "variant": "v7"}).replace(" ", "")
    assert ask(app, f"GET /images/x/history?platform={platform}").status == 200
    assert service.calls[-1][1] == ("x", "linux/arm/v7")
    assert ask(app, f"GET /images/x/json?manifests=1&platform={platform}").status == 400
    for bad in ("x", "{}", '{"os":5,"architecture":"a"}', "[]"):
        assert ask(app, f"GET /images/x/history?platform={bad}").status == 400


def test_load_and_its_errors():
    service, app = routes(load=[{"stream": "Loaded"}])
    assert lines(ask(app, "POST /images/load?quiet=0", b"tar").body) == [{"stream": "Loaded"}]
    assert service.calls[-1][1][1] is False
    reply = ask(routes(load=[{"stream": "a"}, Conflict("broken")])[1], "POST /images/load", b"tar")
    assert (reply.status, lines(reply.body)[-1]) == (200, {"errorDetail": {"message": "broken"}, "error": "broken"})
    reply = ask(routes(load=[NotFound("no manifest")])[1], "POST /images/load", b"tar")
    assert (reply.status, reply.message) == (404, "no manifest")


def test_save():
    service, app = routes(save=[b"ab", b"c"])
    reply = ask(app, "GET /images/get?names=a,b&names=c")
    assert (reply.body, reply.headers["content-type"]) == (b"abc", "application/x-tar")
    assert service.calls[-1][1][0] == ["a", "b", "c"]
    assert ask(app, "GET /images/a/b/get").status == 200
    assert service.calls[-1][1][0] == ["a/b"]
    assert ask(app, "GET /images/get").status == 400
    assert ask(routes(save=[NotFound("No such image: x")])[1], "GET /images/x/get").status == 404


def test_import():
    service, app = routes(import_=[{"status": "sha256:x"}])
    reply = ask(app, "POST /images/create?fromSrc=-&repo=r&tag=t&message=m&changes=CMD+x", b"tar")
    assert lines(reply.body) == [{"status": "sha256:x"}]
    assert service.calls[-1][1][1:] == ("r", "t", "m", ["CMD x"], "")
    assert ask(app, "POST /images/create").status == 400


def test_missing_image():
    _, app = routes(inspect=NotFound("No such image: x:latest"), remove=Conflict("in use"))
    assert ask(app, "GET /images/x/json").status == 404
    assert ask(app, "DELETE /images/x").status == 409
    assert SimpleNamespace(status=ask(app, "GET /images//json").status).status == 301
