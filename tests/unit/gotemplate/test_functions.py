"""What templates may call."""

import pytest

from scow.gotemplate.functions import BUILTINS
from scow.gotemplate.lexer import TemplateError


@pytest.mark.parametrize(
    ("name", "args", "out"),
    [
        ("index", ([1, 2], 1), 2),
        ("slice", ("abcd", 1, 3), "bc"),
        ("eq", ("a", "b", "a"), True),
        ("eq", (1, True), False),
        ("lt", (1, 2), True),
        ("json", ({"a": lambda: 1, "b": "<"},), '{"b":"<"}'),
        ("title", ("a b-c",), "A B-C"),
        ("pad", ("x", 1, 2), " x  "),
        ("html", ("<a>",), "&lt;a&gt;"),
        ("urlquery", ("a b/c",), "a+b%2Fc"),
        ("join", (["a", 1], "-"), "a-1"),
    ],
)
def test_function(name: str, args: tuple[object, ...], out: object) -> None:
    assert BUILTINS[name](*args) == out


@pytest.mark.parametrize(
    ("name", "args"), [("index", ([1], 5)), ("index", (None, 1)), ("slice", ("a", 0, 9)), ("len", (None,)), ("lt", ("a", 1))]
)
def test_refused(name: str, args: tuple[object, ...]) -> None:
    with pytest.raises(TemplateError):
        BUILTINS[name](*args)
