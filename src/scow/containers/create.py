"""POST /containers/create: from a request to a stored container with its root file system and volumes, or to nothing at all.

Order: check everything, then record, then make; a failure undoes what was made. The row carries `hold` until the end, so that a
crash half-way is seen at boot (`recover.py`).
"""

import platform as host_platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scow import ids, log
from scow.aio import Unwind, in_pool
from scow.containers import merge, names
from scow.containers.container import Container
from scow.containers.delete import remove_tree
from scow.containers.lifecycle import Transition
from scow.containers.parts import Parts
from scow.errors import InvalidArgument, NotFound
from scow.kernel.cgroups.support import support
from scow.model import codec
from scow.model.container import ContainerConfig, CreateRequest, HostConfig
from scow.model.network import EndpointSettings
from scow.network import checks as network_checks
from scow.runtime import checks
from scow.runtime.fitting import fitted
from scow.volumes import mounts

if TYPE_CHECKING:
    from scow.containers.start import Starter
    from scow.images.service import Image
    from scow.volumes.service import Volume, VolumeService

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
            raise InvalidArgument(
                "Config cannot be empty in order to create a container" if request == CreateRequest() else "no image specified"
            )
        image = parts.images.get(request.image, platform)
        check_platform(image, platform, request.image, parts.defaults.arch)
        own = merge.own_config(request)
        config = merge.with_image(own, image_config(image))
        asked = request.host_config or HostConfig()
        container_id = ids.new_id()
        host, warnings = fitted(merge.host_defaults(asked, parts.defaults), support())
        warnings += checks.validate(host, config)
        if not platform:
            warnings += platform_warnings(image, parts.defaults.arch)
        self._check_runtime(host)
        config = merge.hostname(config, host, container_id, host_platform.node())
        endpoints = merge.endpoints(host, config, request.networking_config.endpoints_config if request.networking_config else {})
        network_checks.asked(config.labels, endpoints)
        self._check_endpoints(endpoints)
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
        container.name = wanted or names.generate(parts.store.taken, ids.short(container_id))
        self.starter.plan_log(container)
        undo = Unwind()
        try:
            parts.store.reserve(container.name, container_id)
            undo.push(parts.store.release, container.name, container_id)
            await self._make(container, config, image, links, undo)
        except BaseException:
            await undo.undo()
            raise
        undo.keep()
        return container_id, warnings

    def _check_endpoints(self, endpoints: Mapping[str, EndpointSettings]) -> None:
        """A network that is not there yet is looked for at the start."""
        for name, settings in endpoints.items():
            try:
                self.parts.network.check_endpoint(name, settings)
            except NotFound:
                continue
            except InvalidArgument as error:
                sentence = error.message.removeprefix("invalid endpoint settings:\n")
                raise InvalidArgument(f"invalid config for network {name}: invalid endpoint settings:\n{sentence}") from None

    def _check_runtime(self, host: HostConfig) -> None:
        if host.runtime not in self.parts.defaults.runtimes:
            raise InvalidArgument(f"unknown or invalid runtime name: {host.runtime}")

    def _resolve(self, host: HostConfig) -> tuple[HostConfig, dict[str, str]]:
        """Other containers named in the configuration become ids (as in Docker: a later rename changes nothing); links as alias → id."""
        changes: dict[str, Any] = {}
        for attribute in ("network_mode", "ipc_mode", "pid_mode"):
            mode: str = getattr(host, attribute)
            if mode.startswith("container:"):
                try:
                    changes[attribute] = "container:" + self.parts.store.get(mode.removeprefix("container:")).id
                except NotFound as error:
                    # A 404 of create means to clients that the image is missing: they would pull it and ask again.
                    raise InvalidArgument(error.message) from None
        links: dict[str, str] = {}
        for link in host.links:
            target, _, alias = link.partition(":")
            other = self.parts.store.find(target) if target else None
            if other is None:
                # "not found" would make a client look for the image
                raise InvalidArgument(f"could not get container for {target}: No such container: {target}")
            if other.host.network_mode == "host":
                raise InvalidArgument(
                    "conflicting options: host type networking can't be used with links. This would result in undefined behavior"
                )
            links[(alias or target).removeprefix("/")] = other.id
        return (replace(host, **changes) if changes else host), links

    async def _make(self, container: Container, config: ContainerConfig, image: "Image", links: dict[str, str], undo: Unwind) -> None:
        parts = self.parts
        with parts.db.update():
            container.save()
            parts.refs.add("image", image.id, container.id)
        undo.push(parts.store.erase, container)
        undo.push(parts.refs.drop_user, container.id)
        parts.store.put(container)
        for alias, target in links.items():
            parts.store.link(container, alias, target)
        await in_pool(_make_directory, container.dir)
        undo.push(in_pool, remove_tree, container.dir)
        await parts.images.prepare_rootfs(container.id, image.id)
        undo.push(parts.images.remove_rootfs, container.id)
        made: list[str] = []
        undo.push(self._drop_volumes, container, made)
        points = await mounts.resolve(_Made(parts.volumes, made), config, container.host, self._mounts_of, self._use(container))
        container.mounts = tuple(self._pinned(container, point) for point in points)
        await self._copy_up(container)
        container.hold = ""
        container.commit(Transition.CREATED)

    def _mounts_of(self, ref: str) -> tuple[mounts.MountPoint, ...]:
        return self.parts.store.get(ref).mounts

    def _use(self, container: Container) -> Callable[[str], None]:
        return lambda name: self.parts.refs.add("volume", name, container.id)

    def _pinned(self, container: Container, point: mounts.MountPoint) -> mounts.MountPoint:
        """A mount of an image names it by id from here on, and keeps it."""
        if point.type != "image":
            return point
        try:
            image = self.parts.images.get(point.source)
        except NotFound as error:
            # A 404 of create means to clients that the image to run is missing: they would pull that and ask again.
            raise InvalidArgument(f'invalid mount config for type "image": {error.message}') from None
        self.parts.refs.add("image", image.id, container.id)
        return replace(point, source=image.id)

    async def _copy_up(self, container: Container) -> None:
        """Fill new volumes from the image. The root file system is mounted only when there is one to fill."""
        fresh = [mount for mount in container.mounts if mount.type == "volume" and mount.copy and not mount.subpath]
        if not fresh:
            return
        parts = self.parts
        target = container.bundle / "rootfs"
        await in_pool(target.mkdir, 0o711, True, True)
        await parts.images.mount_rootfs(container.id, target)
        done: list[str] = []
        try:
            for mount in fresh:
                path = await parts.volumes.mount(mount.name, container.id)
                done.append(mount.name)
                await parts.volumes.copy_up(path, target, mount.destination)
        finally:
            for name in done:
                await parts.volumes.unmount(name, container.id)
            await parts.images.unmount_rootfs(container.id, target)
            await in_pool(remove_tree, container.bundle)

    async def _drop_volumes(self, container: Container, made: list[str]) -> None:
        for name in made:
            self.parts.refs.drop("volume", name, container.id)
            await self.parts.volumes.remove(name, True)


