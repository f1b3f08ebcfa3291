"""The cluster's root is exchanged, and certificates are renewed, while nodes work: real links, engines that run nothing."""

import asyncio
import itertools
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scow.errors import InvalidArgument, NotFound, Unavailable
from scow.swarm import ca
from scow.swarm.ca import roots
from scow.swarm.clock import ManualClock
from scow.swarm.links import rpc
from scow.swarm.node import SwarmNode
from scow.swarm.objects import Cluster
from scow.swarm.state import NodeState
from scow.swarm.store.store import Tx
from tests.support.asynchronous import on_loop, until
from tests.support.swarm import Host, hosts, managers, needs_etcd, pair, settled, settled_without, web

DAY = 24 * 3600 * 10**9


async def update(host: Host, **authority: Any) -> None:
    """`swarm update` of the certificate settings."""
    found = host.swarm.inspect()
    spec = {**found["Spec"], "CAConfig": {**found["Spec"]["CAConfig"], **authority}}
    await host.swarm.update(found["Version"]["Index"], spec, {})


async def rotate(host: Host) -> None:
    await update(host, ForceRotate=int(host.swarm.inspect()["Spec"]["CAConfig"].get("ForceRotate") or 0) + 1)


def trusted(host: Host) -> str:
    return str(host.swarm.inspect()["TLSInfo"]["TrustRoot"])


def converged(boss: Host, before: str) -> bool:
    """The root is another, and every node has a certificate of it and believes only it."""
    try:
        found = boss.swarm.inspect()
        rows = boss.nodes().values()
    except Unavailable:
        return False
    over = not found["RootRotationInProgress"] and found["TLSInfo"]["TrustRoot"] != before
    return over and all(row["Description"]["TLSInfo"] == found["TLSInfo"] for row in rows)


@on_loop
async def test_every_node_goes_over_to_the_new_root_and_tasks_go_on(tmp_path: Path) -> None:
    async with hosts(tmp_path, 3) as (boss, worker, late):
        await boss.init()
        await worker.join(boss)
        service = await boss.swarm.control.create_service(web(4))
        await until(lambda: len(boss.running(service)) == 4)
        tasks = {task["ID"] for task in boss.running(service)}
        before, tokens = trusted(boss), boss.swarm.inspect()["JoinTokens"]
        await rotate(boss)
        await until(lambda: converged(boss, before))
        assert {task["ID"] for task in boss.running(service)} == tasks
        assert not any(what == "shutdown" for host in (boss, worker) for what, _ in host.engine.log)
        after = boss.swarm.inspect()["JoinTokens"]
        for role, token in tokens.items():
            assert ca.read_token(after[role])[0] == ca.root_digest(trusted(boss)) != ca.read_token(token)[0]
        with pytest.raises(InvalidArgument, match="does not match fingerprint"):
            await late.join(boss, JoinToken=tokens["Worker"])
        await late.join(boss)
        await boss.restart()
        await until(lambda: {row["Status"]["State"] for row in boss.nodes().values()} == {"ready"})
        assert boss.nodes()[late.id]["Description"]["TLSInfo"] == boss.swarm.inspect()["TLSInfo"]


@on_loop
async def test_a_node_that_is_down_holds_it_up_until_it_comes_back_or_is_removed(tmp_path: Path) -> None:
    async with hosts(tmp_path, 4) as (boss, one, two, late):
        await boss.init()
        await one.join(boss)
        await two.join(boss)
        before, lost = trusted(boss), two.id
        await one.swarm.close()
        await two.swarm.close()
        await until(lambda: sum(row["Status"]["State"] == "down" for row in boss.nodes().values()) == 2)
        await rotate(boss)
        wanted = boss.swarm.inspect()["TLSInfo"]
        assert boss.swarm.info()["Cluster"]["RootRotationInProgress"]
        assert wanted["TrustRoot"] == before
        assert wanted["CertIssuerPublicKey"] != ca.tls_info(before)["CertIssuerPublicKey"]
        await until(lambda: boss.nodes()[boss.id]["Description"]["TLSInfo"] == wanted)
        await late.join(boss)  # with the old token, which is good until the end
        await boss.restart()  # the manager goes on where it stood
        await one.start()
        await until(lambda: boss.nodes()[one.id]["Description"]["TLSInfo"] == wanted)
        assert boss.swarm.inspect()["RootRotationInProgress"]
        await boss.swarm.control.remove_node(lost, False)
        await until(lambda: converged(boss, before))
        assert set(boss.nodes()) == {boss.id, one.id, late.id}


