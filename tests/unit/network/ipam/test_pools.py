import ipaddress

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


def test_bad_pools_are_refused() -> None:
    pools.check_pools(DEFAULT_POOLS)
    for bad in (("10.0.0.0/33", 24), ("10.0.0.0/16", 8)):
        with pytest.raises(InvalidArgument, match="invalid default address pool"):
            pools.check_pools((bad,))
