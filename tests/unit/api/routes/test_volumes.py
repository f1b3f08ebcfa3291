from scow.api.routes import volumes
from scow.errors import Conflict, NotFound
from tests.fakes.http import Recorder, app_with, ask


def service(**results: object) -> Recorder:
    return Recorder(dict(results), frozenset({"list", "create", "inspect"}))


def test_list_create_inspect_remove_prune():
    fake = service(list={"Volumes": []}, create={"Name": "v"}, inspect={"Name": "v"}, prune={"SpaceReclaimed": 0})
    app = app_with(lambda router: volumes.register(router, fake))
    assert ask(app, 'GET /volumes?filters={"name":["v"]}').json == {"Volumes": []}
    assert fake.calls[-1][1][0].values("name") == {"v"}
    made = ask(app, "POST /volumes/create", {"Name": "v", "DriverOpts": {"type": "tmpfs"}})
    assert (made.status, made.json) == (201, {"Name": "v"})
    assert fake.calls[-1][1][0].driver_opts == {"type": "tmpfs"}
    assert ask(app, "GET /volumes/v").json == {"Name": "v"}
    assert ask(app, "DELETE /volumes/v?force=1").status == 204
    assert fake.calls[-1] == ("remove", ("v", True), {})


def test_prune_takes_named_ones_before_1_42():
    fake = service(prune={})
    app = app_with(lambda router: volumes.register(router, fake))
    for path, anonymous_only in (
        ("/volumes/prune", True),
        ("/v1.41/volumes/prune", False),
        ('/volumes/prune?filters={"all":["1"]}', False),
    ):
        ask(app, f"POST {path}")
        assert fake.calls[-1][1][1] is anonymous_only


def test_errors():
    fake = service(inspect=NotFound("get v: no such volume"), remove=Conflict("volume is in use"))
    app = app_with(lambda router: volumes.register(router, fake))
    assert (ask(app, "GET /volumes/v").status, ask(app, "GET /volumes/v").message) == (404, "get v: no such volume")
    assert ask(app, "DELETE /volumes/v").status == 409
    assert ask(app, 'GET /volumes?filters={"nope":["v"]}').status == 400
    assert ask(app, "POST /volumes/create", b"{").status == 400
    assert ask(app, "POST /volumes/create", {"Name": 5}).status == 400
