"""`.dockerignore`: the documented rules, as a table."""

import pytest

from scow.errors import InvalidArgument
from scow.opts.ignore import Ignore, lines

TREE = [
    "a.txt", "b.md", "dir", "dir/c.txt", "dir/d.md", "dir/sub", "dir/sub/e.txt", "dir/sub/f.md",
    "node_modules/x", "deep/node_modules/y", ".git/config",
]  # fmt: skip


@pytest.mark.parametrize(
    ("rules", "out"),
    [
        ("*.txt", {"a.txt"}),
        ("**/*.txt", {"a.txt", "dir/c.txt", "dir/sub/e.txt"}),
        ("dir", {"dir", "dir/c.txt", "dir/d.md", "dir/sub", "dir/sub/e.txt", "dir/sub/f.md"}),
        ("/dir/", {"dir", "dir/c.txt", "dir/d.md", "dir/sub", "dir/sub/e.txt", "dir/sub/f.md"}),
        ("*/*.txt", {"dir/c.txt"}),
        ("**\n!dir", {"a.txt", "b.md", "node_modules/x", "deep/node_modules/y", ".git/config"}),
        ("dir/**\n!dir/sub/f.md", {"dir/c.txt", "dir/d.md", "dir/sub", "dir/sub/e.txt"}),
        ("**/node_modules\n# comment\n\n   \n", {"node_modules/x", "deep/node_modules/y"}),
        ("!a.txt\n*.txt", {"a.txt"}),
        ("*.txt\n!a.txt", set()),
        ("?.txt\n[b]*", {"a.txt", "b.md"}),
        ("[^b].*\n", {"a.txt"}),
        ("./a.txt\n./dir/../b.md", {"a.txt", "b.md"}),
        ("d*/**/e.txt", {"dir/sub/e.txt"}),
        ("\\a.txt", {"a.txt"}),
    ],
)
def test_rules(rules: str, out: set[str]) -> None:
    ignore = Ignore.parse(rules)
    assert {path for path in TREE if ignore.excludes(path)} == out


def test_a_directory_is_pruned_unless_something_below_may_come_back() -> None:
    assert Ignore.parse("node_modules").prunes("node_modules")
    ignore = Ignore.parse("*\n!dir/*.txt")
    assert not ignore.prunes("dir")
    assert ignore.prunes("node_modules")
    assert not Ignore.parse("*\n!**/keep").prunes("any")


def test_lines_are_cleaned() -> None:
    assert lines("\ufeff# no\n#c\n a/ \n! b//c\n/x\n\r\n") == ["a", "!b/c", "x"]


@pytest.mark.parametrize("bad", ["!", "[a", "a" * 5000])
def test_malformed_patterns_are_refused(bad: str) -> None:
    with pytest.raises(InvalidArgument):
        Ignore.parse(bad)
