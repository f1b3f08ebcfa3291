"""Builds the OCI specification (config.json) of a container: the same container dockerd would make of the same request.

A pure function of its input, apart from looking at device nodes. Called by containers at each start; `process()` also serves exec.
"""

import posixpath
import resource
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from scow.errors import InvalidArgument
from scow.kernel import caps
from scow.model.container import ContainerConfig, HostConfig, Ulimit
from scow.model.oci import SpecMount
from scow.runtime import devices, initprogram, resources, seccomp, security
from scow.runtime.users import ResolvedUser

__all__ = ["DEFAULT_PATH", "SpecInput", "SpecMount", "build", "environment", "process"]

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
INIT_PATH = "/sbin/docker-init"
DEFAULT_SHM = 64 << 20
DEFAULT_CGROUP_PARENT = "/docker"

MASKED_PATHS = (
    "/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
    "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
)  # fmt: skip
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

_PROC = SpecMount("/proc", "proc", "proc", ("nosuid", "noexec", "nodev"))
_DEV = SpecMount("/dev", "tmpfs", "tmpfs", ("nosuid", "strictatime", "mode=755", "size=65536k"))
_PTS = SpecMount("/dev/pts", "devpts", "devpts", ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"))
_SYS = SpecMount("/sys", "sysfs", "sysfs", ("nosuid", "noexec", "nodev", "ro"))
_CGROUP = SpecMount("/sys/fs/cgroup", "cgroup", "cgroup", ("ro", "nosuid", "noexec", "nodev"))
_MQUEUE = SpecMount("/dev/mqueue", "mqueue", "mqueue", ("nosuid", "noexec", "nodev"))


@dataclass(frozen=True, slots=True)
class SpecInput:
    """All that a specification depends on.

    `env`: the container's own variables (image and request merged; PATH, HOSTNAME, TERM and HOME are added here). `mounts`: binds, volumes,
    tmpfs and the files of the engine, sources already on this host. `netns`: path of the network namespace, None = the host's. `joined`:
    paths of other containers' namespaces by kind (pid, ipc, uts, cgroup). `hostname` "" with `uts_mode` host. `cgroup_path` "" = the
    default below `host.cgroup_parent`. `shm`: directory to bind at /dev/shm (shareable, joined or host ipc); None = a private one.
    `seccomp`: an unresolved profile instead of the one `host.security_opt` asks for. `bounding`: what the daemon may hand on.
    """

    id: str
    config: ContainerConfig
    host: HostConfig
    process_args: Sequence[str]
    env: Sequence[str] = ()
    cwd: str = ""
    user: ResolvedUser = field(default_factory=ResolvedUser)
    rootfs: str = "rootfs"
    mounts: Sequence[SpecMount] = ()
    netns: str | None = None
    joined: Mapping[str, str] = field(default_factory=dict)
    hostname: str = ""
    domainname: str = ""
    cgroup_path: str = ""
    seccomp: dict[str, Any] | None = None
    init: bool = False
    bounding: frozenset[str] | None = None
    shm: str | None = None
    default_ulimits: Sequence[Ulimit] = ()
    init_program: str | None = None


def environment(env: Iterable[str], hostname: str, tty: bool, home: str) -> list[str]:
    """The variables of a process: Docker's defaults, overridden by `env`; an entry without "=" removes."""
    values = {"PATH": DEFAULT_PATH, "HOSTNAME": hostname}
    if tty:
        values["TERM"] = "xterm"
    for entry in env:
        name, equals, value = entry.partition("=")
        if equals:
            values[name] = value
        else:
            values.pop(name, None)
    values.setdefault("HOME", home or "/")
    return [f"{name}={value}" for name, value in values.items()]


def capabilities(host: HostConfig, bounding: frozenset[str] | None = None, privileged: bool | None = None) -> list[str]:
    """The capabilities `host` asks for, within what the daemon has."""
    available = caps.bounding() if bounding is None else bounding
    return caps.choose(host.cap_add, host.cap_drop, host.privileged if privileged is None else privileged, available)


def process(
    args: Sequence[str], env: Sequence[str], cwd: str, user: ResolvedUser, host: HostConfig, tty: bool,
    *, bounding: frozenset[str] | None = None, privileged: bool | None = None, size: Sequence[int] = (), ulimits: Sequence[Ulimit] = (),
) -> dict[str, Any]:  # fmt: skip
    """An OCI process; `env` is complete, `privileged` overrides the host's (exec), `size` is (rows, columns) of a terminal."""
    chosen = capabilities(host, bounding, privileged)
    sets: dict[str, list[str]] = {"bounding": chosen}
    if user.uid == 0:
        # Others get none in these sets, as execve would have it.
        sets |= {"effective": chosen, "permitted": chosen}
    doc: dict[str, Any] = {
        "terminal": tty,
        "user": {"uid": user.uid, "gid": user.gid, "umask": 0o022} | ({"additionalGids": list(user.groups)} if user.groups else {}),
        "args": list(args),
        "env": list(env),
        "cwd": cwd or "/",
        "capabilities": sets,
        "noNewPrivileges": security.parse(host.security_opt, host.privileged).no_new_privileges,
    }
    if tty and len(size) == 2 and all(0 < n < 65536 for n in size):
        doc["consoleSize"] = {"height": size[0], "width": size[1]}
    limits = _rlimits(ulimits)
    if limits:
        doc["rlimits"] = limits
    return doc


def _rlimits(ulimits: Iterable[Ulimit]) -> list[dict[str, Any]]:
    may_raise = "CAP_SYS_RESOURCE" in caps.effective()
    unlimited = (1 << 64) - 1
    found: dict[str, dict[str, Any]] = {}
    for limit in ulimits:
        name = "RLIMIT_" + limit.name.upper()
        soft, hard = (unlimited if n < 0 else n for n in (limit.soft, limit.hard))
        number = getattr(resource, name, None)
        if not may_raise and number is not None:
            own = resource.getrlimit(number)[1]
            if own != resource.RLIM_INFINITY and hard > own:
                raise InvalidArgument(
                    f"ulimit {limit.name}={limit.soft}:{limit.hard} is above this engine's own hard limit of {own}, and it may not "
                    "raise it (CAP_SYS_RESOURCE is missing): ask for less, or start the engine with a higher limit"
                )
        found[name] = {"type": name, "soft": soft, "hard": hard}
    return list(found.values())


def _mounts(spec: SpecInput) -> list[dict[str, Any]]:
    host = spec.host
    taken = {mount.destination for mount in spec.mounts}
    base = [_PROC, _DEV, _PTS, _SYS, _CGROUP, _MQUEUE]  # with the host's IPC these are the host's queues
    if spec.shm is not None:
        base.append(SpecMount("/dev/shm", spec.shm, "bind", ("rbind", "rprivate")))
    elif host.ipc_mode != "none":
        size = host.shm_size or DEFAULT_SHM
        base.append(SpecMount("/dev/shm", "shm", "tmpfs", ("nosuid", "noexec", "nodev", "mode=1777", f"size={size}")))
    if host.privileged:
        base = [_writable(m) if m.type in ("sysfs", "cgroup") else m for m in base]
    base = [
        m for m in base
        if m.destination not in taken and not any(m.destination.startswith(t + "/") for t in taken if t in ("/dev", "/sys"))
    ]  # fmt: skip
    own = list(spec.mounts)
    if spec.init:
        own.append(SpecMount(INIT_PATH, spec.init_program or initprogram.find(), "bind", ("bind", "ro", "rprivate")))
    # Stable: what was asked first is mounted first among equals.
    own.sort(key=lambda m: len([part for part in posixpath.normpath(m.destination).split("/") if part]))
    return [mount.doc() for mount in base + own]


def _writable(mount: SpecMount) -> SpecMount:
    return replace(mount, options=("rw", *(o for o in mount.options if o not in ("ro", "rw"))))


def _namespaces(spec: SpecInput) -> list[dict[str, str]]:
    host = spec.host
    wanted: list[dict[str, str]] = [{"type": "mount"}]
    if host.network_mode != "host":
        wanted.append({"type": "network"} | ({"path": spec.netns} if spec.netns else {}))
    for kind, mode in (("uts", host.uts_mode), ("ipc", host.ipc_mode), ("pid", host.pid_mode), ("cgroup", host.cgroupns_mode)):
        if kind in spec.joined:
            wanted.append({"type": kind, "path": spec.joined[kind]})
        elif kind == "cgroup":
            if mode == "private":
                wanted.append({"type": kind})
        elif mode != "host":
            wanted.append({"type": kind})
    return wanted


def _sysctls(spec: SpecInput) -> dict[str, str]:
    own_network = spec.host.network_mode != "host" and not spec.host.network_mode.startswith("container:")
    values = {}
    if own_network:
        # No capability is needed for ping and for ports below 1024 in a network of one's own.
        values = {"net.ipv4.ping_group_range": "0 2147483647", "net.ipv4.ip_unprivileged_port_start": "0"}
    return values | spec.host.sysctls


def cgroup_path(container_id: str, host: HostConfig) -> str:
    """Where a container's control group lies in every hierarchy."""
    parent = host.cgroup_parent or DEFAULT_CGROUP_PARENT
    return posixpath.join("/", posixpath.normpath("/" + parent.lstrip("/")), container_id)


def build(spec: SpecInput) -> dict[str, Any]:
    """The config.json. Raises InvalidArgument for what can only be known here: devices, capabilities, limits this host refuses."""
    host = spec.host
    opts = security.parse(host.security_opt, host.privileged)
    hostname = spec.hostname
    home = spec.user.home
    env = environment(spec.env, hostname, spec.config.tty, home)
    args = list(spec.process_args)
    if spec.init:
        args = [INIT_PATH, "--", *args]
    named = {limit.name for limit in host.ulimits}
    ulimits = [limit for limit in spec.default_ulimits if limit.name not in named] + list(host.ulimits)
    proc = process(
        args, env, spec.cwd or spec.config.working_dir, spec.user, host, spec.config.tty,
        bounding=spec.bounding, size=host.console_size, ulimits=ulimits,
    )  # fmt: skip
    if host.oom_score_adj or _own_oom_score() <= 0:
        # An engine that was itself given a higher score may be unable to lower it, so its containers keep that.
        proc["oomScoreAdj"] = _oom_score(host.oom_score_adj)
    made = devices.build(host.devices, host.device_cgroup_rules, host.privileged)
    limits = resources.build(host)
    limits["devices"] = made.rules
    linux: dict[str, Any] = {
        "namespaces": _namespaces(spec),
        "cgroupsPath": spec.cgroup_path or cgroup_path(spec.id, host),
        "resources": limits,
        "devices": made.nodes,
        "sysctl": _sysctls(spec),
    }
    if not (host.privileged or opts.unmasked):
        linux["maskedPaths"] = list(MASKED_PATHS if host.masked_paths is None else host.masked_paths)
        linux["readonlyPaths"] = list(READONLY_PATHS if host.readonly_paths is None else host.readonly_paths)
    profile = spec.seccomp if spec.seccomp is not None else opts.profile
    if profile is not None:
        rendered = seccomp.render(profile, set(proc["capabilities"]["bounding"]))
        if rendered is not None:
            linux["seccomp"] = rendered
    propagation = _root_propagation(spec.mounts)
    if propagation:
        linux["rootfsPropagation"] = propagation
    doc: dict[str, Any] = {
        "ociVersion": "1.0.2",
        "process": proc,
        "root": {"path": spec.rootfs, "readonly": host.readonly_rootfs},
        "mounts": _mounts(spec),
        "linux": linux,
    }
    if host.uts_mode != "host" and "uts" not in spec.joined:
        doc["hostname"] = hostname
        if spec.domainname:
            linux["sysctl"].setdefault("kernel.domainname", spec.domainname)
    if host.annotations:
        doc["annotations"] = dict(host.annotations)
    return doc


def _root_propagation(mounts: Iterable[SpecMount]) -> str:
    """What the root must be for the binds: a mount can only receive or pass on events below a root that does."""
    found = {option for mount in mounts if mount.type == "bind" for option in mount.options}
    if found & {"shared", "rshared"}:
        return "shared"
    return "rslave" if found & {"slave", "rslave"} else ""


def _own_oom_score() -> int:
    try:
        with open("/proc/self/oom_score_adj") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 0


def _oom_score(value: int) -> int:
    if value < min(0, _own_oom_score()) and "CAP_SYS_RESOURCE" not in caps.effective():
        raise InvalidArgument(
            f"--oom-score-adj {value} would lower the score below the engine's own, and it may not (CAP_SYS_RESOURCE is missing): "
            "use 0 or more"
        )
    return value
