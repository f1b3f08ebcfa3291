import pytest

from scow.errors import InvalidArgument
from scow.network.ipam.allocator import Addresses, AddressInUse, Allocator, Exhausted
from scow.network.network import Network, Pool


def allocator(**pool: object) -> Allocator:
    return Allocator(Network("i" * 64, "net", "bridge", 0, (Pool(**pool),)))  # type: ignore[arg-type]


def test_the_lowest_free_address_is_given_and_given_again_after_free() -> None:
    a = allocator(subnet="10.1.0.0/24", gateway="10.1.0.1", aux={"printer": "10.1.0.3"})
    assert [a.take(), a.take()] == ["10.1.0.2", "10.1.0.4"]
    a.free("10.1.0.2")
    assert a.take() == "10.1.0.2"


def test_the_preferred_address_is_given_while_it_is_free() -> None:
    a = allocator(subnet="10.1.0.0/24", gateway="10.1.0.1")
    assert a.take(preferred="10.1.0.9") == "10.1.0.9"
    assert a.take(preferred="10.1.0.9") == "10.1.0.2"


def test_static_addresses() -> None:
    a = allocator(subnet="10.1.0.0/24", gateway="10.1.0.1", ip_range="10.1.0.128/29")
    assert a.take("10.1.0.33") == "10.1.0.33"
    assert a.take() == "10.1.0.128"
    with pytest.raises(AddressInUse, match="Address already in use"):
        a.take("10.1.0.33")
    with pytest.raises(InvalidArgument):
        a.take("10.2.0.1")


def test_exhaustion_is_told_and_heals() -> None:
    a = allocator(subnet="10.1.0.0/30", gateway="10.1.0.1")
    assert a.take() == "10.1.0.2"
    with pytest.raises(Exhausted, match="no available IPv4 addresses on this network's address pools: net"):
        a.take()
    a.free("10.1.0.2")
    assert a.take() == "10.1.0.2"


def test_ipv6_addresses_stand_in_the_place_of_the_ipv4_ones_and_pools_follow_each_other() -> None:
    pools = (Pool("10.1.0.0/30", "10.1.0.1"), Pool("10.2.0.0/24", "10.2.0.1"), Pool("fd00::/64", "fd00::1"))
    a = Addresses(Network("i" * 64, "net", "macvlan", 0, pools))
    assert a.take(4)[0] == "10.1.0.2" and a.take(6, beside="10.1.0.2")[0] == "fd00::2"
    assert a.take(4)[0] == "10.2.0.2" and a.take(6, beside="10.2.0.2")[0] == "fd00::3"
    assert a.take(4, "10.2.0.77") == ("10.2.0.77", pools[1]) and a.take(6, "fd00::ffff") == ("fd00::ffff", pools[2])
    a.free("10.1.0.2")
    a.free("192.0.2.1")
    assert a.take(4)[0] == "10.1.0.2"
    with pytest.raises(Exhausted, match="IPv6"):
        Addresses(Network("i" * 64, "net", "bridge", 0, pools[:1])).take(6)
