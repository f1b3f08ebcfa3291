"""The bundle of a start: namespaces that are joined, the engine's own files, shared memory, the OCI document.

Lives in `<run>/bundles/<id>/`.

Called by `start.py` in the thread pool (it reads the root file system's passwd and device nodes) and at clean-up.
"""

import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path

from scow.containers.container import Container
from scow.containers.parts import Defaults, Parts
from scow.errors import Conflict, InvalidArgument
from scow.kernel import inroot
from scow.model.container import HostConfig
from scow.model.oci import SpecMount
from scow.network import links
from scow.runtime import shm
from scow.runtime import spec as oci
from scow.runtime.users import resolve_user
from scow.volumes import mounts as volume_mounts

_FILES = (("resolv.conf", "/etc/resolv.conf"), ("hostname", "/etc/hostname"), ("hosts", "/etc/hosts"))
_MODES = (("pid", "pid_mode"), ("ipc", "ipc_mode"), ("uts", "uts_mode"))


def joined(parts: Parts, container: Container) -> tuple[dict[str, str], str | None]:
    """(paths of namespaces of other containers by kind, path of the network namespace that is shared or None).

    Raises Conflict when one of them doesn't run or doesn't share.
    """
    found = {}
    for kind, attribute in _MODES:
        other = _peer(parts, getattr(container.host, attribute), kind.upper())
        if other is None:
            continue
        if kind == "ipc" and not _shares_ipc(other):
            raise Conflict(
                f"cannot join IPC of container {other.id}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)"
            )
        found[kind] = f"/proc/{other.state.pid}/ns/{kind}"
    other = _peer(parts, container.host.network_mode, "network")
    if other is None:
        return found, None
    if other.host.uts_mode != "host" and "uts" not in found:
        found["uts"] = f"/proc/{other.state.pid}/ns/uts"
    return found, f"/proc/{other.state.pid}/ns/net"


def _peer(parts: Parts, mode: str, what: str) -> Container | None:
    if not mode.startswith("container:"):
        return None
    other = parts.store.get(mode.removeprefix("container:"))
    if not other.state.alive:
        raise Conflict(f"cannot join {what} namespace of a non running container: {other.id}")
    return other


def _shares_ipc(other: Container) -> bool:
    return other.host.ipc_mode in ("shareable", "host") or other.host.ipc_mode.startswith("container:")


def shm_path(parts: Parts, container: Container) -> Path | None:
    """Directory for /dev/shm outside the container, mounted if it is the container's own to share; None: a private one."""
    mode = container.host.ipc_mode
    if mode == "host":
        return Path("/dev/shm")
    if mode.startswith("container:"):
        return shm_path(parts, parts.store.get(mode.removeprefix("container:")))
    if mode != "shareable":
        return None
    return shm.mount(container.dir, container.host.shm_size)


def make(container: Container) -> None:
    """Make the bundle's directories."""
    (container.bundle / "rootfs").mkdir(mode=0o711, parents=True, exist_ok=True)
    container.dir.mkdir(mode=0o710, parents=True, exist_ok=True)


def engine_files(parts: Parts, container: Container, taken: set[str]) -> list[SpecMount]:
    """hosts, resolv.conf and hostname as the network service wrote them; a mount of the user's at the same place wins."""
    owner = container
    mode = container.host.network_mode
    while mode.startswith("container:"):
        owner = parts.store.get(mode.removeprefix("container:"))
        mode = owner.host.network_mode
    return [
        volume_mounts.engine_file(owner.dir / name, target, container.host.readonly_rootfs)
        for name, target in _FILES
        if target not in taken and (owner.dir / name).exists()
    ]


def landed(rootfs: Path, wanted: Sequence[SpecMount]) -> list[SpecMount]:
    """The mounts with their places as the image's links have it: crun refuses a link that leads to nothing, where Docker makes its target.

    What lies below another mount stays: its links are only known once that one is there. Raises InvalidArgument (links in a circle).
    """
    places = [mount.destination.rstrip("/") + "/" for mount in wanted]
    found = []
    for mount in wanted:
        own = mount.destination.rstrip("/") + "/"
        if any(own != place and own.startswith(place) for place in places):
            found.append(mount)
            continue
        try:
            found.append(dataclasses.replace(mount, destination=inroot.landing(rootfs, mount.destination)))
        except OSError as exc:
            raise InvalidArgument(f"cannot mount at {mount.destination}: {exc.strerror}") from None
    return found


def link_environment(parts: Parts, container: Container) -> list[str]:
    """Variables of legacy links on the default bridge."""
    found: list[str] = []
    for link in container.host.links:
        name, alias = links.split(link)
        target = parts.store.find(name)
        if target is None or not target.state.alive:
            raise Conflict(f"Cannot link to a non running container: /{name} AS /{container.name}/{alias}")
        endpoint = parts.network.settings(target.id).networks.get("bridge")
        if endpoint is not None and endpoint.ip_address:
            found += links.environment(container.name, alias, endpoint.ip_address, target.config.exposed_ports, target.config.env)
    return found


def with_engine_security(host: HostConfig, defaults: Defaults) -> HostConfig:
    """The daemon's own `no-new-privileges` and seccomp profile where a container says nothing. Raises InvalidArgument (no profile)."""
    added = []
    keys = {option.replace(":", "=", 1).partition("=")[0] for option in host.security_opt}
    if defaults.no_new_privileges and "no-new-privileges" not in keys:
        added.append("no-new-privileges")
    if defaults.seccomp_profile not in ("", "builtin") and "seccomp" not in keys and not host.privileged:
        text = defaults.seccomp_profile
        if text != "unconfined":
            try:
                text = Path(text).read_text()
            except (OSError, UnicodeDecodeError) as exc:
                raise InvalidArgument(f"opening seccomp profile ({text}) failed: {exc}") from None
        added.append(f"seccomp={text}")
    return dataclasses.replace(host, security_opt=[*host.security_opt, *added]) if added else host


def document(parts: Parts, container: Container, netns: str | None, mounted: Sequence[SpecMount], spaces: dict[str, str]) -> bytes:
    """config.json. Raises InvalidArgument (user, devices, limits) as `runtime.spec.build`. Blocking."""
    config, defaults = container.config, parts.defaults
    host = with_engine_security(container.host, defaults)
    taken = {mount.destination for mount in mounted}
    shared = shm_path(parts, container)
    extra = link_environment(parts, container)
    more = parts.engine_mounts(container) if parts.engine_mounts is not None else []
    spec = oci.SpecInput(
        id=container.id,
        config=config,
        host=host,
        process_args=[container.path, *container.args],
        env=[*extra, *config.env],
        cwd=config.working_dir,
        user=resolve_user(container.rootfs, config.user, host.group_add),
        rootfs=str(container.rootfs),
        mounts=landed(container.rootfs, [*mounted, *engine_files(parts, container, taken), *more]),
        netns=netns,
        joined=spaces,
        hostname=config.hostname if host.network_mode != "host" or config.hostname else os.uname().nodename,
        domainname=config.domainname,
        init=bool(host.init),
        shm=str(shared) if shared is not None else None,
        init_program=str(defaults.init_path) if defaults.init_path else None,
    )
    return json.dumps(oci.build(spec)).encode()


def write(container: Container, text: bytes) -> None:
    """Put config.json into the bundle."""
    descriptor = os.open(container.bundle / "config.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text)
