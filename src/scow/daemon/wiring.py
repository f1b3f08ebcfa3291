"""Builds every service with exactly what it uses, in start order, and registers the routes."""

import asyncio
import dataclasses
import importlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scow import log
from scow.aio import in_pool
from scow.api.app import App
from scow.daemon import cluster
from scow.daemon.lifecycle import Lifecycle, Step
from scow.daemon.options import Options
from scow.daemon.reload import Reloader
from scow.errors import InvalidArgument, ScowError
from scow.events import EventBus

if TYPE_CHECKING:
    from scow.build.executor import Defaults as StepDefaults
    from scow.build.service import BuildService
    from scow.containers.attach import AttachService
    from scow.containers.parts import Defaults
    from scow.containers.service import ContainerService
    from scow.network.options import NetworkOptions
    from scow.network.service import NetworkService
    from scow.registry.settings import Settings
    from scow.runtime.task import Runtime
    from scow.swarm.front import Front

logger = log.get(__name__)

_STOP_SLACK = 15.0
_MAX_PROFILE = 4 << 20
_PACKAGES = (
    "scow.metadata", "scow.archive.workers", "scow.model.container", "scow.images.service", "scow.kernel.cgroups", "scow.network.service",
    "scow.volumes.service", "scow.runtime.task", "scow.containers.service", "scow.api.routes.images", "scow.api.routes.containerio",
    "scow.api.routes.containers", "scow.api.routes.networks", "scow.api.routes.volumes", "scow.api.routes.exec", "scow.api.routes.system",
    "scow.api.routes.unsupported", "scow.containers.health", "scow.containers.listing", "scow.system.df", "scow.system.info",
)  # fmt: skip
_SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(slots=True)
class Engine:
    """The running engine as `main` sees it."""

    containers: "ContainerService"
    network: "NetworkService"
    swarm: "Front"

    async def shutdown(self, options: Options, everything: bool) -> None:
        """End containers (or leave them to the keeper) before the services go. `everything`: containers end, and no network stays in the
        kernel."""
        if everything:
            await self.swarm.close()  # or it would begin its tasks again
        live_restore = options.live_restore and not everything
        await self.containers.shutdown(live_restore=live_restore, timeout=float(max(options.shutdown_timeout, 0)))
        if everything:
            await self.swarm.take_down()
            self.network.leave_nothing()


def runtimes(options: Options) -> "dict[str, Runtime]":
    """The OCI runtimes by name: crun and runc where installed, and what the options add. Raises InvalidArgument."""
    from scow.runtime.task import Runtime

    path = os.environ.get("PATH", "") + ":" + _SEARCH
    found = {name: Runtime(program) for name in ("crun", "runc") if (program := shutil.which(name, path=path))}
    for name, value in options.runtimes.items():
        program = str(value.get("path") or name)
        args = tuple(str(word) for word in value.get("runtimeArgs") or ())
        found[name] = Runtime(shutil.which(program, path=path) or program, args)
    if options.default_runtime not in found:
        if options.default_runtime == "crun" and "runc" in found:
            found["crun"] = found["runc"]
        else:
            raise InvalidArgument(
                f"specified default runtime '{options.default_runtime}' does not exist: install crun, or use --add-runtime"
            )
    return found


def network_options(options: Options) -> "NetworkOptions":
    """What networks take from the options."""
    from scow.network.options import DEFAULT_POOLS, NetworkOptions

    return NetworkOptions(
        bridge=options.bridge or "scow0",
        bip=options.bip,
        fixed_cidr=options.fixed_cidr,
        default_gateway=options.default_gateway,
        icc=options.icc,
        ip_masq=options.ip_masq,
        ip_forward=options.ip_forward,
        firewall=options.iptables,
        mtu=options.mtu or 1500,
        ip="" if options.ip == "0.0.0.0" else options.ip,
        default_address_pools=tuple((pool["base"], pool["size"]) for pool in options.default_address_pools) or DEFAULT_POOLS,
        dns=options.dns,
        dns_search=options.dns_search,
        dns_options=options.dns_opts,
        host_gateway_ips=options.host_gateway_ips,
        publish_policy=options.publish_policy,
        ipv6=options.ipv6,
        bip6=options.bip6,
        fixed_cidr_v6=options.fixed_cidr_v6,
        default_gateway_v6=options.default_gateway_v6,
        default_network_opts=default_network_options(options.default_network_opts),
    )


