"""WireGuard links: the program's protocol against a fake program, and what is said where there is none."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from scow.errors import Internal, ScowError, Unsupported
from scow.kernel.wireguard import WireGuardPeer
from scow.network.encryption import devices
from scow.network.encryption.devices import ProgramDevices

NAME = "swg-0123456789a"
KEY, OTHER = b"\1" * 32, b"\2" * 32


class Program:
    """`wireguard-go`'s end of the socket: notes what it is told, answers as it is set."""

    def __init__(self, folder: Path) -> None:
        self.said: list[str] = []
        self.answer = "errno=0\n\n"
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(folder / f"{NAME}.sock"))
        self._socket.listen()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                link, _ = self._socket.accept()
            except OSError:
                return
            with link:
                data = b""
                while not data.endswith(b"\n\n") and (part := link.recv(65536)):
                    data += part
                self.said.append(data.decode())
                link.sendall(self.answer.encode())

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    made = Program(tmp_path)
    yield made
    made.close()


def made(folder: Path) -> ProgramDevices:
    return ProgramDevices(folder, lambda: None, folder)


def test_peers_by_its_protocol(program: Program, tmp_path: Path) -> None:
    peers = [WireGuardPeer(KEY, "192.0.2.1", 51820, "fd53::1"), WireGuardPeer(OTHER, "2001:db8::2", 51821, "fd53::2")]
    asyncio.run(made(tmp_path).change_peers(NAME, peers, [b"\3" * 32]))
    assert program.said == [
        "set=1\n"
        f"public_key={'03' * 32}\nremove=true\n"
        f"public_key={'01' * 32}\nendpoint=192.0.2.1:51820\npersistent_keepalive_interval=25\n"
        "replace_allowed_ips=true\nallowed_ip=fd53::1/128\n"
        f"public_key={'02' * 32}\nendpoint=[2001:db8::2]:51821\npersistent_keepalive_interval=25\n"
        "replace_allowed_ips=true\nallowed_ip=fd53::2/128\n\n"
    ]


def test_peers_are_read(program: Program, tmp_path: Path) -> None:
    program.answer = f"private_key={'ff' * 32}\nlisten_port=1\npublic_key={KEY.hex()}\nrx_bytes=0\npublic_key={OTHER.hex()}\nerrno=0\n\n"
    assert asyncio.run(made(tmp_path).peers(NAME)) == {KEY, OTHER}


@pytest.mark.parametrize("answer", ["errno=-98\n\n", "nonsense\n\n", "", "errno=x\n\n"])
def test_its_errors_are_told_without_its_key(program: Program, tmp_path: Path, answer: str) -> None:
    program.answer = f"private_key={'ff' * 32}\n" + answer
    with pytest.raises(Internal) as caught:
        asyncio.run(made(tmp_path).peers(NAME))
    assert "ff" * 8 not in caught.value.message


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ScowError, match="does not answer"):
        asyncio.run(made(tmp_path).peers(NAME))


def test_a_taken_port_is_named() -> None:
    assert "swarm-encryption-port" in devices._failed(NAME, 51820, OSError(98, "Address already in use"))


def test_a_host_without_either_is_told_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(devices.wireguard, "available", lambda: False)
    monkeypatch.setattr(devices, "_program", lambda: None)
    monkeypatch.setattr(devices, "_IPV6", tmp_path)
    with pytest.raises(Unsupported, match=r"module wireguard, or install Debian's package wireguard-go"):
        devices.choose(tmp_path, lambda: None)
    monkeypatch.setattr(devices, "_program", lambda: "/usr/bin/wireguard-go")
    monkeypatch.setattr(devices, "_TUN", tmp_path)
    assert isinstance(devices.choose(tmp_path, lambda: None), ProgramDevices)
    monkeypatch.setattr(devices, "_TUN", tmp_path / "absent")
    assert "module tun" in devices.missing()


def test_a_kernel_with_it_needs_no_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(devices.wireguard, "available", lambda: True)
    monkeypatch.setattr(devices, "_IPV6", tmp_path)
    assert isinstance(devices.choose(tmp_path, lambda: None), devices.KernelDevices)
    monkeypatch.setattr(devices, "_IPV6", tmp_path / "absent")
    assert "ipv6.disable" in devices.missing()
