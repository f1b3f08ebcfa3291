from scow.kernel import conntrack
from scow.kernel.netlink import attribute, nested


def test_the_destination_of_a_flow() -> None:
    proto = nested(2, attribute(1, b"\x11"), attribute(2, b"\x30\x39"), attribute(3, b"\x14\xe9"))
    entry = nested(1, nested(1, attribute(1, b"\x7f\0\0\1")), proto) + nested(2, b"")
    assert conntrack.destination(entry) == (conntrack.UDP, 5353)
    assert conntrack.destination(b"") == (0, 0)
