from scow.kernel import netlink


def test_attributes_are_padded_and_read_back() -> None:
    data = netlink.attribute(3, "eth0") + netlink.nested(18, netlink.attribute(1, "veth"), netlink.attribute(4, 1500))
    assert len(data) % 4 == 0
    read = netlink.attributes(data)
    assert read[3] == b"eth0\0"
    assert netlink.attributes(read[18]) == {1: b"veth\0", 4: (1500).to_bytes(4, "little")}


def test_a_broken_tail_is_ignored() -> None:
    assert netlink.attributes(netlink.attribute(1, b"x") + b"\1\0\1\0") == {1: b"x"}
    assert netlink.attributes(b"abc") == {}


def test_the_loopback_is_listed() -> None:
    with netlink.Netlink() as route:
        link = route.link("lo")
        assert link is not None and link.index == 1 and any(one.name == "lo" for one in route.links())
        assert route.link("nosuchlink0") is None
