"""The mounts of a container: what was asked for (Binds, Mounts, Volumes, VolumesFrom, Tmpfs) resolved to mount points at create, and those
made real at each start.

`resolve` runs at create and makes missing volumes; `activate` at start mounts volumes, pins sub-paths and gives the mounts of the
specification; `deactivate` is its counterpart. Called by containers.
"""

import contextlib
import errno
import os
import posixpath
import stat
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from scow import aio
from scow.errors import InvalidArgument, NotFound, Unsupported
from scow.kernel import inroot
from scow.kernel import mounts as kernel
from scow.model.container import ContainerConfig, HostConfig, Mount
from scow.model.oci import SpecMount
from scow.opts import binds, tmpfs
from scow.volumes.driver import MountFailed
from scow.volumes.service import Volume, VolumeService

__all__ = ["MountFailed", "MountPoint", "activate", "deactivate", "engine_file", "placed", "resolve", "tmpfs_mounts", "view"]

_MAX_MOUNTS = 1000


@dataclass(frozen=True, slots=True)
class MountPoint:
    """One resolved mount. `source`: host path (bind), the volume's directory, the image's reference, "" (tmpfs). `options`: facts for the
    start: `create` (make a missing bind source), `recursive`, `readonly` (recursive, non-recursive, force), `tmpfs` (mount options)."""

    type: str = ""
    name: str = ""
    source: str = ""
    destination: str = ""
    driver: str = ""
    mode: str = ""
    rw: bool = True
    propagation: str = ""
    subpath: str = ""
    options: dict[str, str] = field(default_factory=dict)
    copy: bool = False


class _Volumes(Protocol):
    async def ensure(
        self, name: str = "", driver: str = "", options: Mapping[str, str] | None = None, labels: Mapping[str, str] | None = None
    ) -> Volume: ...


def placed(points: Iterable[MountPoint], volumes: VolumeService) -> tuple[MountPoint, ...]:
    """The mount points with the places where plugins have mounted their volumes."""
    return tuple(
        replace(point, source=volumes.get(point.name).mountpoint) if point.type == "volume" and point.driver != "local" else point
        for point in points
    )


def view(mount: MountPoint) -> dict[str, Any]:
    """As in inspect's Mounts."""
    doc: dict[str, Any] = {"Type": mount.type}
    if mount.name:
        doc["Name"] = mount.name
    doc |= {"Source": mount.source, "Destination": mount.destination}
    if mount.driver:
        doc["Driver"] = mount.driver
    return doc | {"Mode": mount.mode, "RW": mount.rw, "Propagation": mount.propagation}


# ------------------------------------------------------------------ at create


async def resolve(
    volumes: _Volumes,
    config: ContainerConfig,
    host: HostConfig,
    find: Callable[[str], Iterable[MountPoint]],
    use: Callable[[str], None] = lambda name: None,
) -> list[MountPoint]:
    """The mount points of a new container; missing volumes are made last, when everything else was found right.

    `config.volumes` holds the image's volumes too. `find(container)` gives another container's mounts (may raise NotFound). `use(name)` is
    told of each volume before it is needed further (to record the reference). Raises InvalidArgument with dockerd's texts.
    """
    points: dict[str, MountPoint] = {}
    for text in host.volumes_from:
        name, mode = binds.parse_volumes_from(text)
        writable = binds.parse_mode(mode, True, mode).rw
        try:
            found = list(find(name))
        except NotFound as error:
            # A 404 of create means to clients that the image is missing: they would pull it and ask again.
            raise InvalidArgument(error.message) from None
        for mount in found:
            points[mount.destination] = replace(mount, rw=mount.rw and writable, copy=False)
    taken = set()
    wanted: dict[str, tuple[MountPoint, Mount | None]] = {}

    def claim(point: MountPoint, asked: Mount | None = None) -> None:
        if point.destination in taken:
            raise InvalidArgument(f"Duplicate mount point: {point.destination}")
        taken.add(point.destination)
        wanted[point.destination] = (point, asked)

    for path, text in host.tmpfs.items():
        taken.add(binds.check_destination(path, "tmpfs"))
        tmpfs.merge(text)
    for text in host.binds:
        claim(_from_bind(text, host.volume_driver))
    for asked in host.mounts:
        claim(_from_mount(asked), asked)
    if len(wanted) > _MAX_MOUNTS:
        raise InvalidArgument("too many mounts")
    anonymous = []
    for path in config.volumes:
        # images are out there whose VOLUME is relative: Docker takes it from the root
        clean = binds.check_destination(f"/{path}" if path and path[0] not in "./" and ":" not in path else path, "volume")
        if clean not in taken and clean not in points and clean not in anonymous:
            anonymous.append(clean)
    for destination, (point, spec) in wanted.items():
        points[destination] = await _with_volume(point, spec, volumes, use)
    for destination in anonymous:
        point = MountPoint("volume", destination=destination, driver=host.volume_driver, copy=True)
        points[destination] = await _with_volume(point, None, volumes, use)
    for point in points.values():
        if point.type == "volume":
            use(point.name)
    return [points[key] for key in sorted(points)]


