"""Who reaches whom: other hosts the ports of the loopback and unpublished ones, containers the engine's sockets and the host's loopback."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import threading

import pytest

from tests.support.boxes import execute, shell
from tests.support.engine import until

ENV = {**os.environ, "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"}
# connect to each address and say which answered
CONNECT = """
import socket, sys
for target in sys.argv[1:]:
    host, port = target.rsplit(":", 1)
    with socket.socket() as sock:
        sock.settimeout(1.5)
        try:
            sock.connect((host, int(port)))
            got = sock.recv(100)
        except OSError as error:
            got = b""
        print(target, "open" if got else "closed", flush=True)
"""


class Neighbour:
    """Another host on a link with the engine's."""

    def __init__(self, engine):
        self.name, self.engine = engine.name + "-b", engine
        self.run("ip", "netns", "add", self.name, outside=True)
        try:
            self.run(
                "ip", "link", "add", "ext0", "netns", engine.name, "type", "veth", "peer", "name", "eth0", "netns", self.name, outside=True
            )
            self.run("ip", "-n", engine.name, "addr", "add", "10.254.99.1/24", "dev", "ext0", outside=True)
            self.run("ip", "-n", engine.name, "link", "set", "ext0", "up", outside=True)
            for command in ("link set lo up", "addr add 10.254.99.2/24 dev eth0", "link set eth0 up", "route add default via 10.254.99.1"):
                self.run("ip", *command.split())
        except BaseException:
            self.close()
            raise

    def run(self, *argv, outside=False, check=True):
        before = () if outside else ("ip", "netns", "exec", self.name)
        return subprocess.run([*before, *argv], check=check, env=ENV, capture_output=True, text=True, timeout=60).stdout

    def reaches(self, *targets):
        """Which of the targets (address:port) answer."""
        lines = self.run(sys.executable, "-IS", "-c", CONNECT, *targets).split("\n")
        return {line.split()[0] for line in lines if line.endswith(" open")}

    def close(self):
        self.run("ip", "-n", self.engine.name, "link", "del", "ext0", outside=True, check=False)
        self.run("ip", "netns", "del", self.name, outside=True, check=False)


@pytest.fixture(scope="module")
def neighbour(engine):
    if shutil.which("ip", path=ENV["PATH"]) is None:
        pytest.skip("needs ip")
    other = Neighbour(engine)
    yield other
    other.close()


SERVE = ("sh", "-c", "while true; do echo hello | nc -l -p 80; done & while true; do echo hidden | nc -l -p 81; done")


