"""Scopes of build arguments in the classic builder."""

from scow.build.classic.buildargs import Scope, Words


def test_a_given_value_beats_the_default_and_needs_a_declaration() -> None:
    scope = Scope({"A": "given", "NOSUCH": "x"})
    assert scope.values() == {}
    scope.declare("A", "default")
    scope.declare("B", "default")
    scope.declare("C", None)
    assert scope.values() == {"A": "given", "B": "default"}
    assert scope.unconsumed() == ["NOSUCH"]


def test_arguments_before_from_are_for_from_until_a_stage_declares_them() -> None:
    scope = Scope({})
    scope.declare_meta("V", "1")
    scope.new_stage()
    assert scope.meta() == {"V": "1"}
    assert scope.values() == {}
    scope.declare("V", None)
    assert scope.values() == {"V": "1"}
    scope.new_stage()
    assert scope.values() == {}


def test_proxies_are_there_undeclared_but_leave_no_trace() -> None:
    scope = Scope({"HTTP_PROXY": "http://user:secret@proxy"})
    assert scope.values() == {"HTTP_PROXY": "http://user:secret@proxy"}
    assert scope.recorded() == {}
    assert scope.unconsumed() == []


def test_words_are_expanded_with_the_values_of_the_moment() -> None:
    words = Words({"A": "one two"}, "\\")
    assert words.word("x${A}") == "xone two"
    assert words.words("$A") == ("one", "two")
    assert words.content("'$A'") == "'one two'"
