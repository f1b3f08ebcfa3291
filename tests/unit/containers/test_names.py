"""Names of containers."""

import re

import pytest

from scow.containers import names
from scow.errors import InvalidArgument


@pytest.mark.parametrize("good", ["a1", "A-b.c_d", "0zero", "x" * 120])
def test_allowed(good: str) -> None:
    assert names.check(good) == good
    assert names.check(f"/{good}") == good


@pytest.mark.parametrize("bad", ["a", "-ab", ".ab", "a b", "a/b", "é-accent", "ab\n", ""])
def test_refused_with_dockers_text(bad: str) -> None:
    with pytest.raises(InvalidArgument, match="Invalid container name"):
        names.check(bad)


def test_made_up_names() -> None:
    name = names.generate(lambda _: False, "x")
    assert re.fullmatch("[a-z]+_[a-z]+[0-9]?", name)
    assert names.generate(lambda _: True, "fallback") == "fallback"
