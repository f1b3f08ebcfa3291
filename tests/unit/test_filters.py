"""The filters parameter, and patterns that can't hang."""

import re
import time

import pytest

from scow.errors import InvalidArgument
from scow.filters import Filters, Pattern


def test_both_forms_and_questions():
    for text in ('{"name":{"a":true,"b":false},"label":{"x=1":true,"y":true}}', '{"name":["a"],"label":["x=1","y"]}'):
        found = Filters.parse(text, {"name", "label"})
        assert found.values("name") == {"a"}
        assert found.match("name", "a") and not found.match("name", "b") and found.match("status", "any")
        assert found.match_labels({"x": "1", "y": ""}) and not found.match_labels({"x": "2", "y": ""}) and not found.match_labels(None)
    assert not Filters.parse("") and not Filters.parse(None) and not Filters.parse("null")


@pytest.mark.parametrize(
    "text", ["[", "[]", '"a"', '{"name":1}', '{"name":[1]}', '{"name":{"a":"yes"}}', '{"what":["a"]}', "[" * 5000, "x" * 70000]
)
def test_bad_filters(text):
    with pytest.raises(InvalidArgument):
        Filters.parse(text, {"name"})


def test_booleans():
    assert Filters.parse('{"dangling":["1"]}').boolean("dangling", False) is True
    assert Filters.parse('{"dangling":["false"]}').boolean("dangling", True) is False
    assert Filters.parse("").boolean("dangling", True) is True
    for bad in ('{"dangling":["x"]}', '{"dangling":["true","false"]}'):
        with pytest.raises(InvalidArgument):
            Filters.parse(bad).boolean("dangling", False)


@pytest.mark.parametrize(
    "pattern", ["abc", "^a", "a$", "^web[0-9]+$", "a.*b", "(a|bc)+d", "[^x]y", "a{2,3}$", "a?b*c+", r"\d\.\w", "x|y|z", "", "(ab)?$"]
)
@pytest.mark.parametrize("subject", ["", "abc", "web12", "web", "aab", "bcad", "1.a", "aaa", "xyz", "zy", "ab"])
def test_patterns_as_re(pattern, subject):
    assert Pattern(pattern).search(subject) is bool(re.search(pattern, subject))


@pytest.mark.parametrize("pattern", ["(", "[", "a)", "*", "\\", "a{3,2}", "x" * 300, "((a{99}){99}){99}", "(" * 100 + ")" * 100, "[z-a]"])
def test_bad_patterns(pattern):
    with pytest.raises(InvalidArgument):
        Pattern(pattern)


def test_a_hostile_pattern_ends():
    begin = time.process_time()
    assert not Pattern("(a*)*(a|aa)+(a|b|c)*" + "a?" * 60 + "b$").search("a" * 5000)
    assert time.process_time() - begin < 20


def test_match_regex():
    found = Filters.parse('{"name":["^web"]}')
    assert found.match_regex("name", "web1") and not found.match_regex("name", "aweb") and found.match_regex("other", "x")
