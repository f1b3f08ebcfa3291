"""What runs on this node while it is part of a swarm: the agent always; on managers the store, the control API, the listener and, on the
one that leads, the manager's loops.

The node follows what the cluster says of it: it gets certificates for the role that is wished, and becomes a manager or a worker. Stored:
see `state.py`; `worker.py` and `store/` keep their own.
"""

import asyncio
import contextlib
import random
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from scow import log, units
from scow.aio import Supervisor
from scow.errors import ScowError, Unavailable
from scow.metadata import Database
from scow.swarm import admission, ca, joining
from scow.swarm.agent.agent import Agent
from scow.swarm.agent.executor import Executor
from scow.swarm.agent.worker import Worker
from scow.swarm.ca.peers import Trust
from scow.swarm.ca.roots import first_of
from scow.swarm.clock import Clock
from scow.swarm.doors import Doors
from scow.swarm.links import rpc, tls
from scow.swarm.manager.authority import Authority
from scow.swarm.manager.control import Control
from scow.swarm.manager.eventfeed import EventFeed, Publish
from scow.swarm.manager.loop import drive
from scow.swarm.manager.manager import Manager
from scow.swarm.manager.tasks import cluster_of
from scow.swarm.managers import Managers
from scow.swarm.objects import Cluster, Node, Object, Task
from scow.swarm.session import LocalSession, RemoteSession
from scow.swarm.state import NodeState, StateStore
from scow.swarm.store.local import forget
from scow.swarm.store.store import Change, Store
from scow.swarm.wire import Assignment, Session

logger = log.get(__name__)

_RENEW_CHECK_SECONDS = 3600.0
_RENEW_LEAST_SECONDS = 60.0
_RENEW_AGAIN_SECONDS = (2.0, 5.0, 15.0, 60.0, 300.0)
_RETRY_SECONDS = 0.7


