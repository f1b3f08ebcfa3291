"""Three managers, and what happens to one of them while services run and change. Slow: real daemons, real containers (`make faults`)."""

import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.integration.swarm.hosts import PATIENCE, Host, Swarm, service, swarms, why_not
from tests.integration.swarm.writer import Writer
from tests.support.engine import until
from tests.support.http import Client

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.skipif(bool(why_not()), reason=why_not())]

ROLES = ("manager", "manager", "manager")
NO_LEADER = "The swarm does not have a leader"


@pytest.fixture(scope="module")
def swarm() -> Iterator[Swarm]:
    yield from swarms(3)


@pytest.fixture
def managers(swarm: Swarm) -> Swarm:
    return swarm.form(*ROLES)


def all_settled(swarm: Swarm) -> bool:
    """Every service has what it wants, and nothing runs besides."""
    rows = swarm[0].get("/services")
    names = {row["Spec"]["Name"] for row in rows}
    return all(swarm.settled(row["Spec"]["Name"], row["Spec"]["Mode"]["Replicated"]["Replicas"]) for row in rows) and not any(
        name not in names for host in swarm.hosts for name in host.containers(running=False).values()
    )


def run_service(swarm: Swarm, name: str, replicas: int) -> None:
    reply = swarm.leader().ask("POST", "/services/create", service(name, replicas))
    assert reply.status == 201, reply
    swarm.until(lambda: swarm.settled(name, replicas), f"{replicas} tasks of {name}")


def refused(host: Host, method: str, path: str, body: object = None) -> None:
    """The host says within seconds that nobody leads."""
    begun = time.monotonic()
    reply = host.ask(method, path, body)
    assert reply.status == 503, reply
    assert NO_LEADER in reply.json["message"], reply
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize("seed", [1, 2])
def test_no_acknowledged_change_is_lost_when_the_leader_is_killed(managers: Swarm, seed: int) -> None:
    run_service(managers, "steady", 3)
    before = {host: host.containers("steady") for host in managers.hosts}
    leader = managers.leader()
    others = managers.others(leader)
    with Writer(managers.hosts, seed) as writer:
        until(lambda: writer.acknowledged > 15, PATIENCE, "some changes")
        leader.kill()
        until(lambda: any(host.nodes() for host in others), PATIENCE, "another leader")
        count = writer.acknowledged
        until(lambda: writer.acknowledged > count + 10, PATIENCE, "changes under another leader")
        leader.start()
        managers.until(managers.well, "a swarm that is well again")
    assert writer.unexpected == []
    assert [writer.lost(host) for host in managers.hosts] == [[], [], []]
    managers.until(lambda: all_settled(managers), "every service settled")
    # their daemon was away for less than three heartbeats, or its tasks were moved: nothing is there twice either way
    for host in others:
        assert before[host].items() <= host.containers("steady").items()


def test_a_manager_cut_off_says_so_and_its_tasks_go_on_until_it_is_back(managers: Swarm) -> None:
    run_service(managers, "web", 6)
    leader = managers.leader()
    others = managers.others(leader)
    mine = leader.containers("web")
    leader.cut()
    try:
        until(lambda: leader.ask("GET", "/services").status == 503, PATIENCE, "a manager that knows it is alone")
        refused(leader, "GET", "/services")
        refused(leader, "POST", "/services/create", service("never", 1))
        assert NO_LEADER in leader.get("/info")["Swarm"]["Error"]
        # its host's networks are there as ever, also to be made; those of the swarm are nobody's to change
        assert {"bridge", "ingress"} <= {row["Name"] for row in leader.get("/networks")}
        assert leader.ask("POST", "/networks/create", {"Name": "here", "Driver": "bridge"}).status == 201
        assert leader.ask("DELETE", "/networks/here").status == 204
        refused(leader, "POST", "/networks/create", {"Name": "wide", "Driver": "overlay"})
        refused(leader, "DELETE", "/networks/ingress")
        managers.until(lambda: managers.settled("web", 6, *others), "tasks elsewhere")
        assert leader.containers("web") == mine
    finally:
        leader.heal()
    managers.until(managers.well, "a swarm that is well again")
    managers.until(lambda: managers.settled("web", 6), "no task twice")
    assert [row["Spec"]["Name"] for row in leader.get("/services")] == ["web"]


def test_networks_are_on_every_manager_as_soon_as_one_has_them(managers: Swarm) -> None:
    for number in range(9):
        name, host = f"net{number}", managers[number % 3]
        reply = host.ask("POST", "/networks/create", {"Name": name, "Driver": "overlay"})
        assert reply.status == 201, reply
        for other in managers.others(host):
            assert other.get(f"/networks/{name}")["Scope"] == "swarm"
            assert name in {row["Name"] for row in other.get("/networks")}
        last = managers.others(host)[0]
        assert last.ask("DELETE", f"/networks/{name}").status == 204
        assert [one.ask("GET", f"/networks/{name}").status for one in managers.others(last)] == [404, 404]


def test_a_node_is_changed_with_the_version_of_before_its_reports(managers: Swarm) -> None:
    leader = managers.leader()
    node = managers.others(leader)[0]
    before = leader.get(f"/nodes/{node.id}")
    node.restart()  # it registers anew, with a status and a description
    until(managers.well, PATIENCE, "a swarm that is well again")
    assert leader.get(f"/nodes/{node.id}")["Version"]["Index"] > before["Version"]["Index"]
    path = f"/nodes/{node.id}/update?version={before['Version']['Index']}"
    assert leader.ask("POST", path, {**before["Spec"], "Labels": {"a": "b"}}).status == 200
    assert leader.ask("POST", path, {**before["Spec"], "Labels": {"a": "c"}}).status == 400
    assert leader.get(f"/nodes/{node.id}")["Spec"]["Labels"] == {"a": "b"}


