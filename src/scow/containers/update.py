"""POST /containers/{id}/update: limits and the restart policy of a container, also while it runs."""

import dataclasses
from typing import Any

from scow.containers.container import Container
from scow.containers.lifecycle import Status
from scow.containers.parts import Parts
from scow.errors import Conflict, InvalidArgument
from scow.kernel.cgroups.support import support
from scow.model.container import HostConfig, UpdateRequest
from scow.runtime import checks, resources
from scow.runtime.fitting import fitted

_PLAIN = tuple(field.name for field in dataclasses.fields(UpdateRequest) if field.name not in ("restart_policy", "pids_limit"))


def merged(host: HostConfig, request: UpdateRequest) -> HostConfig:
    """The host configuration after an update. Raises InvalidArgument with dockerd's texts for what can't go together."""
    changes: dict[str, Any] = {name: value for name in _PLAIN if (value := getattr(request, name))}
    if request.pids_limit is not None:
        changes["pids_limit"] = max(request.pids_limit, 0)  # as dockerd shows it: 0 is no limit
    if request.nano_cpus and (host.cpu_period or host.cpu_quota):
        raise InvalidArgument("Conflicting options: Nano CPUs cannot be updated as CPU Period/Quota has already been set")
    if (request.cpu_period or request.cpu_quota) and host.nano_cpus:
        which = "Period" if request.cpu_period else "Quota"
        raise InvalidArgument(f"Conflicting options: CPU {which} cannot be updated as NanoCPUs has already been set")
    if request.memory and not request.memory_swap and 0 < host.memory_swap < request.memory:
        raise InvalidArgument("Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time")
    if request.restart_policy.name:
        checks.check_restart_policy(request.restart_policy)
        if host.auto_remove and request.restart_policy.name != "no":
            raise InvalidArgument("Restart policy cannot be updated because AutoRemove is enabled for the container")
        changes["restart_policy"] = request.restart_policy
    return dataclasses.replace(host, **changes)


async def update(parts: Parts, container: Container, request: UpdateRequest) -> list[str]:
    """Change limits and policy; returns warnings. Either all of it happens (kernel and row) or nothing."""
    async with parts.locks(container.id):
        if container.state.status in (Status.REMOVING, Status.DEAD):
            raise Conflict(f'Cannot update container {container.id}: container is marked for removal and cannot be "update"')
        host, warnings = fitted(merged(container.host, request), support())
        warnings += checks.validate_resources(host, update=True)
        if container.state.alive and resources.build(host) != resources.build(container.host):
            await parts.tasks.update(container.id, resources.for_update(host))
        before = container.host
        container.host = host
        try:
            container.save()
        except BaseException:
            container.host = before
            raise
        container.announce("update")
    return warnings
