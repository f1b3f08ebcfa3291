"""Device rules."""

import pytest

from scow.errors import InvalidArgument
from scow.opts.devices import DeviceRule, check_permissions, parse_rule


def test_rules():
    assert parse_rule("c 1:* rm") == DeviceRule("c", 1, None, "rm") and parse_rule("a *:* rwm").major is None
    for bad in ("nonsense", "c 1:3", "x 1:3 r", "c 1:3 q", "c 1:3 r\n", "c 99999999999:1 r"):
        with pytest.raises(InvalidArgument):
            parse_rule(bad)
    check_permissions("rwm")
    for bad in ("q", "rr"):
        with pytest.raises(InvalidArgument):
            check_permissions(bad)
