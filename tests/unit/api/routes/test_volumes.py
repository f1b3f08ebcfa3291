from scow.api.routes import volumes
from scow.errors import Conflict, NotFound
from tests.fakes.http import Recorder, app_with, ask


class Travel:
    """Volumes to and from archives."""

    async def size(self, name):
        return 7

    async def export(self, name):
        if name != "v":
            raise NotFound(f"get {name}: no such volume")
        yield b"tar"

    async def import_(self, name, chunks):
        return {"Name": name, "Got": b"".join([chunk async for chunk in chunks]).decode()}


TRAVEL = Travel()


def service(**results: object) -> Recorder:
    return Recorder(dict(results))


def test_list_create_inspect_remove_prune():
    fake = service(list={"Volumes": []}, create={"Name": "v"}, inspect={"Name": "v"}, prune={"SpaceReclaimed": 0})
    app = app_with(lambda router: volumes.register(router, fake, TRAVEL))
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
    app = app_with(lambda router: volumes.register(router, fake, TRAVEL))
    for path, anonymous_only in (
        ("/volumes/prune", True),
        ("/v1.41/volumes/prune", False),
        ('/volumes/prune?filters={"all":["1"]}', False),
    ):
        ask(app, f"POST {path}")
        assert fake.calls[-1][1][1] is anonymous_only


def test_errors():
    fake = service(inspect=NotFound("get v: no such volume"), remove=Conflict("volume is in use"))
    app = app_with(lambda router: volumes.register(router, fake, TRAVEL))
    assert (ask(app, "GET /volumes/v").status, ask(app, "GET /volumes/v").message) == (404, "get v: no such volume")
    assert ask(app, "DELETE /volumes/v").status == 409
    assert ask(app, 'GET /volumes?filters={"nope":["v"]}').status == 400
    assert ask(app, "POST /volumes/create", b"{").status == 400
    assert ask(app, "POST /volumes/create", {"Name": 5}).status == 400


def test_export_and_import():
    app = app_with(lambda router: volumes.register(router, service(), TRAVEL))
    assert ask(app, "GET /scow/volumes/v/size").json == {"Size": 7}
    assert ask(app, "GET /scow/volumes/v/export").body == b"tar"
    assert (ask(app, "GET /scow/volumes/x/export").status, ask(app, "GET /scow/volumes/x/export").message) == (404, "get x: no such volume")
    assert ask(app, "POST /scow/volumes/v/import", b"data").json == {"Name": "v", "Got": "data"}