class _Made:
    """Volumes as `mounts.resolve` wants them, remembering those that were made."""

    def __init__(self, volumes: "VolumeService", made: list[str]) -> None:
        self._volumes = volumes
        self._made = made

    async def ensure(
        self, name: str = "", driver: str = "", options: Mapping[str, str] | None = None, labels: Mapping[str, str] | None = None
    ) -> "Volume":
        """`VolumeService.ensure`."""
        volume = await self._volumes.ensure(name, driver, options, labels)
        if volume.new:
            self._made.append(volume.name)
        return volume


def _make_directory(path: Path) -> None:
    path.mkdir(mode=0o710, parents=True, exist_ok=True)


def image_config(image: "Image") -> ContainerConfig:
    """What a container may inherit from its image."""
    return codec.decode(ContainerConfig, {key: value for key, value in image.config.items() if key.lower() not in _NOT_INHERITED})


_NOT_INHERITED = frozenset(
    {"hostname", "domainname", "image", "tty", "openstdin", "stdinonce", "attachstdin", "attachstdout", "attachstderr"}
)


def check_platform(image: "Image", asked: str, reference: str, own_arch: str) -> None:
    """Raise NotFound when the image is of another platform than `asked`: the client then pulls the right one."""
    wanted = asked.split("/")
    arch, system, found = _platform(image, own_arch)
    if asked and wanted[-1 if len(wanted) == 1 else 1] != arch and asked != system:
        raise NotFound(
            f"image with reference {reference} was found but does not match the specified platform: wanted {asked}, actual: {found}"
        )


def platform_warnings(image: "Image", own_arch: str) -> list[str]:
    """An architecture that is not the host's is a warning and not an error: an emulator may be there."""
    arch, _, found = _platform(image, own_arch)
    if arch == own_arch:
        return []
    return [
        f"The requested image's platform ({found}) does not match the detected host platform (linux/{own_arch}) "
        "and no specific platform was requested"
    ]


def _platform(image: "Image", own_arch: str) -> tuple[str, str, str]:
    """(architecture, system, both and the variant as text)."""
    arch = image.architecture or own_arch
    system = str(image.spec.get("os") or "linux")
    variant = str(image.spec.get("variant") or "")
    return arch, system, "/".join(part for part in (system, arch, variant) if part)
