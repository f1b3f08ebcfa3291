"""Builds the swarm's services and the engine's side of them, for `wiring.py`: at boot where this node is part of a swarm, else when one is
asked for (`swarm/front.py`)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scow.aio import in_pool
from scow.daemon.options import Options
from scow.errors import InvalidArgument, ScowError

if TYPE_CHECKING:
    from pathlib import Path

    from scow.containers.parts import Parts
    from scow.containers.service import ContainerService
    from scow.engine_executor.executor import EngineExecutor
    from scow.engine_executor.executor import Facts as NodeFacts
    from scow.engine_executor.networks import SwarmNetworks
    from scow.metadata import Database
    from scow.network.service import NetworkService
    from scow.swarm.service import SwarmService


@dataclass(frozen=True, slots=True)
class Cluster:
    """The swarm's services (`swarm.front.Made`)."""

    swarm: "SwarmService"
    executor: "EngineExecutor"
    networks: "SwarmNetworks"

    async def recover(self) -> None:
        """See Made."""
        await self.executor.recover()
        await self.swarm.start()

    async def close(self) -> None:
        """See Made."""
        await self.swarm.close()
        await self.networks.stop()

    async def take_down(self) -> None:
        """See Made."""
        await self.networks.take_down()


def is_needed(db: "Database", run: "Path") -> bool:
    """Whether this node is part of a swarm, or one has left something on it. `run`: the engine's run directory."""
    return bool(db.table("swarm_node").all() or db.table("swarm_networks").all()) or (run / "swarm").exists()


async def make(options: Options, parts: "Parts", containers: "ContainerService") -> Cluster:
    """Build them; reading their modules goes to the pool."""
    await in_pool(_import)
    from scow.engine_executor.executor import EngineExecutor
    from scow.engine_executor.networks import SwarmNetworks
    from scow.network.encryption.tunnel import Tunnel
    from scow.swarm.desk import Desk
    from scow.swarm.service import SwarmService

    paths, db, network = options.paths, parts.db, parts.network
    networks = SwarmNetworks(network, db, Tunnel(paths.run / "encryption", options.swarm_encryption_port))
    executor = EngineExecutor(parts, containers, networks, node_facts(options), paths.run)
    publish = parts.bus.publish_cluster
    swarm = SwarmService(db, executor, publish, lambda ref: predefined_network(network, ref), data=paths.data, run=paths.run)
    networks.desk = Desk(swarm)
    return Cluster(swarm, executor, networks)


def _import() -> None:
    from scow.engine_executor import executor, networks  # noqa: F401
    from scow.network.encryption import tunnel  # noqa: F401
    from scow.swarm import desk, service  # noqa: F401


def node_facts(options: Options) -> "NodeFacts":
    """What this node says of itself in a swarm."""
    from scow.engine_executor.executor import Facts as NodeFacts
    from scow.system.names import ENGINE_VERSION
    from scow.system.version import architecture

    labels = dict(text.partition("=")[::2] for text in options.labels)
    return NodeFacts(labels, tuple(generic_resources(options.node_generic_resources)), ENGINE_VERSION, _machine(architecture()))


def predefined_network(network: "NetworkService", ref: str) -> str:
    """The name of the host's own networks, by id or name; "" for others."""
    try:
        found = network.get(ref)
    except ScowError:
        return ""
    return found.name if found.name in ("host", "bridge", "none") else ""


def _machine(architecture: str) -> str:
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(architecture, architecture)


def generic_resources(texts: Sequence[str]) -> list[dict[str, Any]]:
    """`node-generic-resources`: `gpu=UUID` names one, `apple=3` counts them. Raises InvalidArgument."""
    found: list[dict[str, Any]] = []
    for text in texts:
        kind, has, value = text.partition("=")
        if not has or not kind or not value:
            raise InvalidArgument(f"invalid node-generic-resources {text!r}: it is KIND=VALUE")
        if value.isascii() and value.isdigit():
            found.append({"DiscreteResourceSpec": {"Kind": kind, "Value": int(value)}})
        else:
            found.append({"NamedResourceSpec": {"Kind": kind, "Value": value}})
    return found