@on_loop
async def test_a_root_of_one_s_own(tmp_path: Path) -> None:
    async with pair(tmp_path) as (boss, _):
        before, other, wanted = trusted(boss), ca.new_root(), ca.new_root()
        leaf = ca.sign(other, ca.new_request().certificate, "n", "worker", "c", 500 * DAY)
        for given, why in (
            ({"SigningCAKey": wanted.key}, "signing CA cert must also be provided"),
            ({"SigningCACert": "nonsense", "SigningCAKey": wanted.key}, "could not parse the desired CA certificate"),
            ({"SigningCACert": wanted.certificate, "SigningCAKey": "nonsense"}, "could not parse the CA key"),
            ({"SigningCACert": wanted.certificate, "SigningCAKey": other.key}, "certificate key mismatch"),
            ({"SigningCACert": wanted.certificate + other.certificate, "SigningCAKey": wanted.key}, "cannot contain multiple certificates"),
            ({"SigningCACert": leaf, "SigningCAKey": wanted.key}, "not that of an authority"),
            ({"SigningCACert": wanted.certificate}, "at least one valid, reachable external CA"),
        ):
            with pytest.raises(InvalidArgument, match=why):
                await update(boss, **given)
        assert not boss.swarm.inspect()["RootRotationInProgress"]
        await update(boss, SigningCACert=wanted.certificate, SigningCAKey=wanted.key)
        await until(lambda: converged(boss, before))
        assert trusted(boss) == wanted.certificate
        shown = boss.swarm.inspect()["Spec"]["CAConfig"]
        assert "SigningCACert" not in shown
        assert "SigningCAKey" not in shown
        version = boss.swarm.inspect()["Version"]["Index"]
        await boss.swarm.update(version, boss.swarm.inspect()["Spec"], {})  # what was read is written back: nothing begins
        assert trusted(boss) == wanted.certificate
        assert not boss.swarm.inspect()["RootRotationInProgress"]


def test_a_root_that_ends_soon_is_refused() -> None:
    root = ca.new_root()
    assert roots.checked(root.certificate.replace("\n", "\r\n"), root.key, time.time_ns()) == root
    with pytest.raises(InvalidArgument, match="expires too soon"):
        roots.checked(root.certificate, root.key, time.time_ns() + 7100 * DAY)


@on_loop
async def test_a_rotation_can_be_taken_back_and_be_replaced_by_another(tmp_path: Path) -> None:
    async with hosts(tmp_path, 2) as (boss, worker):
        own = ca.new_root()
        await boss.init()
        await worker.join(boss)
        before = trusted(boss)
        await update(boss, SigningCACert=own.certificate, SigningCAKey=own.key)
        await until(lambda: converged(boss, before))
        await worker.swarm.close()
        await until(lambda: boss.nodes()[worker.id]["Status"]["State"] == "down")
        await rotate(boss)
        await rotate(boss)  # the first did not end
        assert trusted(boss) == own.certificate
        await update(boss, SigningCACert=own.certificate, SigningCAKey=own.key)
        assert not boss.swarm.inspect()["RootRotationInProgress"]
        await worker.start()
        await until(lambda: all(row["Description"]["TLSInfo"] == ca.tls_info(own.certificate) for row in boss.nodes().values()))
        await until(lambda: boss.nodes()[worker.id]["Status"]["State"] == "ready")


def certificate(host: Host) -> str:
    return host.node.state.certificate


def test_a_certificate_is_due_between_the_half_and_four_fifths_of_its_time() -> None:
    root = ca.new_root()
    held = ca.identity(ca.sign(root, ca.new_request().certificate, "n", "worker", "c", 90 * DAY))
    for share, days in ((0.5, 45), (0.8, 72)):
        assert abs(ca.due_ns(held, share) - time.time_ns() - days * DAY) < 60 * 10**9


@on_loop
async def test_renewals_come_in_time_and_are_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, hour = ManualClock(), 3600
    begun = clock.now_ns()

    def identity(text: str) -> ca.Identity:
        """Of a certificate for ten hours that was made at the hour in its text."""
        at = begun + int(float(text) * hour * 1e9)
        return ca.Identity("n", "worker", "c", at - hour * 10**9, at + 10 * hour * 10**9)

    tries: list[float] = []

    async def renew() -> None:
        tries.append((clock.now_ns() - begun) / 1e9 / hour)
        if len(tries) < 4:
            raise Unavailable("nobody is there")
        node.state = replace(node.state, certificate=str(tries[-1]))

    monkeypatch.setattr(ca, "identity", identity)
    node = SwarmNode.__new__(SwarmNode)
    node._clock = clock
    node.state = NodeState("n", "c", "worker", "", "", "", certificate="0")
    monkeypatch.setattr(node, "_renew", renew, raising=False)
    work = asyncio.get_running_loop().create_task(node._renewals())
    while clock.now_ns() - begun < 40 * hour * 10**9:
        clock.advance(60)
        for _ in range(5):
            await asyncio.sleep(0)
    work.cancel()
    assert 5 <= tries[0] <= 8.1
    assert tries[3] - tries[0] < 0.2  # tried again within minutes
    assert all(4.9 <= later - earlier <= 8.2 for earlier, later in itertools.pairwise(tries[3:]))
    assert len(tries) > 6


