"""Subnets and addresses that the cluster chooses."""

import ipaddress

from scow.swarm.objects import Network
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
