import pytest

from scow.errors import Forbidden, InvalidArgument, NotFound, ScowError
from scow.model.network import IPAM, ConfigReference, EndpointIPAMConfig, EndpointSettings, IPAMPool, NetworkCreate
from scow.network import checks
from scow.network.network import Network, Pool


@pytest.mark.parametrize(
    ("config", "gist"),
    [
        (IPAMPool(subnet="10.1.2.3.4/24"), "invalid subnet 10.1.2.3.4/24: invalid CIDR block notation"),
        (IPAMPool(subnet="10.64.0.5/24"), "it should be 10.64.0.0/24"),
        (IPAMPool(subnet="10.64.0.0/24", gateway="10.89.0.1"), "gateway"),
        (IPAMPool(subnet="10.64.0.0/24", gateway="nonsense"), "gateway"),
        (IPAMPool(subnet="10.64.0.0/24", ip_range="10.0.0.0/8"), "ip-range"),
        (IPAMPool(subnet="10.64.0.0/24", ip_range="10.65.0.0/25"), "ip-range"),
        (IPAMPool(subnet="10.64.0.0/24", aux_addresses={"router": "10.9.0.3"}), "auxiliary address"),
        (IPAMPool(gateway="10.64.0.1"), "invalid subnet"),
        (IPAMPool(subnet="127.0.0.0/8"), "loopback addresses (127.0.0.0/8)"),
        (IPAMPool(subnet="224.0.0.0/24"), "multicast"),
        (IPAMPool(subnet="0.0.0.0/8"), "unspecified"),
        (IPAMPool(subnet="255.255.255.0/24"), "broadcast"),
        (IPAMPool(subnet="ff02::/64"), "multicast"),
        (IPAMPool(subnet="::/64"), "loopback"),
        (IPAMPool(subnet="10.64.0.0/24", gateway="10.64.0.0"), "failed to allocate gateway (10.64.0.0): Address already in use"),
        (IPAMPool(subnet="10.64.0.0/24", gateway="10.64.0.255"), "failed to allocate gateway"),
        (IPAMPool(subnet="fd00:1::/64", gateway="fd00:1::"), "failed to allocate gateway"),
        (IPAMPool(subnet="10.64.0.1/32", aux_addresses={"a": "10.64.0.1"}), "no available"),
    ],
)
def test_bad_address_plans(config: IPAMPool, gist: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        checks.create(NetworkCreate(name="x", ipam=IPAM(config=[config])))
    assert gist in caught.value.message


@pytest.mark.parametrize("subnet", ["10.5.0.0/32", "10.5.0.0/31", "fe80::/64", "169.254.0.0/16", "8.8.8.0/24"])
def test_odd_subnets_are_taken_as_by_dockerd(subnet: str) -> None:
    asked = IPAM(config=[IPAMPool(subnet=subnet)])
    assert checks.create(NetworkCreate(name="x", ipam=asked, enable_ipv6=True))[0].subnet == subnet
    one = IPAM(config=[IPAMPool(subnet="10.5.0.0/32", gateway="10.5.0.0")])
    assert checks.create(NetworkCreate(name="x", ipam=one))[0].gateway == "10.5.0.0"


@pytest.mark.parametrize("mac", ["01:00:5e:00:00:01", "ff-ff-ff-ff-ff-ff", "00:00:00:00:00:00"])
def test_a_group_address_is_no_mac_address(mac: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid MAC address"):
        checks.endpoint(Network("2" * 64, "bridge", "bridge", 0), EndpointSettings(mac_address=mac))


@pytest.mark.parametrize(
    ("labels", "settings", "gist"),
    [
        ({"scow.publish.sources.80": "garbage"}, EndpointSettings(), "invalid scow.publish.sources.80"),
        ({}, EndpointSettings(driver_opts={"scow.publish.sources": "10.0.0.0/99"}), "invalid scow.publish.sources"),
        ({}, EndpointSettings(mac_address="01:00:5e:00:00:01"), "invalid MAC address 01:00:5e:00:00:01: it is a group's"),
    ],
)
def test_what_a_new_container_asks_is_checked_before_its_networks_are_there(
    labels: dict[str, str], settings: EndpointSettings, gist: str
) -> None:
    with pytest.raises(InvalidArgument, match=gist):
        checks.asked(labels, {"later": settings})
    checks.asked({"scow.publish.sources": "10.0.0.0/8"}, {"later": EndpointSettings(mac_address="02:00:00:00:00:01")})


def test_a_good_plan_gets_its_gateway() -> None:
    assert checks.create(NetworkCreate(name="x", ipam=IPAM(config=[IPAMPool(subnet="10.1.0.0/24")]))) == [Pool("10.1.0.0/24", "10.1.0.1")]
    assert checks.create(NetworkCreate(name="x")) == []
    both = IPAM(config=[IPAMPool(subnet="fd00:1::/64"), IPAMPool(subnet="10.1.0.0/24", ip_range="10.1.0.128/25")])
    six, four = Pool("fd00:1::/64", "fd00:1::1"), Pool("10.1.0.0/24", "10.1.0.128", "10.1.0.128/25")
    assert checks.create(NetworkCreate(name="x", ipam=both)) == [four]
    assert checks.create(NetworkCreate(name="x", ipam=both, enable_ipv6=True)) == [four, six]
    assert checks.create(NetworkCreate(name="x", ipam=both, enable_ipv6=True, enable_ipv4=False)) == [six]


@pytest.mark.parametrize(
    ("request_", "kind", "gist"),
    [
        (NetworkCreate(name=""), InvalidArgument, "name is required"),
        (NetworkCreate(name="../x"), InvalidArgument, "invalid network name"),
        (NetworkCreate(name="bridge"), Forbidden, "predefined"),
        (NetworkCreate(name="default"), Forbidden, "predefined"),
        (NetworkCreate(name="x", enable_ipv4=False), InvalidArgument, "must be enabled"),
        (NetworkCreate(name="x", ipam=IPAM(driver="../etc")), NotFound, "could not find plugin"),
        (NetworkCreate(name="x", options={"scow.publish.sources": "garbage"}), InvalidArgument, "invalid scow.publish.sources"),
        (NetworkCreate(name="x", ingress=True), InvalidArgument, "Ingress"),
        (NetworkCreate(name="x", config_only=True, internal=True), InvalidArgument, "network specific"),
        (NetworkCreate(name="x", config_from=ConfigReference("y"), options={"a": "b"}), InvalidArgument, "driver options"),
    ],
)
def test_bad_requests(request_: NetworkCreate, kind: type[ScowError], gist: str) -> None:
    with pytest.raises(kind, match=gist):
        checks.create(request_)


def test_endpoints() -> None:
    own = Network("1" * 64, "own", "bridge", 0, (Pool("10.1.0.0/24", "10.1.0.1"),), own_subnet=True)
    bridge = Network("2" * 64, "bridge", "bridge", 0, (Pool("172.17.0.0/16", "172.17.0.1"),))
    plain = Network("3" * 64, "plain", "bridge", 0, (Pool("172.18.0.0/16", "172.18.0.1"),))

    def static(address: str) -> EndpointSettings:
        return EndpointSettings(ipam_config=EndpointIPAMConfig(ipv4_address=address))

    checks.endpoint(own, static("10.1.0.7"))
    for network, settings, gist in (
        (own, static("10.2.0.7"), "no configured subnet"),
        (own, static("10.1.2"), "invalid IPv4 address"),
        (bridge, static("172.17.0.9"), "user defined networks only"),
        (plain, static("172.18.0.9"), "configured subnet"),
        (bridge, EndpointSettings(aliases=["x"]), "alias is supported only"),
        (own, EndpointSettings(driver_opts={checks.IFNAME: "a/b"}), "invalid interface name"),
        (own, EndpointSettings(driver_opts={checks.SYSCTLS: "kernel.x=1"}), "invalid sysctl"),
        (own, EndpointSettings(ipam_config=EndpointIPAMConfig(ipv6_address="fd00::2")), "configured subnets"),
        (own, EndpointSettings(mac_address="92:d0:c6:0a:29"), "invalid MAC"),
    ):
        with pytest.raises(InvalidArgument, match=gist):
            checks.endpoint(network, settings)
