"""Detach keys."""

import pytest

from scow.cli.terminal import Escape, parse_keys
from scow.errors import ScowError


def test_keys():
    assert parse_keys("ctrl-p,ctrl-q") == b"\x10\x11" and parse_keys("a,ctrl-@,DEL") == b"a\0\x7f"
    for bad in ("", "ctrl-", "abc", "ctrl-1"):
        with pytest.raises(ScowError):
            parse_keys(bad)


def test_escape_holds_back_what_may_be_the_sequence():
    keys = Escape(b"\x10\x11")
    assert keys.feed(b"ab\x10") == (b"ab", False)
    assert keys.feed(b"c") == (b"\x10c", False)
    assert keys.feed(b"\x10\x10") == (b"\x10", False)
    assert keys.feed(b"\x11rest") == (b"", True)
