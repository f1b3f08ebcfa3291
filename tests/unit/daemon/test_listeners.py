import os
import socket
import ssl
import stat
from pathlib import Path

import pytest

from scow.daemon import listeners
from scow.daemon.options import Options
from scow.errors import InvalidArgument, ScowError, Unavailable
from tests.support.tls import authority

GROUP = str(os.getgid())


def close(opened: list[listeners.Opened]) -> None:
    listeners.remove(opened)
    for entry in opened:
        entry.sock.close()


def test_addresses():
    assert listeners.parse_host("unix:///a/b") == ("unix", "/a/b")
    assert listeners.parse_host("/a/b") == ("unix", "/a/b")
    assert listeners.parse_host("tcp://h:1") == ("tcp", "h:1")
    assert listeners.parse_host("fd://") == ("fd", "")
    for wrong in ("", "h:1", "ftp://x", "unix://x", "unix:///" + "x" * 200):
        with pytest.raises(InvalidArgument):
            listeners.parse_host(wrong)
    assert listeners.addresses(Options(exec_root="/r")) == ["unix:///r/scow.sock"]
    assert listeners.addresses(Options(hosts=("fd://",), docker_socket=True)) == ["fd://", "unix:///var/run/docker.sock"]


def test_a_unix_socket_is_for_its_group_and_goes_away(tmp_path):
    path = tmp_path / "deep" / "s"
    opened = listeners.open_all(Options(hosts=(f"unix://{path}",), group=GROUP))
    about = path.stat()
    assert (stat.S_IMODE(about.st_mode), about.st_gid) == (0o660, os.getgid())
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    close(opened)
    assert not path.exists()


def test_docker_socket_as_well(tmp_path, monkeypatch):
    monkeypatch.setattr(listeners, "DOCKER_SOCKET", str(tmp_path / "docker.sock"))
    opened = listeners.open_all(Options(hosts=(f"unix://{tmp_path}/s",), group=GROUP, docker_socket=True))
    assert [entry.path for entry in opened] == [f"{tmp_path}/s", f"{tmp_path}/docker.sock"]
    close(opened)


def test_a_stale_socket_is_replaced_a_living_one_and_a_file_are_not(tmp_path):
    path = tmp_path / "s"
    options = Options(hosts=(f"unix://{path}",), group=GROUP)
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    first = listeners.open_all(options)
    with pytest.raises(Unavailable, match="another daemon listens"):
        listeners.open_all(options)
    assert path.exists()
    close(first)
    path.write_text("precious")
    with pytest.raises(InvalidArgument, match="is no socket"):
        listeners.open_all(options)
    assert path.read_text() == "precious"


def test_all_or_none(tmp_path):
    with pytest.raises(ScowError):
        listeners.open_all(Options(hosts=(f"unix://{tmp_path}/s", "tcp://256.0.0.1:1"), group=GROUP, insecure_tcp=True))
    assert not (tmp_path / "s").exists()


def test_a_socket_of_somebody_else_in_our_place_stays(tmp_path):
    path = tmp_path / "s"
    opened = listeners.open_all(Options(hosts=(f"unix://{path}",), group=GROUP))
    path.rename(tmp_path / "old")
    path.write_text("new")
    close(opened)
    assert path.exists()


def test_unknown_group():
    with pytest.raises(InvalidArgument, match="group nobody-has-this not found"):
        listeners._group(Options(group="nobody-has-this"))


def test_tcp(tmp_path):
    with pytest.raises(InvalidArgument, match="TCP without TLS"):
        listeners.open_all(Options(hosts=("tcp://127.0.0.1:0",)))
    opened = listeners.open_all(Options(hosts=("tcp://127.0.0.1:0",), insecure_tcp=True))
    assert [entry.tls for entry in opened] == [None]
    port = opened[0].sock.getsockname()[1]
    opened[0].sock.listen()
    with pytest.raises(Unavailable, match=f"listen tcp 127.0.0.1:{port}"):
        listeners.open_all(Options(hosts=(f"tcp://127.0.0.1:{port}",), insecure_tcp=True))
    close(opened)
    with pytest.raises(InvalidArgument, match="invalid bind address"):
        listeners.open_all(Options(hosts=("tcp://127.0.0.1:99999",), insecure_tcp=True))


def test_tls_files(tmp_path):
    files = authority(tmp_path)
    options = Options(tlsverify=True, tlscacert=f"{files}/ca.pem", tlscert=f"{files}/cert.pem", tlskey=f"{files}/key.pem")
    assert listeners.context(options).verify_mode == ssl.CERT_REQUIRED
    with pytest.raises(InvalidArgument, match="could not load the TLS files"):
        listeners.context(Options(tls=True, tlscert=f"{files}/nowhere.pem", tlskey=f"{files}/key.pem"))
    plain = Options(tls=True, tlscacert="/nowhere", tlscert=f"{files}/cert.pem", tlskey=f"{files}/key.pem")
    assert listeners.context(plain).verify_mode == ssl.CERT_NONE


def test_sockets_of_a_service_manager(monkeypatch, tmp_path):
    with pytest.raises(Unavailable, match="no sockets found via socket activation"):
        listeners.open_all(Options(hosts=("fd://",)))
    tcp, unix = socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_UNIX)
    unix.bind(str(tmp_path / "s"))
    try:
        for given, insecure, fine in ((unix, False, True), (tcp, False, False), (tcp, True, True)):
            monkeypatch.setattr(listeners, "_inherited", lambda _count, given=given: [given.dup()])
            if fine:
                opened = listeners.open_all(Options(hosts=("fd://",), insecure_tcp=insecure))
                close(opened)
            else:
                with pytest.raises(InvalidArgument, match="TCP without TLS"):
                    listeners.open_all(Options(hosts=("fd://",)))
        assert Path(tmp_path / "s").exists()
    finally:
        tcp.close()
        unix.close()
