"""Many containers on many networks, and requests that cross: everything resolves, nothing is left, the time grows with the number only."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.engine import Engine, can_run, engines, until

NETWORKS, EACH, AT_ONCE = 50, 4, 8


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    if why := can_run():
        pytest.skip(why)
    yield from engines()


def kernel(engine: Engine) -> dict[str, list[str]]:
    """What of networks is in the kernel and in /run: links, elements of the firewall's sets, pinned namespaces."""
    links = json.loads(engine.inside("ip", "-j", "link").stdout)
    tables = json.loads(engine.inside("nft", "-j", "list", "ruleset").stdout)["nftables"]
    elements = [
        f"{one['set']['name']} {element}"
        for one in tables
        if "set" in one and one["set"]["table"] == "scow"
        for element in one["set"].get("elem", [])
    ]
    return {
        "links": sorted(link["ifname"] for link in links if link["ifname"] not in ("lo", "eth0")),
        "elements": sorted(elements),
        "pins": sorted(os.listdir(engine.run / "netns")),
    }


def call(engine: Engine, method: str, path: str, body: Any = None) -> Any:
    reply = engine.api(method, path, body)
    assert reply.status < 300, (method, path, reply.body)
    return reply.json if reply.body else None


def run(engine: Engine, number: int) -> tuple[str, float]:
    """Create and start container `c<number>`; its id and the seconds that took."""
    began = time.monotonic()
    body = {
        "Image": "busybox",
        "Cmd": ["sleep", "10000"],
        "HostConfig": {"NetworkMode": f"net{number % NETWORKS}"},
        "StopSignal": "SIGKILL",
    }
    found = call(engine, "POST", f"/containers/create?name=c{number}", body)["Id"]
    call(engine, "POST", f"/containers/{found}/start")
    return str(found), time.monotonic() - began


def resolves(engine: Engine, network: int) -> None:
    names = [f"c{number}" for number in range(network, NETWORKS * EACH, NETWORKS)]
    script = "; ".join(f"nslookup {name} 127.0.0.11 >/dev/null || echo {name}" for name in names)
    made = call(engine, "POST", f"/containers/{names[0]}/exec", {"Cmd": ["sh", "-c", script], "AttachStdout": True})["Id"]
    assert engine.api("POST", f"/exec/{made}/start", {"Detach": False}).body == b""
    stranger = f"nslookup c{(network + 1) % NETWORKS} 127.0.0.11 >/dev/null && echo found"
    made = call(engine, "POST", f"/containers/{names[0]}/exec", {"Cmd": ["sh", "-c", stranger], "AttachStdout": True})["Id"]
    assert engine.api("POST", f"/exec/{made}/start", {"Detach": False}).body == b""


@pytest.mark.slow
def test_two_hundred_containers_on_fifty_networks(engine: Engine) -> None:
    before = kernel(engine)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda number: call(engine, "POST", "/networks/create", {"Name": f"net{number}"}), range(NETWORKS)))
        made: list[str] = []
        seconds = []
        for first in range(0, NETWORKS * EACH, NETWORKS):
            began = time.monotonic()
            made += [found for found, _ in pool.map(lambda number: run(engine, number), range(first, first + NETWORKS))]
            seconds.append(time.monotonic() - began)
        list(pool.map(lambda network: resolves(engine, network), range(NETWORKS)))
        began = time.monotonic()
        list(pool.map(lambda found: call(engine, "DELETE", f"/containers/{found}?force=1"), made))
        removed = time.monotonic() - began
        began = time.monotonic()
        list(pool.map(lambda number: call(engine, "DELETE", f"/networks/net{number}"), range(NETWORKS)))
        gone = time.monotonic() - began
    print(f"50 containers each: {seconds}, 200 removed in {removed:.2f} s, 50 networks in {gone:.2f} s")
    assert seconds[-1] < 2.5 * seconds[0], seconds
    until(lambda: kernel(engine) == before, 120, "the kernel as it was", every=0.2)


def test_a_network_removed_while_a_container_starts_on_it(engine: Engine) -> None:
    before = kernel(engine)
    with ThreadPoolExecutor(2) as pool:
        for turn in range(12):
            call(engine, "POST", "/networks/create", {"Name": "brief"})
            found = engine.create("sleep", "1000", HostConfig={"NetworkMode": "brief"})

            def start(found: str = found) -> Any:
                return engine.api("POST", f"/containers/{found}/start")

            def remove(turn: int = turn) -> Any:
                time.sleep(turn * 0.004)
                return engine.api("DELETE", "/networks/brief")

            started, removed = (future.result() for future in (pool.submit(start), pool.submit(remove)))
            assert (started.status, removed.status) in ((204, 403), (404, 204)), (started.body, removed.body)
            if started.status == 404:
                assert "network brief not found" in started.json["message"]
                assert not engine.inspect(found)["State"]["Running"]
            call(engine, "DELETE", f"/containers/{found}?force=1")
            if removed.status == 403:
                assert "has active endpoints" in removed.json["message"]
                call(engine, "DELETE", "/networks/brief")
    until(lambda: kernel(engine) == before, 60, "the kernel as it was", every=0.2)


def test_twice_is_as_once(engine: Engine) -> None:
    before = kernel(engine)
    for _ in range(2):
        call(engine, "POST", "/scow/networks/repair")
    call(engine, "POST", "/networks/create", {"Name": "twice"})
    found = engine.container(HostConfig={"NetworkMode": "twice"})
    middle = kernel(engine)
    call(engine, "POST", "/scow/networks/repair")
    assert kernel(engine) == middle
    assert engine.api("POST", "/networks/create", {"Name": "twice"}).status == 409
    assert engine.api("POST", "/networks/twice/connect", {"Container": found}).status == 403
    assert kernel(engine) == middle
    call(engine, "DELETE", f"/containers/{found}?force=1")
    call(engine, "DELETE", "/networks/twice")
    assert engine.api("DELETE", "/networks/twice").status == 404
    until(lambda: kernel(engine) == before, 60, "the kernel as it was", every=0.2)


@pytest.mark.slow
def test_a_kill_in_the_middle_of_connect(engine: Engine) -> None:
    before = kernel(engine)
    call(engine, "POST", "/networks/create", {"Name": "late"})
    found = engine.container(HostConfig={"NetworkMode": "bridge"})
    for turn in range(8):
        cli = subprocess.Popen(
            ["curl", "-s", "--unix-socket", engine.socket, "-H", "Content-Type: application/json", "-d", json.dumps({"Container": found}),
             "http://x/networks/late/connect"],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(0.004 * turn)
        engine.kill(9)
        cli.wait(60)
        engine.start()
        shown = set(engine.inspect(found)["NetworkSettings"]["Networks"])
        made = call(engine, "POST", f"/containers/{found}/exec", {"Cmd": ["ls", "/sys/class/net"], "AttachStdout": True})["Id"]
        inside = engine.api("POST", f"/exec/{made}/start", {"Detach": False}).body[8:].split()
        assert len(inside) == 1 + len(shown), (turn, shown, inside)
        assert set(call(engine, "GET", "/networks/late")["Containers"]) == ({found} if "late" in shown else set())
        if "late" in shown:
            call(engine, "POST", "/networks/late/disconnect", {"Container": found})
    call(engine, "POST", "/networks/late/connect", {"Container": found})
    call(engine, "DELETE", f"/containers/{found}?force=1")
    call(engine, "DELETE", "/networks/late")
    until(lambda: kernel(engine) == before, 60, "the kernel as it was", every=0.2)
