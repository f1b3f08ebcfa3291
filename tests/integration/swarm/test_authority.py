"""Certificates, keys, tokens and roles of three managers while services run and daemons are killed. Slow: real daemons and containers."""

import base64
import json
import os
import re
import sqlite3
import subprocess
import time
from collections.abc import Iterator

import pytest

from scow.errors import InvalidArgument
from scow.swarm.state import NodeState
from tests.integration.swarm.hosts import PATIENCE, Host, Swarm, service, swarms, why_not
from tests.integration.swarm.writer import Writer
from tests.support.engine import ROOT, until
from tests.support.http import Client

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.skipif(bool(why_not()), reason=why_not())]

ROLES = ("manager", "manager", "manager")
LOCKED = "Swarm is encrypted and needs to be unlocked before it can be used."


@pytest.fixture(scope="module")
def swarm() -> Iterator[Swarm]:
    yield from swarms(3)


@pytest.fixture
def managers(swarm: Swarm) -> Iterator[Swarm]:
    yield swarm.form(*ROLES)
    swarm.roles = ()  # keys and roots are others now: the next test begins anew


def scow(host: Host, *args: str, given: str = "", timeout: float = 180) -> "subprocess.CompletedProcess[str]":
    argv = [str(ROOT / ".venv/bin/scow"), "-H", f"unix://{host.socket}", *args]
    return subprocess.run(argv, input=given, capture_output=True, text=True, timeout=timeout)


def says(host: Host, *args: str, given: str = "") -> str:
    done = scow(host, *args, given=given)
    assert done.returncode == 0, (args, done.stdout, done.stderr)
    return done.stdout


def run_service(swarm: Swarm, name: str, replicas: int) -> None:
    reply = swarm.leader().ask("POST", "/services/create", service(name, replicas))
    assert reply.status == 201, reply
    until(lambda: swarm.settled(name, replicas), PATIENCE, f"{replicas} tasks of {name}")


def ca_is(host: Host, root: str) -> bool:
    reply = host.ask("GET", "/swarm")
    return reply.status == 200 and reply.json["TLSInfo"]["TrustRoot"].strip() == root and not reply.json["RootRotationInProgress"]


def members(host: Host) -> set[str]:
    """Names of etcd's members, as this host's own says."""
    socket = host.run / "swarm" / "etcd" / "client:0"
    done = Client(str(socket), 10).call("POST", "/v3/cluster/member/list", {})
    return {row.get("name", "") for row in done.json["members"]}


def test_a_root_is_exchanged_under_running_tasks_though_the_leader_is_killed(managers: Swarm) -> None:
    run_service(managers, "steady", 3)
    before = {host: host.containers("steady") for host in managers.hosts}
    root = says(managers[0], "swarm", "ca").strip()
    shown = says(managers[1], "swarm", "ca", "--rotate").strip()
    assert "desired root digest: sha256:" in shown
    now = shown[shown.index("-----BEGIN") :]
    assert now != root
    until(lambda: all(ca_is(host, now) for host in managers.hosts), PATIENCE, "the new root everywhere")
    assert {host: host.containers("steady") for host in managers.hosts} == before
    # one is down: it cannot end; the leader is killed; the other two are enough, and the last one ends it
    leader = managers.leader()
    lost, other = managers.others(leader)
    lost.kill()
    until(lambda: managers.leader() is leader and leader.nodes()[other.id]["Status"]["State"] == "ready", PATIENCE, "two that work")
    assert says(leader, "swarm", "ca", "--rotate", "-d") == ""
    assert leader.get("/swarm")["RootRotationInProgress"]
    leader.kill()
    lost.start()
    until(
        lambda: (other.ask("GET", "/swarm").json or {}).get("RootRotationInProgress") is True, PATIENCE, "the exchange, at the next leader"
    )
    leader.start()
    until(managers.well, PATIENCE, "a swarm that is well")
    until(lambda: not other.get("/swarm")["RootRotationInProgress"], PATIENCE, "the end of the exchange")
    third = says(other, "swarm", "ca").strip()
    assert third not in (root, now)
    until(lambda: all(ca_is(host, third) for host in managers.hosts), PATIENCE, "the third root everywhere")
    assert before[other].items() <= other.containers("steady").items()  # the others were down for a while
    until(lambda: managers.settled("steady", 3), PATIENCE, "three tasks of steady")
    until(lambda: says(other, "node", "ls", "--format", "{{.TLSStatus}}").split() == ["Ready"] * 3, PATIENCE, "three nodes that told of it")


