"""Health checks: commands, intervals, judging; the monitor with a scripted exec."""

import asyncio
from types import SimpleNamespace

import pytest

from scow.aio import Supervisor
from scow.containers.health import MAX_OUTPUT, NANO, HealthMonitor, clip, command_of, interval_ns, judge
from scow.containers.lifecycle import Health, Probe, State, Status
from scow.model.container import ContainerConfig, HealthConfig
from tests.unit.containers.test_view import made


@pytest.mark.parametrize(
    ("test", "command"),
    [
        (["CMD", "a", "b"], ["a", "b"]),
        (["CMD-SHELL", "a b"], ["/bin/sh", "-c", "a b"]),
        (["NONE"], []),
        ([], []),
        (["CMD"], []),
        (["NONSENSE", "x"], []),
    ],
)
def test_command(test: list[str], command: list[str]) -> None:
    assert command_of(made(config=ContainerConfig(healthcheck=HealthConfig(test=test)))) == command


def test_command_uses_the_configured_shell() -> None:
    assert command_of(made(config=ContainerConfig(shell=["bash", "-ec"], healthcheck=HealthConfig(test=["CMD-SHELL", "x"])))) == [
        "bash",
        "-ec",
        "x",
    ]


def test_interval_is_shorter_while_starting() -> None:
    check = HealthConfig(interval=10 * NANO, start_period=60 * NANO, start_interval=NANO)
    assert interval_ns(check, Health(), 0) == NANO
    assert interval_ns(check, Health(), 61 * NANO) == 10 * NANO
    assert interval_ns(check, Health("healthy"), 0) == 10 * NANO
    assert interval_ns(HealthConfig(), Health(), 0) == 30 * NANO


def test_judging() -> None:
    check = HealthConfig(retries=2, start_period=100)
    bad, good = Probe(start_ns=500, exit_code=1), Probe(start_ns=500, exit_code=0)
    in_start = judge(check, Health(), Probe(start_ns=50, exit_code=1), 0)
    assert (in_start.status, in_start.failing_streak, len(in_start.log)) == ("starting", 0, 1)
    first = judge(check, in_start, bad, 0)
    second = judge(check, first, bad, 0)
    assert (first.status, second.status, second.failing_streak) == ("starting", "unhealthy", 2)
    healed = judge(check, second, good, 0)
    assert (healed.status, healed.failing_streak) == ("healthy", 0)
    for _ in range(9):
        healed = judge(check, healed, good, 0)
    assert len(healed.log) == 5


def test_output_is_clipped() -> None:
    assert clip(b"x" * 5000) == "x" * MAX_OUTPUT + "..." and clip(b"\xff") == "�"


def test_monitor_reports_changes_and_stops_with_the_container() -> None:
    async def run() -> None:
        supervisor = Supervisor("test")
        parts = SimpleNamespace(on_running=[], on_ended=[], supervisor=supervisor)
        codes = iter([1, 0])
        done = asyncio.Event()

        class Execs:
            async def run(self, container: object, command: list[str], timeout: float, limit: int) -> tuple[int | None, bytes]:
                code = next(codes, None)
                if code is None:
                    done.set()
                    await asyncio.Event().wait()
                return code, b"out"

        events: list[str] = []
        check = HealthConfig(test=["CMD", "x"], interval=1000, retries=1)
        box = made("box", State(status=Status.RUNNING, pid=1, started_ns=5), config=ContainerConfig(healthcheck=check))
        box.ledger = SimpleNamespace(save=lambda c: None, erase=lambda c: None, publish=lambda c, action, attributes: events.append(action))
        HealthMonitor(parts, Execs())  # type: ignore[arg-type]
        parts.on_running[0](box)
        assert box.state.health == Health()
        async with asyncio.timeout(30):
            await done.wait()
        assert events == ["health_status: unhealthy", "health_status: healthy"]
        assert box.state.health is not None and [probe.exit_code for probe in box.state.health.log] == [1, 0]
        parts.on_ended[0](box)
        async with asyncio.timeout(30):
            await supervisor.drain()
        parts.on_running[0](box)  # a restart of the daemon: the counting goes on
        assert box.state.health.status == "healthy"
        await supervisor.close()

    asyncio.run(run())
