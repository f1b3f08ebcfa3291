"""Networks as the API shows them."""

from collections.abc import Mapping
from typing import Any

from scow import units
from scow.filters import Filters
from scow.network.cluster import GATEWAY
from scow.network.endpoint import Endpoint, SandboxState
from scow.network.network import Network, Pool

PRUNE_FILTERS = frozenset({"until", "label", "label!"})


def _pool(pool: Pool) -> dict[str, Any]:
    shown: dict[str, Any] = {"Subnet": pool.subnet}
    if pool.ip_range:
        shown["IPRange"] = pool.ip_range
    if pool.gateway:
        shown["Gateway"] = pool.gateway
    if pool.aux:
        shown["AuxiliaryAddresses"] = dict(pool.aux)
    return shown


def network(of: Network, members: Mapping[str, Endpoint], names: Mapping[str, str]) -> dict[str, Any]:
    """A network with its containers (`names`: container names by id)."""
    containers = {}
    for container_id, endpoint in members.items():
        settings = endpoint.settings
        containers[container_id] = {
            "Name": f"gateway_{container_id[:12]}" if of.name == GATEWAY else names.get(container_id, ""),
            "EndpointID": endpoint.id,
            "MacAddress": settings.mac_address,
            "IPv4Address": f"{settings.ip_address}/{settings.ip_prefix_len}" if settings.ip_address else "",
            "IPv6Address": f"{settings.global_ipv6_address}/{settings.global_ipv6_prefix_len}" if settings.global_ipv6_address else "",
        }
    return {
        "Name": of.name,
        "Id": of.id,
        "Created": units.rfc3339nano(of.created_ns),
        "Scope": of.scope,
        "Driver": of.driver,
        "EnableIPv4": of.enable_ipv4,
        "EnableIPv6": of.enable_ipv6,
        "IPAM": {
            "Driver": of.ipam_driver,
            "Options": of.ipam_options,
            "Config": [_pool(pool) for pool in of.pools] or ([] if of.driver not in ("host", "null") else None),
        },
        "Internal": of.internal,
        "Attachable": of.attachable,
        "Ingress": of.ingress,
        "ConfigFrom": {"Network": of.config_from},
        "ConfigOnly": of.config_only,
        "Containers": containers,
        "Options": dict(of.options),
        "Labels": dict(of.labels),
    }


def matches(of: Network, filters: Filters, used: bool) -> bool:
    """Whether a list filter lets the network through. Raises InvalidArgument for a bad value."""
    kind = "builtin" if of.predefined else "custom"
    return (
        filters.match("driver", of.driver)
        and filters.match("scope", of.scope)
        and filters.match("type", kind)
        and filters.match_prefix("id", of.id)
        and filters.match_regex("name", of.name)
        and filters.match_labels(of.labels)
        and ("dangling" not in filters or filters.boolean("dangling", False) == (not used and not of.predefined))
    )


def ports(sandbox: SandboxState) -> dict[str, list[dict[str, str]] | None]:
    """NetworkSettings.Ports: every exposed port, null where it is not published."""
    shown: dict[str, list[dict[str, str]] | None] = {port: None for port in (*sandbox.request.exposed, *sandbox.request.port_bindings)}
    for published in sandbox.published:
        key = f"{published.port}/{published.proto}"
        shown[key] = [*(shown.get(key) or []), {"HostIp": published.host_ip, "HostPort": str(published.host_port or "")}]
    return shown
