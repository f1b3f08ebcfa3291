"""The scenario behind test_networks.py: two hosts, each a process in a network namespace of its own with a link between them, are told the
same cluster state. Usage: scenario.py FOLDER (the first host, which starts the second). Prints a JSON object of what it saw."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from scow.engine_executor.networks import SwarmNetworks
from scow.events import EventBus
from scow.kernel.netlink import Netlink
from scow.metadata.db import Database
from scow.model.network import EndpointIPAMConfig, EndpointSettings
from scow.network import osl
from scow.network.cluster import GATEWAY
from scow.network.encryption.tunnel import Tunnel
from scow.network.endpoint import SandboxRequest
from scow.network.service import NetworkService
from scow.swarm.manager.allocator import view_of
from scow.swarm.objects import Network, Task
from scow.swarm.wire import ClusterState, Peer, ServiceState

FOLDER, ME = Path(sys.argv[1]), (sys.argv[2] if len(sys.argv) > 2 else "one")
HOSTS = {"one": "192.0.2.1", "two": "192.0.2.2"}
NETWORKS = {
    one.id: view_of(one)
    for one in (
        Network(id="over" * 6, spec={"Name": "over", "Attachable": True}, ipam={"Config": [{"Subnet": "10.50.0.0/24"}]}, vni=4100),
        Network(id="ingr" * 6, spec={"Name": "ingress"}, ipam={"Config": [{"Subnet": "10.51.0.0/24"}]}, vni=4101, ingress=True),
    )
}
OVER, INGRESS = NETWORKS
WEB = ServiceState("s1", "web", "vip", {OVER: "10.50.0.100"}, {OVER: ()}, ({"PublishedPort": 8080, "TargetPort": 80},))
PEERS = (
    Peer(OVER, "10.50.0.1", "one", "1" * 64, "", ("client",)),
    Peer(OVER, "10.50.0.2", "two", "t2", "s1", ("web.1.t2",)),
    Peer(INGRESS, "10.51.0.2", "two", "t2", "s1", ("web.1.t2",)),
    Peer(INGRESS, "10.51.0.11", "one", "node:one"),
    Peer(INGRESS, "10.51.0.12", "two", "node:two"),
)


class Desk:
    """A cluster that gives the addresses of PEERS."""

    active = True

    def __init__(self) -> None:
        self.released: list[Sequence[str]] = []

    async def fresh(self) -> None:
        """It knows nothing."""

    def networks(self) -> list[dict[str, Any]] | None:
        return None

    async def create(self, spec: Mapping[str, Any]) -> str:
        raise NotImplementedError

    async def remove(self, id: str) -> None:
        raise NotImplementedError

    async def lease(self, network: str, container: str, names: Sequence[str], asked: Sequence[str]) -> Mapping[str, Any]:
        return {"network": NETWORKS[network], "addresses": ["10.50.0.1/24"]}

    async def release(self, container: str, network_ids: Sequence[str]) -> None:
        self.released.append([container, *network_ids])

    async def tunnel(self, keys: Sequence[Mapping[str, Any]]) -> None:
        """No network of this cluster is encrypted."""


def state(peers: tuple[Peer, ...] = PEERS) -> ClusterState:
    own = {INGRESS: "10.51.0.11/24" if ME == "one" else "10.51.0.12/24"}
    return ClusterState(ME, HOSTS, NETWORKS, peers, (WEB,), own)


async def until(what: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not what():
        if time.monotonic() > end:
            raise TimeoutError
        await asyncio.sleep(0.05)


async def fetch(address: str, port: int, pin: str = "") -> str:
    """What a server says; the class of the error otherwise."""
    import socket

    def make() -> socket.socket:
        return socket.socket(socket.AF_INET, socket.SOCK_STREAM)

    sock = osl.visit(pin, make) if pin else make()
    sock.setblocking(False)
    try:
        await asyncio.wait_for(asyncio.get_running_loop().sock_connect(sock, (address, port)), 20)
        reader, writer = await asyncio.open_connection(sock=sock)
        try:
            return (await asyncio.wait_for(reader.read(), 20)).decode()
        finally:
            writer.close()
    except (OSError, TimeoutError) as error:
        sock.close()
        return type(error).__name__


async def serve(pin: str) -> asyncio.Server:
    """A server in a sandbox that says who called."""
    import socket

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(writer.get_extra_info("peername")[0].encode())
        await writer.drain()
        writer.close()

    sock = osl.visit(pin, lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM))
    sock.bind(("0.0.0.0", 80))
    return await asyncio.start_server(answer, sock=sock)


def request(id: str, name: str, **addresses: str) -> SandboxRequest:
    endpoints = {
        network: EndpointSettings(ipam_config=EndpointIPAMConfig(ipv4_address=address) if address else None)
        for network, address in addresses.items()
    }
    return SandboxRequest(id, name, name, mode=next(iter(addresses)), endpoints=endpoints, files=FOLDER / ME / name)


async def host() -> tuple[NetworkService, SwarmNetworks, Desk]:
    with Netlink() as netlink:
        wire = netlink.link("wire")
        assert wire is not None
        for link in ("lo", "wire"):
            found = netlink.link(link)
            assert found is not None
            netlink.set_link(found.index, up=True)
        netlink.add_address(wire.index, HOSTS[ME], 24)
    (FOLDER / ME / "pins").mkdir(parents=True)
    db = Database(FOLDER / ME / "meta.db")
    service = NetworkService(db, EventBus(), FOLDER / ME / "pins")
    await service.recover({})
    networks, desk = SwarmNetworks(service, db, Tunnel(FOLDER / ME / "encryption")), Desk()
    networks.desk = desk
    await networks.configure({"joined": True})
    await networks.configure({"cluster": state()})
    return service, networks, desk


async def second() -> None:
    await until(_wired)
    service, networks, _ = await host()
    (FOLDER / "two" / "web").mkdir()
    networks.starting("2" * 64)
    sandbox = await service.attach(request("2" * 64, "web", over="10.50.0.2", ingress="10.51.0.2"))
    server = await serve(sandbox.key)
    (FOLDER / "two.ready").touch()
    await until((FOLDER / "over").exists)
    server.close()
    await service.release("2" * 64)
    await networks.configure({"left": True})
    await networks.stop()
    await service.close()


def _wired() -> bool:
    with Netlink() as netlink:
        return netlink.link("wire") is not None


async def first(child: "subprocess.Popen[bytes]") -> dict[str, Any]:
    seen: dict[str, Any] = {}
    own = os.readlink("/proc/self/ns/net")
    await until(lambda: os.readlink(f"/proc/{child.pid}/ns/net") != own)
    there = os.open(f"/proc/{child.pid}/ns/net", os.O_RDONLY)
    with Netlink() as netlink:
        netlink.add_veth("wire", "wire", peer_netns=there, peer_mac="02:00:00:00:00:02", master=0)
    os.close(there)
    service, networks, desk = await host()
    (FOLDER / "one" / "client").mkdir()
    sandbox = await service.attach(request("1" * 64, "client", over=""))
    await until(lambda: (FOLDER / "two.ready").exists() or child.poll() is not None)
    pin = sandbox.key
    seen["address"] = sandbox.endpoints["over"].ip_address
    seen["direct"] = await fetch("10.50.0.2", 80, pin)
    seen["virtual"] = await fetch("10.50.0.100", 80, pin)
    seen["mesh"] = [await fetch(address, 8080) for address in ("127.0.0.1", "192.0.2.1")]
    names = service.cluster_names
    seen["names"] = [names.lookup(OVER, name) for name in ("web", "tasks.web", "web.1.t2", "client")]
    seen["peers"] = [row["IP"] for row in service.inspect("over")["Peers"]]
    seen["forbidden"] = await fetch("10.50.0.1", 80)  # the host itself is not on the network
    await networks.unbalance(Task(id="t2", service_id="s1", networks=({"Addresses": ["10.50.0.2/24"]},)))
    seen["drained"] = [await fetch("10.50.0.100", 80, pin), await fetch("127.0.0.1", 8080), await fetch("10.50.0.2", 80, pin)]
    # a cluster without the network: it goes when its last container has gone
    await networks.configure({"cluster": replace(state(PEERS[3:]), networks={INGRESS: NETWORKS[INGRESS]})})
    seen["kept"] = OVER in service.made
    await service.release("1" * 64)
    await until(lambda: OVER not in service.made and bool(desk.released))
    seen["released"] = desk.released
    (FOLDER / "over").touch()
    child.wait(60)
    seen["second"] = child.returncode
    await networks.configure({"left": True})
    seen["way out"] = service.get(GATEWAY).name
    await networks.stop()
    await service.close()
    with Netlink() as netlink:
        seen["left"] = sorted(link.name for link in netlink.links() if link.name not in ("lo", "wire"))
    return seen


if __name__ == "__main__":
    if ME == "two":
        asyncio.run(second())
    else:
        with subprocess.Popen(["unshare", "-n", sys.executable, __file__, str(FOLDER), "two"]) as child:
            try:
                print(json.dumps(asyncio.run(first(child))))
            finally:
                child.kill()
