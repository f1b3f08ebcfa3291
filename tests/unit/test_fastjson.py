"""JSON without the json package."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from scow import fastjson

SRC = Path(__file__).resolve().parents[2] / "src"
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


@pytest.mark.parametrize("text", ["", "{", '{"a"', '{"a":', '["', "[1,", "nonsense", '"\\ud8'])
def test_what_is_cut_off_is_a_value_error_without_the_json_package(text: str) -> None:
    code = f"import sys; sys.path.insert(0, {str(SRC)!r})\nfrom scow import fastjson\n"
    code += "for call in (fastjson.loads, lambda text: fastjson.raw(text, 0)):\n try: call(sys.argv[1])\n except ValueError: print('no')\n"
    done = subprocess.run([sys.executable, "-IS", "-c", code, text], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("no\nno\n", "")


def test_what_is_no_unicode_becomes_a_replacement_character_both_ways():
    assert fastjson.dumps({"a\udcff": "\ud800"}) == '{"a\ufffd":"\ufffd"}' == fastjson.dumps({"a\udcff": "\ud800"}, html=False)
    assert fastjson.loads('{"a": ["\\ud800", "\\uDCFF", "\\ud83d\\ude00"]}') == {"a": ["\ufffd", "\ufffd", "\U0001f600"]}
    assert fastjson.raw('"\\ud800" more', 0) == ("\ufffd", 8)