def test_a_locked_manager_opens_with_the_key_of_its_last_day(managers: Swarm) -> None:
    run_service(managers, "steady", 2)
    one, two, three = managers.hosts
    first = re.search(r"SWMKEY-1-\S+", says(one, "swarm", "update", "--autolock=true"))
    assert first is not None
    assert says(three, "swarm", "unlock-key", "-q").strip() == first[0]
    three.kill()
    until(lambda: one.nodes()[three_id(managers, 3)]["Status"]["State"] == "down", PATIENCE, "a node that is down")
    second = says(two, "swarm", "unlock-key", "-q", "--rotate").strip()
    assert second != first[0]
    three.start()
    assert three.get("/info")["Swarm"]["LocalNodeState"] == "locked"
    assert three.client.get("/_ping").headers["swarm"] == "locked"
    for path in ("/swarm", "/nodes", "/services", "/tasks", "/swarm/unlockkey"):
        reply = three.ask("GET", path)
        assert (reply.status, LOCKED in reply.json["message"]) == (503, True), (path, reply)
    refused = scow(three, "swarm", "leave")
    assert "Please unlock it first or use `--force`" in refused.stderr
    wrong = scow(three, "swarm", "unlock", given=second + "\n")
    assert "invalid key provided" in wrong.stderr
    says(three, "swarm", "unlock", given=first[0] + "\n")
    until(managers.well, PATIENCE, "a swarm that is well")
    until(lambda: all(sealed_anew(host, second) for host in managers.hosts), PATIENCE, "the second key everywhere")
    # a power cut of all: two that are unlocked are enough
    for host in managers.hosts:
        host.power_off()
    for host in managers.hosts:
        host.start()
        assert host.get("/info")["Swarm"]["LocalNodeState"] == "locked"
        assert not (host.run / "swarm" / "etcd" / "member.key").exists()
    for host in (one, two):
        says(host, "swarm", "unlock", given=second + "\n")
    until(lambda: managers.settled("steady", 2, one, two), PATIENCE, "its tasks on the two")
    says(three, "swarm", "unlock", given=second + "\n")
    until(managers.well, PATIENCE, "a swarm that is well")
    says(one, "swarm", "update", "--autolock=false")
    until(lambda: all(sealed_anew(host, "") for host in managers.hosts), PATIENCE, "no lock anywhere")
    three.kill()
    three.start()
    until(lambda: three.get("/info")["Swarm"]["LocalNodeState"] == "active", PATIENCE, "a manager that needs no key")
    until(managers.well, PATIENCE, "a swarm that is well")


def three_id(managers: Swarm, number: int) -> str:
    address = f"{managers[number - 1].ip}:2377"
    return next(id for id, row in managers[0].nodes().items() if (row.get("ManagerStatus") or {}).get("Addr") == address)


def sealed_anew(host: Host, key: str) -> bool:
    """What is on the host's disk opens with this key ("": without any), read as a stranger with the disk would."""
    with sqlite3.connect(f"file:{host.data / 'meta.db'}?mode=ro", uri=True) as sql:
        found = json.loads(sql.execute("select doc from documents where kind='swarm_node' and key='node'").fetchone()[0])
    if not key:
        return bool(found["data_key"]) and not found["locked"]
    state = NodeState(**{**found, "managers": ()})
    if state.data_key or not state.locked:
        return False
    try:
        return len(base64.b64decode(state.unlocked(key).data_key)) == 32
    except InvalidArgument:
        return False


def test_tokens_roles_and_removal(managers: Swarm) -> None:
    one, two, three = managers.hosts
    old = {role: says(one, "swarm", "join-token", "-q", role).strip() for role in ("worker", "manager")}
    for role in old:
        assert says(two, "swarm", "join-token", "-q", "--rotate", role).strip() != old[role]
    # demotion: the member leaves etcd, the node goes on as a worker with a worker's certificate
    id = three.id
    says(one, "node", "demote", id)
    until(lambda: not three.get("/info")["Swarm"]["ControlAvailable"], PATIENCE, "a worker")
    until(lambda: members(one) == {one.id, two.id}, PATIENCE, "two members")
    until(lambda: not (three.data / "swarm" / "etcd").exists(), PATIENCE, "no data of etcd")
    assert one.nodes()[id]["Spec"]["Role"] == "worker"
    refused = scow(three, "node", "ls")
    assert "Worker nodes can't be used" in refused.stderr
    says(one, "node", "promote", id)
    until(lambda: three.get("/info")["Swarm"]["ControlAvailable"] and members(three) == {one.id, two.id, id}, PATIENCE, "a manager again")
    until(managers.well, PATIENCE, "a swarm that is well")
    assert "It must be demoted to worker before removal" in scow(one, "node", "rm", "--force", id).stderr
    says(one, "node", "demote", id)
    until(lambda: not three.get("/info")["Swarm"]["ControlAvailable"], PATIENCE, "a worker")
    assert "is not down and can't be removed" in scow(one, "node", "rm", id).stderr
    says(one, "node", "rm", "--force", id)
    until(lambda: three.get("/info")["Swarm"]["LocalNodeState"] == "inactive", PATIENCE, "a node in no swarm")
    for role, token in old.items():
        where = {"ListenAddr": f"{three.ip}:2377", "AdvertiseAddr": f"{three.ip}:2377", "RemoteAddrs": [f"{one.ip}:2377"]}
        reply = Client(three.socket, 120).post("/swarm/join", {**where, "JoinToken": token})
        assert "A valid join token is necessary to join this cluster" in reply.json["message"], (role, reply)
    # the last manager stays
    says(one, "node", "demote", two.id)
    until(lambda: not two.get("/info")["Swarm"]["ControlAvailable"], PATIENCE, "a worker")
    until(lambda: members(one) == {one.id}, PATIENCE, "one member")
    assert "attempting to demote the last manager of the swarm" in scow(one, "node", "demote", one.id).stderr
    assert "Removing the last manager erases all current state of the swarm" in scow(one, "swarm", "leave").stderr
    three.join(one, "manager")
    until(lambda: members(three) == {one.id, three.id}, PATIENCE, "two members")
    assert os.path.isdir(three.data / "swarm" / "etcd")


