from pathlib import Path

from scow.network import files
from scow.network.files import HostsLine, Resolv


def test_resolv_conf_is_read_and_written() -> None:
    read = files.parse_resolv("# x\nnameserver 1.1.1.1 # y\nsearch a b\noptions ndots:2\noptions edns0\ndomain c\n")
    assert read == Resolv(("1.1.1.1",), ("c",), ("ndots:2", "edns0"))
    assert read.text() == "nameserver 1.1.1.1\nsearch c\noptions ndots:2 edns0\n"


def test_the_containers_flags_win() -> None:
    host = Resolv(("1.1.1.1",), ("corp",), ("edns0",))
    assert files.merge(host, [], [], []) == host
    assert files.merge(host, ["9.9.9.9"], ["."], ["timeout:1"]) == Resolv(("9.9.9.9",), (), ("timeout:1",))


def test_a_bridge_gets_no_loopback_servers() -> None:
    assert files.for_bridge(Resolv(("127.0.0.53", "10.0.0.1", "::1"))).servers == ("10.0.0.1",)
    assert files.for_bridge(Resolv(("127.0.0.53",))).servers == ("8.8.8.8", "8.8.4.4")


def test_given_loopback_servers_stay() -> None:
    assert files.for_bridge(Resolv(("127.0.0.1",)), given=True).servers == ("127.0.0.1",)


def test_a_user_network_gets_the_built_in_server() -> None:
    assert files.for_user_network(Resolv(("1.1.1.1",), ("x",))) == Resolv(("127.0.0.11",), ("x",), ("ndots:0",))
    assert files.for_user_network(Resolv((), (), ("ndots:2",))).options == ("ndots:2",)


def test_extra_hosts() -> None:
    assert files.extra_host("db:10.0.0.1", []) == [HostsLine("10.0.0.1", ("db",))]
    assert files.extra_host("six=2001:db8::9", []) == [HostsLine("2001:db8::9", ("six",))]
    assert files.extra_host("six:[2001:db8::9]", []) == [HostsLine("2001:db8::9", ("six",))]
    assert files.extra_host("up:host-gateway", ["172.17.0.1"]) == [HostsLine("172.17.0.1", ("up",))]


def test_hosts(tmp_path: Path) -> None:
    text = files.hosts_text([HostsLine("10.0.0.2", files.host_names("box", "example.org"))])
    assert text.startswith("127.0.0.1\tlocalhost\n") and text.endswith("10.0.0.2\tbox.example.org box\n")
    assert files.host_names("box.example.org", "") == ("box.example.org", "box") and files.host_names("box", "") == ("box",)
    target = tmp_path / "hosts"
    target.write_text("long text of before")
    inode = target.stat().st_ino
    files.write(target, "x\n")
    assert target.read_text() == "x\n" and target.stat().st_ino == inode