@pytest.mark.parametrize("who", ["leader", "follower"])
def test_etcd_is_started_again_when_it_is_killed(managers: Swarm, who: str) -> None:
    leader = managers.leader()
    hit = leader if who == "leader" else managers.others(leader)[0]
    with Writer(managers.hosts) as writer:
        until(lambda: writer.acknowledged > 10, PATIENCE, "some changes")
        before = hit.etcd()
        assert before
        subprocess.run(["kill", "-9", str(before)], check=True)
        until(lambda: hit.etcd() not in (0, before), PATIENCE, "another etcd")
        count = writer.acknowledged
        until(lambda: writer.acknowledged > count + 10, PATIENCE, "further changes")
    assert writer.unexpected == []
    managers.until(managers.well, "a swarm that is well again")
    assert [writer.lost(host) for host in managers.hosts] == [[], [], []]
    managers.until(lambda: all_settled(managers), "every service settled")


@pytest.mark.parametrize("how", ["deleted", "damaged"])
def test_a_manager_that_has_lost_its_copy_gets_another(managers: Swarm, how: str) -> None:
    run_service(managers, "web", 3)
    hit = managers.others(managers.leader())[0]
    hit.stop()
    data = hit.data / "swarm" / "etcd" / "member"
    for file in [*data.glob("wal/*.wal"), data / "snap" / "db"]:
        if how == "deleted":
            file.unlink()
        else:
            file.write_bytes(b"nothing that etcd knows" * 1000)
    if how == "deleted":
        subprocess.run(["rm", "-r", str(data)], check=True)
    hit.start()
    managers.until(managers.well, "a swarm that is well again", 2 * PATIENCE)
    assert {row["Spec"]["Name"] for row in hit.get("/services")} == {"web"}
    managers.until(lambda: managers.settled("web", 3), "tasks as before")


def test_what_runs_goes_on_without_a_quorum_and_a_new_cluster_takes_over(managers: Swarm) -> None:
    run_service(managers, "web", 6)
    one, two, three = managers.hosts
    mine = one.containers("web")
    two.power_off()
    three.power_off()
    until(lambda: one.ask("GET", "/services").status == 503, PATIENCE, "a manager that knows it is alone")
    refused(one, "GET", "/nodes")
    refused(one, "POST", "/services/create", service("never", 1))
    assert one.containers("web") == mine
    one.restart()  # and it also comes up alone
    until(lambda: NO_LEADER in one.get("/info")["Swarm"]["Error"], PATIENCE, "a sentence about it")
    assert one.containers("web") == mine
    managers.roles = ()
    reply = Client(one.socket, 120).post("/swarm/init", {"ForceNewCluster": True, "ListenAddr": "0.0.0.0:2377"})
    assert reply.status == 200, reply
    assert [row["Spec"]["Name"] for row in one.get("/services")] == ["web"]
    managers.until(lambda: managers.settled("web", 6, one), "all tasks on the one that is left")
    assert mine.items() <= one.containers("web").items()
    for host in (two, three):
        host.start()
        host.busybox()
        host.ask("POST", "/swarm/leave?force=1")
        until(lambda host=host: host.get("/info")["Swarm"]["LocalNodeState"] == "inactive", PATIENCE, "no swarm")  # type: ignore[misc]
        host.join(one, "manager")
    own = {host.id for host in managers.hosts}
    for row in one.get("/nodes"):
        if row["ID"] not in own:  # what two and three were before; they may not count as down yet
            reply = one.ask("DELETE", f"/nodes/{row['ID']}?force=1")
            assert reply.status == 200, reply
    managers.roles = ROLES
    managers.until(managers.well, "three managers again")
    managers.until(lambda: managers.settled("web", 6), "tasks as before")


def test_a_full_disk_under_etcd_stops_one_member_only(managers: Swarm) -> None:
    leader = managers.leader()
    hit = managers.others(leader)[0]
    managers.disband()
    disk = hit.data / "swarm"
    disk.mkdir(exist_ok=True)
    mount = hit._inside(["mount", "-t", "tmpfs", "-o", "size=220m", "tmpfs", str(disk)])
    subprocess.run(mount, check=True)
    hit.restart()
    try:
        managers.form(*ROLES)
        run_service(managers, "web", 3)
        fill = disk / "fill"
        subprocess.run(
            hit._inside(["sh", "-c", f"dd if=/dev/zero of={fill} bs=1M 2>/dev/null; dd if=/dev/zero bs=4k >>{fill} 2>/dev/null; true"]),
            check=True,
        )
        boss = next(host for host in managers.hosts if host is not hit)
        big = "eHh4" * 150_000
        ended = hit.etcd()
        for number in range(400):
            reply = boss.ask("POST", "/configs/create", {"Name": f"big{number}", "Data": big})
            assert reply.status in (201, 503), reply
            if hit.etcd() != ended:
                break
        else:
            pytest.fail("etcd had room for everything")
        until(lambda: boss.ask("POST", "/services/create", service("more", 2)).status in (201, 409), PATIENCE, "changes by the others")
        until(lambda: "make room on its disk" in hit.get("/info")["Swarm"]["Error"], PATIENCE, "a sentence about the disk")
        subprocess.run(hit._inside(["rm", str(fill)]), check=True)
        managers.until(managers.well, "a swarm that is well again", 2 * PATIENCE)
        managers.until(lambda: managers.settled("more", 2) and managers.settled("web", 3), "tasks")
    finally:
        managers.restore()
        managers.disband()
        hit.stop()
        subprocess.run(hit._inside(["umount", "-l", str(disk)]), check=True)
        hit.start()
