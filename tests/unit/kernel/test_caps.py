"""Which capabilities a container gets."""

import pytest

from scow.errors import InvalidArgument
from scow.kernel import caps

ALL = frozenset(caps.NAMES) - {"CAP_SYS_RESOURCE"}


def mask(add=(), drop=(), privileged=False):
    return sum(1 << caps.NAMES.index(name) for name in caps.choose(add, drop, privileged, ALL))


def test_the_well_known_sets():
    default = 0xA80425FB
    assert mask() == default and mask(drop=["ALL"]) == 0 and mask(["NET_BIND_SERVICE"], ["all"]) == 1 << 10
    assert mask(["cap_net_admin"]) == mask(["NET_ADMIN"]) == default | 1 << 12 and mask(drop=["chown", "CAP_KILL"]) == default & ~0x21
    everything = mask(["ALL"])
    assert (
        everything == mask(privileged=True)
        and caps.from_mask(everything) == ALL
        and mask(["ALL"], ["SYS_ADMIN"]) == everything & ~(1 << 21)
    )


def test_what_cannot_be_given():
    with pytest.raises(InvalidArgument, match="CAP_NONSENSE"):
        mask(["NONSENSE"])
    with pytest.raises(InvalidArgument, match="not available"):
        mask(["SYS_RESOURCE"])
    assert caps.bounding() >= caps.effective()