class SwarmNode:
    """One membership, from joining (or the daemon's start) to leaving (or its stop)."""

    def __init__(
        self,
        db: Database,
        executor: Executor,
        publish: Publish,
        local_network: Callable[[str], str],
        clock: Clock,
        state: NodeState,
        folders: tuple[Path, Path],
        removed: Callable[[], None],
        unlock_key: str = "",
    ) -> None:
        """`folders`: one that stays and one that does not outlive the host; `removed()`: the cluster no longer knows this node;
        `unlock_key`: what the state on disk is sealed with, "" without autolock."""
        self._db, self._executor, self._publish, self._local_network = db, executor, publish, local_network
        self._clock = clock
        self._folders = folders
        self.unlock_key = unlock_key
        self._removed = removed
        self._states = StateStore(db)
        self.state = state
        self.store: Store | None = None
        self.manager: Manager | None = None
        self.control: Control | None = None
        self.authority: Authority | None = None
        self.managers: Managers | None = None
        self._server: rpc.Server | None = None
        self._background = Supervisor("swarm")
        self._managing = Supervisor("swarm manager's side")
        self._leaving = False
        self.problem = ""
        """Why the last change of role or certificate did not work, for people."""
        self._changing: asyncio.Task[None] | None = None
        self._place: Mapping[str, Any] = {}
        self.agent = Agent(
            executor,
            clock,
            lambda agent: Worker(executor, clock, db, agent.report),
            self._dial,
            state.data_path,
            self._gone,
            self._told,
            self._tls_info,
        )

    # --- begin and end

    async def begin(self, alone: bool = False) -> None:
        """Take up work. Raises ScowError (the port is taken, the store cannot be opened); `end` is to be called then, too.

        A manager whose store needs other managers comes up behind the answer. `alone`: those are lost."""
        if self.state.role == "manager":
            self.managers = self._new_managers()
            if alone:
                await self._manage(await self.managers.alone())
            elif self.state.etcd:
                self._managing.start(self._manage_later(), "store")
            else:
                await self._manage(await self.managers.open())
        self.agent.start()
        self._background.start(self._renewals(), "certificate")

    def _new_managers(self, initial: str = "") -> Managers:
        return Managers(self, self._db, self._folders, self._clock, initial)

    async def _manage_later(self) -> None:
        assert self.managers is not None
        try:
            await self._manage(await self.managers.open())
            self.problem = ""
        except ScowError as error:
            self.problem = error.message
            logger.error("this manager cannot take up its work: %s", error.message)

    async def _manage(self, store: Store) -> None:
        state = self.state
        assert self.managers is not None
        manager = Manager(store, self._clock)
        authority = Authority(store, self._clock, lambda: ca.KeyPair(self.state.certificate, self.state.key))
        doors = Doors(store, manager, self.managers, self.leader_address, authority)
        self._server = rpc.Server(doors.table(), state.cluster_id, doors.admit)
        await self._server.start(state.listen, tls.server(state.root, state.certificate, state.key))
        self.store, self.manager, self.authority = store, manager, authority
        self.control = Control(store, self._clock, self._local_network)
        self._managing.start(drive(EventFeed(self._publish), store, self._clock), "events")
        self._managing.start(drive(_Following(self), store, self._clock), "following")
        await self.managers.begin(manager)

    async def _stop_managing(self) -> None:
        if self._server is not None:
            await self._server.close()
            self._server = None
        if self.manager is not None:
            await self.manager.resign()
        await self._managing.close()
        if self.managers is not None:
            await self.managers.close()
        self.store = self.manager = self.control = self.managers = self.authority = None

    async def end(self) -> None:
        """The daemon stops; tasks live on."""
        self._leaving = True
        await self._background.close()
        await self.agent.close()
        await self._stop_managing()

    async def leave(self, known: bool = True) -> None:
        """The node leaves: its tasks end, what is stored of the swarm goes. `known`: the cluster is told, as far as it can be reached."""
        self._leaving = True
        await self._background.close()
        if known and self.managers is not None:
            await self.managers.withdraw()
        self._states.forget()  # whatever happens from here on, and be it the end of the daemon: this node is in no swarm
        await self.agent.leave(farewell=known)
        managers = self.managers
        await self._stop_managing()
        if managers is not None:
            await managers.forget()
        forget(self._db)

    def save(self, state: NodeState, unlock_key: str | None = None) -> None:
        """Keep a changed state; with autolock its secrets are sealed with `unlock_key`, the one of before by default."""
        self.state = state
        if unlock_key is not None:
            self.unlock_key = unlock_key
        self._states.write(state, self.unlock_key)

    def keep_trust(self, trust: Trust) -> None:
        """Keep what this manager's member of etcd is to work with."""
        self.save(self.state.trusting(trust))

    def seal(self) -> None:
        """The cluster's unlock key may be another one than this node's state is sealed with."""
        cluster = cluster_of(self.store) if self.store is not None else None
        if cluster is not None and cluster.unlock_key != self.unlock_key:
            self.save(self.state, cluster.unlock_key)

    def cut_off(self, node_id: str) -> None:
        """Another node was removed: its connections to this manager end."""
        if self._server is not None:
            self._server.drop(node_id)

    # --- finding managers

    def context(self) -> ssl.SSLContext:
        """TLS as this node."""
        return tls.client(self.state.root, self.state.certificate, self.state.key)

    def leader_address(self) -> str:
        """Where the manager that leads listens, "" when that is not known here."""
        if self.store is None:
            return ""
        for node in self.store.all(Node):
            if node.manager is not None and node.manager.get("Leader"):
                return node.manager_address
        return ""

    async def to_leader(self) -> rpc.Client:
        """A link to the manager that leads, which is to be closed. Raises Unavailable."""
        own = f"{self.state.node_id}@"
        known = [text.rpartition("@")[2] for text in self.state.managers if not text.startswith(own)]
        random.shuffle(known)
        return await joining.leader([self.leader_address(), *known], self.context())

    async def _dial(self) -> Session:
        if self.manager is not None and self.manager.leading:
            return LocalSession(self.manager, self.state.node_id)
        return RemoteSession(await self.to_leader())

    # --- what the cluster says of this node

    def _gone(self) -> None:
        self._removed()

    def _told(self, assignment: Assignment) -> None:
        if self._leaving:
            return
        for request in assignment.logs:
            self._background.start(self._publish_logs(request), "logs")
        if (place := assignment.node) is None:
            return
        self._place = place
        state = self.state
        managers = tuple(f"{id}@{address}" for id, address in place.get("managers") or ())
        if managers and managers != state.managers:
            self.save(replace(state, managers=managers))
        if not self._as_wished and (self._changing is None or self._changing.done()):
            self._changing = self._background.start(self._follow(), "what this node is to be")

    @property
    def _as_wished(self) -> bool:
        state, place = self.state, self._place
        wished = (str(place.get("role") or state.role), str(place.get("issuer") or state.issuer), str(place.get("roots") or state.root))
        return (state.role, state.issuer, state.root) == wished

    async def _follow(self) -> None:
        """Believe whom this node is to believe, get the certificate that it is to have, and become what it is to be; tried until it works
        or the wish is another."""
        said = ""
        while not self._as_wished:
            state, place = self.state, self._place
            role, roots = str(place.get("role")), str(place.get("roots") or state.root)
            try:
                if roots != state.root:
                    await self._take(replace(state, root=roots))
                elif state.issuer != place.get("issuer") or ca.identity(state.certificate).role != role:
                    await self._renew()
                elif role == "manager":
                    await self._promoted()
                else:
                    await self._demoted()
            except ScowError as error:
                self.problem = said = error.message
                logger.warning("this node is not yet what it is to be: %s", error.message)
                await self._clock.sleep(_RETRY_SECONDS)
        self._solved(said)

    def _solved(self, said: str) -> None:
        """What was said is no problem any more; another may be."""
        if said and self.problem == said:
            self.problem = ""

    async def _renew(self) -> None:
        """A fresh certificate: a manager's of its own copy of the cluster, else of the one that leads. Raises ScowError."""
        state: NodeState | None = None
        if self.authority is not None and self._place.get("role", "manager") == "manager":
            wanted = ca.new_request(self.state.node_id)
            with contextlib.suppress(Unavailable):
                answer = await self.authority.renewed(self.state.node_id, wanted.certificate)
                state = joining.with_answer(self.state, answer, wanted.key)
        if state is None:
            state = await joining.renewed(self.state)
        await self._take(replace(self.state, certificate=state.certificate, key=state.key, root=state.root, issuer=state.issuer))

    async def _take(self, state: NodeState) -> None:
        """Another certificate, or other roots: new connections are made and taken with them, this node's own are made anew."""
        self.save(state)
        if self._server is not None:
            await self._server.renew(tls.server(state.root, state.certificate, state.key))
        self.agent.refresh()

    def _tls_info(self) -> dict[str, str]:
        return ca.tls_info(first_of(self.state.root), self.state.issuer) if self.state.issuer else {}

    @property
    def expired(self) -> str:
        """The sentence for a node whose certificate holds no longer, else ""."""
        ended = ca.identity(self.state.certificate).not_after_ns
        if ended > self._clock.now_ns():
            return ""
        return (
            f"this node's certificate expired at {units.rfc3339nano(ended)}, so managers do not let it in. Check this host's clock. If it "
            'is right, let the node leave with "docker swarm leave --force", remove it on a manager with "docker node rm" and join it again'
        )

    async def _promoted(self) -> None:
        """A worker becomes a manager."""
        state, initial, unlock_key = await admission.admitted(self)
        before = self.state
        self.save(state, unlock_key)
        self.managers = self._new_managers(initial)
        try:
            await self._manage(await self.managers.open())
        except BaseException:
            managers = self.managers
            await self._stop_managing()
            await managers.forget()
            self.save(replace(before, managers=self.state.managers), "")
            raise

    async def _demoted(self) -> None:
        """A manager becomes a worker."""
        managers = self.managers
        await self._stop_managing()
        if managers is not None:
            await managers.forget()
        self.save(replace(self.state, role="worker", data_key="", peer_root="", peer_key="", peer_believed="", etcd=False, locked=""), "")
        forget(self._db)

    async def _renewals(self) -> None:
        """A certificate is renewed between the half and four fifths of its time, by chance, so that not all nodes come at once."""
        while True:
            held = self.state.certificate
            due = ca.due_ns(ca.identity(held), random.uniform(0.5, 0.8))
            tries, said = 0, ""
            while self.state.certificate == held:
                if (left := (due - self._clock.now_ns()) / 1e9) > 0:
                    await self._clock.sleep(min(left, _RENEW_CHECK_SECONDS))
                    continue
                try:
                    await self._renew()
                    logger.info("this node's certificate was renewed")
                    self._solved(said)
                    # where this host's clock is far from the leader's, the next one may be due at once, too
                    await self._clock.sleep(min(_RENEW_LEAST_SECONDS, ca.seconds(ca.identity(self.state.certificate)) / 10))
                except ScowError as error:
                    self.problem = said = f"this node's certificate could not be renewed yet: {error.message}"
                    logger.warning("%s", said)
                    await self._clock.sleep(_RENEW_AGAIN_SECONDS[min(tries, len(_RENEW_AGAIN_SECONDS) - 1)])
                    tries += 1
            self._solved(said)

    # --- logs

    async def _publish_logs(self, request: Mapping[str, Any]) -> None:
        """Send the output of a task of this node to the manager that asked."""
        runner = self.agent.worker.task(str(request.get("task")))

        async def lines() -> AsyncIterator[Any]:
            if runner is not None:
                async for stream, at_ns, line in runner.controller.logs(dict(request.get("options") or {})):
                    yield [stream, at_ns, line.decode("latin-1")]

        try:
            async with await self.to_leader() as client:
                await client.send("logs.publish", {"id": request.get("id")}, lines())
        except ScowError as error:
            logger.info("logs of task %s were not sent: %s", request.get("task"), error.message)

    def log_source(self, task: Task) -> "LogSource":
        """Where to read a task's output from."""
        return LogSource(self, task)


