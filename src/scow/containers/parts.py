"""What the container services are built from: the neighbours they use and the engine's defaults. Made once, in `daemon/wiring.py`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scow.aio import KeyedLock, Supervisor
from scow.containers.container import Container
from scow.containers.store import Containers
from scow.model.container import LogConfig, Ulimit

if TYPE_CHECKING:
    from scow.events import EventBus
    from scow.images.service import ImageService
    from scow.metadata import Database, References
    from scow.model.oci import SpecMount
    from scow.network.service import NetworkService
    from scow.runtime.task import TaskManager
    from scow.volumes.service import VolumeService


@dataclass(frozen=True, slots=True)
class Defaults:
    """What daemon.json gives to containers that don't say otherwise."""

    runtime: str = "crun"
    runtimes: frozenset[str] = frozenset({"crun"})
    log: LogConfig = field(default_factory=lambda: LogConfig(type="json-file"))
    shm_size: int = 64 << 20
    ipc_mode: str = "private"
    cgroupns_mode: str = ""  # "" = host on cgroup v1, private on v2
    cgroup_parent: str = ""
    ulimits: tuple[Ulimit, ...] = ()
    init: bool = False
    init_path: Path | None = None
    no_new_privileges: bool = False
    seccomp_profile: str = ""  # "" = builtin, "unconfined", or a path
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    host_gateway: str = ""
    live_restore: bool = True
    shutdown_timeout: int = 15  # seconds
    arch: str = "amd64"


@dataclass(slots=True)
class Parts:
    """The neighbours. `on_running` and `on_ended` are told of each start and end (health checks, execs)."""

    store: Containers
    images: "ImageService"
    volumes: "VolumeService"
    network: "NetworkService"
    tasks: "TaskManager"
    refs: "References"
    db: "Database"
    bus: "EventBus"
    defaults: Defaults
    supervisor: Supervisor = field(default_factory=lambda: Supervisor("containers"))
    cleanups: Supervisor = field(default_factory=lambda: Supervisor("cleanups"))  # work behind an answer; a shutdown waits for it
    locks: KeyedLock = field(default_factory=KeyedLock)
    on_running: list[Callable[[Container], Any]] = field(default_factory=list)
    on_ended: list[Callable[[Container], Any]] = field(default_factory=list)
    engine_mounts: "Callable[[Container], list[SpecMount]] | None" = None
    """Further files of the engine's own that a container gets at its start (a swarm's secrets); called in the pool."""

    def running(self, container: Container) -> None:
        """Tell those who care that the container runs now."""
        for hook in self.on_running:
            hook(container)

    def ended(self, container: Container) -> None:
        """Tell those who care that the container's process is gone."""
        for hook in self.on_ended:
            hook(container)
