"""Addresses of a node."""

import pytest

from scow.errors import InvalidArgument
from scow.swarm import addressing


def lookup(name: str) -> str:
    return "10.1.2.3" if name == "eth0" else ""


def test_listening() -> None:
    assert addressing.listen("") == ("0.0.0.0", 2377)
    assert addressing.listen("127.0.0.1:99") == ("127.0.0.1", 99)
    assert addressing.listen("eth0", lookup) == ("10.1.2.3", 2377)
    assert addressing.listen("[::1]:5") == ("::1", 5)
    for bad in ("nonsense:xx", "1.2.3.4:0", "1.2.3.4:99999", "eth9"):
        with pytest.raises(InvalidArgument, match="listen address"):
            addressing.listen(bad, lookup)


def test_advertising() -> None:
    assert addressing.advertise("eth0:5", ("0.0.0.0", 2377), lookup) == ("10.1.2.3", 5)
    assert addressing.advertise("", ("10.0.0.1", 2377)) == ("10.0.0.1", 2377)
    for bad in ("0.0.0.0", "not an address", "eth9"):
        with pytest.raises(InvalidArgument, match="advertise address"):
            addressing.advertise(bad, ("0.0.0.0", 2377), lookup)
    assert addressing.data_path("eth0", "1.1.1.1", lookup) == "10.1.2.3"
    assert addressing.data_path("", "1.1.1.1") == "1.1.1.1"


def test_a_host_with_one_address_is_known_by_it() -> None:
    assert addressing.only([("eth0", "10.0.0.1")]) == "10.0.0.1"
    with pytest.raises(InvalidArgument, match="could not find the system's IP address"):
        addressing.only([])
    with pytest.raises(InvalidArgument, match=r"on different interfaces \(10.0.0.1 on eth0 and 10.0.0.2 on eth1\)"):
        addressing.only([("eth0", "10.0.0.1"), ("eth1", "10.0.0.2")])
    with pytest.raises(InvalidArgument, match=r"multiple addresses on interface eth0 \(10.0.0.1 and 10.0.0.2\)"):
        addressing.only([("eth0", "10.0.0.1"), ("eth0", "10.0.0.2")])
