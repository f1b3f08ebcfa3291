"""The mount table."""

from scow.kernel.mounts import mountinfo, parse_mountinfo

TABLE = """36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
37 36 0:5 / /a\\040b\\134c rw,nosuid shared:7 - tmpfs none rw
garbage
38 36 0:6 / /c rw - overlay overlay rw,lowerdir=/x
"""


def test_rows():
    one, two, three = parse_mountinfo(TABLE)
    assert (one.id, one.parent, one.root, one.target, one.propagation, one.fstype) == (36, 35, "/mnt1", "/mnt2", "slave", "ext3")
    assert (two.target, two.propagation, two.options) == ("/a b\\c", "shared", frozenset({"rw", "nosuid"}))
    assert (three.propagation, three.super_options) == ("private", "rw,lowerdir=/x")


def test_our_own_table():
    assert any(row.target == "/" for row in mountinfo())
