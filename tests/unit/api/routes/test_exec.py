from types import SimpleNamespace

from scow.api.routes import exec as execution
from scow.errors import Conflict
from tests.fakes.http import Recorder, app_with, ask


def routes(tty: bool = False, **results: object):
    def speak(exec_id, request, sock, early=b""):
        if sock is not None:
            sock.sendall(b"hello")
            sock.close()

    ready = SimpleNamespace(id="e1", tty=tty)
    execs = Recorder(
        {"create": "e1", "inspect": {"ID": "e1"}, "ready": ready, "start": speak, **results}, frozenset({"create", "inspect", "ready"})
    )
    service = Recorder({"get": "container"}, frozenset({"get"}))
    return execs, app_with(lambda router: execution.register(router, service, execs))


def test_create_inspect_resize():
    execs, app = routes()
    made = ask(app, "POST /containers/c/exec", {"Cmd": ["ls"], "Tty": True})
    assert (made.status, made.json) == (201, {"Id": "e1"})
    container, request = execs.calls[-1][1]
    assert (container, request.cmd, request.tty) == ("container", ["ls"], True)
    assert ask(app, "POST /containers/c/exec", {"Cmd": "ls -l"}).status == 400  # a list only, unlike a container's
    assert ask(app, "GET /exec/e1/json").json == {"ID": "e1"}
    assert ask(app, "POST /exec/e1/resize?h=10&w=20").status == 200
    assert execs.calls[-1] == ("resize", ("e1", 10, 20), {})
    assert ask(app, "POST /exec/e1/resize?h=x&w=20").status == 400


def test_start_attached_and_detached():
    execs, app = routes()
    assert ask(app, "POST /exec/e1/start", {"Detach": True}).status == 200
    assert execs.calls[-1][1][2] is None
    plain = ask(app, "POST /exec/e1/start", {})
    assert (plain.status, plain.raw, plain.headers["content-type"]) == (200, b"hello", "application/vnd.docker.raw-stream")
    upgraded = {"Connection": "Upgrade", "Upgrade": "tcp"}
    for version, tty, kind in ((51, False, "multiplexed"), (51, True, "raw"), (41, False, "raw")):
        reply = ask(routes(tty)[1], f"POST /v1.{version}/exec/e1/start", {}, upgraded)
        assert (reply.status, reply.raw, reply.headers["upgrade"]) == (101, b"hello", "tcp")
        assert reply.headers["content-type"] == f"application/vnd.docker.{kind}-stream"


def test_a_refused_exec_is_refused_before_the_connection_is_taken():
    _, app = routes(ready=Conflict("exec is already running"))
    assert ask(app, "POST /exec/e1/start", {}).status == 409
