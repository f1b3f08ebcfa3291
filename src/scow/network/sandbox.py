"""Attaching containers: addresses and ports are settled and recorded first, then the kernel is programmed; any failure is undone.

Addresses of a released container are free at once: its links are silenced on the spot, and deleted behind the answer.
"""

import asyncio
import contextlib
import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from scow import aio, ids, log
from scow.errors import Conflict, Forbidden, Internal, NotFound, ScowError
from scow.events import EventBus
from scow.kernel.namespaces import is_pinned, pin_netns
from scow.model.network import EndpointSettings
from scow.network import checks, osl, takeover, view
from scow.network.containerfiles import ContainerFiles, resolves
from scow.network.dns.server import NameServers, listeners
from scow.network.driver import NetworkDriver
from scow.network.endpoint import Endpoint, NetworkView, Sandbox, SandboxRequest, SandboxState
from scow.network.endpoints import Endpoints
from scow.network.firewall.guard import Guard, Guards
from scow.network.layout import Layout
from scow.network.options import NetworkOptions
from scow.network.ports.mapper import PortMapper
from scow.network.store import NetworkStore, SandboxStore
from scow.network.wayout import WayOut

logger = log.get(__name__)
_LEAVE_SECONDS = 10.0
_SHARED = ("host", "none")


