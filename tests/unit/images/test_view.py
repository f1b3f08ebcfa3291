"""Replies from rows."""

from scow.images import view
from scow.images.store import Image


def image(**more):
    return Image("sha256:" + "a" * 64, {"architecture": "amd64", **more}, (), (), 0, 0, config=more.get("config", {}))


def test_history_names_only_the_newest_row():
    rows = view.history(image(history=[{"created_by": "one"}, {"created_by": "two", "empty_layer": True}]), [])
    assert [(row["Id"], row["CreatedBy"]) for row in rows] == [("sha256:" + "a" * 64, "two"), ("<missing>", "one")]


def test_reference_patterns():
    cases = [
        ("n/*", "n/one:x", True),
        ("*/one", "n/one:x", True),
        ("n*", "n/one:x", False),
        ("n/[^a]ne", "n/one:x", True),
        ("one", "one:x", True),
    ]
    for pattern, name, found in cases:
        assert view._reference_filter(frozenset({pattern}), name) is found, pattern


def test_a_commit_merges_configurations():
    base = {"Cmd": ["a"], "Env": ["A=1", "B=2"], "Labels": {"x": "1"}, "User": "u"}
    merged = view.merged_config(base, {"Cmd": ["b"], "Env": ["A=9"], "Labels": {"y": "2"}, "User": "", "Tty": False})
    assert merged == {"Cmd": ["b"], "Env": ["A=9", "B=2"], "Labels": {"x": "1", "y": "2"}, "User": "u"}
