from types import SimpleNamespace

from scow.api.routes import networks
from scow.errors import Forbidden
from tests.fakes.http import Recorder, app_with, ask


def test_all():
    net = Recorder(
        {"list": [], "inspect": {"Name": "n"}, "create": ("id", "careful"), "get": SimpleNamespace(name="n"), "exposed": ()},
        frozenset({"list", "inspect", "get", "exposed"}),
    )
    containers = Recorder()
    app = app_with(lambda router: networks.register(router, net, containers))
    assert ask(app, "GET /networks").json == []
    assert ask(app, "GET /networks/").json == []
    assert ask(app, "GET /networks/n?verbose=1").json == {"Name": "n"}
    assert net.calls[-2:] == [("fresh", ("n",), {}), ("inspect", ("n", True, ""), {})]
    assert ask(app, "GET /networks/n?scope=swarm").status == 200
    assert net.calls[-2:] == [("fresh", ("",), {}), ("inspect", ("n", False, "swarm"), {})]
    assert ask(app, "GET /networks/n?verbose=maybe").status == 400
    made = ask(app, "POST /networks/create", {"Name": "n", "Labels": {"a": "b"}})
    assert (made.status, made.json) == (201, {"Id": "id", "Warning": "careful"})
    assert ask(app, "POST /networks/n/connect", {"Container": "c", "EndpointConfig": {"Aliases": ["x"]}}).status == 200
    name, args, _ = containers.calls[-1]
    assert (name, args[:2], args[2].aliases) == ("connect_network", ("c", "n"), ["x"])
    assert ask(app, "POST /networks/n/disconnect", {"Container": "c", "Force": True}).status == 200
    assert containers.calls[-1] == ("disconnect_network", ("c", "n", True), {})
    assert ask(app, "DELETE /networks/n").status == 204


def test_refusals():
    net = Recorder({"remove": Forbidden("bridge is a pre-defined network and cannot be removed")})
    app = app_with(lambda router: networks.register(router, net, Recorder()))
    assert ask(app, "DELETE /networks/bridge").status == 403
    assert ask(app, "POST /networks/create", {"Labels": 5}).status == 400
    assert ask(app, "POST /v1.24/networks/prune").status == 404
