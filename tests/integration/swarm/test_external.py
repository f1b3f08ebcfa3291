"""An authority outside of the swarm (a fake cfssl on the wire) with three managers, nodes that join while it is away, and kills. Slow."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scow.swarm import ca
from tests.integration.swarm.hosts import PATIENCE, Host, Swarm, service, swarms, why_not
from tests.integration.swarm.test_authority import ca_is, says, scow
from tests.support.engine import ROOT, until
from tests.support.http import Client, Reply

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.skipif(bool(why_not()), reason=why_not())]

LATER = "Timeout was reached before node joined. The attempt to join the swarm will continue in the background."
IP, PORT = "10.76.0.200", 8888


class Outside:
    """The authority: a process in the wire's namespace, which is there or not."""

    def __init__(self, wire: str, root: ca.KeyPair) -> None:
        self.root = root
        self.believed: list[str] = []
        self._wire = wire
        self._process: subprocess.Popen[str] | None = None
        subprocess.run(["ip", "-n", wire, "addr", "replace", f"{IP}/24", "dev", "br0"], check=True)

    @property
    def url(self) -> str:
        return f"https://{IP}:{PORT}/api/v1/cfssl/sign"

    def start(self) -> None:
        argv = ["nsenter", f"--net=/run/netns/{self._wire}", sys.executable, "-m", "tests.fakes.cfssl"]
        self._process = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        told = {"root": [self.root.certificate, self.root.key], "believed": self.believed, "host": IP, "port": PORT}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(told))
        self._process.stdin.close()
        assert self._process.stdout.readline().strip() == self.url

    def stop(self) -> None:
        """Being away is fine."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None


@pytest.fixture(scope="module")
def swarm() -> Iterator[Swarm]:
    """Three managers, and a host that comes later."""
    yield from swarms(4)


@pytest.fixture
def outside(swarm: Swarm) -> Iterator[Outside]:
    made = Outside(swarm.wire, ca.new_root())
    try:
        yield made
    finally:
        made.stop()


def root_of(host: Host) -> str:
    return str(host.get("/swarm")["TLSInfo"]["TrustRoot"])


def issuer(root: str) -> str:
    return ca.tls_info(root)["CertIssuerPublicKey"]


def of_root(host: Host, root: str) -> bool:
    """Whether every node says that its certificate is signed by a root, and believes it alone."""
    rows = host.nodes().values()
    told = [row["Description"].get("TLSInfo") or {} for row in rows]
    return bool(rows) and all(one.get("CertIssuerPublicKey") == issuer(root) and one.get("TrustRoot") == root for one in told)


def local_state(host: Host) -> str:
    return str(host.get("/info")["Swarm"]["LocalNodeState"])


def join(host: Host, other: Host, role: str) -> Reply:
    token = other.get("/swarm")["JoinTokens"][role.capitalize()]
    where = {"ListenAddr": f"{host.ip}:2377", "AdvertiseAddr": f"{host.ip}:2377", "RemoteAddrs": [f"{other.ip}:2377"]}
    return Client(host.socket, 420).post("/swarm/join", {**where, "JoinToken": token})


def remove(host: Host, by: Host) -> None:
    """A worker leaves and is forgotten."""
    id = host.id
    assert host.ask("POST", "/swarm/leave?force=1").status == 200
    until(lambda: by.nodes()[id]["Status"]["State"] == "down", PATIENCE, "a node that is down")
    assert by.ask("DELETE", f"/nodes/{id}?force=1").status == 200


def to_outside(host: Host, outside: Outside, tmp_path: Path, *more: str) -> None:
    """`swarm ca --rotate` to the authority's root, to its end."""
    file = tmp_path / "root.pem"
    file.write_text(outside.root.certificate)
    external = f"protocol=cfssl,url={outside.url},cacert={file}"
    says(host, "swarm", "ca", "--rotate", "--quiet", "--ca-cert", str(file), "--external-ca", external, *more)