async def _with_volume(point: MountPoint, asked: Mount | None, volumes: _Volumes, use: Callable[[str], None]) -> MountPoint:
    if point.type != "volume":
        return point
    given = asked.volume_options if asked else None
    driver = given.driver_config if given else None
    volume = await volumes.ensure(point.name, point.driver, dict(driver.options) if driver else None, dict(given.labels) if given else None)
    use(volume.name)
    return replace(point, name=volume.name, source=volume.mountpoint, driver=volume.driver)


def _from_bind(text: str, driver: str) -> MountPoint:
    bind = binds.parse(text)
    mode = bind.mode
    if bind.source.startswith("/"):
        return MountPoint(
            "bind", source=bind.source, destination=bind.destination, mode=bind.text, rw=mode.rw,
            propagation=mode.propagation or "rprivate", options={"create": "yes"},
        )  # fmt: skip
    label = bind.text or ("z" if driver in ("", "local") and bind.source else "")
    return MountPoint("volume", name=bind.source, destination=bind.destination, driver=driver, mode=label, rw=mode.rw, copy=not mode.nocopy)


def _invalid(kind: str, text: str) -> InvalidArgument:
    return InvalidArgument(f'invalid mount config for type "{kind}": {text}')


def _subpath(kind: str, path: str) -> str:
    parts = path.split("/")
    if path.startswith("/") or "\0" in path or posixpath.normpath(path).split("/")[0] == ".." or (".." in parts and not _stays(parts)):
        raise _invalid(kind, "subpath must be a relative path within the volume")
    return posixpath.normpath(path) if path else ""


def _stays(parts: Sequence[str]) -> bool:
    depth = 0
    for part in parts:
        depth += -1 if part == ".." else int(part not in ("", "."))
        if depth < 0:
            return False
    return True


def _from_mount(mount: Mount) -> MountPoint:
    kind = mount.type
    if kind not in ("bind", "volume", "tmpfs", "image"):
        if kind in ("npipe", "cluster"):
            raise _invalid(kind, f"mount type {kind} is not supported on this platform")
        raise InvalidArgument(f'invalid mount config for type "{kind}": mount type unknown: "{kind}"')
    if not mount.target:
        raise _invalid(kind, "field Target must not be empty")
    target = binds.check_destination(mount.target, kind)
    groups = {"bind": mount.bind_options, "volume": mount.volume_options, "tmpfs": mount.tmpfs_options, "image": mount.image_options}
    for other, given in groups.items():
        if other != kind and given is not None:
            raise _invalid(kind, f"field {other.capitalize()}Options must not be specified")
    return {"bind": _bind_mount, "volume": _volume_mount, "tmpfs": _tmpfs_mount, "image": _image_mount}[kind](mount, target)


def _bind_mount(mount: Mount, target: str) -> MountPoint:
    source = mount.source
    if not source:
        raise _invalid("bind", "field Source must not be empty")
    if not source.startswith("/") or "\0" in source:
        raise _invalid("bind", f"invalid mount path: '{source}' mount path must be absolute")
    given = mount.bind_options
    propagation = given.propagation if given else ""
    if propagation and propagation not in binds.PROPAGATIONS:
        raise _invalid("bind", f"invalid propagation mode: {propagation}")
    options: dict[str, str] = {}
    if given:
        if given.read_only_non_recursive and given.read_only_force_recursive:
            raise _invalid("bind", "conflicting options: ReadOnlyNonRecursive and ReadOnlyForceRecursive")
        if (given.read_only_non_recursive or given.read_only_force_recursive) and not mount.read_only:
            raise _invalid("bind", "mount must be read-only to use ReadOnlyNonRecursive or ReadOnlyForceRecursive")
        if given.read_only_force_recursive and propagation not in ("", "rprivate"):
            raise _invalid("bind", "bind-recursive=readonly requires bind-propagation to be rprivate")
        options = {
            key: value
            for key, value, on in (
                ("create", "yes", given.create_mountpoint), ("recursive", "no", given.non_recursive),
                ("readonly", "top", given.read_only_non_recursive), ("readonly", "force", given.read_only_force_recursive),
            ) if on
        }  # fmt: skip
    source = "/" + posixpath.normpath(source).lstrip("/")
    if "create" not in options and not os.path.lexists(source):
        raise _invalid("bind", f"bind source path does not exist: {source}")
    return MountPoint(
        "bind", source=source, destination=target, rw=not mount.read_only, propagation=propagation or "rprivate", options=options
    )


