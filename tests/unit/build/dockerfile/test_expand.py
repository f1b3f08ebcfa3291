"""Every form of a variable, and what quotes and escapes do to it."""

import time

import pytest

from scow.build.dockerfile.errors import DockerfileError
from scow.build.dockerfile.expand import MAX_RESULT, expand

ENV = {"v": "value", "e": "", "p": "dir/sub/file.tar.gz", "x": "a*b?c", "n1": "one", "w": "two words", "q": "aXbXc"}
TABLE = [
    ("plain", "plain"),
    ("$v", "value"),
    ("${v}", "value"),
    ("$v.$v", "value.value"),
    ("$vx", ""),
    ("$unset|", "|"),
    ("$", "$"),
    ("a$", "a$"),
    ("$n1", "one"),
    ("$1x", "x"),
    ("\\$v", "$v"),
    ("\\\\$v", "\\value"),
    ("'$v'", "$v"),
    ('"$v"', "value"),
    ('"\\$v"', "$v"),
    ('"\\n"', "\\n"),
    ('"a\'b"', "a'b"),
    ("'a\"b'", 'a"b'),
    ("a\\ b", "a b"),
    ("ends\\", "ends"),
    ("${v:-w}", "value"),
    ("${e:-w}", "w"),
    ("${e-w}", ""),
    ("${u-w}", "w"),
    ("${u:-w}", "w"),
    ("${u:-$v}", "value"),
    ("${u:-${e:-$n1}}", "one"),
    ("${u:-'$v'}", "$v"),
    ("${u:-\\}}", "}"),
    ("${v:+w}", "w"),
    ("${v+w}", "w"),
    ("${e:+w}", ""),
    ("${e+w}", "w"),
    ("${u+w}", ""),
    ("${v:?no}", "value"),
    ("${e?no}", ""),
    ("${p#*/}", "sub/file.tar.gz"),
    ("${p##*/}", "file.tar.gz"),
    ("${p%.*}", "dir/sub/file.tar"),
    ("${p%%.*}", "dir/sub/file"),
    ("${p#nope}", "dir/sub/file.tar.gz"),
    ("${p#di?}", "/sub/file.tar.gz"),
    ("${x#a\\*}", "b?c"),
    ("${x%\\?c}", "a*b"),
    ("${v#*}", "value"),
    ("${v##*}", ""),
    ("${q/X/-}", "a-bXc"),
    ("${q//X/-}", "a-b-c"),
    ("${q//X}", None),
    ("${q//X/}", "abc"),
    ("${q/?X/_}", "_bXc"),
    ("${q//[X]/-}", "aXbXc"),
    ("${u/a/b}", ""),
    ("${q/X/$v}", "avaluebXc"),
]


@pytest.mark.parametrize(("text", "wanted"), TABLE)
def test_forms(text: str, wanted: str | None) -> None:
    if wanted is None:
        with pytest.raises(DockerfileError):
            expand(text, ENV)
    else:
        assert expand(text, ENV).text == wanted


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("${v", "syntax error: missing '}'"),
        ("${", "syntax error: missing '}'"),
        ("${v:-a", "syntax error: missing '}'"),
        ("${}", "syntax error: bad substitution"),
        ("${{v}", "syntax error: bad substitution"),
        ("${:v}", "syntax error: bad substitution"),
        ("${v^}", "unsupported modifier (^) in substitution"),
        ("${v:=w}", "unsupported modifier (:=) in substitution"),
        ("${v:#w}", "unsupported modifier (:#) in substitution"),
        ("'open", "unexpected end of statement while looking for matching single-quote"),
        ('"open', "unexpected end of statement while looking for matching double-quote"),
        ("${u:?not there}", "u: not there"),
        ("${u?}", "u: is not allowed to be unset"),
        ("${e:?}", "e: is not allowed to be empty"),
    ],
)
def test_errors(text: str, reason: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        expand(text, ENV)
    assert caught.value.reason.endswith(f": {reason}") and caught.value.reason.startswith("failed to process ")


def test_words_are_split_at_blanks_that_are_not_quoted() -> None:
    assert expand("a 'b c' $w \"$w\" d\\ e", ENV).words == ("a", "b c", "two", "words", "two words", "d e")


def test_variables_that_were_asked_for_are_told() -> None:
    done = expand("$v ${u:-$n1} ${gone} '$quoted'", ENV)
    assert done.used == {"v", "n1"} and done.missing == {"gone"}


def test_unset_variables_stay_when_they_shall() -> None:
    assert expand("$u ${u} ${u:-w} $v", ENV, skip_unset=True).text == "$u ${u} ${u:-w} value"


def test_raw_quotes_stay() -> None:
    assert expand("'a b' \"$v\"", ENV, raw_quotes=True).text == "'a b' \"value\""


def test_text_of_documents_knows_no_quotes() -> None:
    assert expand('it\'s $v, "$v" \\$v', ENV, keep_quotes=True).text == 'it\'s value, "value" $v'


def test_the_other_escape_character() -> None:
    assert expand("`$v c:\\$v", ENV, "`").text == "$v c:\\value"


def test_hostile_patterns_cost_little() -> None:
    started = time.monotonic()
    assert expand("${a#" + "*a" * 200 + "*b}", {"a": "a" * 20000}).text == "a" * 20000
    with pytest.raises(DockerfileError):
        expand("${a//a/$a}" * 100, {"a": "a" * 2000})
    with pytest.raises(DockerfileError):
        expand("${x:-" * 5000 + "}" * 5000, {})
    assert MAX_RESULT <= 4 << 20
    assert time.monotonic() - started < 60
