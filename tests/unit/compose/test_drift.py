"""What of networks and volumes that are there is not as the files want it."""

import pytest

from scow.compose import drift
from scow.compose.model.project import Ipam, IpamPool, Network, Project, Volume
from scow.compose.model.service import Service
from scow.compose.observe import ContainerInfo, Observed
from scow.compose.reconcile import Options, reconcile

FOUND = {
    "Id": "n1",
    "Driver": "bridge",
    "Options": {"a": "b", "of-the-daemon": "1"},
    "Internal": False,
    "Attachable": False,
    "EnableIPv6": True,
    "IPAM": {"Config": [{"Subnet": "10.1.0.0/16", "Gateway": "10.1.0.1"}]},
}


@pytest.mark.parametrize(
    ("network", "differs"),
    [
        (Network(), ""),
        (Network(driver="bridge", driver_opts={"a": "b"}, ipam=Ipam(config=(IpamPool(subnet="10.1.0.0/16"),))), ""),
        (Network(driver="macvlan", driver_opts={"a": "c"}), "driver, driver_opts"),
        (Network(internal=True, attachable=True, enable_ipv6=False), "internal, attachable, enable_ipv6"),
        (Network(ipam=Ipam(config=(IpamPool(subnet="10.1.0.0/16", gateway="10.1.0.2"),))), "ipam"),
    ],
)
def test_networks(network: Network, differs: str) -> None:
    assert drift.network(Project(name="p", networks={"default": network}), "default", FOUND) == differs


def test_who_left_its_network_is_made_anew() -> None:
    web = Service(name="web", image="busybox", networks={"default": None})
    project = Project(name="p", services={"web": web}, networks={"default": Network(name="p_default")})
    for networks, left in (
        ({"p_default": {"NetworkID": "n1"}, "more": {}}, ""),
        ({"p_default": {"NetworkID": ""}}, ""),
        ({"p_default": {"NetworkID": "n0"}}, "p_default"),
        ({}, "p_default"),
    ):
        one = ContainerInfo(id="x", name="p-web-1", service="web", summary={"NetworkSettings": {"Networks": networks}}, state="running")
        observed = Observed(containers=(one,), networks={"p_default": FOUND})
        assert drift.left(project, web, observed, one) == left
        assert ("it is not in the network" in reconcile(project, observed, Options()).text()) == bool(left)


def test_volumes_keep_their_data() -> None:
    project = Project(name="p", volumes={"a": Volume(name="p_a", driver_opts={"o": "1"}), "b": Volume(name="p_b", driver="local")})
    same = {"p_a": {"Driver": "local", "Options": {"o": "1"}}, "p_b": {"Driver": "local", "Options": None}}
    assert not drift.volumes(project, Observed(volumes=same))
    other = {"p_a": {"Driver": "local", "Options": None}, "p_b": {"Driver": "nfs"}}
    said = drift.volumes(project, Observed(volumes=other))
    assert ["(driver_opts)" in said[0], "(driver)" in said[1]] == [True, True]
