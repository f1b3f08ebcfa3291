from scow.api.routes import system
from scow.events import EventBus
from tests.fakes.http import Recorder, app_with, ask


def routes():
    service = Recorder({"info": {"ID": "x", "FirewallBackend": {}}, "usage": {"Images": [{"Size": 1}], "BuildCache": None}})

    def register(router):
        system.register_basics(router, EventBus())
        system.register(router, service.info, service.usage)

    return service, app_with(register)


def test_version_and_info():
    _, app = routes()
    assert ask(app, "GET /v1.24/version").json["ApiVersion"] == "1.51"
    assert ask(app, "GET /info").json == {"ID": "x", "FirewallBackend": {}}
    assert "FirewallBackend" not in ask(app, "GET /v1.47/info").json


def test_usage():
    service, app = routes()
    ask(app, "GET /system/df?type=image&type=volume,container")
    assert service.calls[-1][1][0] == {"image", "volume", "container"}
    ask(app, "GET /v1.41/system/df?type=image")
    assert len(service.calls[-1][1][0]) == 4
    assert ask(app, "GET /v1.43/system/df").json["Images"] == [{"Size": 1, "VirtualSize": 1}]
    assert ask(app, "GET /system/df?type=cats").status == 400
