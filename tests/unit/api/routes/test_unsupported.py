import pytest

from scow.api.routes import unsupported
from tests.fakes.http import app_with, ask

APP = app_with(unsupported.register)


@pytest.mark.parametrize("path", ["/nodes", "/services", "/tasks/x", "/secrets", "/configs", "/swarm", "/services/x/logs"])
def test_swarm_as_outside_a_swarm(path):
    reply = ask(APP, f"GET {path}")
    assert reply.status == 503
    assert "This node is not a swarm manager" in reply.message


def test_others():
    assert ask(APP, "GET /plugins").json == []
    assert ask(APP, "GET /plugins/a/b:c/json").status == 404
    for line in ("POST /swarm/init", "GET /containers/x/checkpoints", "POST /plugins/pull"):
        reply = ask(APP, line)
        assert (reply.status, "not supported by this engine" in reply.message) == (501, True)
    assert ask(APP, "POST /swarm/leave").status == 503
