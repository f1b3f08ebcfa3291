"""Plans of rules: pure."""

import pytest

from scow.errors import ScowError
from scow.registryd.retention import Rule, Tag, Untagged, check, plan

DAY = 86400
NOW = 1000 * DAY * 10**9


def tag(name: str, days: float, pulled: float | None = None) -> Tag:
    """Pushed so many days ago, pulled then as well unless told."""
    pushed = NOW - int(days * DAY) * 10**9
    return Tag(name, f"sha256:{name}", pushed, pushed if pulled is None else NOW - int(pulled * DAY) * 10**9)


def gone(rules, tags, untagged=(), name="team/app") -> list[str]:
    return [one.tag or one.digest for one in plan(rules, name, list(tags), list(untagged), NOW)]


FIVE = [tag(f"n{at}", at) for at in range(5)]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Rule(1, "**", keep=2), ["n2", "n3", "n4"]),
        (Rule(1, "**", older=2 * DAY), ["n3", "n4"]),
        (Rule(1, "**", keep=4, older=DAY), ["n4"]),
        (Rule(1, "**", tags="n[3]", keep=1), []),
        (Rule(1, "**", tags="n?", spare="n4", keep=1), ["n1", "n2", "n3"]),
        (Rule(1, "other/**", keep=1), []),
        (Rule(1, "team/*", unused=3 * DAY), ["n4"]),
        (Rule(1, "**", untagged=DAY), []),
    ],
)
def test_one_rule(rule, expected):
    assert gone([rule], FIVE) == expected


def test_a_pull_keeps():
    assert gone([Rule(1, "**", unused=3 * DAY)], [tag("a", 9, 1), tag("b", 9, 8)]) == ["b"]


def test_the_first_rule_that_fits_decides():
    rules = [Rule(1, "**", tags="v*", keep=100), Rule(2, "**", keep=1)]
    assert gone(rules, [tag("v1", 9), tag("v2", 8), tag("x", 7), tag("y", 6)]) == ["x"]


def test_untagged():
    rows = [Untagged("old", NOW - 9 * DAY * 10**9, NOW - 9 * DAY * 10**9), Untagged("new", NOW, NOW)]
    assert gone([Rule(1, "**", untagged=DAY)], [], rows) == ["old"]
    assert gone([Rule(1, "**", keep=1)], [], rows) == []
    assert gone([Rule(1, "**", unused=DAY)], [], rows) == ["old"]


def test_a_removal_says_why():
    [one] = plan([Rule(7, "**", keep=4, older=DAY)], "a", FIVE, [], NOW)
    assert one.why == "rule 7: not among the newest 4, pushed 4 days ago"


@pytest.mark.parametrize("rule", [Rule(1, "**"), Rule(1, "", keep=1), Rule(1, "**", tags="a b", keep=1), Rule(1, "**", keep=-1)])
def test_rules_that_are_none(rule):
    with pytest.raises(ScowError):
        check(rule)
