"""What the cluster's state (`swarm.wire.ClusterState`) means for the networks of this host. Pure."""

import contextlib
import ipaddress
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from scow.errors import ScowError
from scow.kernel.wireguard import WireGuardPeer
from scow.model.network import NetworkCreate
from scow.network.encryption.keys import address_of, bytes_of
from scow.network.lb.render import Entry, Virtual
from scow.network.network import Network, Pool
from scow.network.vxlan import Far
from scow.swarm.objects import wants_encryption
from scow.swarm.wire import ClusterState, Peer, ServiceState
from scow.units import parse_rfc3339

OVERLAY = "overlay"
_NO_ADDRESS = "<nil>"  # as Go prints it
Names = dict[str, dict[str, tuple[str, ...]]]
Serves = Callable[[Peer], bool]


def network(view: Mapping[str, Any], state: ClusterState | None = None) -> Network:
    """A network of the swarm as this host makes it; `view` as `allocator.view_of`."""
    spec = view.get("Spec") or {}
    driver = spec.get("DriverConfiguration") or {}
    configs = (view.get("IPAMOptions") or {}).get("Configs") or ()
    pools = tuple(
        Pool(str(row["Subnet"]), str(row.get("Gateway") or ""), str(row.get("IPRange") or ""), dict(row.get("AuxiliaryAddresses") or {}))
        for row in configs
        if row.get("Subnet")
    )
    id, is_overlay = str(view["ID"]), str(driver.get("Name") or OVERLAY) == OVERLAY
    ingress = bool(spec.get("Ingress"))
    return Network(
        id=id,
        name=str(spec.get("Name") or id),
        driver=str(driver.get("Name") or OVERLAY),
        created_ns=_created(str(view.get("CreatedAt") or "")),
        pools=tuple(sorted(pools, key=lambda pool: pool.version)),
        own_subnet=any(pool.version == 4 for pool in pools),
        own_subnet6=any(pool.version == 6 for pool in pools),
        enable_ipv6=any(pool.version == 6 for pool in pools),
        config_from=str((spec.get("ConfigFrom") or {}).get("Network") or ""),
        internal=bool(spec.get("Internal")),
        attachable=bool(spec.get("Attachable")),
        options={**(driver.get("Options") or {}), **((view.get("DriverState") or {}).get("Options") or {})},
        labels=dict(spec.get("Labels") or {}),
        scope="swarm",
        ingress=ingress,
        # the host itself is on the ingress network only: published ports come from there
        own_end=state.own_addresses.get(id, "") if state is not None and ingress else "",
        data_path=_data_path(state, _encrypted(view)) if is_overlay else "",
    )


def spec(request: NetworkCreate, pools: Sequence[Pool]) -> dict[str, Any]:
    """What the cluster is asked for when a user makes a network on this host: a swarm network's `Network.spec`."""
    config = [
        {
            key: value
            for key, value in (
                ("Subnet", pool.subnet),
                ("IPRange", pool.ip_range),
                ("Gateway", pool.gateway),
                ("AuxiliaryAddresses", dict(pool.aux)),
            )
            if value
        }
        for pool in pools
    ]
    found: dict[str, Any] = {
        "Name": request.name,
        "Driver": request.driver or OVERLAY,
        "Options": dict(request.options),
        "Labels": dict(request.labels),
        "Attachable": request.attachable,
        "Internal": request.internal,
        "Ingress": request.ingress,
        "EnableIPv6": bool(request.enable_ipv6),
        "IPAM": {"Driver": (request.ipam.driver if request.ipam else "") or "default", "Config": config},
        "Scope": "swarm",
    }
    if request.config_from and request.config_from.network:
        found["ConfigFrom"] = {"Network": request.config_from.network}
    return found


def _encrypted(view: Mapping[str, Any]) -> bool:
    driver = (view.get("Spec") or {}).get("DriverConfiguration") or {}
    return wants_encryption(driver.get("Options") or {})


def _created(text: str) -> int:
    try:
        return max(0, parse_rfc3339(text)) if text else 0
    except (ScowError, ValueError):
        return 0