class Sandboxes:
    """Attach, release, connect, disconnect. Calls for one container are serialised by a lock."""

    def __init__(
        self,
        networks: NetworkStore,
        store: SandboxStore,
        events: EventBus,
        ports: PortMapper,
        watchmen: Guards,
        names: NameServers,
        options: NetworkOptions,
        pins: Path,
        drivers: Mapping[str, NetworkDriver],
    ) -> None:
        self._networks = networks
        self._store = store
        self._events = events
        self._ports = ports
        self._watchmen = watchmen
        self._names = names
        self._options = options
        self._pins = pins
        self._drivers = drivers
        self._layout = Layout(networks, drivers, options, ports)
        self._lock = aio.KeyedLock()
        self._tasks = aio.Supervisor("network")
        self._endpoints = Endpoints(networks)
        self._way_out = WayOut(networks, self._endpoints)
        self._files = ContainerFiles(networks, store, names, options)
        self._leaving: dict[str, asyncio.Event] = {}

    def guards(self, live: Collection[str]) -> list[Guard]:
        """Those of all living containers."""
        return [guard for sandbox in self._store if sandbox.container_id in live for guard in self._layout.guards(sandbox)]

    # --- attach and release

    async def attach(self, request: SandboxRequest) -> Sandbox:
        """Give a container its network. Raises NotFound (network), Forbidden (address), Conflict (port), InvalidArgument, Internal."""
        async with self._lock(request.container_id):
            if self._store.get(request.container_id) is not None:
                await self._release(request.container_id)
            if request.mode.startswith("container:"):
                other = self._store.find(request.mode.removeprefix("container:"))
                return Sandbox(other.id if other else "", other.key if other else "", {})
            return await self._attach(request)

    async def _attach(self, request: SandboxRequest) -> Sandbox:
        wanted = self._layout.wanted(request)
        sandbox_id = ids.new_id()
        key = "" if any(network.driver == "host" for network, _ in wanted) else str(self._pins / ids.short(sandbox_id))
        unwind = aio.Unwind()
        try:
            endpoints: list[Endpoint] = []
            for network, asked in wanted:
                endpoint = self._endpoints.make(request, network, asked, {one.inner for one in endpoints})
                unwind.push(self._endpoints.free, endpoint, request.container_id)
                endpoints.append(endpoint)
            if (outside := self._way_out.missing(endpoints)) is not None:
                endpoints.append(self._way_out.make(request, outside, {one.inner for one in endpoints}))
                unwind.push(self._endpoints.free, endpoints[-1], request.container_id)
            sandbox = SandboxState(sandbox_id, key, request, tuple(endpoints))
            published = self._layout.hold(sandbox)
            unwind.push(self._ports.unhold, published)
            sandbox = dataclasses.replace(sandbox, published=published)
            self._store.put(sandbox)
            unwind.push(self._store.drop, request.container_id)
            if key:
                unwind.push(aio.in_pool, osl.destroy, Path(key), self._layout.outers(sandbox))
                await self._program(sandbox, unwind)
            self._files.write(sandbox)
        except OSError as error:
            await unwind.undo()
            raise Internal(f"failed to set up container networking: {error}") from error
        except BaseException:
            await unwind.undo()
            raise
        for endpoint in sandbox.endpoints:
            self._tell("connect", endpoint, request.container_id)
        return Sandbox(sandbox.id, sandbox.key, _shown(sandbox))

    async def _program(self, sandbox: SandboxState, unwind: aio.Unwind) -> None:
        """Namespace, links and firewall at the same time."""
        interfaces = [self._layout.interface(endpoint) for endpoint in sandbox.endpoints if endpoint.inner]
        inside = listeners if resolves(sandbox) else _nothing
        unwind.push(self._ports.close, sandbox.published)
        unwind.push(self._watchmen.remove, self._layout.outers(sandbox))
        built = aio.in_pool(osl.build, Path(sandbox.key), interfaces, self._layout.routes(sandbox), inside)
        guarded = self._watchmen.add(self._layout.guards(sandbox))
        sockets, *opened = await asyncio.gather(built, guarded, self._ports.open(sandbox.published), return_exceptions=True)
        for result in (sockets, *opened):
            if isinstance(result, BaseException):
                raise result
        if sockets is not None and not isinstance(sockets, BaseException):
            unwind.push(self._names.stop, sandbox.container_id)
            await self._names.start(sandbox.container_id, sockets)

    def _tell(self, action: str, endpoint: Endpoint, container_id: str) -> None:
        if endpoint.way_out:
            return
        network = self._networks.get(endpoint.network_id)
        self._events.publish("network", action, network.id, {"container": container_id, "name": network.name, "type": network.driver})

    async def release(self, container_id: str) -> None:
        """Take a container's network away; not attached is fine.

        Ports and addresses are free when this returns, the kernel's objects soon after."""
        async with self._lock(container_id):
            await self._release(container_id)

    async def _release(self, container_id: str) -> None:
        sandbox = self._store.get(container_id)
        if sandbox is None:
            return
        outers = self._layout.outers(sandbox)
        self._names.stop(container_id)
        if outers:
            await asyncio.gather(self._ports.close(sandbox.published), aio.in_pool(osl.silence, outers), self._watchmen.remove(outers))
        if stacked := [endpoint.inner for endpoint in sandbox.endpoints if self._layout.stacked(endpoint)]:
            await aio.in_pool(osl.quiet, sandbox.key, stacked)
        for endpoint in sandbox.endpoints:
            self._endpoints.free(endpoint, container_id)
        self._store.drop(container_id)
        if sandbox.key:
            self._tasks.start(aio.behind(aio.in_pool, osl.destroy, Path(sandbox.key), outers), f"destroy {sandbox.key}")
        leaving = self._leaving.pop(container_id, None)
        if leaving is not None:
            leaving.set()
        else:
            for endpoint in sandbox.endpoints:
                self._tell("disconnect", endpoint, container_id)

    def farewell(self, container_id: str) -> None:
        """The container has ended: tell now what its release, which follows, would tell."""
        sandbox = self._store.get(container_id)
        if sandbox is not None and container_id not in self._leaving:
            self._leaving[container_id] = asyncio.Event()
            for endpoint in sandbox.endpoints:
                self._tell("disconnect", endpoint, container_id)

    def leaving(self, container_id: str) -> bool:
        """Whether the container has ended and is about to be released."""
        return container_id in self._leaving

    async def left(self, container_ids: Iterable[str]) -> None:
        """Wait, for a while, until those of them that have ended are released."""
        for event in [self._leaving[one] for one in container_ids if one in self._leaving]:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(event.wait(), _LEAVE_SECONDS)

    # --- changes while the container runs

    async def connect(self, container_id: str, ref: str, asked: EndpointSettings) -> EndpointSettings:
        """Add a running container to a network. Raises Forbidden (already there, host or none mode), NotFound."""
        network = self._networks.get(ref)
        checks.endpoint(network, asked)
        async with self._lock(container_id):
            sandbox = self._store.get(container_id)
            if sandbox is None:
                raise NotFound(f"container {container_id} is not attached to the network")
            if sandbox.endpoint(network.id) is not None:
                raise Forbidden(f"endpoint with name {sandbox.request.name} already exists in network {network.name}")
            if network.name in _SHARED or not sandbox.key:
                raise Forbidden("container cannot be connected to host network or disconnected from it while it runs")
            # a container without network loses its place on "none" when it gets a real one
            kept = tuple(endpoint for endpoint in sandbox.endpoints if endpoint.inner)
            endpoint = self._endpoints.make(sandbox.request, network, asked, {endpoint.inner for endpoint in kept})
            unwind = aio.Unwind()
            unwind.push(self._endpoints.free, endpoint, container_id)
            new = [endpoint]
            try:
                if (outside := self._way_out.missing((*kept, endpoint))) is not None:
                    new.append(self._way_out.make(sandbox.request, outside, {one.inner for one in (*kept, endpoint)}))
                    unwind.push(self._endpoints.free, new[-1], container_id)
                after = dataclasses.replace(sandbox, endpoints=(*kept, *new))
                self._store.put(after)
                unwind.push(self._store.put, sandbox)
                inside = listeners if resolves(after) and not self._names.running(container_id) else _nothing
                for one in new:
                    interface = self._layout.interface(one)
                    unwind.push(aio.in_pool, osl.unplug, sandbox.key, interface, self._layout.routes(sandbox))
                    unwind.push(self._watchmen.remove, [interface.outer])
                    await self._watchmen.add(self._layout.guards(after))
                    sockets = await aio.in_pool(
                        osl.plug, sandbox.key, interface, self._layout.routes(after), inside if one is endpoint else _nothing
                    )
                    if sockets is not None:
                        await self._names.start(container_id, sockets)
                after = await self._move_ports(sandbox, after)
                self._files.write(after)
            except OSError as error:
                await unwind.undo()
                raise Internal(f"failed to set up container networking: {error}") from error
            except BaseException:
                await unwind.undo()
                raise
        self._tell("connect", endpoint, container_id)
        return endpoint.settings

    async def disconnect(self, container_id: str, ref: str, force: bool = False) -> None:
        """Take a running container out of a network. Raises Forbidden when it is not there."""
        network = self._networks.get(ref)
        async with self._lock(container_id):
            sandbox = self._store.get(container_id)
            endpoint = sandbox.endpoint(network.id) if sandbox else None
            if sandbox is None or endpoint is None:
                raise Forbidden(f"container {container_id} is not connected to network {network.name}")
            if network.driver == "host":
                raise Forbidden("container cannot be disconnected from host network or connected to host network")
            left = tuple(one for one in sandbox.endpoints if one is not endpoint)
            going = [endpoint] if (spare := self._way_out.spare(left)) is None else [endpoint, spare]
            left = tuple(one for one in left if one not in going)
            added: Endpoint | None = None
            if (outside := self._way_out.missing(left)) is not None:
                added = self._way_out.make(sandbox.request, outside, {one.inner for one in sandbox.endpoints})
                left = (*left, added)
            after = await self._move_ports(sandbox, dataclasses.replace(sandbox, endpoints=left))
            if added is not None:
                await self._watchmen.add(self._layout.guards(after))
                await aio.in_pool(osl.plug, sandbox.key, self._layout.interface(added), self._layout.routes(after), _nothing)
            for one in going:
                if one.inner:
                    await aio.in_pool(osl.unplug, sandbox.key, self._layout.interface(one), self._layout.routes(after))
                    await self._watchmen.remove([osl.veth_name(one.id)])
            self._store.put(after)
            for one in going:
                self._endpoints.free(one, container_id)
            self._files.write(after)
        self._tell("disconnect", endpoint, container_id)

    async def _move_ports(self, before: SandboxState, after: SandboxState) -> SandboxState:
        """Let published ports lead to the endpoint that leads out now, under their numbers."""
        old, new = self._layout.targets(before), self._layout.targets(after)
        if old != new or self._layout.routed(before) != self._layout.routed(after):
            await self._ports.close(before.published)
            after = dataclasses.replace(after, published=())
            if any(new):
                if before.published and not (self._layout.routed(before) | self._layout.routed(after)):
                    moved = tuple(
                        dataclasses.replace(one, address=(new[1] or new[0]) if ":" in one.host_ip else (new[0] or new[1]))
                        for one in before.published
                    )
                    self._ports.rehold(moved)
                else:
                    moved = self._layout.hold(after)
                after = dataclasses.replace(after, published=moved)
                await self._ports.open(moved)
        self._store.put(after)
        return after

    async def take_over(
        self, container_id: str, other_id: str, ports: Collection[str], names: Mapping[str, Sequence[str]]
    ) -> frozenset[str]:
        """See takeover.plan; the ports that moved. Raises Conflict where a container is not attached."""
        first, second = sorted((container_id, other_id))
        async with self._lock(first), self._lock(second):
            new, old = self._store.get(container_id), self._store.get(other_id)
            if new is None or old is None:
                raise Conflict("only a container with a network of its own can take the place of another such one")
            targets = self._layout.targets(new)
            after = takeover.plan(new, old, targets, ports if any(targets) else (), names)
            self._store.put(after.new)
            self._store.put(after.old)
            try:
                await self._ports.move(after.moved)
            except BaseException:
                self._store.put(old)
                self._store.put(new)
                raise
        return frozenset(f"{one.port}/{one.proto}" for one, _ in after.moved)

    def rename(self, container_id: str, name: str) -> None:
        """The container has another name now."""
        sandbox = self._store.get(container_id)
        if sandbox is None:
            return
        endpoints = []
        for endpoint in sandbox.endpoints:
            names = [name if one == sandbox.request.name else one for one in endpoint.settings.dns_names]
            endpoints.append(dataclasses.replace(endpoint, settings=dataclasses.replace(endpoint.settings, dns_names=names)))
        self._store.put(dataclasses.replace(sandbox.named(name), endpoints=tuple(endpoints)))

    def settings(self, container_id: str) -> NetworkView:
        """What inspect shows; empty for a container that is not attached."""
        sandbox = self._store.get(container_id)
        if sandbox is None:
            return NetworkView()
        return NetworkView(sandbox.id, sandbox.key, view.ports(sandbox), _shown(sandbox))

    # --- boot and repair

    async def recover(self, live: Mapping[str, int], known: Mapping[str, Collection[str]] | None = None) -> None:
        """After a restart: sandboxes of living containers (pid by id) are taken over, the others forgotten; what nobody owns is removed.

        `known`: the networks (names or ids) a container's own row has; endpoints beyond them are of a connect that was cut off."""
        keep = []
        for sandbox in self._store:
            if sandbox.container_id not in live:
                self._store.drop(sandbox.container_id)
                if sandbox.key:
                    self._tasks.start(
                        aio.behind(aio.in_pool, osl.destroy, Path(sandbox.key), self._layout.outers(sandbox)), f"destroy {sandbox.key}"
                    )
                continue
            keep.append(sandbox)
            for endpoint in sandbox.endpoints:
                settings = endpoint.settings
                for version, address in ((4, settings.ip_address), (6, settings.global_ipv6_address)):
                    if not address:
                        continue
                    try:
                        self._networks.addresses(self._networks.get(endpoint.network_id)).take(version, address)
                    except ScowError:
                        logger.exception("address %s of %s is not free", address, sandbox.request.name)
        # side by side: until then nobody answers their questions for names
        await asyncio.gather(*(self._take_over(sandbox, live[sandbox.container_id], known) for sandbox in keep))
        try:
            await aio.in_pool(self._sweep)
            await self.repair()
        except (ScowError, OSError):
            logger.exception("what is left of earlier networks could not be tidied up")

    async def _take_over(self, sandbox: SandboxState, pid: int, known: Mapping[str, Collection[str]] | None) -> None:
        try:
            await self._adopt(sandbox, pid)
            await self._drop_unknown(sandbox, known)
        except (ScowError, OSError):
            logger.exception("cannot take over the network of %s", sandbox.request.name)

    async def _adopt(self, sandbox: SandboxState, pid: int) -> None:
        self._ports.rehold(sandbox.published)
        await self._ports.open(sandbox.published, rules=False)
        if sandbox.key and not is_pinned(Path(sandbox.key)):
            await aio.in_pool(pin_netns, f"/proc/{pid}/ns/net", Path(sandbox.key))
        if resolves(sandbox):
            sockets = await aio.in_pool(osl.visit, sandbox.key, lambda: listeners(replace=True))
            await self._names.start(sandbox.container_id, sockets)
        self._files.write(sandbox)

    async def _drop_unknown(self, sandbox: SandboxState, known: Mapping[str, Collection[str]] | None) -> None:
        names = known.get(sandbox.container_id) if known is not None else None
        if names is None:
            return
        names = {*names, *sandbox.request.endpoints, self._layout.primary(sandbox.request.mode)}
        for endpoint in sandbox.endpoints:
            if endpoint.inner and not endpoint.way_out and endpoint.network not in names and endpoint.network_id not in names:
                await self.disconnect(sandbox.container_id, endpoint.network_id, force=True)

    def _sweep(self) -> None:
        """Remove pins and veth links without an owner."""
        owned = {sandbox.key for sandbox in self._store}
        if self._pins.is_dir():
            for pin in self._pins.iterdir():
                if str(pin) not in owned:
                    osl.destroy(pin, [])
        known = self.outers()
        bridges = {network.link for network in self._networks if network.driver == "bridge"}
        for link in osl.ports_of_bridges(bridges):
            if link not in known:
                osl.remove_link(link)

    def outers(self) -> set[str]:
        """The host ends of all attached containers."""
        return {outer for sandbox in self._store for outer in self._layout.outers(sandbox)}

    async def repair(self) -> None:
        """Put the host ends of living containers back on their bridges; an interface that is gone is made again, with its addresses."""
        ports = {}
        for sandbox in self._store:
            for endpoint in sandbox.endpoints:
                if endpoint.inner and not self._layout.stacked(endpoint):
                    with contextlib.suppress(ScowError):
                        ports[self._layout.interface(endpoint)] = sandbox.container_id
        if ports:
            for interface in await aio.in_pool(osl.repair_ports, tuple(ports)):
                await self._replug(ports[interface], interface)

    async def _replug(self, container_id: str, interface: osl.Interface) -> None:
        async with self._lock(container_id):
            sandbox = self._store.get(container_id)
            if sandbox is None or container_id in self._leaving or interface.outer not in self._layout.outers(sandbox):
                return
            try:
                await aio.in_pool(osl.plug, sandbox.key, interface, self._layout.routes(sandbox), _nothing)
            except (ScowError, OSError) as error:
                logger.warning("interface %s of %s cannot be made again: %s", interface.inner, sandbox.request.name, error)

    async def settle(self) -> None:
        """Wait until what was released is gone from the kernel."""
        await self._tasks.drain()

    async def close(self) -> None:
        """End of the daemon; containers keep their networks."""
        await self._tasks.drain()
        self._names.close()
        await self._ports.shutdown()


def _shown(sandbox: SandboxState) -> dict[str, EndpointSettings]:
    return {endpoint.network: endpoint.settings for endpoint in sandbox.endpoints if not endpoint.way_out}


def _nothing() -> None:
    return None
