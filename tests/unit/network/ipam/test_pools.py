import ipaddress
from pathlib import Path

import pytest

from scow.errors import InvalidArgument
from scow.network.ipam import pools
from scow.network.options import DEFAULT_POOLS


def test_the_first_subnet_that_overlaps_nothing_is_chosen() -> None:
    taken = [ipaddress.IPv4Network("172.17.0.0/16"), ipaddress.IPv4Network("172.18.4.0/24")]
    assert str(pools.choose(DEFAULT_POOLS, taken)) == "172.19.0.0/16"


def test_used_up_pools_are_told() -> None:
    with pytest.raises(InvalidArgument, match="fully subnetted"):
        pools.choose((("10.0.0.0/24", 24),), [ipaddress.IPv4Network("10.0.0.0/8")])


def test_ipv6_networks_get_unique_local_subnets_of_this_host(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("1\n")
    base, size = pools.local6(tmp_path / "one")
    assert pools.local6(tmp_path / "one") == (base, size) != pools.local6(tmp_path / "none")
    assert ipaddress.IPv6Network(base).subnet_of(ipaddress.IPv6Network("fd00::/8")) and size == 64
    first = pools.choose(DEFAULT_POOLS, [], 6)
    assert first.prefixlen == 64 and pools.choose(DEFAULT_POOLS, [first, ipaddress.IPv4Network("10.0.0.0/8")], 6) != first
    assert str(pools.choose((("fd00:9::/63", 64),), [], 6)) == "fd00:9::/64"
