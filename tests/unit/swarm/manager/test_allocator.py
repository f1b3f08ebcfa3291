"""Subnets and addresses that the cluster chooses."""

import ipaddress
from collections.abc import Callable
from typing import Any

from scow.swarm.manager.allocator import Allocator
from scow.swarm.objects import Network, Node, Service, Task, TaskState
from scow.swarm.store.store import Tx
from tests.fakes.swarm import Cluster0
from tests.support.asynchronous import on_loop


@on_loop
async def test_a_network_with_ipv6_gets_a_subnet_of_it_and_its_tasks_an_address_of_each_kind() -> None:
    cluster = await Cluster0().start()

    def make(tx: Tx) -> None:
        given = {"Config": [{"Subnet": "10.9.0.0/24"}, {"Subnet": "fd00:9::/64"}]}
        tx.create(Network(id="chosen", spec={"Name": "chosen", "EnableIPv6": True}))
        tx.create(Network(id="other", spec={"Name": "other", "EnableIPv6": True}))
        tx.create(Network(id="given", spec={"Name": "given", "EnableIPv6": True, "IPAM": given}))

    await cluster.store.update(make)
    await cluster.settle()
    subnets: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
    for id in ("chosen", "other", "given"):
        network = cluster.store.get(Network, id)
        assert network is not None
        subnets += [ipaddress.ip_network(row["Subnet"]) for row in network.ipam["Config"]]
    assert [(net.version, net.prefixlen) for net in subnets] == [(4, 24), (6, 64)] * 3
    assert len(set(subnets)) == 6
    assert all(net.is_private for net in subnets)
    service = await cluster.service("web", 2, TaskTemplate={"Networks": [{"Target": "chosen"}, {"Target": "given"}]})
    seen = [address for task in cluster.running(service) for row in task.networks for address in row["Addresses"]]
    assert len(seen) == len(set(seen)) == 8
    for number in (0, 1, 4, 5):
        assert sum(ipaddress.ip_interface(address).network == subnets[number] for address in seen) == 2
    await cluster.stop()


async def network(cluster: Cluster0, id: str, subnet: str, leases: dict[str, str]) -> Network:
    rows = [{"Subnet": subnet}]
    await cluster.store.update(
        lambda tx: tx.create(Network(id=id, spec={"Name": id, "Attachable": True, "IPAM": {"Config": rows}}, leases=leases))
    )
    await cluster.settle()
    return cluster.store.find(Network, id)


@on_loop
async def test_what_a_node_had_that_was_removed_under_another_leader_is_given_back() -> None:
    cluster = await Cluster0(nodes=2).start()
    leases = {"10.9.0.254": f"container:n2:{'1' * 64}:a", "10.9.0.253": f"container:n1:{'2' * 64}:b"}
    await network(cluster, "net", "10.9.0.0/24", leases)
    await cluster.manager.resign()
    await cluster.store.update(lambda tx: tx.delete(Node, "n2"))  # and the leader dies before it has tidied up
    cluster.manager.lead()
    await cluster.settle()
    assert cluster.store.find(Network, "net").leases == {"10.9.0.253": leases["10.9.0.253"]}
    await cluster.stop()


@on_loop
async def test_a_full_network_holds_up_its_own_services_only_and_says_why() -> None:
    cluster = await Cluster0().start()
    full = {f"10.9.0.{number}": f"container:n1:{str(number) * 64}:a" for number in (2, 3, 4, 5, 6)}
    await network(cluster, "full", "10.9.0.0/29", full)
    one = await cluster.service("one", 1, TaskTemplate={"Networks": [{"Target": "full"}]})
    two = await cluster.service("two", 1)
    assert len(cluster.running(two)) == 1
    assert [(task.status.state, "no available" in task.status.error) for task in cluster.store.by(Task, "service", one)] == [
        (TaskState.NEW, True)
    ]
    await cluster.store.update(lambda tx: tx.update(tx.find(Network, "full").changed(leases={"10.9.0.6": full["10.9.0.6"]})))
    await cluster.settle()
    assert len(cluster.running(one)) == 1
    await cluster.stop()


@on_loop
async def test_a_virtual_address_is_none_that_was_leased_a_moment_ago() -> None:
    cluster = await Cluster0().start()
    await network(cluster, "net", "10.9.0.0/24", {})

    def both(tx: Tx) -> None:
        tx.create(Service(id="s", spec={"Name": "web", "TaskTemplate": {"Networks": [{"Target": "net"}]}}))
        tx.update(tx.find(Network, "net").changed(leases={"10.9.0.2": f"container:n1:{'1' * 64}:a"}))

    await cluster.store.update(both)
    await cluster.settle()
    assert [row["Addr"] for row in cluster.store.find(Service, "s").endpoint["VirtualIPs"]] == ["10.9.0.3/24"]
    await cluster.stop()


@on_loop
async def test_writes_that_others_come_before_lose_no_address() -> None:
    cluster = await Cluster0().start()
    await network(cluster, "net", "10.9.0.0/29", {})
    await cluster.stop()
    update, allocator = cluster.store.update, Allocator(cluster.store, cluster.clock)

    async def twice(fn: Callable[[Tx], Any]) -> Any:
        fn(cluster.store.begin())  # somebody commits meanwhile
        return await update(fn)

    allocator.setup()
    await update(lambda tx: tx.create(Service(id="s", spec={"Name": "web", "TaskTemplate": {"Networks": [{"Target": "net"}]}})))
    await update(lambda tx: tx.create(Task(id="t", service_id="s", spec={"Networks": [{"Target": "net"}]})))
    cluster.store.update = twice  # type: ignore[method-assign, assignment]
    allocator.setup()
    await allocator.tick()
    held = cluster.store.find(Task, "t").networks[0]["Addresses"] + [
        row["Addr"] for row in cluster.store.find(Service, "s").endpoint["VirtualIPs"]
    ]
    taken = allocator._subnets["net"][0]._taken
    assert len(taken) == 3 == len(set(held)) + 1  # the gateway, the service, the task