def _volume_mount(mount: Mount, target: str) -> MountPoint:
    given = mount.volume_options
    subpath = _subpath("volume", given.subpath) if given else ""
    if not mount.source:
        if mount.read_only:
            raise _invalid("volume", "must not set ReadOnly mode when using anonymous volumes")
        if subpath:
            raise _invalid("volume", "must not set Subpath when using anonymous volumes")
    driver = given.driver_config.name if given and given.driver_config else ""
    mode = "z" if driver in ("", "local") else ""
    return MountPoint(
        "volume", name=mount.source, destination=target, driver=driver, mode=mode, rw=not mount.read_only, subpath=subpath,
        copy=not (given and given.no_copy),
    )  # fmt: skip


def _tmpfs_mount(mount: Mount, target: str) -> MountPoint:
    if mount.source:
        raise _invalid("tmpfs", "field Source must not be specified")
    words = []
    given = mount.tmpfs_options
    if mount.read_only:
        words.append("ro")
    if given:
        if given.size_bytes < 0 or given.mode < 0 or given.mode > 0o7777:
            raise _invalid("tmpfs", "size and mode must not be negative or too large")
        if given.mode:
            words.append(f"mode={given.mode:o}")
        if given.size_bytes:
            words.append(f"size={given.size_bytes}")
        words += ["=".join(option) for option in given.options]
    return MountPoint("tmpfs", destination=target, rw=not mount.read_only, options={"tmpfs": ",".join(tmpfs.merge(",".join(words)))})


def _image_mount(mount: Mount, target: str) -> MountPoint:
    if not mount.source:
        raise _invalid("image", "field Source must not be empty")
    subpath = _subpath("image", mount.image_options.subpath) if mount.image_options else ""
    return MountPoint("image", name=mount.source, source=mount.source, destination=target, rw=False, subpath=subpath)


# ------------------------------------------------------------------- at start

ImageMounter = Callable[[str, Path], Awaitable[None]]


def tmpfs_mounts(host: HostConfig) -> list[SpecMount]:
    """Those of `--tmpfs`."""
    return [SpecMount(binds.check_destination(path), "tmpfs", "tmpfs", tmpfs.merge(text)) for path, text in host.tmpfs.items()]


def engine_file(source: Path | str, destination: str, read_only: bool = False) -> SpecMount:
    """A file of the engine (hosts, resolv.conf, hostname) in a container."""
    return SpecMount(destination, str(source), "bind", ("rbind", "ro" if read_only else "rw", "rprivate"))


def _bind_options(mount: MountPoint, source: str) -> tuple[str, ...]:
    recursive = mount.options.get("recursive") != "no"
    words = ["rbind" if recursive else "bind"]
    propagation = mount.propagation or "rprivate"
    if not mount.rw:
        # Mounts below are made read-only too, as in Docker since 25; where they come and go by propagation that cannot hold.
        # A file has none below, and crun 1.8 opens what is `rro` as a directory.
        deep = recursive and mount.options.get("readonly") != "top" and propagation == "rprivate"
        deep = deep and _kernel_can_recurse() and os.path.isdir(source)
        words.append("rro" if deep else "ro")
    words.append(propagation)
    return tuple(words)


def _check_bind(mount: MountPoint, source: str) -> None:
    """What the host must offer for a bind. Raises MountFailed with dockerd's texts."""
    if mount.options.get("readonly") == "force" and not _kernel_can_recurse():
        raise MountFailed("failed to mount read-only recursively: the kernel must be 5.12 or newer for bind-recursive=readonly")
    kind = mount.propagation.removeprefix("r")
    if kind not in ("shared", "slave"):
        return
    place = os.path.realpath(source)
    holders = [row for row in kernel.mountinfo() if row.target == "/" or (place + "/").startswith(row.target + "/")]
    holder = max(holders, key=lambda row: len(row.target), default=None)
    if holder is not None and holder.propagation not in (("shared",) if kind == "shared" else ("shared", "slave")):
        wanted = "a shared mount" if kind == "shared" else "a shared or slave mount"
        raise MountFailed(f"path {source} is mounted on {holder.target} but it is not {wanted}")