def default_network_options(values: "dict[str, Any]") -> dict[str, dict[str, str]]:
    """Default options by driver: from the file `{"bridge": {"a": "b"}}`, from flags `bridge=a=b`. Raises InvalidArgument."""
    found: dict[str, dict[str, str]] = {}
    for driver, given in values.items():
        if isinstance(given, str):
            name, separator, value = given.partition("=")
            if not separator:
                raise InvalidArgument(f"invalid default-network-opt {driver}={given}: it must be driver=option=value")
            given = {name: value}
        if not isinstance(given, dict):
            raise InvalidArgument(f"invalid default-network-opts of {driver}: an object is needed")
        found[driver] = {str(key): str(value) for key, value in given.items()}
    return found


def registry_settings(options: Options) -> "Settings":
    """What images take from the options and the environment about registries."""
    from scow.registry.settings import Settings

    def proxy(given: str, name: str) -> str:
        return given or os.environ.get(name, "") or os.environ.get(name.lower(), "")

    return Settings(
        insecure=options.insecure_registries,
        mirrors=options.registry_mirrors,
        downloads=options.max_concurrent_downloads,
        uploads=options.max_concurrent_uploads,
        attempts=options.max_download_attempts,
        http_proxy=proxy(options.http_proxy, "HTTP_PROXY"),
        https_proxy=proxy(options.https_proxy, "HTTPS_PROXY"),
        no_proxy=proxy(options.no_proxy, "NO_PROXY"),
    )


def defaults(options: Options, known: "frozenset[str]") -> "Defaults":
    """What containers take from the options when a request doesn't say."""
    from scow.containers.parts import Defaults
    from scow.model import codec
    from scow.model.container import LogConfig, Ulimit
    from scow.system.version import architecture

    return Defaults(
        runtime=options.default_runtime,
        runtimes=known,
        log=LogConfig(type=options.log_driver, config={key: str(value) for key, value in options.log_opts.items()}),
        shm_size=options.default_shm_size,
        ipc_mode=options.default_ipc_mode,
        cgroupns_mode=options.default_cgroupns_mode,
        cgroup_parent=options.cgroup_parent,
        ulimits=tuple(codec.decode(Ulimit, {"Name": name, **value}) for name, value in options.default_ulimits.items()),
        init=options.init,
        init_path=Path(options.init_path) if options.init_path else None,
        no_new_privileges=options.no_new_privileges,
        seccomp_profile=options.seccomp_profile,
        dns=options.dns,
        dns_search=options.dns_search,
        dns_options=options.dns_opts,
        host_gateway=options.host_gateway_ips[0] if options.host_gateway_ips else "",
        live_restore=options.live_restore,
        shutdown_timeout=options.shutdown_timeout,
        arch=architecture(),
    )


def step_defaults(from_: "Defaults") -> "StepDefaults":
    """What steps of builds take from what containers do."""
    from scow.build.executor import Defaults as StepDefaults

    profile = from_.seccomp_profile
    if profile == "builtin":
        profile = ""
    elif profile not in ("", "unconfined"):
        profile = Path(profile).read_text(encoding="utf-8")[:_MAX_PROFILE]
    return StepDefaults(
        seccomp=profile,
        shm_size=from_.shm_size,
        ulimits=from_.ulimits,
        dns=from_.dns,
        dns_search=from_.dns_search,
        dns_options=from_.dns_options,
        host_gateway=from_.host_gateway,
        cgroup_parent=from_.cgroup_parent,
    )


def check(options: Options) -> None:
    """Refuse defaults that would fail every container. Raises InvalidArgument."""
    from scow.logdrivers import plan
    from scow.model.container import LogConfig
    from scow.runtime import seccomp

    plan.validate(LogConfig(type=options.log_driver, config={key: str(value) for key, value in options.log_opts.items()}))
    cluster.generic_resources(options.node_generic_resources)
    path = options.seccomp_profile
    if path not in ("", "builtin", "unconfined"):
        try:
            with open(path, encoding="utf-8") as file:
                seccomp.parse(file.read(_MAX_PROFILE))
        except (OSError, ValueError) as exc:
            raise InvalidArgument(f"opening seccomp profile ({path}) failed: {exc}") from exc


def _import() -> None:
    """Read all of the engine's modules; in a thread, so that `_ping` is answered meanwhile."""
    for package in _PACKAGES:
        importlib.import_module(package)


