"""The swarm as the API and wiring see it: joining and leaving, settings, and the control API where this node is a manager.

One object per daemon. Without a swarm it costs nothing; `start` at boot takes up what the node was part of.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from scow import log
from scow.aio import Supervisor, holds, in_pool
from scow.errors import Conflict, InvalidArgument, ScowError, Unavailable
from scow.metadata import Database
from scow.swarm import addressing, ca, founding, joining, servicelogs, specs, view, wording
from scow.swarm.agent.agent import Agent
from scow.swarm.agent.executor import Executor
from scow.swarm.clock import Clock, SystemClock
from scow.swarm.manager import certificates, peers
from scow.swarm.manager.control import Control
from scow.swarm.manager.eventfeed import Publish
from scow.swarm.manager.tasks import cluster_of
from scow.swarm.node import SwarmNode
from scow.swarm.objects import Cluster, Node, Service, Task
from scow.swarm.state import NodeState, StateStore
from scow.swarm.store.local import forget
from scow.swarm.store.store import NoLeader, OutOfSequence, Store, Tx

logger = log.get(__name__)

Json = dict[str, Any]

_UNLOCK_SECONDS = 4.0
_DEMOTION_SECONDS = 20.0
_JOIN_SECONDS = 20.0
"""Docker's: after that a join goes on behind the answer."""
_PROMOTION_SECONDS = 400.0
_UNASKED = "0.0.0.0:2377"
"""ListenAddr as clients send it when nobody gave one."""


