"""Go templates."""

import pytest

from scow.gotemplate import Template, TemplateError

DATA = {
    "ID": "abc",
    "State": {"Running": True, "Code": 0},
    "L": ["a", "b"],
    "M": {"y": "z", "x": "1"},
    "Label": lambda key: key * 2,
    "F": 1.5,
    "Nil": None,
}


@pytest.mark.parametrize(
    ("text", "out"),
    [
        ("{{.ID}} {{.State.Running}}", "abc true"),
        ("{{json .State}}", '{"Running":true,"Code":0}'),
        ("{{range $i,$e := .L}}{{if $i}},{{end}}{{$e}}{{end}}", "a,b"),
        ("{{range .Nil}}x{{else}}none{{end}}", "none"),
        ('{{index .M "x"}}{{index .M "q"}} {{len .L}} {{.M}} {{.L}}', "1 2 map[x:1 y:z] [a b]"),
        ('{{if and .State.Running (eq .ID "x" "abc")}}yes{{else if .L}}m{{else}}no{{end}}', "yes"),
        ("{{with .State}}{{.Code}}{{$.ID}}{{end}}", "0abc"),
        ('{{.Label "q"}} {{upper .ID | printf "%q-%5s" "v"}}', 'qq "v"-  ABC'),
        ("{{.Nope}}", "<no value>"),
        ('{{- "a" -}} x {{join .L "/"}}', "ax a/b"),
        ("{{$x := 3}}{{$x = 4}}{{$x}}{{/* c */}}", "4"),
        ("{{range $k, $v := .M}}{{$k}}={{$v}};{{end}}", "x=1;y=z;"),
        ("{{(index .L 0)}}{{slice .ID 1 2}}{{truncate .ID 2}}{{pad .ID 1 1}}", "abab abc "),
        ('{{define "t"}}<{{.}}>{{end}}{{template "t" .ID}}', "<abc>"),
        ('{{range .L}}{{if eq . "b"}}{{break}}{{end}}{{.}}{{end}}', "a"),
        ("{{println .ID 1}}", "abc 1\n"),
        ('{{printf "%.2f %v %d %x" .F .Nil 7 255}}', "1.50 <nil> 7 ff"),
        ('{{range split "a,b" ","}}[{{.}}]{{end}}{{title "ab"}}{{not .Nil}}{{gt 2 1}}', "[a][b]Abtruetrue"),
        ("plain }} text", "plain }} text"),
    ],
)
def test_render(text, out):
    assert Template(text).render(DATA) == out


@pytest.mark.parametrize(
    "text",
    [
        "{{",
        "{{.ID",
        "{{foo}}",
        "{{if}}",
        "{{if .ID}}",
        "{{end}}",
        "{{else}}",
        '{{"a}}',
        "{{(.ID}}",
        "{{.ID | }}",
        "{{)}}",
        "{{1 2}}{{",
        "{{if .}}" * 100,
        "{{" + "(" * 200 + ".ID" + ")" * 200 + "}}",
        "x" * 70000,
        "{{$x = 1}}",
        '{{template "x"}}',
    ],
)
def test_bad_templates(text):
    with pytest.raises(TemplateError):
        Template(text).render(DATA)


def test_missing_keys():
    with pytest.raises(TemplateError, match='map has no entry for key "Nope"'):
        Template("{{.State.Nope}}").render(DATA, "error")
    assert Template("{{if .State.Health}}x{{end}}").render(DATA, "error", {"Health": None}) == ""
    with pytest.raises(TemplateError):
        Template("{{.ID.Foo}}").render(DATA)


def test_bounds():
    with pytest.raises(TemplateError):
        Template('{{define "t"}}{{template "t" .}}{{end}}{{template "t" .}}').render(DATA)
    with pytest.raises(TemplateError):
        Template("{{index .L 5}}").render(DATA)


def test_errors_name_the_place_and_the_type_as_go_does():
    def error(text, data, **more):
        with pytest.raises(TemplateError) as caught:
            Template(text).render(data, "error", **more)
        return caught.value.message

    assert error("{{.Nope}}", {}, kind="*x.T") == 'template: :1:2: executing "" at <.Nope>: can\'t evaluate field Nope in type *x.T'
    assert error("a {{.A.B.C}}", {"A": {"B": {}}}) == 'template: :1:6: executing "" at <.A.B.C>: map has no entry for key "C"'
    assert (
        error("\n{{index .L 9}}", {"L": []}) == 'template: :2:2: executing "" at <index .L 9>: error calling index: index out of range: 9'
    )
    assert Template("{{.Labels.x}}").render({"Labels": {}}, "error", maps=("Labels",)) == "<no value>"


def test_fields_that_go_prints_by_their_type():
    shown = {"Binds": "[]"}.get
    assert Template("{{.Binds}} {{json .Binds}} {{.Other}}").render({"Binds": None, "Other": None}, shown=lambda name, _: shown(name)) == (
        "[] null <nil>"
    )
