"""Options of a tmpfs."""

import pytest

from scow.errors import InvalidArgument
from scow.opts import tmpfs


def test_later_options_replace_their_opposites():
    assert tmpfs.merge("") == ("noexec", "nosuid", "nodev")
    assert tmpfs.merge("exec,size=1m,size=2m,mode=1770,ro") == ("nosuid", "nodev", "exec", "size=2m", "mode=1770", "ro")


@pytest.mark.parametrize("bad", ["nonsense=1", "size=x", "mode=9", "size=1m huge=always", "uid="])
def test_unknown_ones(bad):
    with pytest.raises(InvalidArgument, match="invalid tmpfs option"):
        tmpfs.merge(bad)
