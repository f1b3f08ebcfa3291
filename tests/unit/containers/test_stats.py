"""stats: one document, two samples apart, the stream, a container that doesn't run."""

import asyncio
from types import SimpleNamespace
from typing import Any

from scow.containers import stats
from scow.containers.container import Container
from scow.containers.lifecycle import State, Status
from tests.unit.containers.test_view import made

RUNNING = State(status=Status.RUNNING, pid=1, started_ns=5)


def service(monkeypatch: Any) -> stats.StatsService:
    monkeypatch.setattr(stats, "_SECOND", 0.01)
    count = iter(range(1, 1000))
    return stats.StatsService(SimpleNamespace(), lambda c: {"cpu_stats": {"n": next(count)}})  # type: ignore[arg-type]


def test_once(monkeypatch: Any) -> None:
    box = made(state=RUNNING)
    one = asyncio.run(service(monkeypatch).once(box))
    assert one["precpu_stats"] == {"n": 1} and one["cpu_stats"] == {"n": 2} and one["preread"] < one["read"] and one["name"] == "/web"
    shot = asyncio.run(service(monkeypatch).once(box, one_shot=True))
    assert shot["preread"] == "0001-01-01T00:00:00Z" and shot["cpu_stats"] == {"n": 1}


def test_stopped_one_answers_at_once_with_zeros(monkeypatch: Any) -> None:
    doc = asyncio.run(service(monkeypatch).once(made()))
    assert doc["read"] == "0001-01-01T00:00:00Z" and doc["id"] and doc["cpu_stats"]["cpu_usage"]["total_usage"] == 0


def test_stream_goes_on_until_it_is_closed(monkeypatch: Any) -> None:
    async def run(box: Container) -> list[Any]:
        stream = service(monkeypatch).stream(box)
        found = [await anext(stream) for _ in range(3)]
        await stream.aclose()  # type: ignore[attr-defined]
        return found

    first, second, third = asyncio.run(run(made(state=RUNNING)))
    assert second["precpu_stats"] == first["cpu_stats"] and third["preread"] == second["read"]


def test_group_that_vanished_is_as_if_stopped() -> None:
    def gone(_: Container) -> dict[str, Any]:
        raise FileNotFoundError

    doc = asyncio.run(stats.StatsService(SimpleNamespace(), gone).once(made(state=RUNNING), one_shot=True))  # type: ignore[arg-type]
    assert doc["read"] == "0001-01-01T00:00:00Z"
