"""POST /scow/containers/{id}/takeover: a container takes the published ports and names of another that it replaces. Both rows change, so
that a restart of either keeps what is."""

import dataclasses
from collections.abc import Mapping, Sequence

from scow.containers.container import Container
from scow.containers.parts import Parts
from scow.errors import Conflict, InvalidArgument
from scow.model.network import EndpointSettings


async def take_over(parts: Parts, container: Container, other: Container, names: Mapping[str, Sequence[str]]) -> None:
    """`names`: network -> the names that move. Ports move that `container` exposes. Open connections stay where they are. Raises Conflict
    where one of them doesn't run, InvalidArgument where they are one; then nothing has changed."""
    if container.id == other.id:
        raise InvalidArgument("a container can't take its own place")
    first, second = sorted((container.id, other.id))
    async with parts.locks(first), parts.locks(second):
        for one in (container, other):
            if not one.state.alive:
                raise Conflict(f"container {one.name} is not running: only a running container can take the place of another")
        wanted = {*container.config.exposed_ports, *container.host.port_bindings}
        ports = {port.lower() if "/" in port else f"{port}/tcp" for port in wanted}
        taken = await parts.network.take_over(container.id, other.id, ports, names)
        moved = {port: bindings for port, bindings in other.host.port_bindings.items() if (port if "/" in port else f"{port}/tcp") in taken}
        left = {port: bindings for port, bindings in other.host.port_bindings.items() if port not in moved}
        container.host = dataclasses.replace(container.host, port_bindings={**container.host.port_bindings, **moved})
        container.networks = {name: _with(one, names.get(name, ())) for name, one in container.networks.items()}
        other.host = dataclasses.replace(other.host, port_bindings=left)
        other.networks = {name: _without(one, names.get(name, ())) for name, one in other.networks.items()}
        container.save()
        other.save()


def _with(settings: EndpointSettings, names: Sequence[str]) -> EndpointSettings:
    return dataclasses.replace(settings, aliases=list(dict.fromkeys([*settings.aliases, *names])))


def _without(settings: EndpointSettings, names: Sequence[str]) -> EndpointSettings:
    return dataclasses.replace(settings, aliases=[one for one in settings.aliases if one not in names])
