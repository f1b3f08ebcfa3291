"""The neighbours of the container services, scripted and in memory: tasks, images, network, volumes."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scow.containers.parts import Defaults, Parts
from scow.containers.store import Containers
from scow.errors import InvalidArgument, NotFound, ScowError
from scow.events import EventBus
from scow.metadata import Database, References
from scow.model.network import EndpointSettings
from scow.network.endpoint import NetworkView, Sandbox
from scow.plugins.registry import Plugins
from scow.runtime.types import Exit, NoTask, Started, Task, TaskSpec
from scow.volumes.service import VolumeService


@dataclass(slots=True)
class FakeTasks:
    """Processes that live until `exit` is called; `deaf` ones survive all signals but 9, `failure` makes the next run fail."""

    live: dict[str, int] = field(default_factory=dict)
    specs: dict[str, TaskSpec] = field(default_factory=dict)
    signals: list[tuple[str, int]] = field(default_factory=list)
    updates: list[dict[str, Any]] = field(default_factory=list)
    known: dict[str, Task | Exit] = field(default_factory=dict)
    deaf: bool = False
    failure: ScowError | None = None
    on_exit: Callable[[str, Exit], None] = lambda container_id, result: None
    on_oom: Callable[[str], None] = lambda container_id: None
    runs: int = 0

    async def run(self, spec: TaskSpec) -> Started:
        self.runs += 1
        if self.failure is not None:
            raise self.failure
        self.specs[spec.container_id] = spec
        self.live[spec.container_id] = 1000 + self.runs
        return Started(1000 + self.runs, time.time_ns())

    def exit(self, container_id: str, code: int = 0, oom: bool = False) -> None:
        self.live.pop(container_id, None)
        self.on_exit(container_id, Exit(code, time.time_ns(), oom))

    async def signal(self, container_id: str, signum: int, all: bool = False) -> None:
        if container_id not in self.live:
            raise NoTask(f"container {container_id} is not running")
        self.signals.append((container_id, signum))
        if signum == 9 or not self.deaf:
            self.exit(container_id, 128 + signum)

    async def pause(self, container_id: str) -> None: ...
    async def resume(self, container_id: str) -> None: ...
    async def resize(self, container_id: str, rows: int, cols: int) -> None: ...
    async def delete(self, container_id: str, runtime: str = "") -> None: ...

    async def update(self, container_id: str, resources: dict[str, Any]) -> None:
        self.updates.append(resources)

    async def recover(self) -> dict[str, Task | Exit]:
        return self.known


@dataclass(slots=True)
class FakeImage:
    """An image with a configuration."""

    id: str
    config: dict[str, Any]
    spec: dict[str, Any] = field(default_factory=dict)
    architecture: str = ""


@dataclass(slots=True)
class FakeImages:
    """Images by reference; root file systems are directories."""

    images: dict[str, FakeImage] = field(default_factory=dict)
    prepared: set[str] = field(default_factory=set)
    mounted: set[str] = field(default_factory=set)

    def get(self, ref: str, platform: str = "") -> FakeImage:
        if ref not in self.images:
            raise NotFound(f"No such image: {ref}:latest")
        return self.images[ref]

    async def prepare_rootfs(self, container_id: str, image_id: str) -> None:
        self.prepared.add(container_id)

    async def mount_rootfs(self, container_id: str, target: Path) -> None:
        self.mounted.add(container_id)
        (target / "etc").mkdir(exist_ok=True)

    async def mount_image(self, id: str, target: Path) -> None:
        raise AssertionError("no container of these tests mounts an image")

    async def unmount_rootfs(self, container_id: str, target: Path) -> None:
        self.mounted.discard(container_id)

    async def remove_rootfs(self, container_id: str) -> None:
        self.prepared.discard(container_id)

    async def rootfs_size(self, container_id: str) -> tuple[int, int]:
        return 10, 100


@dataclass(slots=True)
class FakeNetwork:
    """Remembers who is attached."""

    attached: set[str] = field(default_factory=set)
    failure: ScowError | None = None

    async def attach(self, request: Any) -> Sandbox:
        if self.failure is not None:
            raise self.failure
        self.attached.add(request.container_id)
        return Sandbox("s", "", {})

    def farewell(self, container_id: str) -> None:
        """Nobody listens."""

    async def release(self, container_id: str) -> None:
        self.attached.discard(container_id)

    def settings(self, container_id: str) -> NetworkView:
        return NetworkView()

    def get(self, ref: str) -> Any:
        raise NotFound(f"network {ref} not found")

    def check_endpoint(self, ref: str, settings: EndpointSettings) -> Any:
        if settings.ipam_config is not None:
            raise InvalidArgument("user specified IP address is supported on user defined networks only")
        raise NotFound(f"network {ref} not found")

    def rename(self, container_id: str, name: str) -> None: ...

    async def recover(self, live: dict[str, int], known: dict[str, tuple[str, ...]] | None = None) -> None: ...


def make_parts(root: Path, **defaults: Any) -> Parts:
    """Parts on fakes (and the real store, database, references, volumes) below a directory. One image: `box`, which runs `sh`."""
    bus = EventBus()
    db = Database(root / "meta.db")
    refs = References(db)
    images = FakeImages({"box": FakeImage("sha256:" + "a" * 64, {"Cmd": ["sh"], "Env": ["PATH=/bin"], "Labels": {"l": "image"}})})
    parts: Any = {
        "store": Containers(db.table("containers"), bus, root / "containers", root / "bundles"),
        "images": images,
        "volumes": VolumeService(root / "volumes", db, refs, bus, Plugins(root / "plugins", ())),
        "network": FakeNetwork(),
        "tasks": FakeTasks(),
        "refs": refs,
        "db": db,
        "bus": bus,
        "defaults": Defaults(**defaults),
    }
    return Parts(**parts)
