"""The scenario behind test_attach.py: prints a JSON object of what it saw. Runs as root in namespaces of its own."""

import asyncio
import contextlib
import json
import shutil
import socket
import struct
import sys
from pathlib import Path
from typing import Any

from scow.errors import ScowError
from scow.events import EventBus
from scow.kernel.namespaces import in_netns
from scow.kernel.netlink import Netlink
from scow.metadata.db import Database
from scow.model.container import PortBinding
from scow.model.network import IPAM, EndpointIPAMConfig, EndpointSettings, IPAMPool, NetworkCreate
from scow.network import osl
from scow.network.dns import message
from scow.network.endpoint import SandboxRequest
from scow.network.service import NetworkService

BASE = Path(sys.argv[1])
SEEN: dict[str, Any] = {}


def cid(name: str) -> str:
    return name.encode().hex().ljust(64, "0")


def request(name: str, mode: str = "default", port: int = 0, **more: Any) -> SandboxRequest:
    bindings = {"80/tcp": [PortBinding("", str(port))]} if port else {}
    return SandboxRequest(cid(name), name, name, mode=mode, port_bindings=bindings, files=BASE / "files" / name, **more)


def inside_socket(pin: str, kind: int = socket.SOCK_STREAM) -> socket.socket:
    def make() -> socket.socket:
        sock = socket.socket(socket.AF_INET, kind)
        sock.setblocking(False)
        return sock

    return osl.visit(pin, make)


async def hello(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"hello")
    await writer.drain()
    writer.close()


async def serve(pin: str) -> asyncio.Server:
    sock = inside_socket(pin)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("0.0.0.0", 80))
    return await asyncio.start_server(hello, sock=sock)


async def fetch(address: str, port: int, pin: str = "", seconds: float = 20) -> str:
    async def attempt() -> str:
        if pin:
            sock = inside_socket(pin)
            try:
                await asyncio.get_running_loop().sock_connect(sock, (address, port))
            except BaseException:
                sock.close()
                raise
            reader, writer = await asyncio.open_connection(sock=sock)
        else:
            reader, writer = await asyncio.open_connection(address, port)
        try:
            return (await reader.read()).decode()
        finally:
            writer.close()

    try:
        return await asyncio.wait_for(attempt(), seconds)
    except (OSError, TimeoutError) as error:
        return type(error).__name__


async def ask(pin: str, name: str, kind: int = message.A) -> str:
    query = struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + message.encode_name(name) + struct.pack(">HH", kind, 1)
    sock = inside_socket(pin, socket.SOCK_DGRAM)
    try:
        sock.connect(("127.0.0.11", 53))
        await asyncio.get_running_loop().sock_sendall(sock, query)
        answer = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, 4096), 20)
    finally:
        sock.close()
    if answer[3] & 15 or not answer[7]:
        return f"code {answer[3] & 15}"
    if kind == message.PTR:
        data, labels = answer[len(query) + 12 :], []
        while data[0]:
            labels.append(data[1 : 1 + data[0]].decode())
            data = data[1 + data[0] :]
        return ".".join(labels)
    return socket.inet_ntop(socket.AF_INET6, answer[-16:]) if kind == message.AAAA else socket.inet_ntoa(answer[-4:])


def links(pin: str = "") -> list[str]:
    if pin:
        with in_netns(pin), Netlink() as inner:
            return sorted(link.name for link in inner.links())
    with Netlink() as outer:
        return sorted(link.name for link in outer.links())


def pins() -> list[str]:
    return sorted(path.name for path in (BASE / "netns").iterdir())


