"""Values printed as Go prints them."""

import pytest

from scow.gotemplate.values import NO_VALUE, go_print, go_quote, printf, truth


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "<nil>"),
        (NO_VALUE, "<no value>"),
        (True, "true"),
        (1.5, "1.5"),
        (1e21, "1e+21"),
        (0.00001, "1e-05"),
        (3.0, "3"),
        ({"b": 1, "a": [1, "x"]}, "map[a:[1 x] b:1]"),
    ],
)
def test_print(value: object, text: str) -> None:
    assert go_print(value) == text


def test_quote() -> None:
    assert go_quote('a"\\\n\x01é') == '"a\\"\\\\\\n\\x01é"'


@pytest.mark.parametrize(
    ("fmt", "args", "text"),
    [
        ("%5s|%-5s|%05d", ("a", "b", 42), "    a|b    |00042"),
        ("%q %t %X %c", ("x", True, 255, 65), '"x" true FF A'),
        ("%d", ("x",), "%!d(string=x)"),
        ("%d", (), "%!d(MISSING)"),
        ("x", (1,), "x%!(EXTRA int64=1)"),
        ("%", (), "%!(NOVERB)"),
    ],
)
def test_printf(fmt: str, args: tuple[object, ...], text: str) -> None:
    assert printf(fmt, *args) == text


def test_truth() -> None:
    assert not truth(NO_VALUE) and not truth("") and truth([0])
