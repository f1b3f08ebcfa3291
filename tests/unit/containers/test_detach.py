"""Detach keys."""

import pytest

from scow.containers.detach import parse
from scow.errors import InvalidArgument


@pytest.mark.parametrize(
    ("text", "codes"),
    [("", b"\x10\x11"), ("ctrl-x", b"\x18"), ("a,b,c", b"abc"), ("ctrl-@,z", b"\x00z"), ("ctrl-_", b"\x1f"), ("DEL", b"\x7f")],
)
def test_keys(text: str, codes: bytes) -> None:
    assert parse(text) == codes


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-1", "nonsense", "a,,b", "é", ",".join("a" * 50)])
def test_nonsense(text: str) -> None:
    with pytest.raises(InvalidArgument, match="Invalid detach keys"):
        parse(text)
