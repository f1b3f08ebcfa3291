"""Connecting containers to networks and taking them off, running or not. The row follows what the network service has done."""

import dataclasses

from scow.containers.container import Container
from scow.containers.lifecycle import Status
from scow.containers.parts import Parts
from scow.errors import Conflict, Forbidden, InvalidArgument, NotFound
from scow.model.network import EndpointSettings


async def connect(parts: Parts, container: Container, ref: str, settings: EndpointSettings | None) -> None:
    """Add a network to a container. Raises NotFound, Forbidden, InvalidArgument, Conflict with dockerd's texts."""
    network = parts.network.get(ref)
    async with parts.locks(container.id):
        if container.state.status in (Status.REMOVING, Status.DEAD):
            raise Conflict(f"Container {container.id} is marked for removal and cannot be connected or disconnected to the network")
        mode = container.host.network_mode
        if mode.startswith("container:"):
            raise InvalidArgument(
                "container sharing network namespace with another container or host cannot be connected to any other network"
            )
        if mode == "host" or network.name == "host":
            raise InvalidArgument("cannot connect container to host network - container must be created in host network mode")
        if network.name in container.networks or network.id in container.networks:
            raise Forbidden(f"endpoint with name {container.name} already exists in network {network.name}")
        if mode == "none" and "none" in container.networks and network.name != "none":
            raise InvalidArgument("container cannot be connected to multiple networks with one of the networks in private (none) mode")
        asked = settings or EndpointSettings()
        if container.state.alive:
            asked = await parts.network.connect(container.id, network.id, asked)
        else:
            parts.network.check_endpoint(network.id, asked)
        container.networks = {**container.networks, network.name: dataclasses.replace(asked, network_id=network.id)}
        container.save()


async def disconnect(parts: Parts, container: Container, ref: str, force: bool) -> None:
    """Take a container off a network. Raises NotFound when it isn't on it."""
    try:
        network = parts.network.get(ref)
        name, network_id = network.name, network.id
    except NotFound:
        if not force or ref not in container.networks:
            raise
        name, network_id = ref, container.networks[ref].network_id
    async with parts.locks(container.id):
        if name == "host":
            raise InvalidArgument("container cannot be disconnected from host network - container was created in host network mode")
        if name not in container.networks:
            raise Forbidden(f"container {container.id} is not connected to the network {name}")
        if container.state.alive:
            await parts.network.disconnect(container.id, network_id, force)
        container.networks = {key: value for key, value in container.networks.items() if key != name}
        container.save()