async def datagrams(service: NetworkService) -> list[str]:
    """One sender that keeps its port, while the container behind the published port changes."""
    heard = []
    asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    asker.setblocking(False)
    asker.connect(("127.0.0.1", 15353))
    loop = asyncio.get_running_loop()
    for name in ("udp-one", "udp-two"):
        udp = SandboxRequest(cid(name), name, name, port_bindings={"53/udp": [PortBinding("", "15353")]}, files=BASE / "files" / name)
        box = await service.attach(udp)
        server = inside_socket(box.key, socket.SOCK_DGRAM)
        server.bind(("0.0.0.0", 53))
        for _ in range(30):  # a datagram may be lost
            asker.send(b"ping")
            try:
                data, _ = await asyncio.wait_for(loop.sock_recvfrom(server, 100), 1)
                heard.append(data.decode())
                break
            except TimeoutError:
                continue
        else:
            heard.append("nothing")
        if name == "udp-one":
            # another address for the next one: the first stays taken
            await service.disconnect(cid(name), "bridge")
            await service.attach(request("in-the-way"))
            await service.release(cid(name))
        else:
            await service.release(cid(name))
            await service.release(cid("in-the-way"))
        server.close()
    asker.close()
    return heard


async def first(service: NetworkService) -> None:
    web = await service.attach(request("one", port=18080))
    settings = web.endpoints["bridge"]
    SEEN["ip"], SEEN["mac"] = settings.ip_address, settings.mac_address
    with in_netns(web.key), Netlink() as inner:
        eth0 = inner.link("eth0")
        assert eth0 is not None
        _, address, prefix = inner.addresses(eth0.index)[0]
        SEEN["inner"] = {"address": f"{address}/{prefix}", "route": settings.gateway, "mac": eth0.mac}
    server = await serve(web.key)
    SEEN["reached"] = {
        "loopback": await fetch("127.0.0.1", 18080),
        "ipv6": await fetch("::1", 18080),
        "hairpin": await fetch("172.17.0.1", 18080, web.key),
    }
    SEEN["udp"] = await datagrams(service)
    SEEN["pins before conflict"] = pins()
    try:
        await service.attach(request("taken", port=18080))
    except ScowError as error:
        SEEN["conflict"] = error.message
    SEEN["pins after conflict"] = pins()

    await service.create(NetworkCreate(name="net", ipam=IPAM(config=[IPAMPool(subnet="10.99.0.0/24")])))
    named = await service.attach(request("web", "net", endpoints={"net": EndpointSettings(ipam_config=EndpointIPAMConfig("10.99.0.77"))}))
    SEEN["web ip"] = named.endpoints["net"].ip_address
    late = await service.connect(cid("one"), "net", EndpointSettings(aliases=["alias"]))
    SEEN["late ip"], SEEN["connected"] = late.ip_address, links(web.key)
    reverse = ".".join(reversed(SEEN["web ip"].split("."))) + ".in-addr.arpa"
    SEEN["names"] = {name: await ask(named.key, name) for name in ("web", "WEB.net", "alias", "nosuch")}
    SEEN["names"]["web.net"] = SEEN["names"].pop("WEB.net")
    SEEN["names"]["reverse"] = await ask(web.key, reverse, message.PTR)
    await service.disconnect(cid("one"), "bridge")
    SEEN["disconnected"], SEEN["moved port"] = links(web.key), await fetch("127.0.0.1", 18080)

    await service.create(NetworkCreate(name="apart"))
    apart = await service.attach(request("apart", "apart"))
    SEEN["isolated"] = (
        await fetch(late.ip_address, 80, apart.key, seconds=1) != "hello" and await fetch(late.ip_address, 80, named.key) == "hello"
    )
    await routed(service, apart.key)
    evil = await service.attach(request("evil", "net"))
    mine = evil.endpoints["net"]
    SEEN["forged"] = await forged(evil.key, named.key, named.endpoints["net"].mac_address, mine.ip_address, mine.mac_address)
    SEEN["renamed"] = await renamed(evil.key, named.key, named.endpoints["net"].mac_address, mine.ip_address, mine.mac_address)
    await service.release(cid("evil"))
    friend = await service.attach(request("friend", "net", trusted=True))
    mine = friend.endpoints["net"]
    SEEN["trusted"] = await forged(friend.key, named.key, named.endpoints["net"].mac_address, mine.ip_address, mine.mac_address)
    await service.release(cid("friend"))
    await service.connect(cid("web"), "apart", EndpointSettings())
    server.close()


