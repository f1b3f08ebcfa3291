"""What comes first among names that need each other."""

import pytest

from scow.compose.order import ordered
from scow.errors import ScowError


def test_what_is_needed_comes_first_however_long_the_chain() -> None:
    assert ordered(["a", "c"], {"a": ["b", "c"], "b": ["d"], "c": [], "d": ["c"]}.__getitem__) == ["c", "d", "b", "a"]
    assert ordered(["0"], lambda name: [str(int(name) + 1)] if int(name) < 5000 else [])[:2] == ["5000", "4999"]


def test_circles() -> None:
    circle = {"a": ["b"], "b": ["c"], "c": ["b"]}.__getitem__
    with pytest.raises(ScowError, match="dependency cycle detected: a -> b -> c -> b"):
        ordered(["a"], circle)
    assert ordered(["a"], circle, circles=True) == ["c", "b", "a"]