@pytest.fixture(scope="module")
def served(engine):
    """A container that serves on port 80 (published on the loopback and to all) and on 81 (not published); its address."""
    ports = {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8091"}, {"HostIp": "0.0.0.0", "HostPort": "8092"}]}
    made = engine.container(*SERVE, HostConfig={"PortBindings": ports})
    yield engine.inspect(made)["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
    engine.api("DELETE", f"/containers/{made}?force=1")


def test_ports_of_the_loopback_and_unpublished_ports_are_not_reached_from_other_hosts(engine, neighbour, served):
    until(lambda: neighbour.reaches("10.254.99.1:8092"), what="an answer of the port that is published to all")
    neighbour.run("ip", "route", "add", served, "via", "10.254.99.1")
    neighbour.run("ip", "addr", "del", "127.0.0.1/8", "dev", "lo")
    neighbour.run("ip", "route", "del", "local", "127.0.0.0/8", "table", "local", "dev", "lo", check=False)
    neighbour.run("sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1", "net.ipv4.conf.eth0.route_localnet=1", check=False)
    neighbour.run("ip", "route", "add", "127.0.0.1", "via", "10.254.99.1", "src", "10.254.99.2")
    try:
        found = neighbour.reaches("10.254.99.1:8091", "127.0.0.1:8091", f"{served}:80", f"{served}:81", "127.0.0.1:8092")
    finally:
        neighbour.run("ip", "route", "del", "127.0.0.1", check=False)
    # a published port may be reached at the container's own address, too, where the rules let it pass by its address
    assert found <= {f"{served}:80"}
    until(lambda: neighbour.reaches("10.254.99.1:8092"), what="an answer of the port that is published to all")
    until(lambda: b"open" in engine.inside(sys.executable, "-IS", "-c", CONNECT, "127.0.0.1:8091").stdout, what="an answer on the loopback")


def test_a_container_reaches_neither_the_hosts_loopback_nor_another_networks_containers(engine, served):
    """A listener on 127.0.0.1 of the host, asked by every address of the host that a container can think of."""
    code = "import socket\ns = socket.create_server(('127.0.0.1', 8093))\nprint('ready', flush=True)\n"
    code += "while 1: s.accept()[0].sendall(b'secret')"
    server = subprocess.Popen(
        ["nsenter", f"--net=/run/netns/{engine.name}", sys.executable, "-IS", "-c", code], stdout=subprocess.PIPE, env=ENV
    )
    try:
        assert server.stdout.readline() == b"ready\n"
        gateway = served.rpartition(".")[0] + ".1"
        script = f"""
            for a in {gateway} 127.0.0.1 10.254.99.1; do nc -w 2 $a 8093 </dev/null; done
            ip route add 127.0.0.1 via {gateway} 2>/dev/null
            ip route add table local 127.0.0.1 via {gateway} 2>/dev/null
            nc -w 2 127.0.0.1 8093 </dev/null; echo finished"""
        for powers in ([], ["NET_ADMIN"]):
            code, out = shell(engine, script, HostConfig={"CapAdd": powers})
            assert out.strip().endswith("finished")
            assert "secret" not in out
    finally:
        server.kill()
        server.communicate()
    reply = engine.api("POST", "/networks/create", {"Name": "apart"})
    assert reply.status == 201
    code, out = shell(engine, f"nc -w 2 {served} 81 </dev/null; echo finished", HostConfig={"NetworkMode": "apart"})
    assert "hidden" not in out and "finished" in out
    assert engine.api("DELETE", "/networks/apart").status == 204


def test_the_engine_has_no_abstract_sockets_and_its_files_are_its_own(engine):
    table = engine.inside("cat", "/proc/net/unix").stdout.decode()
    assert [line for line in table.splitlines() if "@" in line and re.search("scow|keeper|crun|docker", line)] == []
    for path in (engine.socket, engine.run / "keeper.sock"):
        if os.path.exists(path):
            assert os.stat(path).st_mode & 0o007 == 0
    for folder in (engine.data, engine.run / "bundles", engine.run / "views", engine.run / "crun"):
        assert os.stat(folder).st_mode & 0o007 == 0, folder
    _, out = shell(engine, "cat /proc/net/unix; ls /run /var/run", HostConfig={"NetworkMode": "host"})
    assert [line for line in out.splitlines() if "@" in line and "scow" in line] == []


def test_a_name_server_that_lies_or_is_flooded_does_not_stop_names(engine):
    """Packets of every shape at 127.0.0.11 of a container: the names of its network go on."""
    assert engine.api("POST", "/networks/create", {"Name": "named"}).status == 201
    one = engine.container(name="first", HostConfig={"NetworkMode": "named"})
    two = engine.container(HostConfig={"NetworkMode": "named"})
    script = "for i in 1 2 3 4 5 6 7 8; do head -c $((i * 60)) /dev/urandom | nc -u -w 1 127.0.0.11 53; done >/dev/null 2>&1 &"
    execute(engine, two, "sh", "-c", script)
    _, out = execute(engine, two, "nslookup", "first", "127.0.0.11")
    assert engine.inspect(one)["NetworkSettings"]["Networks"]["named"]["IPAddress"] in out
    for made in (one, two):
        engine.api("DELETE", f"/containers/{made}?force=1")
    assert engine.api("DELETE", "/networks/named").status == 204


def test_a_thousand_idle_clients_and_slow_ones_do_not_stop_others(engine):
    held = []
    try:
        for number in range(400):
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(engine.socket)
            sock.setblocking(False)
            if number % 2:
                sock.send(b"POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n{"[: 20 + number % 60])
            held.append(sock)
        done = threading.Event()
        replies = [engine.client.get("/_ping").status for _ in range(20)]
        done.set()
        assert set(replies) == {200}
    finally:
        for sock in held:
            with contextlib.suppress(OSError):
                sock.close()
    assert engine.client.get("/info").status == 200
