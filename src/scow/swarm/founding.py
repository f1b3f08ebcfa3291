"""A new swarm made of this node: what `swarm init` asks for, checked, and the first objects of the cluster's store.

Called by `service.py`. Stored: the table of `store/local.py`; what the node keeps of its membership is given back.
"""

import base64
import ipaddress
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scow.errors import InvalidArgument
from scow.metadata import Database
from scow.swarm import addressing, ca, specs
from scow.swarm.clock import Clock
from scow.swarm.identity import new_id
from scow.swarm.objects import Cluster, Network, Node
from scow.swarm.state import NodeState
from scow.swarm.store.local import LocalStore, forget
from scow.swarm.store.sealed import Sealer
from scow.swarm.store.store import Tx

_AVAILABILITIES = ("active", "pause", "drain")
_POOLS = ("10.0.0.0/8",)
_SUBNET_SIZE = 24
_SMALLEST_SUBNET = 29
_DATA_PATH_PORT = 4789
_PORTS = range(1024, 49152)
_DATA_KEY_BYTES = 32
_INGRESS = {"Name": "ingress", "Driver": "overlay", "Ingress": True, "Options": {}, "Labels": {}, "IPAM": {"Driver": "default"}}


@dataclass(frozen=True, slots=True)
class Wish:
    """A request that can be met. `settings`: the swarm's Spec, complete."""

    addresses: addressing.OwnAddresses
    availability: str
    settings: Mapping[str, Any]
    data_path_port: int
    pools: tuple[str, ...]
    subnet_size: int


def wish(request: Mapping[str, Any]) -> Wish:
    """What a request of `/swarm/init` asks for. Raises InvalidArgument."""
    addresses = addressing.of_request(request)
    availability = str(request.get("Availability") or "active")
    if availability not in _AVAILABILITIES:
        raise InvalidArgument(f'invalid Availability: "{availability}"')
    settings = specs.cluster(request.get("Spec"))
    port = int(request.get("DataPathPort") or _DATA_PATH_PORT)
    if port not in _PORTS:
        raise InvalidArgument(f"Datapath port number is not in valid range ({_PORTS[0]}-{_PORTS[-1]}) : {port}")
    pools = tuple(str(one) for one in request.get("DefaultAddrPool") or ()) or _POOLS
    size = int(request.get("SubnetSize") or _SUBNET_SIZE)
    _check_pools(pools, size)
    return Wish(addresses, availability, settings, port, pools, size)


async def found(wanted: Wish, db: Database, clock: Clock) -> tuple[NodeState, str]:
    """Make the cluster with this node as its manager: (what the node keeps of it, the unlock key, "" without autolock).

    Rows of an earlier swarm are removed. The caller keeps the state, and removes the rows where the node then cannot take up work."""
    root = ca.new_root()
    node_id, cluster_id = new_id(), new_id()
    request = ca.new_request(node_id)
    expiry = int(wanted.settings["CAConfig"]["NodeCertExpiry"])
    certificate = ca.sign(root, request.certificate, node_id, "manager", cluster_id, expiry)
    unlock_key = ca.new_unlock_key() if wanted.settings["EncryptionConfig"].get("AutoLockManagers") else ""
    cluster = Cluster(
        id=cluster_id,
        spec=wanted.settings,
        root_certificate=root.certificate,
        root_key=root.key,
        tokens={"worker": ca.new_token_secret(), "manager": ca.new_token_secret()},
        unlock_key=unlock_key,
        default_addr_pool=wanted.pools,
        subnet_size=wanted.subnet_size,
        data_path_port=wanted.data_path_port,
        leader=node_id,
    )
    node = Node(
        id=node_id,
        spec={"Labels": {}, "Role": "manager", "Availability": wanted.availability},
        address=wanted.addresses.data_path,
        manager={"Leader": True, "Reachability": "reachable", "Addr": wanted.addresses.advertise},
        certificate=certificate,
    )

    def write(tx: Tx) -> None:
        tx.create(cluster)
        tx.create(node)
        tx.create(Network(id=new_id(), spec=_INGRESS, ingress=True))

    data_key = secrets.token_bytes(_DATA_KEY_BYTES)
    forget(db)
    await LocalStore(db, Sealer(data_key), clock.now_ns).update(write)
    state = NodeState(
        node_id=node_id,
        cluster_id=cluster_id,
        role="manager",
        listen=wanted.addresses.listen,
        advertise=wanted.addresses.advertise,
        data_path=wanted.addresses.data_path,
        root=root.certificate,
        issuer=root.certificate,
        certificate=certificate,
        key=request.key,
        data_key=base64.b64encode(data_key).decode(),
    )
    return state, unlock_key


def _check_pools(pools: tuple[str, ...], size: int) -> None:
    """Whether subnets of `size` (the length of their prefix) can be cut out of pools that do not overlap. Raises InvalidArgument."""
    nets: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
    for text in pools:
        try:
            net = ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise InvalidArgument(f"invalid base pool {text}: invalid CIDR address: {text}") from None
        if net.version == 4 and size > _SMALLEST_SUBNET:
            raise InvalidArgument(f"subnet size {size} leaves too few addresses: at most {_SMALLEST_SUBNET}")
        if size < net.prefixlen:
            raise InvalidArgument(f'invalid CIDR: "{text}". Subnet size is too small for pool: {size}')
        if any(net.version == other.version and net.overlaps(other) for other in nets):
            raise InvalidArgument(f"default address pool {text} overlaps with another one")
        nets.append(net)
