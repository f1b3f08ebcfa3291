import asyncio
import socket
import struct
from dataclasses import replace
from pathlib import Path

from scow.metadata.db import Database
from scow.model.network import EndpointSettings
from scow.network.dns import message
from scow.network.dns.records import Records
from scow.network.dns.server import Listeners, NameServers, ruleset
from scow.network.endpoint import Endpoint, SandboxRequest, SandboxState
from scow.network.store import SandboxStore
from tests.support.asynchronous import on_loop

ME = "a" * 64


def query(name: str, kind: int = message.A) -> bytes:
    return struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + message.encode_name(name) + struct.pack(">HH", kind, 1)


def names(tmp_path: Path) -> NameServers:
    store = SandboxStore(Database(tmp_path / "db"))
    settings = EndpointSettings(ip_address="10.1.0.2", dns_names=["web"])
    store.put(SandboxState("s" * 64, "/x", SandboxRequest(ME, "web", "web"), (Endpoint("e" * 64, "n", "net", settings, "eth0"),)))
    return NameServers(Records(store))


def sockets() -> Listeners:
    udp, tcp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket()
    for one in (udp, tcp):
        one.setblocking(False)
        one.bind(("127.0.83.11", 0))
    return Listeners(udp, tcp)


def test_the_redirection_replaces_only_when_asked() -> None:
    assert "dnat to 127.0.0.11:1053" in ruleset(1053, 1054, replace=False) and "delete" not in ruleset(1053, 1054, replace=False)
    assert "delete table" in ruleset(1053, 1054, replace=True)


@on_loop
async def test_answers_over_udp(tmp_path: Path) -> None:
    servers, listeners = names(tmp_path), sockets()
    address = listeners.udp.getsockname()
    await servers.start(ME, listeners)
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.setblocking(False)
        asker.connect(address)

        async def ask(data: bytes) -> bytes:
            asker.send(data)
            return await loop.sock_recv(asker, 4096)

        assert (await ask(query("WEB"))).endswith(bytes([10, 1, 0, 2]))
        first, second = await ask(query("web")), await ask(b"\0\x63" + query("web")[2:])
        assert first[:2] == b"\0\7" and second[:2] == b"\0\x63" and first[2:] == second[2:]
        records = servers._records
        (sandbox,) = records._sandboxes
        moved = replace(sandbox.endpoints[0], settings=replace(sandbox.endpoints[0].settings, ip_address="10.1.0.9"))
        records._sandboxes.put(replace(sandbox, endpoints=(moved,)))
        assert (await ask(query("web"))).endswith(bytes([10, 1, 0, 9]))
        empty = await ask(query("web.net", message.AAAA))
        assert message.code(empty) == message.NOERROR and empty[7] == 0
        assert message.code(await ask(query("bare"))) == message.NXDOMAIN
        for kind in (
            16,
            65,
            2,
            6,
            43,
            48,
        ):  # TXT, HTTPS, NS, SOA, DS, DNSKEY: a name of ours has none, and a bare one is not told to the outside
            assert message.code(await ask(query("web", kind))) == message.NOERROR
            assert message.code(await ask(query("bare", kind))) == message.NXDOMAIN
        assert message.code(await ask(query("outside.example"))) == message.SERVFAIL
        assert message.code(await ask(query("x")[:-2])) == message.FORMERR
    servers.stop(ME)
    assert not servers.running(ME)


@on_loop
async def test_answers_over_tcp(tmp_path: Path) -> None:
    servers, listeners = names(tmp_path), sockets()
    address = listeners.tcp.getsockname()
    await servers.start(ME, listeners)
    reader, writer = await asyncio.open_connection(*address)
    for _ in range(2):
        data = query("web")
        writer.write(len(data).to_bytes(2, "big") + data)
        answer = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        assert answer.endswith(bytes([10, 1, 0, 2]))
    writer.close()
    servers.close()
