"""Copies of etcd's database, and a quota that is reached: with the real etcd."""

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest

from scow.swarm import ca
from scow.swarm.ca.peers import Trust
from scow.swarm.objects import Config
from scow.swarm.store.etcd import upkeep
from scow.swarm.store.etcd.client import Full
from scow.swarm.store.etcd.member import Etcd, Place
from scow.swarm.store.etcd.store import EtcdStore
from scow.swarm.store.store import Tx
from tests.contract.test_cluster_store import SEALER, member, service
from tests.support.asynchronous import on_loop, until
from tests.support.swarm import NOTHING, hosts, needs_etcd, settled, web

BIG = "x" * 700_000


def big(tx: Tx) -> None:
    held = tx.get(Config, "big")
    if held is None:
        tx.create(Config(id="big", spec={"Name": "big"}, data=BIG))
    else:
        tx.update(held.changed(spec={"Name": "big", "Labels": {"n": str(held.version)}}))


async def fill(store: EtcdStore) -> None:
    """Write until etcd takes no more."""
    for _ in range(60):
        await store.update(big)


@needs_etcd
@on_loop
async def test_the_quota_is_reached_and_room_is_made(tmp_path: Path) -> None:
    async with member(tmp_path, quota=16 << 20) as one:
        store = EtcdStore(one.client, SEALER)
        await store.open()
        with pytest.raises(Full, match="reached etcd's quota"):
            await fill(store)
        assert (await one.client.health()).full
        before = (await one.client.health()).size
        await upkeep.tidy(one.client, True)
        health = await one.client.health()
        assert not health.full
        assert health.size < before / 3
        await store.update(lambda tx: tx.create(service("a", "one")))
        assert store.find(Config, "big").data == BIG
        await upkeep.tidy(one.client, True)  # again is fine
        await store.close()


@needs_etcd
@on_loop
async def test_copies_are_few_and_one_brings_everything_back(tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    async with member(tmp_path) as one:
        store = EtcdStore(one.client, SEALER)
        await store.open()
        await store.update(lambda tx: tx.create(service("a", "one")))
        copies = [await upkeep.save(one.client, folder, 2) for _ in range(4)]
        assert sorted(folder.iterdir()) == copies[2:]
        assert {path.stat().st_mode & 0o777 for path in copies[2:]} == {0o600}
        await store.close()
        place = one.place
    if shutil.which("etcdctl") is None:
        pytest.skip("etcdctl is not installed")
    # as docs/design/swarm.md says
    restored = tmp_path / "restored"
    argv = ["etcdctl", "snapshot", "restore", str(copies[-1]), "--data-dir", str(restored), "--name", place.name]
    argv += ["--initial-cluster", f"{place.name}={place.peer}", "--initial-advertise-peer-urls", place.peer]
    done = subprocess.run(argv, capture_output=True, text=True, env={"ETCDCTL_API": "3", "PATH": "/usr/bin:/bin"})
    assert done.returncode == 0, done.stderr
    again = Etcd(Place("one", place.advertise, place.listen, restored, tmp_path / "run2"), Trust(root := ca.new_root(), root.certificate))
    await again.start(alone=True)
    try:
        await again.ready(60)
        found = EtcdStore(again.client, SEALER)
        await found.open()
        assert [one.name for one in found.all(type(service("x", "x")))] == ["one"]
        await found.update(lambda tx: tx.create(service("b", "two")))
        await found.close()
    finally:
        await again.stop()


@needs_etcd
@pytest.mark.slow
@on_loop
async def test_three_managers_make_room_one_after_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scow.swarm.store.etcd.upkeep._LOOK_SECONDS", 0.5)
    monkeypatch.setattr("scow.swarm.store.etcd.upkeep._WORTH_BYTES", 1 << 20)
    monkeypatch.setattr(Etcd.__init__, "__defaults__", (24 << 20,))
    tidied: list[int] = []
    tidy = upkeep.tidy

    async def noted(client: object, full: bool) -> None:
        tidied.append((await client.health()).member)  # type: ignore[attr-defined]
        await tidy(client, full)  # type: ignore[arg-type]

    monkeypatch.setattr(upkeep, "tidy", noted)
    async with hosts(tmp_path, 3) as made:
        one, two, three = made
        await one.init()
        await two.join(one, "manager")
        await three.join(one, "manager")
        await until(lambda: settled(made))
        copies = one.folder / "swarm" / "backups"
        await until(lambda: list(copies.glob("etcd-*.db")))
        store = two.swarm._store
        with pytest.raises(Full):
            for _ in range(90):
                await store.update(big)

        async def works() -> bool:
            try:
                await store.update(big)
            except Full:
                return False
            return True

        while not await works():
            await asyncio.sleep(0.2)
        await until(lambda: len(set(tidied)) == 3)
        await until(lambda: settled(made))


@needs_etcd
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("etcdctl") is None, reason="etcdctl is not installed")
@on_loop
async def test_a_swarm_goes_back_to_a_copy(tmp_path: Path) -> None:
    """The way of docs/design/swarm.md."""
    async with hosts(tmp_path, 2) as made:
        one, two = made
        await one.init()
        await two.join(one, "manager")
        await until(lambda: settled(made))
        await one.swarm.control.create_service(web(1))
        node = one.swarm._node
        assert node is not None
        assert node.managers is not None
        assert node.managers._etcd is not None
        folder = one.folder / "swarm"
        copy = await upkeep.save(node.managers._etcd.client, folder / "backups", 3)
        id, peer = one.id, node.managers._etcd.place.peer
        await two.swarm.close()
        await one.swarm.close()
        (folder / "etcd").rename(folder / "away")
        argv = ["etcdctl", "snapshot", "restore", str(copy), "--data-dir", str(folder / "etcd"), "--name", id]
        argv += ["--initial-cluster", f"{id}={peer}", "--initial-advertise-peer-urls", peer]
        done = subprocess.run(argv, capture_output=True, text=True, env={"ETCDCTL_API": "3", "PATH": "/usr/bin:/bin"})
        assert done.returncode == 0, done.stderr
        await one.start()
        await until(lambda: one.swarm.is_manager)
        await one.swarm.init({"ForceNewCluster": True, "ListenAddr": one.listen, "AdvertiseAddr": one.listen})
        await until(lambda: settled([one]))
        assert [row["Spec"]["Name"] for row in one.swarm.control.services(NOTHING)] == ["web"]
        await two.start()
        await two.swarm.leave(True)
        await two.join(one, "manager")
        await until(lambda: settled(made))
