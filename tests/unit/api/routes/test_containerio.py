import base64
import json
from types import SimpleNamespace

from scow.api.routes import containerio
from scow.errors import Conflict, NotFound
from tests.fakes.http import Recorder, app_with, ask

BOX = SimpleNamespace(config=SimpleNamespace(tty=False))


def routes(**results: object):
    def attached(container, query, sock, early):
        sock.sendall(b"hi")
        sock.close()

    service = Recorder({"get": results.pop("get", BOX)}, frozenset({"get"}))
    parts = {
        "attach": Recorder({"attach": attached, "check": results.get("check")}, frozenset({"check"})),
        "archive": Recorder(
            {
                "stat": {"name": "x"},
                "get": lambda *_: ({"name": "x"}, pieces(b"tar")),
                "export": lambda *_: pieces(b"all"),
                "changes": [],
                **results,
            }
        ),
        "stats": Recorder({"once": {"read": "now"}, "stream": [{"n": 1}, {"n": 2}]}, streams=frozenset({"stream"})),
        "top": Recorder({"top": {"Titles": ["PID"]}}),
        "logs": Recorder({"read": [b"one", b"two"], **results}, streams=frozenset({"read"})),
        "commit": Recorder({"commit": "sha256:i"}),
    }
    app = app_with(lambda router: containerio.register(router, service, *parts.values()))
    return parts, app


async def pieces(*found: bytes):
    for piece in found:
        yield piece


def test_logs():
    parts, app = routes()
    reply = ask(app, "GET /containers/c/logs?stdout=1&follow=1&tail=5&since=3&until=9&timestamps=1")
    assert (reply.body, reply.headers["content-type"]) == (b"onetwo", "application/vnd.docker.multiplexed-stream")
    wanted = parts["logs"].calls[-1][1][1]
    assert (wanted.stdout, wanted.stderr, wanted.follow, wanted.tail, wanted.since, wanted.until) == (True, False, True, "5", "3", "9")
    assert ask(app, "GET /v1.41/containers/c/logs?stdout=1").headers["content-type"] == "application/vnd.docker.raw-stream"


def test_stats_and_top():
    parts, app = routes()
    assert ask(app, "GET /containers/c/stats?stream=0&one-shot=1").json == {"read": "now"}
    assert parts["stats"].calls[-1][1] == (BOX, True)
    assert ask(app, "GET /containers/c/stats").body == b'{"n":1}\n{"n":2}\n'
    assert ask(app, "GET /containers/c/top?ps_args=-o+pid").json == {"Titles": ["PID"]}
    assert parts["top"].calls[-1][1] == (BOX, "-o pid")


def test_files():
    parts, app = routes()
    reply = ask(app, "GET /containers/c/archive?path=/x")
    assert reply.body == b"tar"
    assert json.loads(base64.b64decode(reply.headers["x-docker-container-path-stat"])) == {"name": "x"}
    assert "x-docker-container-path-stat" in ask(app, "HEAD /containers/c/archive?path=/x").headers
    assert ask(app, "PUT /containers/c/archive?path=/x&noOverwriteDirNonDir=1", b"tar").status == 200
    options = parts["archive"].calls[-1][1][3]
    assert (options.no_overwrite, options.copy_owner) == (True, False)
    for method in ("GET", "HEAD", "PUT"):
        assert ask(app, f"{method} /containers/c/archive").status == 400
    assert ask(app, "GET /containers/c/export").body == b"all"
    assert ask(app, "GET /containers/c/changes").json is None
    assert ask(routes(stat=NotFound("no such file"))[1], "HEAD /containers/c/archive?path=/x").status == 404


def test_attach():
    parts, app = routes()
    reply = ask(app, "POST /containers/c/attach?stream=1&stdout=1&detachKeys=ctrl-a")
    assert (reply.status, reply.raw) == (200, b"hi")
    query = parts["attach"].calls[-1][1][1]
    assert (query.stream, query.stdin, query.stdout, query.detach_keys, query.mux) == (True, False, True, "ctrl-a", True)
    reply = ask(app, "POST /containers/c/attach?stream=1", headers={"Connection": "Upgrade", "Upgrade": "tcp"})
    assert (reply.status, reply.headers["content-type"]) == (101, "application/vnd.docker.multiplexed-stream")
    assert ask(routes(check=Conflict("paused"))[1], "POST /containers/c/attach?stream=1").status == 409
    assert ask(app, "GET /containers/c/attach/ws?stream=1").status == 400


def test_commit():
    parts, app = routes()
    made = ask(app, "POST /commit?container=c&repo=r&tag=t&pause=0&changes=CMD+x&author=a&comment=b", {"Env": ["A=b"]})
    assert (made.status, made.json) == (201, {"Id": "sha256:i"})
    given = parts["commit"].calls[-1][2]
    assert (given["repo"], given["pause"], given["changes"], given["config"].env) == ("r", False, ["CMD x"], ["A=b"])
    ask(app, "POST /commit?container=c")
    assert parts["commit"].calls[-1][2]["config"] is None
    assert ask(app, "POST /commit").status == 400
