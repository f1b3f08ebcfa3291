"""Names and replies of the archive API; the copying itself is tested with a real kernel."""

import pytest

from scow.containers.archive import base_name, clean_path, visible_changes
from scow.errors import InvalidArgument


@pytest.mark.parametrize(
    ("path", "name"), [("/a/b", "b"), ("/a/b/", "b"), ("/a/b/.", "."), ("/", "/"), ("/.", "/"), ("/a/new\nline", "new\nline")]
)
def test_base_name(path: str, name: str) -> None:
    assert base_name(path) == name


def test_paths() -> None:
    assert clean_path("etc/x") == "/etc/x" and clean_path("//etc/.") == "/etc/."
    for bad in ("", "a\0b", "x" * 5000):
        with pytest.raises(InvalidArgument):
            clean_path(bad)


def test_changes_leave_out_what_the_engine_made() -> None:
    found = [
        ("C", "/etc"),
        ("A", "/etc/hosts"),
        ("A", "/dev"),
        ("A", "/data"),
        ("A", "/data/f"),
        ("D", "/bin/vi"),
        ("C", "/bin"),
        ("A", "/process"),
    ]
    assert visible_changes(found, ["/data"]) == [
        {"Kind": 0, "Path": "/bin"},
        {"Kind": 2, "Path": "/bin/vi"},
        {"Kind": 1, "Path": "/data"},
        {"Kind": 1, "Path": "/process"},
    ]
    assert {"Kind": 0, "Path": "/etc"} in visible_changes([*found, ("C", "/etc/passwd")], [])
