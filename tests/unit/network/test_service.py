"""The service with the kernel's part cut off: bookkeeping, texts and events."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scow.errors import Conflict, Forbidden, InvalidArgument, NotFound, ScowError
from scow.events import EventBus
from scow.filters import Filters
from scow.metadata.db import Database
from scow.model.container import PortBinding
from scow.model.network import IPAM, ConfigReference, EndpointIPAMConfig, EndpointSettings, IPAMPool, NetworkCreate
from scow.network import osl
from scow.network.endpoint import SandboxRequest
from scow.network.options import NetworkOptions
from scow.network.service import NetworkService
from tests.support.asynchronous import on_loop

Make = Callable[..., NetworkService]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Make:
    for name in ("ensure_bridge", "remove_link", "forward", "build", "plug", "unplug", "silence", "destroy"):
        monkeypatch.setattr(osl, name, lambda *_: None)
    monkeypatch.setattr(osl, "addresses_of", lambda _: ())
    monkeypatch.setattr(osl, "host_subnets", list)
    monkeypatch.setattr(osl, "address_of", lambda _: "")
    monkeypatch.setattr(osl, "ports_of_bridges", lambda _: [])

    def build(**options: Any) -> NetworkService:
        return NetworkService(Database(tmp_path / "db"), EventBus(), tmp_path / "netns", NetworkOptions(firewall=False, **options))

    return build


def request(tmp_path: Path, name: str, mode: str = "default", **more: Any) -> SandboxRequest:
    return SandboxRequest(name.ljust(64, "0"), name, name, mode=mode, files=tmp_path / name, **more)


async def refused(awaited: Any) -> ScowError:
    try:
        await awaited
    except ScowError as error:
        return error
    raise AssertionError("it was accepted")


@on_loop
async def test_the_default_networks(make: Make) -> None:
    service = make(bip="10.7.0.1/24", fixed_cidr="10.7.0.128/25", default_gateway="10.7.0.130", icc=False)
    await service.recover({})
    shown = service.inspect("bridge")
    assert shown["IPAM"]["Config"] == [
        {
            "Subnet": "10.7.0.0/24",
            "IPRange": "10.7.0.128/25",
            "Gateway": "10.7.0.1",
            "AuxiliaryAddresses": {"DefaultGatewayIPv4": "10.7.0.130"},
        }
    ]
    assert shown["Options"]["com.docker.network.bridge.enable_icc"] == "false"
    assert [network["Driver"] for network in service.list(Filters())] == ["bridge", "host", "null"]
    for name in ("bridge", "host", "none"):
        error = await refused(service.remove(name))
        assert isinstance(error, Forbidden) and "pre-defined" in error.message


@pytest.mark.parametrize("options", [{"bip": "10.7.0/24"}, {"fixed_cidr": "x"}, {"default_gateway": "9.9.9.9"}])
def test_bad_options_of_the_default_bridge(make: Make, options: dict[str, str]) -> None:
    with pytest.raises(InvalidArgument):
        asyncio.run(make(**options).recover({}))


@on_loop
async def test_networks_are_made_listed_and_removed(make: Make) -> None:
    service = make()
    await service.recover({})
    network_id, warning = await service.create(NetworkCreate(name="one", ipam=IPAM(config=[IPAMPool(subnet="10.1.0.0/24")])))
    assert warning == "" and service.inspect(network_id[:8])["Name"] == "one"
    await service.create(NetworkCreate(name="two"))
    error = await refused(service.create(NetworkCreate(name="one")))
    assert isinstance(error, Conflict) and error.message == "network with name one already exists"
    error = await refused(service.create(NetworkCreate(name="three", ipam=IPAM(config=[IPAMPool(subnet="10.1.0.64/26")]))))
    assert isinstance(error, Forbidden) and "Pool overlaps with other one on this address space" in error.message
    subnets = [pool["Subnet"] for name in ("bridge", "two") for pool in service.inspect(name)["IPAM"]["Config"]]
    assert subnets == ["172.17.0.0/16", "172.18.0.0/16"]
    assert [network["Name"] for network in service.list(Filters({"type": ["custom"]}))] == ["one", "two"]
    with pytest.raises(InvalidArgument, match="invalid filter"):
        service.list(Filters({"type": ["odd"]}))
    await service.remove("one")
    assert isinstance(await refused(service.remove("one")), NotFound)
    assert await service.prune(Filters()) == {"NetworksDeleted": ["two"]}
    assert await service.prune(Filters()) == {"NetworksDeleted": None}


@on_loop
async def test_a_failed_bridge_leaves_no_network(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    service = make()
    await service.recover({})

    def fail(_: object) -> None:
        raise Forbidden("it belongs to somebody else")

    monkeypatch.setattr(osl, "ensure_bridge", fail)
    assert isinstance(await refused(service.create(NetworkCreate(name="x"))), Forbidden)
    assert isinstance(await refused(service.remove("x")), NotFound)


@on_loop
async def test_a_containers_life(make: Make, tmp_path: Path) -> None:
    service = make()
    await service.recover({})
    await service.create(NetworkCreate(name="net", ipam=IPAM(config=[IPAMPool(subnet="10.1.0.0/29")])))
    asked = EndpointSettings(aliases=["db"], ipam_config=EndpointIPAMConfig("10.1.0.5"))
    box = await service.attach(request(tmp_path, "a", "net", endpoints={"net": asked}, exposed=("80/tcp",)))
    got = box.endpoints["net"]
    assert (got.ip_address, got.ip_prefix_len, got.gateway, got.mac_address) == ("10.1.0.5", 29, "10.1.0.1", "02:42:0a:01:00:05")
    assert got.dns_names == ["a", "db", "a00000000000"]
    assert service.settings("a".ljust(64, "0")).ports == {"80/tcp": None}
    assert service.inspect("net")["Containers"]["a".ljust(64, "0")]["IPv4Address"] == "10.1.0.5/29"
    assert "network net has active endpoints" in (await refused(service.remove("net"))).message
    error = await refused(service.connect("a".ljust(64, "0"), "net", EndpointSettings()))
    assert "endpoint with name a already exists in network net" in error.message
    late = await service.connect("a".ljust(64, "0"), "bridge", EndpointSettings())
    assert late.ip_address == "172.17.0.2" and (tmp_path / "a/hosts").read_text().endswith("10.1.0.5\ta\n172.17.0.2\ta\n")
    await service.disconnect("a".ljust(64, "0"), "bridge")
    assert "not connected" in (await refused(service.disconnect("a".ljust(64, "0"), "bridge"))).message
    service.rename("a".ljust(64, "0"), "b")
    assert service.inspect("net")["Containers"]["a".ljust(64, "0")]["Name"] == "b"
    service.farewell("a".ljust(64, "0"))
    assert service.inspect("net")["Containers"] == {}
    removal = asyncio.get_running_loop().create_task(service.remove("net"))  # waits for who has ended
    await asyncio.sleep(0)
    await service.release("a".ljust(64, "0"))
    await service.release("a".ljust(64, "0"))
    await removal
    assert service.settings("a".ljust(64, "0")).networks == {}
    await service.settle()


@on_loop
async def test_refusals_give_everything_back(make: Make, tmp_path: Path) -> None:
    service = make()
    await service.recover({})
    await service.create(NetworkCreate(name="tiny", ipam=IPAM(config=[IPAMPool(subnet="10.1.0.0/30")])))
    first = await service.attach(request(tmp_path, "a", "tiny", port_bindings={"80/tcp": [PortBinding("127.0.83.7", "")]}))
    port = (service.settings("a".ljust(64, "0")).ports["80/tcp"] or [{}])[0]["HostPort"]
    error = await refused(service.attach(request(tmp_path, "b", "tiny")))
    assert "no available IPv4 addresses" in error.message
    taken = {"80/tcp": [PortBinding("127.0.83.7", port)]}
    error = await refused(service.attach(request(tmp_path, "b", port_bindings=taken)))
    assert isinstance(error, Conflict) and error.message.startswith("driver failed programming external connectivity on endpoint b (")
    assert error.message.endswith(f"Bind for 127.0.83.7:{port} failed: port is already allocated")
    assert "network nosuch not found" in (await refused(service.attach(request(tmp_path, "b", "nosuch")))).message
    await service.release("a".ljust(64, "0"))
    again = await service.attach(request(tmp_path, "b", "tiny", port_bindings=taken))
    assert again.endpoints["tiny"].ip_address == first.endpoints["tiny"].ip_address
    await service.release("b".ljust(64, "0"))
    await service.settle()


@on_loop
async def test_host_none_and_shared(make: Make, tmp_path: Path) -> None:
    service = make()
    await service.recover({})
    host = await service.attach(request(tmp_path, "h", "host", extra_hosts=("pinned:192.0.2.7",)))
    assert host.key == "" and "192.0.2.7\tpinned" in (tmp_path / "h/hosts").read_text()
    none = await service.attach(request(tmp_path, "n", "none"))
    assert none.key and none.endpoints["none"].ip_address == ""
    shared = await service.attach(request(tmp_path, "s", "container:" + "n".ljust(64, "0")))
    assert shared.key == none.key and shared.endpoints == {}
    await service.settle()


@on_loop
async def test_a_configuration_network_and_what_is_made_from_it(make: Make, tmp_path: Path) -> None:
    service = make(default_network_opts={"bridge": {"com.docker.network.driver.mtu": "1300"}})
    await service.recover({})
    pool = IPAM(config=[IPAMPool(subnet="10.8.0.0/24")])
    options = {"com.docker.network.driver.mtu": "1400"}
    await service.create(NetworkCreate(name="conf", config_only=True, ipam=pool, options=options, labels={"a": "b"}))
    await service.create(NetworkCreate(name="real", config_from=ConfigReference("conf"), internal=True))
    shown, conf = service.inspect("real"), service.inspect("conf")
    assert (shown["ConfigFrom"], shown["Options"], shown["Labels"], shown["Internal"]) == ({"Network": "conf"}, options, {"a": "b"}, True)
    assert (conf["ConfigOnly"], conf["Driver"]) == (True, "null") and conf["IPAM"]["Config"] == shown["IPAM"]["Config"]
    for call, gist in (
        (service.remove("conf"), "in use"),
        (service.create(NetworkCreate(name="x", config_from=ConfigReference("real"))), "not a configuration network"),
        (service.attach(request(tmp_path, "a", "conf")), "configuration-only"),
    ):
        error = await refused(call)
        assert isinstance(error, Forbidden) and gist in error.message
    await service.create(NetworkCreate(name="plain"))
    assert service.inspect("plain")["Options"] == {"com.docker.network.driver.mtu": "1300"}
    for name in ("real", "conf"):
        await service.remove(name)


@on_loop
async def test_ipv6_on_networks_and_the_default_bridge(make: Make, tmp_path: Path) -> None:
    service = make(ipv6=True, bip6="fd00:17::5/64", default_gateway_v6="fd00:17::9")
    await service.recover({})
    box = await service.attach(request(tmp_path, "a"))
    got = box.endpoints["bridge"]
    assert (got.ip_address, got.global_ipv6_address, got.global_ipv6_prefix_len) == ("172.17.0.2", "fd00:17::2", 64)
    assert got.ipv6_gateway == "fd00:17::9" and service.inspect("bridge")["EnableIPv6"] is True
    await service.create(NetworkCreate(name="six", enable_ipv4=False, enable_ipv6=True))
    only = (await service.attach(request(tmp_path, "b", "six"))).endpoints["six"]
    assert only.ip_address == "" and only.global_ipv6_address.startswith("fd") and only.mac_address.startswith("02:42:")
    shown = service.inspect("six")
    assert shown["EnableIPv4"] is False and shown["Containers"]["b".ljust(64, "0")]["IPv4Address"] == ""
    error = await refused(service.create(NetworkCreate(name="x", enable_ipv6=True, ipam=IPAM(config=[IPAMPool(subnet="fd00:17::/48")]))))
    assert "overlaps" in error.message
    assert "fd00:17::2\ta" in (tmp_path / "a" / "hosts").read_text()


@pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="needs IPv6")
@on_loop
async def test_the_policy_user_relays_to_the_host_only(make: Make, tmp_path: Path) -> None:
    service = make(publish_policy="user")
    await service.recover({})
    box = request(tmp_path, "a", port_bindings={"80/tcp": [PortBinding("::", "")]}, labels={"scow.publish.sources": "10.0.0.0/8"})
    await service.attach(box)
    assert [(row["HostIp"], row["Reach"], row["Sources"]) for row in service.exposed()] == [("::1", "host", ["10.0.0.0/8"])]
    wide = request(tmp_path, "b", port_bindings={"80/tcp": [PortBinding("fd00::1", "")]})
    assert "cannot guard" in (await refused(service.attach(wide))).message
    await service.release("a".ljust(64, "0"))
    await service.settle()
    await service.close()


@on_loop
async def test_an_mtu_too_small_for_ipv6_is_refused(make: Make) -> None:
    service = make()
    await service.recover({})
    small = {"com.docker.network.driver.mtu": "1000"}
    assert "needs 1280" in (await refused(service.create(NetworkCreate(name="six", enable_ipv6=True, options=small)))).message
    await service.create(NetworkCreate(name="four", options=small))
    await service.settle()
    await service.close()


@on_loop
async def test_a_networks_sources_are_for_the_ports_of_all_its_containers(make: Make, tmp_path: Path) -> None:
    service = make()
    await service.recover({})
    await service.create(NetworkCreate(name="net", options={"scow.publish.sources": "10.0.0.0/8"}))
    port = {"80/tcp": [PortBinding("127.0.0.1", "")]}
    await service.attach(request(tmp_path, "a", "net", port_bindings=port))
    await service.attach(request(tmp_path, "b", "net", port_bindings=port, labels={"scow.publish.sources": "192.0.2.1"}))
    assert sorted(one.sources for name in "ab" for one in service._sandboxes.get(name.ljust(64, "0")).published) == [  # type: ignore[union-attr]
        ("10.0.0.0/8",),
        ("192.0.2.1/32",),
    ]
    for name in "ab":
        await service.release(name.ljust(64, "0"))
    await service.settle()
    await service.close()


@on_loop
async def test_a_removal_that_was_cut_off_is_finished_at_boot(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    service = make()
    await service.recover({})
    await service.create(NetworkCreate(name="net"))
    network = service.get("net")
    service._networks.leave(network)
    gone: list[str] = []
    monkeypatch.setattr(osl, "remove_link", gone.append)
    again = make()
    assert isinstance(await refused(again.remove("net")), NotFound)
    await again.recover({})
    assert gone == [network.link] and not again._networks.leaving
    assert not make()._networks.leaving


@on_loop
async def test_a_link_that_was_there_before_its_network_is_never_deleted(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    deleted: list[str] = []
    monkeypatch.setattr(osl, "remove_link", deleted.append)
    monkeypatch.setattr(osl, "is_there", lambda name: name != "br1")
    service = make()
    await service.recover({})

    def of_another_kind(_: object) -> None:
        raise Forbidden("a link of another kind")

    with monkeypatch.context() as patch:
        patch.setattr(osl, "ensure_bridge", of_another_kind)
        await refused(service.create(NetworkCreate(name="bad", options={"com.docker.network.bridge.name": "eth0"})))
    for name in ("br0", "br1"):
        await service.create(NetworkCreate(name=name, options={"com.docker.network.bridge.name": name}))
        await service.remove(name)
    await service.create(NetworkCreate(name="br1", options={"com.docker.network.bridge.name": "br1"}))  # waits for the removals
    assert deleted == ["br1"]