def _kernel_can_recurse() -> bool:
    """mount_setattr(2) came with Linux 5.12."""
    major, _, rest = os.uname().release.partition(".")
    minor = rest.partition(".")[0].partition("-")[0]
    return major.isdigit() and minor.isdigit() and (int(major), int(minor)) >= (5, 12)


async def activate(
    volumes: VolumeService,
    container_id: str,
    points: Iterable[MountPoint],
    host: HostConfig,
    scratch: Path,
    mount_image: ImageMounter | None = None,
) -> list[SpecMount]:
    """Make the mounts ready and give those of the specification (--tmpfs included, unsorted).

    `scratch` (containers/<id>/mounts) takes binds of pinned sub-paths. `mount_image(reference, target)` mounts an image read-only.
    On failure everything is undone. Raises InvalidArgument, MountFailed and what the volume's driver says.
    """
    done: list[MountPoint] = []
    result = []
    try:
        for index, point in enumerate(points):
            source = point.source
            if point.type == "tmpfs":
                words = tuple(word for word in point.options.get("tmpfs", "").split(",") if word)
                result.append(SpecMount(point.destination, "tmpfs", "tmpfs", words))
                continue
            if point.type == "volume":
                base = await volumes.mount(point.name, container_id, point.destination, point.rw, point.propagation)
                done.append(point)
                source = str(base)
            elif point.type == "bind":
                await aio.in_pool(_check_source, point)
                await aio.in_pool(_check_bind, point, source)
            elif point.type == "image":
                if mount_image is None:
                    raise Unsupported("mounts of type image are not supported by this engine")
                place = scratch / f"image-{index}"
                place.mkdir(mode=0o700, parents=True, exist_ok=True)
                await mount_image(point.source, place)
                source = str(place)
            if point.subpath:
                source = str(await aio.in_pool(_pin, source, point.subpath, scratch / str(index), point))
            result.append(SpecMount(point.destination, source, "bind", await aio.in_pool(_bind_options, point, source)))
    except BaseException:
        await deactivate(volumes, container_id, done, scratch)
        raise
    return result + tmpfs_mounts(host)


async def deactivate(volumes: VolumeService, container_id: str, points: Iterable[MountPoint], scratch: Path) -> None:
    """Give back what `activate` made; absent is fine."""
    await aio.in_pool(_unpin, scratch)
    for point in points:
        if point.type == "volume":
            await volumes.unmount(point.name, container_id)


def _check_source(point: MountPoint) -> None:
    try:
        os.stat(point.source)
    except FileNotFoundError:
        if point.options.get("create") != "yes":
            raise InvalidArgument(f'invalid mount config for type "bind": bind source path does not exist: {point.source}') from None
        try:
            os.makedirs(point.source, 0o755, exist_ok=True)
        except OSError as error:
            raise InvalidArgument(f"error while creating mount source path '{point.source}': {error.strerror}") from None
    except (OSError, ValueError) as error:
        raise InvalidArgument(f'invalid mount config for type "bind": stat {point.source}: {getattr(error, "strerror", error)}') from None


def _pin(base: str, subpath: str, place: Path, point: MountPoint) -> Path:
    """Bind the sub-path, resolved inside `base`, to `place`: what is swapped afterwards changes nothing."""
    try:
        with inroot.root_fd(base) as root:
            fd = inroot.open_fd(root, subpath, os.O_PATH)
    except OSError as error:
        text = os.strerror(error.errno or errno.EINVAL).lower()
        raise MountFailed(f"failed to mount {point.name}: cannot access path {subpath} in the volume: {text}") from None
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        kernel.unmount_any(place) if place.exists() else None
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            place.mkdir(mode=0o700, exist_ok=True)
        else:
            place.touch(mode=0o600)
        kernel.bind(f"/proc/self/fd/{fd}", place, recursive=True)
    except OSError as error:
        raise MountFailed(f"failed to mount {point.name}: {subpath}: {error.strerror}") from None
    finally:
        os.close(fd)
    return place


def _unpin(scratch: Path) -> None:
    if not scratch.is_dir():
        return
    for target in kernel.below(scratch):
        if target == f"{scratch}/shm":
            continue  # the container's own /dev/shm, see runtime/shm.py
        with contextlib.suppress(OSError):
            kernel.unmount_any(target)
    for entry in list(os.scandir(scratch)):
        if entry.name == "shm":
            continue
        with contextlib.suppress(OSError):
            os.rmdir(entry.path) if entry.is_dir(follow_symlinks=False) else os.unlink(entry.path)
