"""Addresses of plain containers on attachable overlay networks: leases, kept in the network object itself.

A lease's holder is `container:<node>:<container>:<name>,<name>…`. They are taken from the top of the subnet, tasks' addresses from its
bottom, so that the two seldom meet; where they do, the transaction sees it.
"""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any

from scow.errors import Conflict, Forbidden, InvalidArgument, NotFound
from scow.swarm.manager.addresses import IPNetwork
from scow.swarm.manager.allocator import is_overlay, view_of
from scow.swarm.objects import Network, Service, Task
from scow.swarm.store.store import Store, Tx
from scow.swarm.wording import rpc

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}\Z")
_MOST_NAMES = 64
_CONTAINER = re.compile(r"[0-9a-f]{64}\Z")


def holder_of(node_id: str, container: str, names: Sequence[str] = ()) -> str:
    """The text of a lease's holder; without names, what it begins with."""
    return f"container:{node_id}:{container}:" + ",".join(dict.fromkeys(name for name in names if _NAME.match(name)))


class Leases:
    """Gives and takes back, in one transaction each."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def lease(self, node_id: str, ref: str, container: str, names: Sequence[str], asked: Sequence[str]) -> dict[str, Any]:
        """Addresses for a container: {"network": as `allocator.view_of`, "addresses": with length}; what it has already stays.

        `asked`: addresses it is to have. Raises NotFound, Forbidden (not attachable), Conflict (in use, none left), InvalidArgument."""
        if not _CONTAINER.match(container):
            raise InvalidArgument("a container's id is needed")

        def write(tx: Tx) -> dict[str, Any]:
            network = tx.find(Network, ref)
            if not network.spec.get("Attachable"):
                raise Forbidden(f"Could not attach to network {ref}: {rpc('PermissionDenied', f'network {ref} not manually attachable')}")
            if not is_overlay(network):
                return {"network": view_of(network), "addresses": []}
            if not network.ipam.get("Config"):
                raise Conflict(f"network {ref} has no addresses yet: try again")
            start = holder_of(node_id, container)
            mine = [address for address, holder in network.leases.items() if holder.startswith(start)]
            if not mine or (set(asked) - set(mine)):
                mine = list(self._chosen(tx, network, asked))
            leases = {address: holder for address, holder in network.leases.items() if not holder.startswith(start)}
            holder = holder_of(node_id, container, names[:_MOST_NAMES])
            leases |= dict.fromkeys(mine, holder)
            if leases != dict(network.leases):
                network = network.changed(leases=leases)
                tx.update(network)
            return {"network": view_of(network), "addresses": [_with_length(network, address) for address in mine]}

        return await self._store.update(write)

    def _chosen(self, tx: Tx, network: Network, asked: Sequence[str]) -> Sequence[str]:
        taken = in_use(tx, network)
        spans = [(ipaddress.ip_network(str(row["Subnet"])), row) for row in network.ipam.get("Config") or () if row.get("Subnet")]
        wanted = {}
        for text in asked:
            address = _address(text)
            if not any(address in subnet for subnet, _ in spans):
                raise InvalidArgument(f"no configured subnet or ip-range contain the IP address {text}")
            if str(address) in taken:
                raise Conflict("Address already in use")
            wanted[address.version] = str(address)
        for version in sorted({subnet.version for subnet, _ in spans}):
            if version not in wanted:
                wanted[version] = self._highest([pair for pair in spans if pair[0].version == version], taken)
        return [wanted[version] for version in sorted(wanted)]

    @staticmethod
    def _highest(spans: Sequence[tuple[IPNetwork, Mapping[str, Any]]], taken: set[str]) -> str:
        for subnet, row in spans:
            span = ipaddress.ip_network(str(row["IPRange"])) if row.get("IPRange") else subnet
            top = int(span.broadcast_address) - (1 if span == subnet and span.version == 4 else 0)
            least = int(span.network_address) + (1 if span == subnet else 0)
            for number in range(top, max(least, top - len(taken) - 1) - 1, -1):
                if (text := str(type(subnet.network_address)(number))) not in taken:
                    return text
        raise Conflict("no available addresses on this network's address pools")

    async def release(self, node_id: str, container: str, network_ids: Sequence[str]) -> None:
        """Take a container's addresses back; none is fine."""
        start = holder_of(node_id, container)

        def write(tx: Tx) -> None:
            for id in network_ids:
                network = tx.get(Network, id)
                if network is None:
                    continue
                leases = {address: holder for address, holder in network.leases.items() if not holder.startswith(start)}
                if len(leases) != len(network.leases):
                    tx.update(network.changed(leases=leases))

        await self._store.update(write)


def in_use(tx: Tx, network: Network) -> set[str]:
    """Every address of a network that somebody has."""
    taken = {*network.leases}
    for row in network.ipam.get("Config") or ():
        taken |= {str(one) for one in (row.get("Gateway"), *(row.get("AuxiliaryAddresses") or {}).values()) if one}
    for task in tx.all(Task):
        if not task.over:
            for attachment in task.networks:
                if attachment["Network"]["ID"] == network.id:
                    taken |= {str(address).partition("/")[0] for address in attachment.get("Addresses") or ()}
    for service in tx.all(Service):
        taken |= {
            str(row["Addr"]).partition("/")[0]
            for row in service.endpoint.get("VirtualIPs") or ()
            if row.get("NetworkID") == network.id and row.get("Addr")
        }
    return taken


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise InvalidArgument(f"invalid IP address: {text}") from None


def _with_length(network: Network, address: str) -> str:
    for row in network.ipam.get("Config") or ():
        if row.get("Subnet") and _address(address) in (subnet := ipaddress.ip_network(str(row["Subnet"]))):
            return f"{address}/{subnet.prefixlen}"
    raise NotFound(f"address {address} is in no subnet of the network")
