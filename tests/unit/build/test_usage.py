"""Filters of prune, and the gc policy of the daemon's file."""

import pytest

from scow.build.usage import Prune, Row, entitlements, matches, policy
from scow.errors import InvalidArgument

HOUR = 3600 * 1_000_000_000
NOW = 100 * HOUR


def row(**changes):
    facts = {"id": "abc", "parents": ("p",), "type": "regular", "description": "RUN make", "in_use": False, "shared": False}
    return Row(**{**facts, "mutable": False, "size": 5, "created_ns": 0, "used_ns": NOW - 2 * HOUR, "count": 1, **changes})


@pytest.mark.parametrize(
    ("filters", "fits"),
    [
        ({}, True),
        ({"until": ["1h"]}, True),
        ({"until": ["3h"]}, False),
        ({"unused-for": ["1h30m"]}, True),
        ({"id": ["abc"]}, True),
        ({"id": ["ab"]}, False),
        ({"id": ["~=^a"]}, True),
        ({"type": ["exec.cachemount", "regular"]}, True),
        ({"type": ["exec.cachemount"]}, False),
        ({"type!": ["regular"]}, False),
        ({"description": ["~=make"]}, True),
        ({"parents": ["p"]}, True),
        ({"inuse": ["true"]}, False),
        ({"shared": ["false"]}, True),
        ({"private": []}, True),
        ({"mutable": ["true"]}, False),
        ({"immutable": ["true"]}, True),
    ],
)
def test_filters(filters, fits):
    assert matches(row(), filters, NOW) is fits


def test_values_that_make_no_sense():
    with pytest.raises(InvalidArgument, match="until"):
        matches(row(), {"until": ["soon"]}, NOW)
    with pytest.raises(InvalidArgument, match="pattern"):
        matches(row(), {"id": ["~=("]}, NOW)


def test_the_policy_of_the_file():
    assert policy({"gc": {"enabled": False}}, 1 << 40) == ()
    default = policy({}, 1 << 40)
    assert [one.reserved for one in default][1:] == [20 << 30] * 3
    assert default[-1].all
    assert policy({"gc": {"defaultKeepStorage": "1GB"}}, 1 << 40)[-1].reserved == 1 << 30
    own = policy({"gc": {"policy": [{"keepStorage": "10MB", "filter": ["unused-for=2h", "type=regular"], "all": True}]}}, 1 << 40)
    assert own == (Prune(all=True, filters={"unused-for": ["2h"], "type": ["regular"]}, reserved=10 << 20),)
    for bad in ({"gc": 1}, {"gc": {"policy": [1]}}, {"gc": {"policy": [{"filter": ["x=1"]}]}}):
        with pytest.raises(InvalidArgument):
            policy(bad, 1 << 40)


def test_entitlements_of_the_file():
    assert entitlements({}) == {"network.host"}
    assert entitlements({"entitlements": {"network-host": False, "security-insecure": True}}) == {"security.insecure"}
    with pytest.raises(InvalidArgument):
        entitlements({"entitlements": {"network-host": "yes"}})