def test_three_managers_live_with_an_authority_outside_and_come_back(swarm: Swarm, outside: Outside, tmp_path: Path) -> None:
    one, two, three, late = swarm.hosts
    swarm.restore()
    swarm.disband()
    one.init()
    two.join(one, "manager")
    three.join(one, "manager")
    managers = [one, two, three]
    until(lambda: all(len(host.nodes()) == 3 for host in managers), PATIENCE, "three managers")
    assert one.ask("POST", "/services/create", service("steady", 3)).status == 201
    until(lambda: swarm.settled("steady", 3, *managers), PATIENCE, "three tasks of steady")
    before = {host: host.containers("steady") for host in managers}

    # to the outside, asked for at a manager that does not lead
    own = root_of(one)
    asker = next(host for host in managers if host is not swarm.leader())
    refused = scow(asker, "swarm", "ca", "--rotate", "--ca-cert", _file(tmp_path, outside.root.certificate))
    assert "--external-ca" in refused.stderr
    outside.believed = [own]
    outside.start()
    to_outside(asker, outside, tmp_path)
    until(lambda: all(ca_is(host, outside.root.certificate.strip()) for host in managers), PATIENCE, "the outside root everywhere")
    until(lambda: of_root(one, outside.root.certificate), PATIENCE, "certificates of it everywhere")
    assert {host: host.containers("steady") for host in managers} == before

    # another leads: it asks outside, too
    old = swarm.leader()
    old.kill()
    rest = [host for host in managers if host is not old]
    until(lambda: any(host.nodes() for host in rest), PATIENCE, "another leader")
    assert join(late, rest[0], "worker").status == 200
    assert rest[0].nodes()[late.id]["Description"]["TLSInfo"]["CertIssuerPublicKey"] == issuer(outside.root.certificate)
    old.start()
    until(lambda: all(len(host.nodes()) == 4 for host in managers), PATIENCE, "all managers")
    remove(late, rest[0])

    # away: a worker waits, over a kill of its own daemon and of the leader
    outside.stop()
    reply = join(late, rest[0], "worker")
    assert (reply.status, LATER in reply.json["message"]) == (503, True), reply
    assert local_state(late) == "pending"
    assert "external CA" in late.get("/info")["Swarm"]["Error"]
    again = join(late, rest[0], "worker")
    assert "already part of a swarm" in again.json["message"], again
    late.kill()
    late.start()
    assert local_state(late) == "pending"
    leader = swarm.leader()
    leader.kill()
    until(lambda: any(host.nodes() for host in managers if host is not leader), PATIENCE, "another leader")
    leader.start()
    outside.start()
    until(lambda: local_state(late) == "active", PATIENCE, "a node that is in")
    until(lambda: all(len(host.nodes()) == 4 for host in managers), PATIENCE, "one node, once")
    remove(late, one)

    # a manager waits, too; whoever has enough of it leaves
    outside.stop()
    assert LATER in join(late, two, "manager").json["message"]
    assert late.ask("POST", "/swarm/leave").status == 200
    assert local_state(late) == "inactive"
    assert LATER in join(late, two, "manager").json["message"]
    outside.start()
    until(lambda: late.get("/info")["Swarm"]["ControlAvailable"], PATIENCE, "a fourth manager")
    swarm.roles = ("manager",) * 4
    until(swarm.well, PATIENCE, "four managers that are well")

    # back: the outside root gives its word, so it must be there
    outside.stop()
    refused = scow(three, "swarm", "ca", "--rotate", "--quiet")
    assert "there must be at least one valid, reachable external CA" in refused.stderr, refused
    outside.start()
    says(three, "swarm", "ca", "--rotate", "--quiet")
    now = root_of(three)
    assert now not in (own, outside.root.certificate)
    until(lambda: all(ca_is(host, now.strip()) and of_root(host, now) for host in swarm.hosts), PATIENCE, "a root of its own everywhere")
    outside.stop()
    spec = three.get("/swarm")
    settings = {**spec["Spec"], "CAConfig": {**spec["Spec"]["CAConfig"], "ExternalCAs": []}}
    assert three.ask("POST", f"/swarm/update?version={spec['Version']['Index']}", settings).status == 200
    says(two, "swarm", "ca", "--rotate", "--quiet")
    until(lambda: all(of_root(host, root_of(two)) for host in swarm.hosts), PATIENCE, "the third root everywhere")
    until(swarm.well, PATIENCE, "a swarm that is well")
    swarm.roles = ()


def _file(folder: Path, text: str) -> str:
    path = folder / "given.pem"
    path.write_text(text)
    return str(path)


def test_a_host_waits_for_managers_that_are_not_there_and_comes_in_when_they_are(swarm: Swarm) -> None:
    one, late = swarm[0], swarm[3]
    swarm.restore()
    swarm.disband()
    one.init()
    one.cut()  # nothing answers there: the host may be off
    reply = join(late, one, "worker")
    assert (reply.status, LATER in reply.json["message"]) == (503, True), reply
    assert local_state(late) == "pending"
    late.power_off()
    late.start()
    assert local_state(late) == "pending"
    one.heal()
    until(lambda: local_state(late) == "active" and len(one.nodes()) == 2, PATIENCE, "a node that is in")
    remove(late, one)
    one.kill()  # its port refuses: a wrong address, so the attempt ends
    where = {"ListenAddr": f"{late.ip}:2377", "AdvertiseAddr": f"{late.ip}:2377", "RemoteAddrs": [f"{one.ip}:2377"]}
    token = ca.token(ca.new_root().certificate, ca.new_token_secret())
    refused = Client(late.socket, 60).post("/swarm/join", {**where, "JoinToken": token})
    assert "cannot reach a manager" in refused.json["message"], refused
    assert local_state(late) == "inactive"
    one.start()