def _data_path(state: ClusterState | None, encrypted: bool) -> str:
    if encrypted:  # its packets are within the tunnel: a port apart from that of the others, from the host's address there
        return f"{(state.data_path_port if state is not None else 4789) + 1} ::"
    if state is None:
        return "4789"
    own = state.nodes.get(state.node_id, "")
    try:
        alone = not own or ipaddress.ip_address(own).is_loopback or ipaddress.ip_address(own).is_unspecified
    except ValueError:
        alone = True
    return str(state.data_path_port) if alone else f"{state.data_path_port} {own}"


def far(state: ClusterState) -> dict[str, list[Far]]:
    """By network: the endpoints on other hosts, each with all of its addresses, IPv4 first."""
    ends: dict[tuple[str, str, str], list[str]] = {}
    for peer in state.peers:
        if peer.node != state.node_id and state.nodes.get(peer.node):
            ends.setdefault((peer.network, peer.node, peer.endpoint), []).append(peer.address)
    found: dict[str, list[Far]] = {}
    inner = {node: address_of(peers[0].public) for node, peers in _tunnels(state).items()}
    encrypted = {id for id, view in state.networks.items() if _encrypted(view)}
    for (id, node, _), addresses in ends.items():
        # a host whose key is not known (yet) is not reached at all
        if host := inner.get(node, "") if id in encrypted else state.nodes[node]:
            found.setdefault(id, []).append(Far(tuple(sorted(set(addresses), key=lambda one: (":" in one, one))), host))
    return found


def tunnel_peers(state: ClusterState) -> list[WireGuardPeer]:
    """The other ends of this host's tunnel, one for each key of another host."""
    return [peer for peers in _tunnels(state).values() for peer in peers]


def _tunnels(state: ClusterState) -> dict[str, list[WireGuardPeer]]:
    """The keys of other hosts by node, the one in use first; what is no key is left out."""
    found: dict[str, list[WireGuardPeer]] = {}
    for node, rows in state.tunnels.items():
        if node == state.node_id or not state.nodes.get(node):
            continue
        for row in rows:
            with contextlib.suppress(KeyError, TypeError, ValueError):
                public = bytes_of(str(row["key"]))
                found.setdefault(node, []).append(WireGuardPeer(public, state.nodes[node], int(row["port"]), address_of(public)))
    return found


def names(state: ClusterState, serves: Serves) -> tuple[Names, dict[str, dict[str, str]]]:
    """(network → name → addresses, network → address → name), for `ClusterNames.replace`. The ingress network has no names."""
    named: Names = {}
    bearers: dict[str, dict[str, str]] = {}
    ingress = {id for id, view in state.networks.items() if (view.get("Spec") or {}).get("Ingress")}
    tasks: dict[tuple[str, str], list[str]] = {}
    for peer in state.peers:
        if peer.network in ingress or not peer.names:
            continue
        table = named.setdefault(peer.network, {})
        # further names of a service's tasks are the service's
        for name in peer.names[:1] if peer.service else peer.names:
            table[name.lower()] = (*table.get(name.lower(), ()), peer.address)
        bearers.setdefault(peer.network, {})[peer.address] = peer.names[0]
        if peer.service and serves(peer):
            tasks.setdefault((peer.network, peer.service), []).append(peer.address)
    for service in state.services:
        for id in {*service.addresses, *service.aliases, *(network for network, owner in tasks if owner == service.id)} - ingress:
            table = named.setdefault(id, {})
            running = tuple(tasks.get((id, service.id), ()))
            virtual = service.addresses.get(id) if service.mode == "vip" else None
            if virtual:
                bearers.setdefault(id, {})[virtual] = service.name
            for name in (service.name, *service.aliases.get(id, ())):
                answer = (virtual,) if virtual else running
                # several services may have the same further name
                for key, addresses in ((name.lower(), answer), (f"tasks.{name}".lower(), running)):
                    table[key] = tuple(dict.fromkeys((*table.get(key, ()), *addresses)))
    return named, bearers


