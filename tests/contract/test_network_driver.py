"""What every network driver promises (see network/driver.py), on the real kernel, in network namespaces of the tests' own."""

import errno
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from scow.errors import Forbidden, InvalidArgument, Unsupported
from scow.kernel.namespaces import CLONE_NEWNET, unshare
from scow.kernel.netlink import Netlink
from scow.model.network import EndpointSettings, NetworkCreate
from scow.network import drivers, osl
from scow.network.driver import NetworkDriver
from scow.network.endpoint import Endpoint
from scow.network.network import Network, Pool

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it makes network namespaces")
T = TypeVar("T")
ATTACHING = ["bridge", "macvlan", "ipvlan"]
_SECONDS = 30


def apart(act: Callable[[], T]) -> T:
    """Run `act` in a thread with a network namespace of its own."""
    result: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            unshare(CLONE_NEWNET)
            with Netlink() as route:
                route.set_link(1, up=True)
            result.append(act())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return result[0]


def links() -> set[str]:
    with Netlink() as route:
        return {link.name for link in route.links()}


def network(driver: NetworkDriver, **more: object) -> Network:
    pools = (Pool("10.88.0.0/24", "10.88.0.1"), Pool("fd00:88::/64", "fd00:88::1"))
    return driver.shape(Network("ab" * 32, "net", driver.name, 0, pools, enable_ipv6=True, **more))  # type: ignore[arg-type]


def endpoint(number: int) -> Endpoint:
    settings = EndpointSettings(
        ip_address=f"10.88.0.{number}", ip_prefix_len=24, mac_address=f"02:42:0a:58:00:{number:02x}",
        global_ipv6_address=f"fd00:88::{number:x}", global_ipv6_prefix_len=64,
    )  # fmt: skip
    return Endpoint(f"{number:02x}" * 32, "ab" * 32, "net", settings, "eth0")


def ensure(driver: NetworkDriver, made: Network) -> None:
    try:
        driver.ensure(made)
    except Unsupported as error:
        assert links() == {"lo"}
        pytest.skip(error.message)


@pytest.fixture(params=ATTACHING)
def driver(request: pytest.FixtureRequest) -> NetworkDriver:
    return drivers.table()[request.param]


def test_making_and_removing_twice_is_harmless_and_leaves_nothing(driver: NetworkDriver) -> None:
    def act() -> None:
        made = network(driver)
        ensure(driver, made)
        there = links()
        driver.ensure(made)
        assert links() == there
        driver.remove(made)
        driver.remove(made)
        assert links() == {"lo"}

    apart(act)


def test_an_endpoint_has_its_addresses_and_neighbours(driver: NetworkDriver, tmp_path: Path) -> None:
    def act() -> None:
        made = network(driver)
        ensure(driver, made)
        pins = [tmp_path / "2", tmp_path / "3"]
        try:
            for number, pin in enumerate(pins, 2):
                interface = driver.interface(made, endpoint(number))
                assert interface is not None
                osl.build(pin, [interface], [("10.88.0.1", "eth0")], lambda: None)

            def inside() -> None:
                with Netlink() as route:
                    link = route.link("eth0")
                    assert link is not None and link.up
                    if driver.name != "ipvlan":
                        assert link.mac == "02:42:0a:58:00:02"
                    assert ("10.88.0.2", 24) in [one[1:] for one in route.addresses(link.index)]
                    assert ("fd00:88::2", 64) in [one[1:] for one in route.addresses(link.index, socket.AF_INET6)]
                assert answers("10.88.0.3", socket.AF_INET)
                assert answers("fd00:88::3", socket.AF_INET6)

            osl.visit(pins[0], inside)
        finally:
            for pin in pins:
                osl.destroy(pin, [])
            driver.remove(made)

    apart(act)


def answers(address: str, family: int) -> bool:
    """Whether the host behind an address says that nobody listens there."""
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            sock.settimeout(1)
            if sock.connect_ex((address, 9)) == errno.ECONNREFUSED:
                return True
    return False


def test_bad_options_are_refused(driver: NetworkDriver) -> None:
    for options in ({"com.docker.network.driver.mtu": "many"}, {"macvlan_mode": "odd"}, {"ipvlan_mode": "l9"}, {"parent": "a/b"}):
        name = next(iter(options))
        if name.split("_")[0] in (driver.name, "com.docker.network.driver.mtu") or (name == "parent" and driver.name != "bridge"):
            with pytest.raises(InvalidArgument):
                driver.check(NetworkCreate(name="x", driver=driver.name, options=options), [])
    driver.check(NetworkCreate(name="x", driver=driver.name, options={"com.docker.network.driver.mtu": "1400", "unknown": "kept"}), [])


@pytest.mark.parametrize("name", ["macvlan", "ipvlan"])
def test_a_missing_parent_is_refused_and_leaves_nothing(name: str) -> None:
    def act() -> None:
        made = drivers.table()[name]
        for parent in ("nosuch0", "nosuch0.5000", "nosuch0.50"):
            with pytest.raises((InvalidArgument, Unsupported)):
                made.ensure(network(made, options={"parent": parent}))
        assert links() == {"lo"}

    apart(act)


def test_a_bridge_of_another_kind_is_not_taken() -> None:
    def act() -> None:
        made = drivers.table()["bridge"]
        with pytest.raises(Forbidden, match="another kind"):
            made.ensure(network(made, options={"com.docker.network.bridge.name": "lo"}))

    apart(act)


def test_an_impossible_gateway_is_refused() -> None:
    def act() -> None:
        made = drivers.table()["bridge"]
        shaped = Network("ab" * 32, "net", "bridge", 0, (Pool("::/0", "::1"),), enable_ipv4=False, enable_ipv6=True)
        with pytest.raises((InvalidArgument, Unsupported)):
            made.ensure(shaped)
        made.remove(shaped)
        assert links() == {"lo"}

    apart(act)


@pytest.mark.parametrize("name", ["host", "null"])
def test_drivers_without_interfaces(name: str) -> None:
    driver = drivers.table()[name]
    made = Network("cd" * 32, name, name, 0)
    with pytest.raises(Forbidden, match="only one instance"):
        driver.check(NetworkCreate(name="x", driver=name), [])
    driver.ensure(made)
    driver.remove(made)
    assert driver.rule(made) is None and driver.interface(made, endpoint(2)) is None and not made.attaches
