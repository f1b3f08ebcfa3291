"""What the world can reach: every published port, every container in the host's network, every network without protection. Pure."""

import ipaddress
from collections.abc import Iterable
from typing import Any

from scow.network.endpoint import Published, SandboxState
from scow.network.network import Network

WORLD, HOST, ADDRESS, CHAIN, SOURCES = "world", "host", "address", "user chain", "sources"


def reach(published: Published, policy: str) -> str:
    """Who reaches a published port: the world, only the host, those who reach one address of it, whom the administrator's chain or the
    port's sources let through."""
    address = ipaddress.ip_address(published.host_ip)
    if address.is_loopback or (published.direct and published.rule is None):
        return HOST
    if published.sources:
        return SOURCES
    if policy == "user":
        return CHAIN
    return WORLD if address.is_unspecified else ADDRESS


def listing(networks: Iterable[Network], sandboxes: Iterable[SandboxState], policy: str) -> list[dict[str, Any]]:
    """Rows with Container, Name, Network, Protocol, HostIp, HostPort, Port, Reach and Sources; ports 0 = any."""
    known = {network.id: network for network in networks}
    rows: list[dict[str, Any]] = []
    for sandbox in sandboxes:
        who = {"Container": sandbox.container_id, "Name": sandbox.request.name}
        shown = ",".join(endpoint.network for endpoint in sandbox.endpoints)
        rows += [
            {
                **who, "Network": shown, "Protocol": one.proto, "HostIp": one.address if one.direct else one.host_ip,
                "HostPort": one.host_port or one.port, "Port": one.port, "Reach": reach(one, policy), "Sources": list(one.sources),
            }
            for one in sandbox.published
        ]  # fmt: skip
        for endpoint in sandbox.endpoints:
            network = known.get(endpoint.network_id)
            if network is not None and (address := _open(network, sandbox)):
                rows.append(
                    {
                        **who, "Network": network.name, "Protocol": "any", "HostIp": address, "HostPort": 0, "Port": 0, "Reach": WORLD,
                        "Sources": [],
                    }
                )  # fmt: skip
    return sorted(rows, key=lambda row: (row["Name"], row["Port"], row["Protocol"], row["HostIp"]))


def _open(network: Network, sandbox: SandboxState) -> str:
    """The address under which all of a container's ports are reached on a network, "" where they aren't."""
    if network.driver == "host":
        return "0.0.0.0"
    endpoint = sandbox.endpoint(network.id)
    if endpoint is None or network.internal:
        return ""
    if network.driver in ("macvlan", "ipvlan") or network.gateway_mode(4) == "nat-unprotected":
        return endpoint.settings.ip_address
    return endpoint.settings.global_ipv6_address if network.gateway_mode(6) == "nat-unprotected" else ""
