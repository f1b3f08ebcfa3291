"""The nearest word."""

import pytest

from scow.opts.suggest import distance, nearest, text


@pytest.mark.parametrize(
    ("first", "second", "off"), [("ps", "ps", 0), ("strat", "start", 1), ("lgos", "logs", 1), ("", "ab", 2), ("run", "rm", 2)]
)
def test_distance(first: str, second: str, off: int) -> None:
    assert distance(first, second) == off


def test_nearest() -> None:
    known = ["start", "stats", "stop", "ps", "pause", "inspect"]
    assert nearest("strat", known)[0] == "start"
    assert nearest("insp", known) == ["inspect"]
    assert nearest("xyzzy", known) == [] and nearest("", known) == [] and nearest("x" * 1000, known) == []


def test_text() -> None:
    assert text(["a", "b"], "--") == "\nDid you mean this?\n\t--a\n\t--b\n" and text([]) == ""