async def build(options: Options, app: App, reloader: Reloader, lifecycle: Lifecycle) -> Engine:
    """Start the engine behind an API that already answers `_ping`. Raises ScowError."""
    await in_pool(_import)
    check(options)
    known = runtimes(options)
    from scow.aio import Supervisor
    from scow.api.routes import build as build_routes
    from scow.api.routes import buildkit as buildkit_routes
    from scow.api.routes import swarmtable
    from scow.archive.workers import Workers
    from scow.build.classic.service import ClassicBuilder
    from scow.build.service import BuildService
    from scow.containers.archive import clear_views
    from scow.containers.attach import AttachService
    from scow.containers.parts import Parts
    from scow.containers.service import ContainerService
    from scow.containers.steps import StepContainers
    from scow.containers.store import Containers
    from scow.images.service import ImageService
    from scow.kernel import cgroups
    from scow.kernel.nft import reserve
    from scow.metadata import Database, References
    from scow.network.service import NetworkService
    from scow.plugins.registry import Plugins
    from scow.runtime.task import TaskManager
    from scow.swarm.front import Front
    from scow.system.info import engine_id
    from scow.volumes.service import VolumeService

    reserve()
    paths = options.paths
    for folder in (paths.data / "containers", paths.run / "bundles", paths.run / "netns", paths.run / "views"):
        folder.mkdir(parents=True, exist_ok=True, mode=0o711)
    # users of the host must not walk into images, volumes and running containers: setuid programs lie in there
    for folder in (paths.data, paths.run / "bundles", paths.run / "views"):
        folder.chmod(0o710)
    bus = EventBus()
    db = Database(paths.data / "meta.db")

    async def close_db() -> None:
        db.close()

    await lifecycle.start(Step("database", stop=close_db))
    refs = References(db)
    images = ImageService(paths.data, db, refs, bus, Workers())
    images.registries(registry_settings(options))
    await lifecycle.start(Step("images", stop=images.close))
    plugins = Plugins()
    await lifecycle.start(Step("plugins", stop=plugins.close))
    volumes = VolumeService(paths.data / "volumes", db, refs, bus, plugins)
    await lifecycle.start(Step("volumes", stop=volumes.close))
    network = NetworkService(db, bus, paths.run / "netns", network_options(options))
    await lifecycle.start(Step("network", stop=network.close))
    tasks = TaskManager(paths.run, known, options.default_runtime)

    async def close_tasks() -> None:
        await tasks.close(end_keeper=True)

    await lifecycle.start(Step("runtime", tasks.open, close_tasks, stop_seconds=_STOP_SLACK))
    store = Containers(db.table("containers"), bus, paths.data / "containers", paths.run / "bundles")
    parts = Parts(store, images, volumes, network, tasks, refs, db, bus, defaults(options, frozenset(known)))
    service = ContainerService(parts)
    background = Supervisor("system")
    await lifecycle.start(Step("system", stop=background.close))
    attach = AttachService(parts)
    steps = StepContainers(service, attach, db)
    classic = ClassicBuilder(paths.data / "build", db, images, steps)
    await lifecycle.start(Step("classic builder", stop=classic.close))
    builds = BuildService(
        paths.data,
        paths.run,
        db,
        images,
        bus,
        tasks,
        network,
        options.builder,
        engine_id(paths.data / "engine-id"),
        lambda: step_defaults(parts.defaults),
    )
    await lifecycle.start(Step("builder", stop=builds.close))
    build_routes.register(app.router, classic, builds)
    buildkit_routes.register(app.router, builds)
    swarm = Front(lambda: cluster.make(options, parts, service))
    await lifecycle.start(Step("swarm", stop=swarm.close))
    swarmtable.register(app.router, swarm)
    app.swarm_word = lambda: swarm.word
    if cluster.is_needed(db, paths.run):
        await swarm.service()
    _routes(options, app, reloader, parts, service, attach, background, known, builds, swarm)
    await in_pool(clear_views, paths.run / "views")
    builds.pin()
    await images.recover(set(db.table("containers").all()))
    await classic.recover()
    await builds.recover()
    await service.recover()
    await steps.recover()
    await swarm.recover()
    cgroups.tune()

    def apply(new: Options) -> None:
        parts.defaults = dataclasses.replace(
            parts.defaults,
            live_restore=new.live_restore,
            shutdown_timeout=new.shutdown_timeout,
            shm_size=new.default_shm_size,
            ipc_mode=new.default_ipc_mode,
            cgroupns_mode=new.default_cgroupns_mode,
        )

    reloader.add("containers", apply)
    reloader.add("registries", lambda new: images.registries(registry_settings(new)))
    return Engine(service, network, swarm)


