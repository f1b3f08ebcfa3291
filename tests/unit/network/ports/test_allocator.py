import socket
from collections.abc import Iterator

import pytest

from scow.errors import InvalidArgument
from scow.model.container import PortBinding
from scow.network.ports import allocator
from scow.network.ports.allocator import PortAllocator, PortTaken, Wish, wishes


@pytest.fixture
def busy() -> Iterator[int]:
    with socket.socket() as sock:
        sock.bind(("127.0.83.1", 0))
        sock.listen()
        yield sock.getsockname()[1]


@pytest.fixture
def free() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.83.1", 0))
        return int(sock.getsockname()[1])


def test_wishes() -> None:
    bindings = {"80/tcp": [PortBinding("", "8080"), PortBinding("[::1]", "")], "53/udp": [PortBinding("127.0.83.1", "5300-5303")]}
    found = wishes(bindings, ["443/tcp"], True, ("0.0.0.0", "::"))
    assert set(found) == {
        Wish(80, "tcp", ("0.0.0.0", "::"), 8080, 8080),
        Wish(80, "tcp", ("::1",)),
        Wish(53, "udp", ("127.0.83.1",), 5300, 5303),
        Wish(443, "tcp", ("0.0.0.0", "::")),
    }
    assert found[0].first == 8080 and not found[-1].first


@pytest.mark.parametrize(
    ("port", "host", "kind"),
    [
        ("99999/tcp", "", InvalidArgument),
        ("80/bogus", "", InvalidArgument),
        ("80/tcp", "http", InvalidArgument),
    ],
)
def test_bad_wishes(port: str, host: str, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        wishes({port: [PortBinding("", host)]}, [], False, ("0.0.0.0",))


def test_a_port_is_held_until_it_is_freed(free: int) -> None:
    ports = PortAllocator()
    wish = Wish(80, "tcp", ("127.0.83.1",), free, free)
    assert ports.take(wish, "10.0.0.2") == free
    with pytest.raises(PortTaken, match=f"Bind for 0.0.0.0:{free} failed: port is already allocated"):
        ports.take(Wish(80, "tcp", ("0.0.0.0",), free, free), "10.0.0.2")
    assert ports.take(Wish(80, "tcp", ("127.0.83.2",), free, free), "10.0.0.2") == free
    ports.free("tcp", "127.0.83.1", free)
    ports.free("tcp", "127.0.83.2", free)
    assert ports.take(wish, "10.0.0.2") == free
    ports.free("tcp", "127.0.83.1", free)


def test_a_port_of_another_process_is_in_use(busy: int) -> None:
    with pytest.raises(PortTaken, match="address already in use"):
        PortAllocator().take(Wish(80, "tcp", ("127.0.83.1",), busy, busy), "10.0.0.2")


def test_random_ports_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = PortAllocator()
    taken = [ports.take(Wish(80, "tcp", ("127.0.83.1",)), "10.0.0.2") for _ in range(3)]
    assert len(set(taken)) == 3
    for port in taken:
        ports.free("tcp", "127.0.83.1", port)
    monkeypatch.setattr(allocator, "dynamic_range", lambda: (taken[0], taken[0]))
    assert ports.take(Wish(80, "tcp", ("127.0.83.3",)), "10.0.0.2") == taken[0]
    with pytest.raises(PortTaken, match="all ports are allocated"):
        ports.take(Wish(80, "tcp", ("127.0.83.3",)), "10.0.0.2")
    ports.free("tcp", "127.0.83.3", taken[0])


def test_ports_of_the_mesh_are_no_containers() -> None:
    ports = PortAllocator()
    number = ports.take(Wish(80, "tcp", ("0.0.0.0",)), "10.0.0.2")
    assert ports.mesh([("tcp", number)]) == {("tcp", number)}  # a container's stays the container's
    ports.free("tcp", "0.0.0.0", number)
    assert ports.mesh([("tcp", number)]) == set()
    for host in ("0.0.0.0", "127.0.0.1"):
        with pytest.raises(PortTaken, match=f"Bind for {host}:{number} failed: port is already allocated"):
            ports.take(Wish(80, "tcp", (host,), number, number), "10.0.0.2")
    ports.mesh([])
    assert ports.take(Wish(80, "tcp", ("0.0.0.0",), number, number), "10.0.0.2") == number
    ports.free("tcp", "0.0.0.0", number)


def test_what_another_program_has_goes_to_the_mesh_all_the_same() -> None:
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        ports = PortAllocator()
        assert ports.mesh([("tcp", other.getsockname()[1])]) == set()
        ports.mesh([])
