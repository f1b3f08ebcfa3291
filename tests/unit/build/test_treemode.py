"""`--chmod` as chmod(1) reads it."""

import pytest

from scow.build import treemode


@pytest.mark.parametrize(
    ("text", "before", "is_dir", "after"),
    [
        ("u=rwX,go=rX", 0o600, False, 0o644),
        ("u=rwX,go=rX", 0o700, False, 0o755),
        ("u=rwX,go=rX", 0o700, True, 0o755),
        ("a+x", 0o644, False, 0o755),
        ("+x", 0o644, False, 0o755),
        ("go-rwx", 0o777, False, 0o700),
        ("u+s,g+s", 0o755, False, 0o6755),
        ("+t", 0o777, True, 0o1777),
        ("g=u", 0o640, False, 0o660),
        ("u=rw", 0o4777, False, 0o677),
        ("755", 0o600, False, 0o755),
        ("4755", 0o600, False, 0o4755),
    ],
)
def test_apply(text, before, is_dir, after):
    change = treemode.parse(-1, text)
    assert change is not None
    assert change.apply(before, is_dir) == after


@pytest.mark.parametrize("text", ["z+x", "u", "u=rwq", "99", "777777", "u=r,"])
def test_refused(text):
    with pytest.raises(ValueError, match="chmod"):
        treemode.parse(-1, text)
