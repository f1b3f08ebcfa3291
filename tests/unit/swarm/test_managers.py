"""Swarms of several managers, on etcd: who leads, how managers come and go, what happens without a quorum and without data."""

import shutil
from pathlib import Path

import pytest

from scow.errors import Unavailable
from tests.support.asynchronous import on_loop, until
from tests.support.swarm import NOTHING, Host, hosts, managers, needs_etcd, settled, settled_without, web


@needs_etcd
@pytest.mark.slow
@on_loop
async def test_three_managers_and_the_leader_goes(tmp_path: Path) -> None:
    async with hosts(tmp_path, 3) as made:
        one, two, three = made
        await one.init()
        service = await one.swarm.control.create_service(web(3))
        await until(lambda: len(one.running(service)) == 3)
        await two.join(one, "manager")
        await three.join(two, "manager")
        await until(lambda: settled(made))
        assert {task["ID"] for task in three.running(service)} == {task["ID"] for task in one.running(service)}
        other = await three.swarm.control.create_service({**web(1), "Name": "other"})
        await until(lambda: len(two.running(other)) == 1)
        await one.swarm.close()
        await until(lambda: settled_without(made, one))
        again = await two.swarm.control.create_service({**web(1), "Name": "again"})
        await until(lambda: len(three.running(again)) == 1)
        await one.start()
        await until(lambda: settled(made))
        assert {row["Spec"]["Name"] for row in one.swarm.control.services(NOTHING)} == {"web", "other", "again"}


@needs_etcd
@pytest.mark.slow
@on_loop
async def test_promotion_demotion_and_leaving(tmp_path: Path) -> None:
    async with hosts(tmp_path, 3) as made:
        one, two, three = made
        await one.init()
        await two.join(one)
        await three.join(one)
        await _role(one, two.id, "manager")
        await until(lambda: two.swarm.is_manager)
        await until(lambda: settled([one, two]))
        await _role(two, one.id, "worker")  # the leader: another takes over and takes its member out
        await until(lambda: not one.swarm.is_manager and settled([two]))
        assert one.swarm.info()["RemoteManagers"] == [{"NodeID": two.id, "Addr": two.listen}]
        await three.swarm.leave(False)
        await three.join(two, "manager")
        await until(lambda: settled([two, three]))
        with pytest.raises(Unavailable, match="quorum"):
            await three.swarm.leave(False)
        await three.swarm.leave(True)
        await until(lambda: settled([two]))
        await two.swarm.control.create_service(web(1))


async def _role(host: Host, id: str, role: str) -> None:
    row = host.nodes()[id]
    await host.swarm.control.update_node(id, row["Version"]["Index"], {**row["Spec"], "Role": role})


@needs_etcd
@pytest.mark.slow
@on_loop
async def test_without_a_quorum_it_says_so_and_can_go_on_alone(tmp_path: Path) -> None:
    async with managers(tmp_path, 2) as (one, two):
        service = await one.swarm.control.create_service(web(2))
        await until(lambda: len(one.running(service)) == 2)
        await two.swarm.close()

        def refused() -> bool:
            try:
                one.swarm.control.services(NOTHING)
            except Unavailable as error:
                return "does not have a leader" in error.message
            return False

        await until(refused)
        assert one.engine.containers  # what runs goes on
        await one.swarm.init({"ListenAddr": one.listen, "AdvertiseAddr": one.listen, "ForceNewCluster": True})
        await until(lambda: settled([one]))
        await until(lambda: {task["NodeID"] for task in one.running(service)} == {one.id} and len(one.running(service)) == 2)


@needs_etcd
@pytest.mark.slow
@pytest.mark.parametrize("how", ["gone", "half", "damaged"])
def test_a_manager_whose_data_are_of_no_use_gets_them_from_the_others(tmp_path: Path, how: str) -> None:
    @on_loop
    async def go() -> None:
        async with managers(tmp_path, 3) as made:
            one, _, three = made
            await three.swarm.close()
            member = three.folder / "swarm" / "etcd" / "member"
            if how == "gone":
                shutil.rmtree(member)
            elif how == "half":
                (member / "snap" / "db").unlink()
            else:
                for log in (member / "wal").glob("*.wal"):
                    log.write_bytes(b"nothing that etcd knows" * 1000)
            service = await one.swarm.control.create_service(web(2))
            await three.start()
            await until(lambda: settled(made), 120)
            await until(lambda: len(three.running(service)) == 2)
            again = await three.swarm.control.create_service({**web(1), "Name": "again"})
            await until(lambda: len(one.running(again)) == 1)

    go()


@needs_etcd
@pytest.mark.slow
@on_loop
async def test_without_others_a_manager_that_lost_its_data_says_what_to_do(tmp_path: Path) -> None:
    async with managers(tmp_path, 2) as (one, two):
        await one.swarm.close()
        await two.swarm.close()
        shutil.rmtree(two.folder / "swarm" / "etcd" / "member")
        await two.start()
        await until(lambda: "swarm leave --force" in str(two.swarm.info()["Error"]))
        with pytest.raises(Unavailable, match="nothing to make a new cluster of"):
            await two.swarm.init({"ListenAddr": two.listen, "AdvertiseAddr": two.listen, "ForceNewCluster": True})
        await two.swarm.leave(True)
        assert two.swarm.info()["LocalNodeState"] == "inactive"