async def repaired(service: NetworkService, web: str) -> None:
    """Others flush the rules and delete the bridge: both come back by themselves."""
    server = await serve(web)
    flush = await asyncio.create_subprocess_exec("nft", "flush", "ruleset")
    assert await flush.wait() == 0
    SEEN["flushed"] = await patiently("127.0.0.1", 18080)
    osl.remove_link(service.get("net").link)
    SEEN["bridge deleted"] = await patiently("127.0.0.1", 18080)
    osl.remove_link(osl.veth_name(service.settings(cid("one")).networks["net"].endpoint_id))
    SEEN["interface deleted"] = await patiently("127.0.0.1", 18080)
    server.close()


async def patiently(address: str, port: int) -> str:
    async with asyncio.timeout(60):
        while (got := await fetch(address, port, seconds=1)) != "hello":
            await asyncio.sleep(0.05)
    return got


async def six(service: NetworkService) -> None:
    """A network with IPv6 only; its container is reached through a published port over both."""
    await service.create(NetworkCreate(name="six", enable_ipv4=False, enable_ipv6=True))
    limits = {"scow.publish.sources": "fd00::/8,10.0.0.0/8"}
    box = await service.attach(request("six", "six", port=18086, labels=limits))
    endpoint = box.endpoints["six"]

    def listening() -> socket.socket:
        sock = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        sock.setblocking(False)
        sock.bind(("::", 80))
        return sock

    server = await asyncio.start_server(hello, sock=osl.visit(box.key, listening))
    SEEN["six"] = {
        "ula": endpoint.global_ipv6_address.startswith("fd"),
        "ipv4": endpoint.ip_address,
        "direct": await patiently(endpoint.global_ipv6_address, 80),
        "ports": [await fetch("127.0.0.1", 18086), await fetch("::1", 18086), await fetch(endpoint.ipv6_gateway, 18086)],
        "aaaa": await ask(box.key, "six", message.AAAA) == endpoint.global_ipv6_address,
        "exposed": [[row["HostIp"], row["Reach"]] for row in service.exposed() if row["Name"] == "six"],
    }
    server.close()
    await service.release(cid("six"))
    await service.settle()
    await service.remove("six")


async def borrowed(service: NetworkService) -> None:
    """Two networks on bridges that were there before, one with an address: each is given back as it was."""
    had = {"own0": ("10.77.0.9/24",), "own1": ("10.78.0.1/24",), "own2": ()}
    for number, (name, addresses) in enumerate(had.items()):
        with Netlink() as host:
            host.add_bridge(name, f"02:42:00:00:00:0{number}", 0)
            link = host.link(name)
            assert link is not None
            for text in addresses:
                host.add_address(link.index, text.partition("/")[0], int(text.partition("/")[2]))
        plan = IPAM(config=[IPAMPool(subnet=f"10.{77 + number}.0.0/24")])
        await service.create(NetworkCreate(name=name, ipam=plan, options={"com.docker.network.bridge.name": name}))
    used = [osl.addresses_of(name) for name in had]
    for name in had:
        await service.remove(name)
    await service._making.gone()
    SEEN["borrowed"] = {"used": used, "given back": {name: osl.addresses_of(name) for name in had} == had}
    for name in had:
        osl.remove_link(name)


async def nft(*words: str) -> str:
    """Run nft(8); what it prints."""
    done = await asyncio.create_subprocess_exec("nft", *words, stdout=asyncio.subprocess.PIPE)
    printed = (await done.communicate())[0].decode()
    assert done.returncode == 0, words
    return printed