def believed(host: Host) -> str:
    """The roots that its member of etcd was started with; "" while that is not known."""
    try:
        return (host.run / "swarm" / "etcd" / "root.pem").read_text()
    except FileNotFoundError:
        return ""


def shown(host: Host) -> bytes:
    """The certificate that its member shows."""
    try:
        return (host.run / "swarm" / "etcd" / "member.pem").read_bytes()
    except FileNotFoundError:
        return b""


def exchanged(swarm: Swarm, before: str) -> bool:
    """Every member believes one root only, another than before."""
    roots = {believed(host) for host in swarm.hosts}
    return len(roots) == 1 and before not in roots and "".join(roots).count("BEGIN") == 1


def test_the_root_of_etcd_s_members_is_exchanged_though_each_daemon_is_killed_in_its_turn(managers: Swarm) -> None:
    run_service(managers, "steady", 3)
    before = believed(managers[0])
    hit: set[Host] = set()
    with Writer(managers.hosts) as writer:
        until(lambda: writer.acknowledged > 10, PATIENCE, "some changes")
        seen = {host: believed(host) for host in managers.hosts}
        says(managers[1], "swarm", "ca", "--rotate", "-d")

        def over() -> bool:
            for host in managers.hosts:
                if (now := believed(host)) != seen[host]:  # it is its turn: its member is being started again
                    seen[host] = now
                    host.kill()
                    hit.add(host)
                    host.start()
                    return False
            return exchanged(managers, before) and managers.well()

        until(over, 4 * PATIENCE, "another root of the members")
        count = writer.acknowledged
        until(lambda: writer.acknowledged > count + 10, PATIENCE, "changes that are acknowledged")
    assert hit == set(managers.hosts)  # most of them twice, but steps that follow each other may go together
    assert writer.unexpected == []
    until(managers.well, PATIENCE, "a swarm that is well")
    assert [writer.lost(host) for host in managers.hosts] == [[], [], []]
    until(lambda: managers.settled("steady", 3), PATIENCE, "three tasks of steady")


def test_the_exchange_of_the_members_root_goes_on_after_a_power_cut_and_under_the_next_leader(managers: Swarm) -> None:
    before = believed(managers[0])
    leader = managers.leader()
    lost, other = managers.others(leader)
    lost.kill()
    until(lambda: managers.leader() is leader and leader.nodes()[other.id]["Status"]["State"] == "ready", PATIENCE, "two that work")
    says(other, "swarm", "ca", "--rotate", "-d")
    until(lambda: leader.get("/swarm")["RootRotationInProgress"], PATIENCE, "the exchange")
    time.sleep(3)
    assert {believed(leader), believed(other)} == {before}  # not while one is down: the quorum would be lost
    leader.kill()
    leader.start()
    lost.start()
    until(lambda: any(believed(host).count("BEGIN") == 2 for host in managers.hosts), PATIENCE, "a member with both roots")
    for host in managers.hosts:
        host.power_off()
    for host in managers.hosts:
        host.start()
    until(lambda: exchanged(managers, before) and managers.well(), 2 * PATIENCE, "another root of the members")
    first = believed(leader)
    certificates = {host: shown(host) for host in managers.hosts}
    says(leader, "swarm", "ca", "--rotate")
    until(lambda: exchanged(managers, first) and managers.well(), 2 * PATIENCE, "a third root")
    assert all(shown(host) != certificates[host] for host in managers.hosts)