def virtuals(state: ClusterState, serves: Serves) -> dict[str, list[Virtual]]:
    """By network: virtual addresses with the tasks that serve behind them."""
    tasks = _serving(state, serves)
    found: dict[str, list[Virtual]] = {}
    for service in state.services:
        for id, address in service.addresses.items():
            if not ((state.networks.get(id) or {}).get("Spec") or {}).get("Ingress"):
                found.setdefault(id, []).append(Virtual(address, tuple(tasks.get((id, service.id), ()))))
    return found


def entries(state: ClusterState, serves: Serves) -> list[Entry]:
    """What every host publishes."""
    ingress = next((id for id, view in state.networks.items() if (view.get("Spec") or {}).get("Ingress")), "")
    tasks = _serving(state, serves)
    return [
        Entry(str(row.get("Protocol") or "tcp"), int(row["PublishedPort"]), int(row["TargetPort"]), tuple(tasks.get((ingress, one.id), ())))
        for one in state.services
        for row in one.ports
        if row.get("PublishedPort") and row.get("TargetPort")
    ]


def _serving(state: ClusterState, serves: Serves) -> dict[tuple[str, str], list[str]]:
    """(network, service) → IPv4 addresses of the tasks that serve, always in the same order."""
    found: dict[tuple[str, str], list[str]] = {}
    for peer in state.peers:
        if peer.service and serves(peer) and ":" not in peer.address:
            found.setdefault((peer.network, peer.service), []).append(peer.address)
    return {key: sorted(addresses, key=ipaddress.IPv4Address) for key, addresses in found.items()}


def senders(state: ClusterState, service: ServiceState) -> set[str]:
    """The nodes that send load to a service's tasks: every one to its ports, those with something on its networks to its addresses."""
    return set(state.nodes) if service.ports else {peer.node for peer in state.peers if peer.network in service.addresses}


def hosts(state: ClusterState, network_id: str, here: bool) -> list[dict[str, str]]:
    """The nodes that take part in a network, as inspect shows them."""
    nodes = {peer.node for peer in state.peers if peer.network == network_id} | ({state.node_id} if here else set())
    return [{"Name": node[:12], "IP": state.nodes[node]} for node in sorted(nodes) if state.nodes.get(node)]


def services(state: ClusterState, network_id: str) -> dict[str, Any]:
    """The services of a network with their tasks, as a verbose inspect shows them."""
    found: dict[str, Any] = {}
    ingress = bool(((state.networks.get(network_id) or {}).get("Spec") or {}).get("Ingress"))
    for service in state.services:
        tasks = [peer for peer in state.peers if peer.network == network_id and peer.service == service.id]
        if not tasks and network_id not in service.addresses:
            continue
        found[service.name] = {
            "VIP": service.addresses.get(network_id) or _NO_ADDRESS,
            "Ports": [f"Target: {row.get('TargetPort')}, Publish: {row.get('PublishedPort') or 0}" for row in service.ports if ingress],
            "LocalLBIndex": 0,
            "Tasks": [_member(state, peer) for peer in tasks],
        }
    plain = [peer for peer in state.peers if peer.network == network_id and not peer.service and not peer.endpoint.startswith("node:")]
    if plain:  # docker shows containers of no service as those of one without a name
        found[""] = {"VIP": _NO_ADDRESS, "Ports": [], "LocalLBIndex": 0, "Tasks": [_member(state, peer) for peer in plain]}
    return found


def _member(state: ClusterState, peer: Peer) -> dict[str, Any]:
    return {
        "Name": peer.names[0] if peer.names else peer.endpoint,
        "EndpointID": peer.endpoint,
        "EndpointIP": peer.address,
        "Info": {"Host IP": state.nodes.get(peer.node, "")},
    }


def leased(state: ClusterState) -> Iterable[Peer]:
    """Addresses that plain containers of this node have."""
    return (peer for peer in state.peers if peer.node == state.node_id and not peer.service and not peer.endpoint.startswith("node:"))
