"""The event bus."""

import asyncio

from scow import events


def test_subscribers_see_what_comes_and_the_ring_what_was() -> None:
    async def run() -> None:
        bus = events.EventBus()
        bus.publish("container", "create", "a")
        subscription = bus.subscribe()
        bus.publish("container", "start", "a", {"name": "n"})
        bus.publish("container", "die", "a")
        assert [(await anext(subscription)).action, (await anext(subscription)).action] == ["start", "die"]
        subscription.close()
        assert [event async for event in subscription] == []
        assert [event.action for event in bus.past()] == ["create", "start", "die"]
        times = [event.time_ns for event in bus.past()]
        assert times == sorted(set(times))

    asyncio.run(run())


def test_the_ring_is_bounded() -> None:
    bus = events.EventBus()
    for number in range(events.RING + 10):
        bus.publish("image", "tag", str(number))
    assert len(bus.past()) == events.RING


def test_a_subscriber_that_sleeps_is_let_go() -> None:
    async def run() -> int:
        bus = events.EventBus()
        subscription = bus.subscribe()
        for _ in range(10_000):
            bus.publish("image", "tag", "x")
        return len([event async for event in subscription])

    assert asyncio.run(run()) < 10_000
