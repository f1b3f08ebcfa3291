import asyncio
import json

from scow.api.routes import events, system
from scow.events import Event, EventBus
from scow.filters import Filters
from tests.fakes.http import Line, app_with, ask, asked

EVENT = Event("container", "exec_create: ls", "abcdef", {"image": "box:1", "name": "web", "color": "red"}, 5_000_000_001, "local")


def matches(**filters: list[str]) -> bool:
    return events.matches(EVENT, Filters(filters))


def test_the_document_has_the_old_fields_too():
    document = events.document(EVENT)
    assert (document["status"], document["id"], document["from"]) == ("exec_create: ls", "abcdef", "box:1")
    assert (document["Type"], document["Actor"]["ID"], document["time"], document["timeNano"]) == ("container", "abcdef", 5, 5_000_000_001)
    assert "status" not in events.document(Event("network", "create", "n", {}, 1, "local"))


def test_filters():
    assert matches()
    assert matches(event=["exec_create"], type=["container"], label=["color=red"], scope=["local"])
    assert matches(container=["web"])
    assert matches(container=["abc"])
    assert matches(image=["box"])
    assert not matches(event=["exec_start"])
    assert not matches(container=["other"])
    assert not matches(network=["web"])
    assert not matches(label=["color=blue"])
    assert not matches(image=["box:2"])


def bus_app():
    bus = EventBus()
    return bus, app_with(lambda router: system.register_basics(router, bus))


def lines(body: bytes) -> list[str]:
    return [json.loads(line)["Action"] for line in body.splitlines()]


def test_the_past_between_two_moments():
    bus, app = bus_app()
    for action in ("create", "start"):
        bus.publish("container", action, "c", {})
    last = bus.past()[-1].time_ns
    until = f"{last // 10**9}.{last % 10**9:09d}"
    assert lines(ask(app, f"GET /events?since=1&until={until}").body) == ["create", "start"]
    assert lines(ask(app, f"GET /events?since={until}&until={until}").body) == ["start"]
    # the beginning of time is a moment, too; an end of 0 cuts nothing off; who gives no beginning has all until the end
    for query in (f"since=0&until={until}", "since=0&until=0", "until=0", f"until={until}"):
        assert lines(ask(app, f"GET /events?{query}").body) == ["create", "start"]
    assert ask(app, "GET /events?since=20&until=10").status == 400
    assert ask(app, "GET /events?since=soon").status == 400
    assert bus.listeners == 0


def test_the_present_until_the_client_leaves():
    bus, app = bus_app()

    async def main() -> bytes:
        server, wire = app(), Line()
        query = "until=9000000000&filters=%7B%22event%22%3A%5B%22start%22%5D%7D"
        reading = asyncio.get_running_loop().create_task(asked(server, f"GET /events?{query}", wire=wire))
        while bus.listeners == 0 or wire.answer is None:
            await asyncio.sleep(0)
        bus.publish("container", "create", "c", {})
        bus.publish("container", "start", "c", {})
        while not wire.answer.body:
            await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait([reading])
        return wire.answer.body

    assert lines(asyncio.run(main())) == ["start"]
    assert bus.listeners == 0
