"""Ids and what users type of them."""

import pytest

from scow import ids


def test_new_ids_are_hex_and_never_read_as_numbers() -> None:
    for _ in range(50):
        value = ids.new_id()
        assert len(value) == 64
        assert not value[:12].isdigit()


def test_prefixes() -> None:
    known = ["ab" + "0" * 62, "ac" + "0" * 62]
    assert ids.by_prefix(known, "ab") == known[0]
    assert ids.by_prefix(known, "b") is None
    assert ids.by_prefix(known, "not hex") is None
    with pytest.raises(ids.Ambiguous, match="multiple IDs found with provided prefix: a"):
        ids.by_prefix(known, "a")


def test_short() -> None:
    assert ids.short("sha256:" + "f" * 64) == "f" * 12
