"""Resource limits."""

import pytest

from scow.errors import InvalidArgument
from scow.opts import ulimits


def test_parse():
    assert ulimits.parse("nofile=1:2") == ("nofile", 1, 2) and ulimits.parse("core=-1") == ("core", -1, -1)
    for bad in ("nofile", "nofile=", "nonsense=1", "nofile=2:1", "nofile=a", "nofile=1:2:3", "nofile=-1:5"):
        with pytest.raises(InvalidArgument):
            ulimits.parse(bad)
