from scow.api.routes import unsupported
from tests.fakes.http import app_with, ask

APP = app_with(unsupported.register)


def test_others():
    assert ask(APP, "GET /plugins").json == []
    assert ask(APP, "GET /plugins/a/b:c/json").status == 404
    for line in ("GET /containers/x/checkpoints", "POST /plugins/pull"):
        reply = ask(APP, line)
        assert (reply.status, "not supported by this engine" in reply.message) == (501, True)
