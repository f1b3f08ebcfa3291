"""Nodes that are cut off, lose power, or whose daemon is killed and restarted, while services run and change. Slow (`make faults`).

`FAULT_ROUNDS=5` repeats the measured one; each prints how long it took (`pytest -s`).
"""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.swarm.hosts import PATIENCE, Host, Swarm, service, swarms, why_not
from tests.integration.swarm.writer import Writer
from tests.support.engine import ROOT, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.skipif(bool(why_not()), reason=why_not())]

ROUNDS = int(os.environ.get("FAULT_ROUNDS", "1"))
ROLES = ("manager", "worker", "worker")
SLOW = 20.0
"""Seconds between heartbeats where a daemon that is slow to come back is not to lose its tasks."""


@pytest.fixture(scope="module")
def swarm() -> Iterator[Swarm]:
    yield from swarms(3)


@pytest.fixture
def trio(swarm: Swarm) -> Swarm:
    return swarm.form(*ROLES)


def run_service(swarm: Swarm, name: str, replicas: int) -> None:
    reply = swarm[0].ask("POST", "/services/create", service(name, replicas))
    assert reply.status == 201, reply
    swarm.until(lambda: swarm.settled(name, replicas), f"{replicas} tasks of {name}")


def all_settled(swarm: Swarm, *hosts: Host) -> bool:
    """Every service has what it wants on these hosts, and nothing is there besides."""
    rows = hosts[0].get("/services")
    names = {row["Spec"]["Name"] for row in rows}
    return all(swarm.settled(row["Spec"]["Name"], row["Spec"]["Mode"]["Replicated"]["Replicas"], *hosts) for row in rows) and not any(
        name not in names for host in hosts for name in host.containers(running=False).values()
    )


def down(boss: Host, node: str) -> bool:
    """Whether a node counts as down."""
    return bool(boss.nodes()[node]["Status"]["State"] == "down")


def test_tasks_of_a_worker_cut_off_move_and_end_there_when_it_is_back(trio: Swarm) -> None:
    run_service(trio, "web", 6)
    boss, lost, other = trio.hosts
    node, mine = lost.id, lost.containers("web")
    assert mine
    lost.cut()
    try:
        until(lambda: down(boss, node), PATIENCE, "a node that is down")
        trio.until(lambda: trio.settled("web", 6, boss, other), "tasks elsewhere")
        assert lost.containers("web") == mine  # they go on as long as nobody can tell them otherwise
    finally:
        lost.heal()
    until(lambda: boss.nodes()[node]["Status"]["State"] == "ready", PATIENCE, "the node back")
    trio.until(lambda: trio.settled("web", 6), "no task twice")
    assert not lost.containers("web")


def test_a_daemon_that_restarts_keeps_its_tasks(trio: Swarm) -> None:
    trio.beat(SLOW)
    run_service(trio, "web", 6)
    for host in trio.hosts:
        before = host.containers("web")
        host.restart()
        trio.until(trio.well, "a swarm that is well again")
        assert before
        assert host.containers("web") == before
    trio.until(lambda: trio.settled("web", 6), "tasks as before")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nothing_is_half_made_or_doubled_when_daemons_are_killed_in_the_middle(trio: Swarm, seed: int) -> None:
    """The manager is alone, so nobody else could have finished what it had begun."""
    trio.beat(SLOW)
    run_service(trio, "steady", 3)
    before = {host: host.containers("steady") for host in trio.hosts}
    boss, worker, _ = trio.hosts
    with Writer([boss], seed) as writer:
        for victim in (boss, worker, boss):
            count = writer.acknowledged
            until(lambda count=count: writer.acknowledged > count + 6 + seed, PATIENCE, "some changes")  # type: ignore[misc]
            victim.kill()
            victim.start()
        trio.until(trio.well, "a swarm that is well again")
        count = writer.acknowledged
        until(lambda: writer.acknowledged > count + 5, PATIENCE, "further changes")
    assert writer.unexpected == []
    assert writer.lost(boss) == []
    trio.until(lambda: all_settled(trio, *trio.hosts), "every service settled")
    assert {host: host.containers("steady") for host in trio.hosts} == before


def test_a_stack_whose_deploy_was_cut_short_is_finished_by_the_next(trio: Swarm, tmp_path: Path) -> None:
    trio.beat(SLOW)
    boss = trio[0]
    names = [f"s{number}" for number in range(8)]
    services = {
        name: {"image": "busybox:latest", "command": "sleep 100000", "stop_signal": "SIGKILL", "configs": ["c"], "deploy": {"replicas": 1}}
        for name in names
    }
    file = tmp_path / "stack.yaml"
    file.write_text(json.dumps({"services": services, "configs": {"c": {"content": "x"}}}))
    deploy = [str(ROOT / ".venv/bin/scow"), "stack", "deploy", "--resolve-image", "never", "-d=true", "-c", str(file), "st"]
    env = {**os.environ, "DOCKER_HOST": f"unix://{boss.socket}"}
    with subprocess.Popen(deploy, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as running:
        until(lambda: len(boss.get("/services")) >= 2, PATIENCE, "a part of the stack")
        boss.kill()
        said, _ = running.communicate(timeout=PATIENCE)
    assert b"Traceback" not in said
    boss.start()
    for _ in range(2):  # the second has nothing to do
        done = subprocess.run(deploy, env=env, capture_output=True, timeout=PATIENCE, check=False)
        assert done.returncode == 0, done.stderr
    assert sorted(row["Spec"]["Name"] for row in boss.get("/services")) == [f"st_{name}" for name in names]
    trio.until(lambda: all_settled(trio, *trio.hosts), "the whole stack")
    assert [row["Name"] for row in boss.get("/networks", name=["st_default"])] == ["st_default"]
    remove = [deploy[0], "stack", "rm", "st"]
    subprocess.run(remove, env=env, capture_output=True, timeout=PATIENCE, check=True)
    until(lambda: not any(host.containers(running=False) for host in trio.hosts), PATIENCE, "no container")


@pytest.mark.timeout(300 * ROUNDS)
def test_a_dead_node_is_noticed_within_three_heartbeats_and_replaced_within_five_seconds(swarm: Swarm) -> None:
    """With Docker's heartbeat of five seconds."""
    swarm.form(*ROLES, beat=5.0)
    boss, lost, other = swarm.hosts
    run_service(swarm, "web", 6)
    node = lost.id
    for _ in range(ROUNDS):
        begun = time.monotonic()
        lost.power_off()
        until(lambda: down(boss, node), PATIENCE, "a node that is down")
        noticed = time.monotonic()
        swarm.until(lambda: swarm.settled("web", 6, boss, other), "tasks elsewhere")
        replaced = time.monotonic()
        print(f"noticed after {noticed - begun:.1f} s, replaced {replaced - noticed:.1f} s later")
        assert noticed - begun < 15 + 2 + 10  # the last ten: a loaded machine
        assert replaced - noticed < 5 + 10
        lost.start()
        until(lambda: boss.nodes()[node]["Status"]["State"] == "ready", PATIENCE, "the node back")
        spec = service("web", 6)
        spec["TaskTemplate"]["ForceUpdate"] = int(begun)
        version = boss.get("/services/web")["Version"]["Index"]
        assert boss.ask("POST", f"/services/web/update?version={version}", spec).status == 200
        swarm.until(lambda: swarm.settled("web", 6) and lost.containers("web"), "tasks on it again")