async def expire_within(host: Host, seconds: float) -> None:
    """Certificates that hold for less than the API lets one ask for."""

    def write(tx: Tx) -> None:
        cluster = tx.all(Cluster)[0]
        spec: Mapping[str, Any] = {**cluster.spec, "CAConfig": {**cluster.spec["CAConfig"], "NodeCertExpiry": int(seconds * 1e9)}}
        tx.update(cluster.changed(spec=spec))

    await host.swarm._store.update(write)


@pytest.mark.slow  # certificates of seconds
@on_loop
async def test_certificates_are_renewed_before_they_expire_and_tasks_go_on(tmp_path: Path) -> None:
    async with hosts(tmp_path, 2) as (boss, worker):
        await boss.init()
        await expire_within(boss, 4)
        await worker.join(boss)
        service = await boss.swarm.control.create_service(web(2))
        await until(lambda: len(boss.running(service)) == 2)
        tasks = {task["ID"] for task in boss.running(service)}
        for _ in range(2):
            had = certificate(worker)
            await until(lambda had=had: certificate(worker) != had)  # type: ignore[misc]
            assert not worker.node.expired
        await until(lambda: boss.nodes()[worker.id]["Status"]["State"] == "ready")
        assert {task["ID"] for task in boss.running(service)} == tasks
        assert not any(what == "shutdown" for host in (boss, worker) for what, _ in host.engine.log)


@pytest.mark.slow  # certificates of seconds
@on_loop
async def test_a_node_whose_certificate_has_expired_says_so_and_a_manager_helps_itself(tmp_path: Path) -> None:
    async with hosts(tmp_path, 2) as (boss, worker):
        await boss.init()
        await expire_within(boss, 3)
        await worker.join(boss)
        await boss.node._renew()
        await worker.swarm.close()
        await until(lambda: ca.identity(str(worker.db.table("swarm_node").get("node")["certificate"])).not_after_ns < time.time_ns())  # type: ignore[index]
        await worker.start()
        await until(lambda: "certificate expired at" in worker.swarm.info()["Error"])
        await boss.swarm.close()
        await until(lambda: ca.identity(str(boss.db.table("swarm_node").get("node")["certificate"])).not_after_ns < time.time_ns())  # type: ignore[index]
        await boss.start()
        await expire_within(boss, 3600)
        await until(lambda: ca.identity(certificate(boss)).not_after_ns > time.time_ns() + 1000 * 10**9)
        await until(lambda: boss.nodes()[boss.id]["Status"]["State"] == "ready")


@on_loop
async def test_a_removed_node_is_cut_off(tmp_path: Path) -> None:
    async with pair(tmp_path) as (boss, worker):
        context, gone = worker.node.context(), worker.id
        client = await rpc.dial(boss.listen, context)
        assert (await client.call("hello"))["leading"]
        await boss.swarm.control.remove_node(gone, True)

        async def refused() -> bool:
            try:
                await client.call("hello")
            except Unavailable:
                return True
            return False

        while not await refused():
            pass
        await client.close()
        client = await rpc.dial(boss.listen, context)
        for name in ("ca.renew", "session.report", "session.leave", "logs.publish", "session.lease", "member.admit"):
            with pytest.raises(NotFound, match="not part of this swarm"):
                await client.call(name, {})
        await client.close()


@needs_etcd
@pytest.mark.slow
@on_loop
async def test_a_change_of_leader_in_the_middle_does_not_end_it(tmp_path: Path) -> None:
    async with managers(tmp_path, 3, workers=1) as made:
        one, two, _, worker = made
        before = trusted(one)
        await worker.swarm.close()
        await until(lambda: two.nodes()[worker.id]["Status"]["State"] == "down")
        await rotate(one)
        await one.swarm.close()
        await until(lambda: settled_without(made[:3], one))
        assert two.swarm.inspect()["RootRotationInProgress"]
        await worker.start()
        await one.start()
        await until(lambda: all(host.swarm.is_manager and converged(host, before) for host in made[:3]))
        await until(lambda: settled(made[:3]))
        await two.swarm.control.create_service(web(1))
