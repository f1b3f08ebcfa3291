"""Reading templates."""

import pytest

from scow.gotemplate.lexer import TemplateError, split, tokens


def test_split_trims_where_the_markers_say() -> None:
    assert [part[:2] for part in split("a {{- .X -}} b{{/* c */}}d")] == [("text", "a"), ("action", " .X "), ("text", "b"), ("text", "d")]


def test_a_brace_inside_a_string_ends_nothing() -> None:
    assert split('{{"}}"}}')[0] == ("action", '"}}"', 2)


def test_tokens() -> None:
    kinds = [kind for kind, _, _ in tokens('$x := .A.B | f "s" 3')]
    assert kinds == ["var", "space", ":=", "space", "field", "field", "space", "|", "space", "word", "space", "value", "space", "value"]


@pytest.mark.parametrize("text", ["{{", "{{/* x", '{{"a}}'])
def test_what_never_ends(text: str) -> None:
    with pytest.raises(TemplateError):
        split(text)


@pytest.mark.parametrize("text", ['"a', "#", "1x"])
def test_no_token(text: str) -> None:
    with pytest.raises(TemplateError):
        tokens(text)