async def beside_others(service: NetworkService) -> None:
    """Tables of others, one with our name: a repair, networks and containers leave them as they are; so does `main`'s end."""
    for family, name in (("inet", "others"), ("ip", "scow"), ("bridge", "others")):
        await nft("add", "table", family, name)
        await nft("add", "chain", family, name, "c", "{ type filter hook forward priority 5; policy accept; }")
        await nft("add", "rule", family, name, "c", "counter", "accept")
    before = await others()
    await service.repair()
    await service.create(NetworkCreate(name="beside"))
    await service.attach(request("beside", "beside", port=18087))
    await service.release(cid("beside"))
    await service.settle()
    await service.remove("beside")
    SEEN["others"] = [before, await others()]


async def others() -> list[str]:
    """The tables of `beside_others` as nft prints them, without counts."""
    return [await nft("-s", "list", "table", *words) for words in (("inet", "others"), ("ip", "scow"), ("bridge", "others"))]


FORGED = b"forged"


async def forged(attacker: str, victim: str, victims_mac: str, own: str, mac: str) -> list[str]:
    """What reaches a container of what another one sends under others' addresses; `end` is sent last, under its own."""
    ours, theirs = bytes.fromhex(mac.replace(":", "")), bytes.fromhex(victims_mac.replace(":", ""))

    def ip(source: str, tag: bytes) -> bytes:
        data = FORGED + tag
        head = struct.pack(
            ">BBHHHBBH4s4s", 0x45, 0, 20 + len(data), 0, 0, 64, 253, 0, socket.inet_aton(source), socket.inet_aton("10.99.0.77")
        )
        total = sum(struct.unpack(">10H", head))
        total = (total & 0xFFFF) + (total >> 16)
        return theirs + ours + b"\x08\x00" + head[:10] + struct.pack(">H", ~total & 0xFFFF) + head[12:] + data

    def arp(sender: str, hardware: bytes, tag: bytes) -> bytes:
        body = struct.pack(">HHBBH6s4s6s4s", 1, 0x800, 6, 4, 2, hardware, socket.inet_aton(sender), theirs, socket.inet_aton("10.99.0.77"))
        return theirs + ours + b"\x08\x06" + body + FORGED + tag

    def plain(hardware: bytes, tag: bytes) -> bytes:
        return theirs + hardware + b"\x88\xb5" + bytes(46) + FORGED + tag

    def raw() -> socket.socket:
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        sock.setblocking(False)
        sock.bind(("eth0", 3))
        return sock

    sender, sniffer = osl.visit(attacker, raw), osl.visit(victim, raw)
    other = b"\x02\x42\x0a\x63\x00\x62"
    frames = (
        ip("10.99.0.99", b"address"),
        ip("8.8.8.8", b"foreign"),
        arp("10.99.0.1", ours, b"arp"),
        arp(own, other, b"arp-mac"),
        plain(other, b"mac"),
        plain(ours, b"end"),
    )
    found: set[str] = set()
    async with asyncio.timeout(60):
        while "end" not in found:  # a link may need a moment
            for frame in frames:
                sender.send(frame)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    while "end" not in found:
                        data = await asyncio.get_running_loop().sock_recv(sniffer, 2000)
                        if FORGED in data:
                            found.add(data.partition(FORGED)[2].decode())
    sender.close()
    sniffer.close()
    return sorted(found)


async def renamed(attacker: str, victim: str, victims_mac: str, own: str, mac: str) -> list[str]:
    """As `forged`, by a container that may administrate its network and has given itself another MAC address."""

    def change() -> None:
        with Netlink() as inner:
            link = inner.link("eth0")
            assert link is not None
            inner.set_link(link.index, mac="02:42:0a:63:00:62")
            changed = inner.link("eth0")
            assert changed is not None and changed.mac == "02:42:0a:63:00:62"

    osl.visit(attacker, change)
    return await forged(attacker, victim, victims_mac, own, mac)