class SwarmService:
    """This node's part in a swarm, if any."""

    def __init__(
        self,
        db: Database,
        executor: Executor,
        publish: Publish,
        local_network: Callable[[str], str],
        clock: Clock | None = None,
        data: Path = Path("/var/lib/scow"),
        run: Path = Path("/run/scow"),
    ) -> None:
        """`local_network`: see Control; `data`, `run`: the engine's directories."""
        self._local_network = local_network
        self._background = Supervisor("swarm membership")
        self._db = db
        self._executor = executor
        self._publish = publish
        self._clock = clock or SystemClock()
        self._folders = (data / "swarm", run / "swarm")
        self._states = StateStore(db)
        self._locked: NodeState | None = None
        self._node: SwarmNode | None = None
        self._attempt: joining.Attempt | None = None
        self._error = ""

    # --- life

    async def start(self) -> None:
        """At boot: take up what this node is part of."""
        state = self._states.read()
        if state is None:
            if (wish := self._states.wish()) is not None:
                self._go_for(joining.Attempt(joining.read(wish), patient=True))
            return
        if state.is_locked:
            self._locked = state
            self._error = wording.LOCKED
            # the key of etcd's member lies there as long as the daemon runs, and a killed one leaves it
            await in_pool(shutil.rmtree, self._folders[1], True)
            return
        try:
            await self._begin(state)
        except ScowError as error:
            self._error = error.message
            logger.error("the swarm cannot be taken up: %s", error.message)

    async def _begin(self, state: NodeState, unlock_key: str = "", alone: bool = False) -> SwarmNode:
        self._node = node = SwarmNode(
            self._db,
            self._executor,
            self._publish,
            self._local_network,
            self._clock,
            state,
            self._folders,
            self._removed,
            unlock_key,
        )
        await self._executor.configure({"joined": True})
        await node.begin(alone)
        await asyncio.sleep(0)  # the loops watch the store from here on
        return node

    def _removed(self) -> None:
        """The cluster has removed this node: it is in no swarm any more."""
        self._background.start(self._end_membership(known=False), "removed")

    async def _end_membership(self, known: bool) -> None:
        await self._give_up()
        node, locked, self._node, self._locked = self._node, self._locked, None, None
        self._error = ""
        if node is not None:
            await node.leave(known)
        elif locked is not None:
            self._states.forget()
            forget(self._db)
            for folder in self._folders:
                await in_pool(shutil.rmtree, folder, True)
        else:
            return
        await self._executor.configure({"left": True})

    async def close(self) -> None:
        """The daemon stops; tasks live on."""
        await self._background.close()
        if self._node is not None:
            await self._node.end()
            self._node = None

    # --- what routes ask first

    @property
    def _state(self) -> NodeState | None:
        return self._node.state if self._node is not None else self._locked

    @property
    def active(self) -> bool:
        """Whether this node is part of a swarm."""
        return self._state is not None

    @property
    def is_manager(self) -> bool:
        """Whether the control API is here."""
        return self._node is not None and self._node.control is not None

    @property
    def control(self) -> Control:
        """The control API. Raises Unavailable."""
        node = self._node
        if node is not None and node.managers is not None and (node.control is None or not node.managers.quorum):
            raise NoLeader
        if node is not None and node.control is not None:
            return node.control
        raise Unavailable(wording.NOT_MANAGER if self._state is None else wording.LOCKED if self._locked is not None else wording.WORKER)

    async def fresh(self) -> None:
        """What is read from here on is as new as what any manager has acknowledged until now, as if there were one. Raises NoLeader."""
        node = self._node
        if node is not None and node.store is not None and node.managers is not None and node.managers.quorum:
            await node.managers.at_work()
            await node.store.fresh()

    @property
    def agent(self) -> Agent | None:
        """This node's agent."""
        return self._node.agent if self._node is not None else None

    @property
    def _store(self) -> Store:
        """The store. Raises Unavailable where this node is no manager."""
        _ = self.control
        assert self._node is not None
        assert self._node.store is not None
        return self._node.store

    def _cluster(self) -> Cluster:
        found = cluster_of(self._store)
        if found is None:
            raise Unavailable(wording.NOT_MANAGER)
        return found

    async def logs(self, kind: str, ref: str, options: Mapping[str, Any]) -> AsyncIterator[bytes]:
        """What the tasks of a service (or one task) wrote, framed. `options`: follow, stdout, stderr, since_ns, until_ns, tail, timestamps,
        details, raw. Raises NotFound, InvalidArgument."""
        store = self._store
        assert self._node is not None
        if not (options.get("stdout") or options.get("stderr")):
            raise InvalidArgument("Bad parameters: you must choose at least one stream")
        if kind == "task":
            task = store.find(Task, ref)
            template, tasks = task.spec, servicelogs.listed([task])
        else:
            service = store.find(Service, ref)
            template = service.task_spec
            follow = options.get("follow")
            tasks = servicelogs.begun(store, service.id) if follow else servicelogs.listed(store.by(Task, "service", service.id))
        raw = bool((template.get("ContainerSpec") or {}).get("TTY"))
        return servicelogs.merged(tasks, self._node.log_source, {**options, "raw": raw})

    # --- the swarm itself

    async def init(self, request: Mapping[str, Any]) -> str:
        """Make a swarm of this node; the node's id. Raises Unavailable (in one already), InvalidArgument (addresses, settings)."""
        if self._attempt is not None:
            raise Unavailable(wording.IN_SWARM)
        if self._state is not None and not request.get("ForceNewCluster"):
            raise Unavailable(wording.IN_SWARM)
        if self._state is not None and not request.get("AdvertiseAddr") and str(request.get("ListenAddr") or "") in ("", _UNASKED):
            return await self._force_new(None)
        wanted = founding.wish(request)
        if self._state is not None:
            return await self._force_new(wanted.addresses)
        state, unlock_key = await founding.found(wanted, self._db, self._clock)
        self._states.write(state, unlock_key)
        try:
            await self._begin(state, unlock_key)
        except ScowError:
            await self.close()
            self._states.forget()
            forget(self._db)
            raise
        self._error = ""
        return state.node_id

    async def _force_new(self, asked: addressing.OwnAddresses | None) -> str:
        """Go on as the only manager; the others are lost. `asked`: this node's addresses where they are to be others."""
        node = self._node
        if node is None:
            raise Unavailable(wording.LOCKED)
        if node.state.role != "manager":
            raise Unavailable(wording.WORKER)
        if node.managers is not None and node.state.etcd:
            state, key = node.state, node.unlock_key
            if asked is not None:
                state = replace(state, listen=asked.listen, advertise=asked.advertise, data_path=asked.data_path)
            own = f"{state.node_id}@{state.advertise}"
            await node.end()
            self._states.write(replace(state, managers=(own,)), key)
            await self._begin(replace(state, managers=(own,)), key, alone=True)
        return node.state.node_id

    async def join(self, request: Mapping[str, Any]) -> None:
        """Join a swarm. Raises Unavailable (in one already; not within Docker's time: it goes on), InvalidArgument (token, addresses)."""
        if self._state is not None or self._attempt is not None:
            raise Unavailable(wording.IN_SWARM)
        own = addressing.of_request(request)
        remotes = [addressing.remote(str(one)) for one in request.get("RemoteAddrs") or ()]
        if not remotes:
            raise InvalidArgument("at least 1 RemoteAddr is required to join")
        token = str(request.get("JoinToken") or "")
        ca.read_token(token)
        availability = str(request.get("Availability") or "active")
        attempt = joining.Attempt(joining.Wish(tuple(remotes), token, availability, own, ca.new_request()), patient=False)
        self._states.keep_wish(joining.kept(attempt.wish))
        work = self._go_for(attempt)
        try:
            await asyncio.wait([work], timeout=_JOIN_SECONDS)
        finally:
            attempt.patient = True  # from here on nobody waits for the answer
        if not work.done():
            raise Unavailable(wording.JOINS_LATER)
        if work.cancelled():
            raise Unavailable("the node was told to leave while it joined")
        role, error = work.result()
        if error is not None:
            await self._end_membership(known=True)
            raise error
        if (node := self._node) is not None:
            await self._settled(node, role)

    def _go_for(self, attempt: joining.Attempt) -> "asyncio.Task[tuple[str, ScowError | None]]":
        self._attempt, self._error = attempt, ""
        attempt.work = self._background.start(self._enter(attempt), "joining")
        return attempt.work

    async def _enter(self, attempt: joining.Attempt) -> tuple[str, ScowError | None]:
        """See joining.Attempt.work; the node is at work then."""
        try:
            wished = await attempt.enter()
            forget(self._db)
            # every node begins as a worker; the manager that it is to be comes to it with its first session
            state = replace(wished, role="worker")
            self._states.write(state)
            await self._begin(state)
        except ScowError as error:
            attempt.failed, attempt.why = True, error.message
            logger.error("this node cannot join the swarm: %s", error.message)
            return "", error
        self._attempt = None
        return wished.role, None

    async def _give_up(self) -> None:
        """End the attempt to join, if any."""
        attempt, self._attempt = self._attempt, None
        if attempt is None:
            return
        if attempt.work is not None:
            attempt.work.cancel()
            await asyncio.wait([attempt.work])
        if self._node is None:
            self._states.forget()

    async def _settled(self, node: SwarmNode, role: str) -> None:
        """Wait until a node that has joined is what it is to be. Raises Unavailable."""
        now = asyncio.get_running_loop().time
        seen, until = now(), now() + _PROMOTION_SECONDS
        while now() < until:
            if self._node is not node:
                raise Unavailable("the manager has removed this node while it joined")
            if node.agent.connected.is_set():
                seen = now()
                if node.state.role == role and (role == "worker" or node.control is not None):
                    return
            elif now() - seen > _JOIN_SECONDS:
                raise Unavailable(wording.JOINS_LATER)  # it has its certificate and goes on looking for a manager
            await asyncio.sleep(0.1)
        why = node.problem or node.agent.error or "no reason is known"
        await self._end_membership(known=True)
        raise Unavailable(f"this node did not become a {role} of the swarm within {_PROMOTION_SECONDS:.0f} seconds: {why}")

    async def leave(self, force: bool) -> None:
        """Leave; the last manager only by force. Raises Unavailable."""
        if self._attempt is not None:
            await self._end_membership(known=True)
            return
        state = self._state
        if state is None:
            raise Unavailable(wording.NO_SWARM)
        if self._locked is not None and not force:
            raise Unavailable(wording.LOCKED_STAYS)
        if state.role == "manager" and not force and not await self._demoted():
            raise Unavailable(self._why_stay())
        await self._end_membership(known=True)

    async def _demoted(self) -> bool:
        """Whether this manager is to be a worker, and is one by now: that takes it a moment."""
        node = self._node
        own = node.store.get(Node, node.state.node_id) if node is not None and node.store is not None else None
        if node is None or own is None or own.role != "worker":
            return False
        await holds(lambda: self._node is not node or node.state.role == "worker", _DEMOTION_SECONDS)
        return self._node is node and node.state.role == "worker"

    def _why_stay(self) -> str:
        if self._node is None or self._node.store is None:
            return NoLeader().message
        managers = [one.manager for one in self._node.store.all(Node) if one.manager is not None]
        return wording.why_stay(sum(one.get("Reachability") == "reachable" for one in managers), len(managers))

    async def update(self, version: int, spec: Mapping[str, Any], rotate: Mapping[str, bool]) -> None:
        """Change settings; `rotate`: worker, manager (join tokens), unlock (the unlock key). Raises OutOfSequence, InvalidArgument."""
        checked = specs.cluster(spec, self._cluster().spec)
        lock = bool(checked["EncryptionConfig"].get("AutoLockManagers"))
        authority = dict(checked["CAConfig"])
        # a root and its key lie with the cluster, encrypted; nobody is to find them in the settings
        checked["CAConfig"] = {name: value for name, value in authority.items() if name not in ("SigningCACert", "SigningCAKey")}

        store, node = self._store, self._node
        assert node is not None
        signer = node.authority
        assert signer is not None
        await self.fresh()
        if (before := self._cluster()).unseen(version):
            raise OutOfSequence
        exchanged = await signer.wished(before, authority)

        def write(tx: Tx) -> str:
            cluster = tx.all(Cluster)[0]
            if cluster.unseen(version):
                raise OutOfSequence
            tokens = {role: ca.new_token_secret() if rotate.get(role) else secret for role, secret in cluster.tokens.items()}
            key = cluster.unlock_key if lock else ""
            if lock and (not key or rotate.get("unlock")):
                key = ca.new_unlock_key()
            members = peers.asked(cluster, exchanged, node.state.trust.root) if node.state.etcd else {}
            tx.update(cluster.changed(spec=checked, tokens=tokens, unlock_key=key, **exchanged, **members))
            return key

        key = await store.update(write)
        node.save(node.state, key)

    async def unlock(self, key: str) -> None:
        """Open a locked manager. Raises Unavailable (no swarm), Conflict (not locked), InvalidArgument (wrong key)."""
        if self._state is None:
            raise Unavailable(wording.NO_SWARM)
        if self._locked is None:
            raise Conflict("swarm is not locked")
        state = self._locked.unlocked(key)
        locked, self._locked = self._locked, None
        self._error = ""
        try:
            await self._begin(state, key)
        except ScowError as error:
            await self._abandon(locked, error)
            raise
        # what is asked next is to find it at work; the first of several to be unlocked has nobody to work with yet
        await holds(lambda: self.is_manager, _UNLOCK_SECONDS)

    async def _abandon(self, locked: NodeState, error: ScowError) -> None:
        """What was unlocked could not be taken up (its port is taken): it is locked again, so that unlocking can be tried once more."""
        node, self._node = self._node, None
        if node is not None:
            await node.end()
        self._locked, self._error = locked, error.message

    def unlock_key(self) -> str:
        """The present unlock key, "" without autolock. Raises Unavailable."""
        return self._cluster().unlock_key

    def inspect(self) -> Json:
        """The document of /swarm. Raises Unavailable."""
        cluster = self._cluster()
        tokens = {role: ca.token(cluster.root_certificate, secret) for role, secret in cluster.tokens.items()}
        return view.cluster(cluster, certificates.tls_info(cluster), tokens)

    @property
    def local_state(self) -> str:
        """Docker's LocalNodeState: inactive, pending, active, error, locked."""
        if self._attempt is not None:
            return "error" if self._attempt.failed else "pending"
        if self._state is None:
            return "inactive"
        if self._locked is not None:
            return "locked"
        if self._error:
            return "error"
        return "active" if self.agent is None or self.agent.connected.is_set() or self.is_manager else "pending"

    @property
    def word(self) -> str:
        """What /_ping says: the local state, with the role of an active node."""
        state = self.local_state
        return state if state != "active" else "active/manager" if self.is_manager else "active/worker"

    def _trouble(self) -> str:
        node = self._node
        if self._attempt is not None:
            return self._attempt.why
        if self._error or node is None:
            return self._error
        if not node.agent.connected.is_set() and (expired := node.expired):
            return expired
        if node.managers is None or node.managers.quorum:
            return node.problem
        return node.problem or node.managers.trouble or NoLeader().message

    def info(self) -> Json:
        """The Swarm part of /info."""
        state = self._state
        found: Json = {**wording.INACTIVE, "Error": self._trouble(), "LocalNodeState": self.local_state}
        if self._attempt is not None:
            wish = self._attempt.wish
            found["NodeAddr"] = addressing.host_of(wish.own.advertise)
            found["RemoteManagers"] = [{"NodeID": "", "Addr": address} for address in wish.remotes]
            return found
        if state is None:
            return found
        found["NodeID"], found["NodeAddr"] = state.node_id, addressing.host_of(state.advertise)
        found["ControlAvailable"] = self.is_manager
        if self._node is not None and self._node.store is not None and self.is_manager:
            store = self._node.store
            nodes = store.all(Node)
            managers = [one for one in nodes if one.manager is not None]
            found["RemoteManagers"] = [{"NodeID": one.id, "Addr": one.manager_address} for one in managers]
            found["Nodes"], found["Managers"] = len(nodes), len(managers)
            cluster = cluster_of(store)
            if cluster is not None:
                found["Cluster"] = view.cluster(cluster, certificates.tls_info(cluster))
        elif state.managers:
            found["RemoteManagers"] = [
                {"NodeID": id, "Addr": address} for id, _, address in (text.rpartition("@") for text in state.managers)
            ]
        return found
