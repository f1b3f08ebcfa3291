"""Nodes of templates."""

import pytest

from scow.gotemplate.lexer import TemplateError
from scow.gotemplate.parser import Parser


def test_nodes_of_a_block() -> None:
    nodes, _, _ = Parser("a{{if .X}}b{{else}}c{{end}}", {}).block(())
    assert [node[0] for node in nodes[:2]] == ["text", "if"]
    assert nodes[1][3] == [("text", "b")] and nodes[1][4] == [("text", "c")]


def test_define_is_kept_by_name() -> None:
    parser = Parser('{{define "t"}}x{{end}}', {})
    parser.block(())
    assert parser.defined == {"t": [("text", "x")]}


@pytest.mark.parametrize("text", ["{{end}}", "{{if .X}}", "{{nope .X}}", "{{(.X}}", "{{if .X}}" * 100])
def test_refused(text: str) -> None:
    with pytest.raises(TemplateError):
        Parser(text, {}).block(())
