import pytest

from scow.api.params import Query
from scow.errors import InvalidArgument


@pytest.mark.parametrize(("value", "expected"), [("1", True), ("yes", True), ("0", False), ("False", False), ("none", False), ("", False)])
def test_booleans(value, expected):
    assert Query(f"all={value}").boolean("all", not expected) is expected


def test_values():
    query = Query("a=1&a=2&b=x%20y+z&&=&c")
    assert query.all("a") == ["1", "2"]
    assert query.text("b") == "x y z"
    assert query.integer("a") == 1
    assert query.integer("missing", 7) == 7
    assert query.boolean("missing", True)
    assert "c" in query


@pytest.mark.parametrize("text", ["abc", "1.5", "0x1", "9" * 19, " 1"])
def test_bad_numbers(text):
    with pytest.raises(InvalidArgument):
        Query(f"n={text}").integer("n")
    with pytest.raises(InvalidArgument):
        Query(f"n={text}").size("n")


def test_bad_escape():
    with pytest.raises(InvalidArgument):
        Query("a=%zz")


def test_flags_are_gos_booleans_and_nothing_else():
    query = Query("a=T&b=False&c=&d=yes")
    assert [query.flag(name) for name in ("a", "b", "c", "missing")] == [True, False, False, False]
    with pytest.raises(InvalidArgument, match=r"^invalid value for d: yes$"):
        query.flag("d")
    with pytest.raises(InvalidArgument, match="strconv\\.ParseBool"):
        query.flag("d", explained=True)