class _Following:
    """The loop (`loop.Loop`) of whatever manager: this node's state is sealed anew when autolock or the unlock key changes, and who was
    removed is cut off."""

    kinds: tuple[type[Object], ...] = (Cluster, Node)

    def __init__(self, node: SwarmNode) -> None:
        self._node = node

    def setup(self) -> None:
        """See Loop."""
        self._node.seal()

    def handle(self, change: Change) -> None:
        """See Loop."""
        if isinstance(change.object, Cluster):
            self._node.seal()
        elif change.new is None:
            self._node.cut_off(change.object.id)

    async def tick(self) -> None:
        """See Loop."""


class LogSource:
    """Output of one task, wherever it runs (`servicelogs.Source`); a node that cannot be reached has none."""

    def __init__(self, node: SwarmNode, task: Task) -> None:
        self._node = node
        self._task = task

    async def logs(self, options: Mapping[str, Any]) -> AsyncIterator[tuple[int, int, bytes]]:
        """See Source."""
        node, task = self._node, self._task
        if task.node_id == node.state.node_id:
            if (runner := node.agent.worker.task(task.id)) is not None:
                async for line in runner.controller.logs(options):
                    yield line
        elif node.manager is not None and node.manager.leading:
            async for line in node.manager.logs.read(task, options):
                yield line
        else:
            try:
                async with await node.to_leader() as client:
                    async for stream, at_ns, text in client.stream("logs.read", {"task": task.id, "options": dict(options)}):
                        yield stream, at_ns, text.encode("latin-1")
            except ScowError as error:
                logger.info("logs of task %s cannot be read: %s", task.id, error.message)
