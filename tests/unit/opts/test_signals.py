"""Names of signals."""

import pytest

from scow.errors import InvalidArgument
from scow.opts import signals


def test_names_and_numbers():
    assert [signals.parse(text) for text in ("SIGTERM", "term", "15", "RTMIN+3", "SIGRTMAX")] == [15, 15, 15, 37, 64]
    for bad in ("", "0", "65", "NONSENSE", "99999", "-1"):
        with pytest.raises(InvalidArgument, match="Invalid signal"):
            signals.parse(bad)
