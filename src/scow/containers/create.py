"""POST /containers/create: from a request to a stored container with its root file system and volumes, or to nothing at all.

Order: check everything, then record, then make; a failure undoes what was made. The row carries `hold` until the end, so that a crash half-way
is seen at boot (`recover.py`).
"""

import platform as host_platform
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scow import ids, log, logdrivers
from scow.aio import Unwind, in_pool
from scow.containers import merge, names
from scow.containers.container import Container
from scow.containers.lifecycle import Transition
from scow.containers.parts import Parts
from scow.errors import InvalidArgument, NotFound
from scow.kernel import cgroups
from scow.model import codec
from scow.model.container import ContainerConfig, CreateRequest, HostConfig
from scow.runtime import checks
from scow.volumes import mounts as volume_mounts

if TYPE_CHECKING:
    from scow.containers.start import Starter
    from scow.images.service import Image

logger = log.get(__name__)

HOLD = "creating"


@dataclass(frozen=True, slots=True)
class Creator:
    """Makes containers."""

    parts: Parts
    starter: "Starter"

    async def create(self, request: CreateRequest, name: str = "", platform: str = "") -> tuple[str, list[str]]:
        """Make a container; returns its id and warnings for the user.

        Raises InvalidArgument, Conflict (name), NotFound (`No such image: x:tag`, a volume's or container's reference).
        """
        parts = self.parts
        wanted = names.check(name) if name else ""
        if not request.image:
            raise InvalidArgument("Config cannot be empty in order to create a container" if request == CreateRequest() else "no image specified")
        image = parts.images.get(request.image)
        own = merge.own_config(request)
        config = merge.with_image(own, image_config(image))
        asked = request.host_config or HostConfig()
        container_id = ids.new_id()
        host = merge.host_defaults(asked, parts.defaults, cgroups.detect().unified)
        warnings = list(checks.validate(host, config, None))
        warnings += platform_warnings(image, platform, parts.defaults.arch)
        self._check_runtime(host)
        config = merge.hostname(config, host, container_id, host_platform.node())
        endpoints = merge.endpoints(host, config, request.networking_config.endpoints_config if request.networking_config else {})
        host, links = self._resolve(host)

        directory, bundle = parts.store.paths(container_id)
        path, args = merge.command(config)
        container = Container(
            id=container_id,
            name="",
            created_ns=time.time_ns(),
            image_id=image.id,
            image_ref=request.image,
            config=config,
            host=host,
            path=path,
            args=args,
            dir=directory,
            bundle=bundle,
            ledger=parts.store,
            networks=endpoints,
            platform="linux",
            hold=HOLD,
        )
        container.log = logdrivers.plan(host.log_config, container, directory)
        container.name = wanted or names.generate(parts.store.taken, ids.short(container_id))
        undo = Unwind()
        try:
            parts.store.reserve(container.name, container_id)
            undo.push(parts.store.release, container.name, container_id)
            await self._make(container, own, image, links, undo)
        except BaseException:
            await undo.undo()
            raise
        undo.keep()
        return container_id, warnings

    def _check_runtime(self, host: HostConfig) -> None:
        if host.runtime not in self.parts.defaults.runtimes:
            raise InvalidArgument(f"unknown or invalid runtime name: {host.runtime}")

    def _resolve(self, host: HostConfig) -> tuple[HostConfig, dict[str, str]]:
        """Other containers named in the configuration become ids (as in Docker: a later rename changes nothing); links as alias → id."""
        changes: dict[str, Any] = {}
        for attribute in ("network_mode", "ipc_mode", "pid_mode"):
            mode: str = getattr(host, attribute)
            if mode.startswith("container:"):
                changes[attribute] = "container:" + self.parts.store.get(mode.removeprefix("container:")).id
        links: dict[str, str] = {}
        for link in host.links:
            target, _, alias = link.partition(":")
            other = self.parts.store.find(target) if target else None
            if other is None:
                raise NotFound(f"could not get container for {target}: No such container: {target}")
            if other.host.network_mode == "host":
                raise InvalidArgument("conflicting options: host type networking can't be used with links. This would result in undefined behavior")
            links[(alias or target).removeprefix("/")] = other.id
        return (replace(host, **changes) if changes else host), links

    async def _make(self, container: Container, own: ContainerConfig, image: "Image", links: dict[str, str], undo: Unwind) -> None:
        parts = self.parts
        with parts.db.update():
            container.save()
            parts.refs.add("image", image.id, container.id)
        parts.store.put(container)
        undo.push(parts.store.erase, container)
        undo.push(parts.refs.drop_user, container.id)
        for alias, target in links.items():
            parts.store.link(container, alias, target)
        await in_pool(_make_directory, container.dir)
        undo.push(in_pool, _remove_tree, container.dir)
        await parts.images.prepare_rootfs(container.id, image.id)
        undo.push(parts.images.remove_rootfs, container.id)
        undo.push(self._drop_volumes, container)
        container.mounts = tuple(await self._mounts(container, own, image))
        await self._copy_up(container)
        container.hold = ""
        container.commit(Transition.CREATED)
