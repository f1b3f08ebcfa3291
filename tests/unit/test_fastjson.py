"""JSON without the json package."""

import json

import pytest

from scow import fastjson

VALUE = {"a": [1, 2.5, None, True, False], "b": {"c": 'x<y>&"\n\u2028é'}, "e": {}, "l": []}


def test_round_trip():
    assert fastjson.loads(json.dumps(VALUE)) == VALUE
    assert json.loads(fastjson.dumps(VALUE)) == VALUE
    assert json.loads(fastjson.pretty(VALUE)) == VALUE
    assert fastjson.loads(b" [1] \n") == [1]


def test_gos_escapes():
    assert fastjson.dumps("<a>&") == '"\\u003ca\\u003e\\u0026"'
    assert fastjson.dumps("<a>&", html=False) == '"<a>&"'
    assert fastjson.dumps(1.0) == "1"


@pytest.mark.parametrize("text", ["", "{", "[1,", "nul", "{} x", '{"a"}'])
def test_bad_text(text):
    with pytest.raises(ValueError):
        fastjson.loads(text)


def test_pretty():
    assert fastjson.pretty([{"A": 1, "B": []}]) == '[\n    {\n        "A": 1,\n        "B": []\n    }\n]'
