from pathlib import Path

from scow.metadata.db import Database
from scow.model.network import EndpointSettings
from scow.network.dns.records import Found, Records
from scow.network.endpoint import Endpoint, SandboxRequest, SandboxState
from scow.network.store import SandboxStore


def box(
    letter: str, address: str, network: str = "net", names: tuple[str, ...] = (), links: tuple[str, ...] = (), gateway: str = "10.1.0.1"
) -> SandboxState:
    settings = EndpointSettings(ip_address=address, dns_names=[letter, *names], links=list(links), gateway=gateway)
    return SandboxState(
        letter * 64, "/x", SandboxRequest(letter * 64, letter, letter), (Endpoint(letter * 64, network, network, settings, "eth0"),)
    )


def records(tmp_path: Path, *boxes: SandboxState) -> Records:
    store = SandboxStore(Database(tmp_path / "db"))
    for one in boxes:
        store.put(one)
    return Records(store)


def test_names_of_the_same_network_only(tmp_path: Path) -> None:
    found = records(
        tmp_path, box("a", "10.1.0.2", names=("Alias",)), box("b", "10.1.0.3", names=("alias",)), box("c", "10.2.0.2", network="other")
    )
    assert found.lookup("b" * 64, "a") == found.lookup("b" * 64, "a.net") == Found(True, ("10.1.0.2",))
    assert set(found.lookup("a" * 64, "alias").addresses) == {"10.1.0.2", "10.1.0.3"}
    assert found.lookup("c" * 64, "a") == Found(False)
    assert found.lookup("f" * 64, "a") == Found(False)


def test_links_are_seen_by_the_linker_only(tmp_path: Path) -> None:
    found = records(tmp_path, box("a", "10.1.0.2"), box("b", "10.1.0.3", links=("a:db",)), box("c", "10.1.0.4"))
    assert found.lookup("b" * 64, "db") == Found(True, ("10.1.0.2",))
    assert found.lookup("c" * 64, "db") == Found(False)


def test_reverse_and_outward(tmp_path: Path) -> None:
    found = records(tmp_path, box("a", "10.1.0.2"), box("b", "10.1.0.3", gateway=""))
    assert found.reverse("b" * 64, "10.1.0.2") == "a.net" and found.reverse("b" * 64, "9.9.9.9") == ""
    assert found.outward("a" * 64) and not found.outward("b" * 64)