async def routed(service: NetworkService, outside: str) -> None:
    """A network whose containers are known by their own addresses; `outside` is a namespace on another bridge."""
    await service.create(NetworkCreate(name="plain", options={"com.docker.network.bridge.gateway_mode_ipv4": "routed"}))
    box = await service.attach(request("plain", "plain", port=18090))
    address = box.endpoints["plain"].ip_address

    def listening(port: int) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        sock.bind(("0.0.0.0", port))
        return sock

    servers = [await asyncio.start_server(hello, sock=osl.visit(box.key, lambda port=port: listening(port))) for port in (80, 81)]
    shown = service.settings(cid("plain")).ports
    SEEN["routed"] = {
        "published": await fetch(address, 80, outside),
        "other port": await fetch(address, 81, outside, seconds=1) != "hello",
        "host's port": await fetch("127.0.0.1", 18090, seconds=1),
        "shown": [one["HostPort"] for one in shown["80/tcp"] or [] if one["HostIp"] == "0.0.0.0"],
    }
    for server in servers:
        server.close()
    await service.release(cid("plain"))
    await service.remove("plain")
    await service.settle()


async def second(service: NetworkService, web: str) -> None:
    """The daemon was killed; meanwhile the container `apart` ended."""
    server = await serve(web)
    try:
        await service.attach(request("thief", "net", endpoints={"net": EndpointSettings(ipam_config=EndpointIPAMConfig("10.99.0.77"))}))
        address = "given twice"
    except ScowError:
        address = "in use"
    SEEN["recovered"] = {
        "port": await fetch("127.0.0.1", 18080),
        "name": await ask(web, "web"),
        "address": address,
        "gone": [link for link in links() if link.startswith("veth") and link not in known(service)],
    }
    server.close()


def known(service: NetworkService) -> set[str]:
    found = set()
    for name in ("one", "web"):
        found |= {osl.veth_name(settings.endpoint_id) for settings in service.settings(cid(name)).networks.values()}
    return found


async def main() -> None:
    with Netlink() as route:
        route.set_link(1, up=True)
    for name in ("one", "web"):
        (BASE / "files" / name).mkdir(parents=True)
    db = Database(BASE / "db")
    service = NetworkService(db, EventBus(), BASE / "netns")
    await service.recover({})
    await first(service)
    web = service.settings(cid("one")).key
    # the first service is dropped as a killed daemon's is: only its sockets go
    await service._watch.close()
    await service._attached.close()
    service._ports.unhold(service._sandboxes.get(cid("one")).published)  # type: ignore[union-attr]
    db.close()

    db = Database(BASE / "db")
    service = NetworkService(db, EventBus(), BASE / "netns")
    # the row of `web` knows nothing of the network it was being connected to
    await service.recover({cid("one"): 1, cid("web"): 1}, {cid("one"): ["net"], cid("web"): ["net"]})
    SEEN["cut off"] = {name: sorted(service.settings(cid(name)).networks) for name in ("one", "web")}
    await service.settle()
    await second(service, web)
    await repaired(service, web)
    await six(service)
    await borrowed(service)
    await beside_others(service)

    # reboot: kernel state and run directory gone
    await service._watch.close()
    await service._attached.close()
    service._ports.unhold(service._sandboxes.get(cid("one")).published)  # type: ignore[union-attr]
    for pin in list((BASE / "netns").iterdir()):
        osl.destroy(pin, [])
    shutil.rmtree(BASE / "netns")
    for link in links():
        if link != "lo":
            osl.remove_link(link)
    service = NetworkService(db, EventBus(), BASE / "netns")
    await service.recover({})
    shown = service.inspect("net")
    SEEN["rebooted"] = {"bridge": service.get("net").link in links(), "members": len(shown["Containers"])}

    await service.attach(request("last", "net", port=18081))
    await service.release(cid("last"))
    await service.settle()
    for name in ("net", "apart"):
        await service.remove(name)
    await service.close()
    async with asyncio.timeout(60):
        while any(link.startswith("veth") for link in links()):
            await asyncio.sleep(0.05)
    SEEN["others"].append(await others())
    for family, name in (("inet", "others"), ("ip", "scow"), ("bridge", "others")):
        await nft("delete", "table", family, name)
    SEEN["left"] = {"links": links(), "pins": pins(), "table": (await nft("list", "ruleset")).strip()}
    print(json.dumps(SEEN))


asyncio.run(main())