def _routes(
    options: Options,
    app: App,
    reloader: Reloader,
    parts: Any,
    service: "ContainerService",
    attach: "AttachService",
    background: Any,
    known: "dict[str, Runtime]",
    builds: "BuildService",
    swarm: "Front",
) -> None:
    from scow.api.routes import containerio, containers, images, networks, system, unsupported, volumes
    from scow.api.routes import exec as execution
    from scow.containers import shapes
    from scow.containers.archive import ArchiveService
    from scow.containers.commit import CommitService
    from scow.containers.exec import ExecService
    from scow.containers.health import HealthMonitor
    from scow.containers.listing import Listing, ListQuery
    from scow.containers.logs import LogsService
    from scow.containers.stats import StatsService, kernel_sampler
    from scow.containers.top import TopService
    from scow.containers.view import View
    from scow.kernel import cgroups
    from scow.system.df import Usage
    from scow.volumes.travel import VolumeTravel

    paths, router = options.paths, app.router
    bundles = paths.run / "bundles"
    view = View(
        parts.network,
        parts.images,
        graph=lambda key: shapes.overlay_data(parts.images.snapshots.trees(key), bundles / key / "rootfs"),
        living=lambda: {container.id for container in parts.store.all()},
        manifest=parts.images.targets.manifest_of,
    )
    listing = Listing(parts.store, parts.images, view)
    execs = ExecService(parts)
    HealthMonitor(parts, execs)

    async def sized() -> Any:
        return await listing.entries(ListQuery(all=True, size=True))

    usage = Usage(
        parts.images.disk_usage, sized, parts.volumes.disk_usage, background, builds.disk_usage, lambda: parts.images.blocks(paths.data)
    )
    facts = Facts(options, reloader, parts, known, swarm)

    def running() -> set[str]:
        return {container.id for container in parts.store.all() if container.state.running}

    unsupported.register(router)
    system.register_basics(router, parts.bus, "")
    system.register(router, facts.info, usage.document)
    containers.register(router, service, view, listing)
    containerio.register(
        router,
        service,
        attach,
        ArchiveService(parts, parts.images.workers, paths.run / "views"),
        StatsService(parts, kernel_sampler(cgroups.manager())),
        TopService(parts),
        LogsService(),
        CommitService(parts),
    )
    execution.register(router, service, execs)
    images.register(router, parts.images, running)
    volumes.register(router, parts.volumes, VolumeTravel(parts.volumes, parts.images.workers))
    networks.register(router, parts.network, service)


class Facts:
    """Gathers what `/info` says: options in force, counters, the host."""

    def __init__(self, options: Options, reloader: Reloader, parts: Any, known: "dict[str, Runtime]", swarm: "Front") -> None:
        from scow.containers.top import capture
        from scow.kernel import cgroups
        from scow.system import info
        from scow.system.programs import Programs

        self._parts = parts
        self._reloader = reloader
        self._known = known
        self._swarm = swarm
        self._id = info.engine_id(options.paths.data / "engine-id")
        self._layout = cgroups.detect()
        self._programs = Programs(capture)

    async def info(self) -> dict[str, Any]:
        """The document of /info."""
        from scow.kernel.cgroups.support import support
        from scow.runtime import initprogram
        from scow.system import info

        options = self._reloader.options
        states = [container.state for container in self._parts.store.all()]
        paused = sum(state.paused for state in states)
        try:
            init = options.init_path or initprogram.find()
        except ScowError:
            init = ""
        runtime = self._known[options.default_runtime].path if options.default_runtime in self._known else ""
        seccomp = options.seccomp_profile or "builtin"
        facts = info.Facts(
            engine_id=self._id,
            data_root=options.data_root,
            driver_status=[
                ["Backing Filesystem", _filesystem(options.data_root)],
                ["Supports d_type", "true"],
                ["Using metacopy", "false"],
                ["Native Overlay Diff", "true"],
                ["userxattr", "false"],
            ],
            cgroup_version=str(self._layout.version),
            limits=support(),
            default_runtime=options.default_runtime,
            runtimes={name: {"path": runtime.path} for name, runtime in self._known.items()},
            logging_driver=options.log_driver,
            labels=options.labels,
            live_restore=options.live_restore,
            debug=options.debug,
            init_binary=os.path.basename(init),
            runtime_version=await self._programs.version(runtime),
            init_version=await self._programs.version(init),
            pools=tuple(options.default_address_pools),
            seccomp=seccomp,
            no_new_privileges=options.no_new_privileges,
            mirrors=options.registry_mirrors,
            insecure=options.insecure_registries,
            volume_drivers=tuple(self._parts.volumes.drivers()),
        )
        counts = info.Counts(
            containers=len(states),
            running=sum(state.running for state in states) - paused,
            paused=paused,
            images=len(self._parts.images.store.all()),
            listeners=self._parts.bus.listeners,
        )
        return info.info(facts, counts, len(asyncio.all_tasks()), self._swarm.info())


def _filesystem(path: str) -> str:
    best, kind = "", ""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, target, fstype, *_ = line.split(" ")
        if (path == target or path.startswith(target.rstrip("/") + "/")) and len(target) >= len(best):
            best, kind = target, fstype
    return "extfs" if kind.startswith("ext") else kind
