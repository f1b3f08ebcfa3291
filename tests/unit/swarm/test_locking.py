"""Autolock: what is on a manager's disk opens with the unlock key only, on each of several managers, through rotation and restarts."""

from pathlib import Path
from typing import Any

import pytest

from scow.errors import Conflict, InvalidArgument, Unavailable
from tests.support.asynchronous import on_loop, until
from tests.support.swarm import Host, hosts, needs_etcd, pair, settled, settled_without, web

LOCKED = 'Swarm is encrypted and needs to be unlocked before it can be used. Please use "docker swarm unlock" to unlock it.'


async def lock(host: Host, on: bool = True, rotate: bool = False) -> str:
    """`swarm update --autolock`, `swarm unlock-key --rotate`; the key."""
    found = host.swarm.inspect()
    spec = {**found["Spec"], "EncryptionConfig": {"AutoLockManagers": on}}
    await host.swarm.update(found["Version"]["Index"], spec, {"unlock": rotate})
    return host.swarm.unlock_key()


def row(host: Host) -> dict[str, Any]:
    return host.db.table("swarm_node").get("node") or {}


def sealed_with(host: Host, key: str) -> bool:
    node = host.swarm._node
    return node is not None and node.unlock_key == key and bool(row(host)["locked"]) == bool(key)


def refused(host: Host) -> bool:
    try:
        host.swarm.inspect()
    except Unavailable as error:
        return error.message == LOCKED
    return False


@on_loop
async def test_a_locked_manager_says_so_until_it_is_unlocked(tmp_path: Path) -> None:
    async with pair(tmp_path) as (boss, worker):
        with pytest.raises(Conflict, match="swarm is not locked"):
            await boss.swarm.unlock("SWMKEY-1-x")
        assert boss.swarm.unlock_key() == ""
        service = await boss.swarm.control.create_service(web(2))
        await until(lambda: len(boss.running(service)) == 2)
        secrets = [str(row(boss)[name]).encode()[-60:-30] for name in ("key", "data_key")]
        key = await lock(boss)
        held = row(boss)
        files = [file.read_bytes() for file in boss.folder.iterdir() if file.is_file()]
        assert not any(secret in content for secret in secrets for content in files)
        assert not any(held[name] for name in ("key", "data_key", "peer_key"))
        await boss.restart()
        info = boss.swarm.info()
        assert (info["LocalNodeState"], info["Error"], info["ControlAvailable"]) == ("locked", LOCKED, False)
        assert (boss.swarm.word, worker.swarm.word) in (("locked", "active/worker"), ("locked", "pending"))
        assert refused(boss)
        with pytest.raises(Unavailable, match="encrypted and locked"):
            await boss.swarm.leave(False)
        for wrong in ("", "SWMKEY-1-x", key[:-4] + "AAAA"):
            with pytest.raises(InvalidArgument):
                await boss.swarm.unlock(wrong)
        await boss.swarm.unlock(key)
        await until(lambda: len(boss.running(service)) == 2)
        assert boss.swarm.word == "active/manager"
        fresh = await lock(boss, rotate=True)
        assert fresh not in ("", key)
        assert boss.swarm.unlock_key() == fresh
        await boss.restart()
        with pytest.raises(InvalidArgument, match="invalid key provided"):
            await boss.swarm.unlock(key)
        await boss.swarm.unlock(fresh)
        assert await lock(boss, on=False) == ""
        await boss.restart()
        assert boss.swarm.info()["LocalNodeState"] == "active"
        await lock(boss)
        await boss.restart()
        await boss.swarm.leave(True)
        assert boss.swarm.info()["LocalNodeState"] == "inactive"
        await boss.init()


@on_loop
async def test_a_port_that_is_taken_leaves_it_locked_and_unlocking_can_be_tried_again(tmp_path: Path) -> None:
    async with hosts(tmp_path, 2) as (boss, thief):
        await boss.init()
        key = await lock(boss)
        await boss.restart()
        thief.port = boss.port
        await thief.init()
        with pytest.raises(Unavailable, match="cannot listen"):
            await boss.swarm.unlock(key)
        assert boss.swarm.info()["LocalNodeState"] == "locked"
        await thief.swarm.leave(True)
        await boss.swarm.unlock(key)
        assert boss.swarm.info()["LocalNodeState"] == "active"


@needs_etcd
@pytest.mark.slow
@on_loop
async def test_every_manager_has_the_key_of_the_time(tmp_path: Path) -> None:
    async with hosts(tmp_path, 3) as made:
        one, two, three = made
        await one.init()
        first = await lock(one)
        await two.join(one, "manager")
        await three.join(one)
        assert sealed_with(two, first)
        assert sealed_with(three, "")  # a worker has nothing to lock
        found = one.nodes()[three.id]
        await one.swarm.control.update_node(three.id, found["Version"]["Index"], {**found["Spec"], "Role": "manager"})
        await until(lambda: three.swarm.is_manager and settled(made))
        assert sealed_with(three, first)
        await three.swarm.close()
        await until(lambda: settled_without(made, three))
        second = await lock(two, rotate=True)
        assert second != first
        await until(lambda: sealed_with(one, second) and sealed_with(two, second))
        await three.start()
        assert refused(three)
        with pytest.raises(InvalidArgument):
            await three.swarm.unlock(second)  # it was down when the key changed
        await three.swarm.unlock(first)
        await until(lambda: three.swarm.is_manager and sealed_with(three, second))
        await until(lambda: settled(made))
        # the leader restarts: another leads, it stays locked until it is opened, and the swarm goes on
        leader = next(host for host in made if host.nodes()[host.id]["ManagerStatus"]["Leader"])
        await leader.restart()
        assert refused(leader)
        await until(lambda: settled_without(made, leader))
        other = next(host for host in made if host is not leader)
        await other.swarm.control.create_service(web(1))
        await leader.swarm.unlock(second)
        await until(lambda: settled(made))
        # all at once: two that are unlocked are a quorum
        for host in made:
            await host.swarm.close()
        for host in made:
            await host.start()
            assert refused(host)
        await one.swarm.unlock(second)
        await two.swarm.unlock(second)
        await until(lambda: settled_without(made, three))
        assert await lock(one, on=False) == ""
        await until(lambda: sealed_with(one, "") and sealed_with(two, ""))
        await three.swarm.leave(True)
        assert not (three.folder / "swarm" / "etcd").exists()
