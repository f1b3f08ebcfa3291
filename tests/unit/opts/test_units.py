"""Lists of processors."""

import pytest

from scow.opts.units import parse_cpu_list


def test_lists():
    assert parse_cpu_list("0-2,4") == {0, 1, 2, 4}
    for bad in ("", "x", "2-1", "1-", "-1", "0,,1", "99999999999"):
        with pytest.raises(ValueError, match="numbers"):
            parse_cpu_list(bad)
