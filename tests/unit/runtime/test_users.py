"""--user and --group-add against an image's files."""

import os

import pytest

from scow.errors import InvalidArgument
from scow.runtime.users import ResolvedUser, resolve_user


@pytest.fixture
def root(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(
        "# c\nroot:x:0:0:root:/root:/bin/sh\nbad\nuser:x:1000:1000::/home/user:/bin/sh\nnobody:x:65534:65534:n:/:/x\n"
    )
    (tmp_path / "etc/group").write_text("root:x:0:\nuser:x:1000:\nextra:x:1001:user,other\nnogroup:x:65534:\n")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", (0, 0, (0,), "/root")),
        ("user", (1000, 1000, (1000, 1001), "/home/user")),
        ("1000", (1000, 1000, (1000, 1001), "/home/user")),
        ("user:nogroup", (1000, 65534, (65534,), "/home/user")),
        ("1000:1001", (1000, 1001, (1001,), "/home/user")),
        ("4242", (4242, 0, (0,), "/")),
        ("4242:4343", (4242, 4343, (4343,), "/")),
        ("0", (0, 0, (0,), "/root")),
    ],
)
def test_users(root, text, expected):
    assert resolve_user(root, text) == ResolvedUser(*expected)


@pytest.mark.parametrize(
    ("text", "gist"),
    [
        ("nosuch", "unable to find user nosuch"),
        ("user:nosuch", "Unable to find group nosuch"),
        ("-1", "uids and gids must be"),
        ("99999999999", "uids"),
    ],
)
def test_unknown_ones(root, text, gist):
    with pytest.raises(InvalidArgument, match=gist):
        resolve_user(root, text)


def test_added_groups(root):
    assert resolve_user(root, "nobody", ["extra", "777"]).groups == (65534, 1001, 777)
    with pytest.raises(InvalidArgument, match="nosuchgroup"):
        resolve_user(root, "", ["nosuchgroup"])


def test_files_that_are_links_stay_inside_and_odd_ones_are_ignored(root, tmp_path):
    os.unlink(root / "etc/passwd")
    os.symlink("/../../../../../etc/passwd", root / "etc/passwd")
    assert resolve_user(root, "0").home == "/"
    os.unlink(root / "etc/group")
    os.mkfifo(root / "etc/group")
    assert resolve_user(root, "5").groups == (0,)
