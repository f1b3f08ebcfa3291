"""Tells nodes what to run, takes their reports and notices who is silent. The leader's is the one that agents speak to.

A session is a node's connection. Each has a mark of what changed for it since the last message; a message is built from the store when the
agent takes it, so a slow agent costs no memory.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from typing import Any

from scow import log
from scow.errors import NotFound, Unavailable
from scow.swarm.clock import Clock
from scow.swarm.manager.allocator import node_of
from scow.swarm.manager.certificates import issuer, roots
from scow.swarm.manager.clusterstate import ClusterStates, serves
from scow.swarm.manager.tasks import cluster_of
from scow.swarm.objects import Cluster, Config, Network, Node, Object, Secret, Service, Task, TaskState, TaskStatus
from scow.swarm.store.store import Change, Store, Tx
from scow.swarm.wire import Assignment, ClusterState

logger = log.get(__name__)

DEFAULT_PERIOD_NS = 5_000_000_000
_GRACE_BEATS = 3
_HOUR_NS = 3600 * 1_000_000_000
_ORPHAN_HOURS = 24
_GATHER_SECONDS = 0.01
_BATCH = 200


@dataclass(slots=True)
class _Session:
    node_id: str
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: set[str] = field(default_factory=set)
    state: bool = True
    sent: dict[str, int] = field(default_factory=dict)  # task → version
    sent_state: ClusterState | None = None
    sent_node: Mapping[str, Any] | None = None
    logs: list[Mapping[str, Any]] = field(default_factory=list)
    sent_secrets: set[str] = field(default_factory=set)
    closed: bool = False


class Dispatcher:
    """Sessions of nodes. Also a loop (`loop.Loop`) that marks what sessions have to be told."""

    kinds: tuple[type[Object], ...] = (Task, Network, Service, Node, Cluster)

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._sessions: dict[str, _Session] = {}
        self._states = ClusterStates(store)
        self._seen: dict[str, int] = {}  # node → when it last beat, or came to be known (elapsed time)
        self._counted: dict[str, int] = {}  # node that is down → when its last hour was counted (elapsed time)
        self._periods: dict[str, int] = {}  # node → nanoseconds until its next beat, as it was told: a shorter period holds from then on

    # --- the loop

    def setup(self) -> None:
        """See Loop."""
        self._states.setup()
        for session in self._sessions.values():
            session.state = True
            session.tasks |= {task.id for task in self._store.by(Task, "node", session.node_id)} | set(session.sent)
            session.wake.set()

    def handle(self, change: Change) -> None:
        """See Loop."""
        old, new = change.old, change.new
        one = change.object
        if isinstance(one, Task):
            touched: set[str] = set()
            for version, sign in ((old, -1), (new, 1)):
                if isinstance(version, Task):
                    self._states.count(version, sign)
                    if version.node_id and not _own_news(old, new):
                        self._mark_task(version.node_id, version.id)
                    touched |= {str(row["Network"]["ID"]) for row in version.networks if row.get("Addresses")}
            if touched and (serves(old) != serves(new) or _placed(old) != _placed(new)):
                self._mark_networks(touched)
        elif isinstance(one, Network):
            if isinstance(old, Network):  # those whose last lease there has gone
                for holder in set(old.leases.values()) - set(new.leases.values() if isinstance(new, Network) else ()):
                    if (session := self._sessions.get(node_of(holder))) is not None:
                        self._wake(session)
            self._mark_networks({one.id}, everybody=one.ingress)
        elif isinstance(one, Service):
            endpoint = {str(row["NetworkID"]) for row in one.endpoint.get("VirtualIPs") or ()}
            if isinstance(old, Service):
                endpoint |= {str(row["NetworkID"]) for row in old.endpoint.get("VirtualIPs") or ()}
            self._mark_networks(endpoint, everybody=bool(one.endpoint.get("Ports")))
        else:
            if isinstance(one, Node) and old is None:
                self._seen.setdefault(one.id, self._clock.elapsed_ns())
            if isinstance(one, Node) and new is None:
                self._end(one.id)
            for session in self._sessions.values():
                self._wake(session)

    def _mark_task(self, node_id: str, task_id: str) -> None:
        session = self._sessions.get(node_id)
        if session is not None:
            session.tasks.add(task_id)
            session.wake.set()

    def _mark_networks(self, ids: set[str], everybody: bool = False) -> None:
        for node_id in self._sessions if everybody else self._states.concerned(ids, self._sessions):
            session = self._sessions.get(node_id)
            if session is not None:
                self._wake(session)

    @staticmethod
    def _wake(session: _Session) -> None:
        session.state = True
        session.wake.set()

    async def tick(self) -> None:
        """See Loop."""

    # --- what agents call

    def period(self) -> float:
        """Seconds between heartbeats."""
        cluster = cluster_of(self._store)
        found = ((cluster.spec.get("Dispatcher") if cluster else None) or {}).get("HeartbeatPeriod")
        return int(found or DEFAULT_PERIOD_NS) / 1e9

    async def register(self, node_id: str, description: Mapping[str, Any], address: str) -> float:
        """A node says hello: it is ready now. Raises NotFound for a node that was removed."""
        await self._check(node_id)

        def write(tx: Tx) -> None:
            node = tx.get(Node, node_id)
            if node is None:
                raise NotFound(f"node {node_id} is not part of this swarm")
            changed = node.changed(description=dict(description), status_state="ready", status_message="", down_hours=0)
            if address:
                changed = changed.changed(address=address)
            tx.update(changed)

        await self._store.update(write)
        before = self._sessions.get(node_id)
        if before is not None:
            before.closed = True
            before.wake.set()
        self._seen[node_id] = self._clock.elapsed_ns()
        session = _Session(node_id)
        session.tasks = {task.id for task in self._store.by(Task, "node", node_id)}
        self._sessions[node_id] = session
        return self._promise(node_id)

    async def _check(self, node_id: str) -> None:
        """Raises NotFound for a node that was removed. It leaves the swarm when it hears that: a copy of the state that is behind is not
        enough to say so."""
        if self._store.get(Node, node_id) is None:
            await self._store.fresh()
            if self._store.get(Node, node_id) is None:
                raise NotFound(f"node {node_id} is not part of this swarm")

    def _promise(self, node_id: str) -> float:
        period = self.period()
        self._periods[node_id] = int(period * 1e9)
        return period

    async def leave(self, node_id: str) -> None:
        """A node leaves: it is down at once, its tasks move."""

        def write(tx: Tx) -> None:
            node = tx.get(Node, node_id)
            if node is not None:
                tx.update(node.changed(status_state="down", status_message="the node has left the swarm", tunnel=()))

        await self._store.update(write)
        self._end(node_id)

    def _end(self, node_id: str) -> None:
        session = self._sessions.pop(node_id, None)
        if session is not None:
            session.closed = True
            session.wake.set()

    def close(self) -> None:
        """This manager leads no more: agents are to look for the one that does."""
        for node_id in list(self._sessions):
            self._end(node_id)
        self._seen, self._periods, self._counted = {}, {}, {}

    def want_logs(self, node_id: str, request: Mapping[str, Any]) -> bool:
        """Hand a request for a task's output to its node; whether the node is connected."""
        session = self._sessions.get(node_id)
        if session is None:
            return False
        session.logs.append(request)
        session.wake.set()
        return True

    async def heartbeat(self, node_id: str) -> float:
        """A node is still there. Raises NotFound (removed), Unavailable (it has to register again)."""
        await self._check(node_id)
        node = self._store.get(Node, node_id)
        if node is None or node_id not in self._sessions or node.status_state != "ready":
            raise Unavailable("the node has to register again")
        self._seen[node_id] = self._clock.elapsed_ns()
        return self._promise(node_id)

    async def report(self, node_id: str, statuses: Sequence[tuple[str, TaskStatus]]) -> None:
        """States of tasks; only this node's own, and only forward."""
        for start in range(0, len(statuses), _BATCH):
            batch = statuses[start : start + _BATCH]
            await self._store.update(partial(self._note, node_id=node_id, rows=batch))

    @staticmethod
    def _note(tx: Tx, node_id: str, rows: Sequence[tuple[str, TaskStatus]]) -> None:
        for id, status in rows:
            task = tx.get(Task, id)
            if task is None or task.node_id != node_id:
                continue
            if status.state < task.status.state or (status.state == task.status.state and status == task.status):
                continue
            tx.update(task.changed(status=status))

    async def assignments(self, node_id: str) -> AsyncIterator[Assignment]:
        """Everything first, then what changes, until the node registers again. Raises Unavailable without a session."""
        session = self._sessions.get(node_id)
        if session is None:
            raise Unavailable("the node has to register again")
        first = True
        try:
            while not session.closed:
                session.wake.clear()
                message = self._message(session, first)
                first = False
                if message is not None:
                    yield message
                await session.wake.wait()
                await asyncio.sleep(_GATHER_SECONDS)  # one message for what comes together
        finally:
            if self._sessions.get(node_id) is session:
                del self._sessions[node_id]

    # --- silence

    async def watch_nodes(self) -> None:
        """Three missed heartbeats and a node is down; a day later its tasks count as lost for good. Runs while this manager leads; the
        hours are counted in the store, for leaders that come and go more often than once a day."""
        begun = self._clock.elapsed_ns()  # a new leader gives everybody time to speak
        while True:
            await self._clock.sleep(min(1.0, self.period()))
            if any(self._verdict(node, begun) for node in self._store.all(Node)):
                counted = await self._store.update(lambda tx: self._judge(tx, begun))
                self._counted |= dict.fromkeys(counted, self._clock.elapsed_ns())

    def _verdict(self, node: Node, begun: int) -> str:
        """What has become of a silent node: down, an hour more of that, lost, or "" when nothing changes."""
        now, last = self._clock.elapsed_ns(), max(self._seen.get(node.id, 0), begun)
        silent = now - last
        limit = self._periods.get(node.id, int(self.period() * 1e9)) * _GRACE_BEATS
        if node.status_state in ("ready", "disconnected") and silent > limit:
            return "down"
        if node.status_state == "unknown" and silent > 2 * limit:
            return "down"
        if node.status_state != "down":
            return ""
        if node.down_hours < _ORPHAN_HOURS:
            return "hour" if now - max(last, self._counted.get(node.id, 0)) > _HOUR_NS else ""
        return "lost" if any(not task.over for task in self._store.by(Task, "node", node.id)) else ""

    def _judge(self, tx: Tx, begun: int) -> list[str]:
        """The nodes whose hour was counted."""
        now = self._clock.now_ns()
        counted: list[str] = []
        for node in tx.all(Node):
            match self._verdict(node, begun):
                case "down":
                    tx.update(node.changed(status_state="down", status_message="heartbeat failure", down_hours=0))
                case "hour":
                    tx.update(node.changed(down_hours=node.down_hours + 1))
                    counted.append(node.id)
                case "lost":
                    for task in tx.by(Task, "node", node.id):
                        if not task.over:
                            tx.update(task.changed(status=TaskStatus(TaskState.ORPHANED, now, "node is lost")))
        return counted

    # --- messages

    def _message(self, session: _Session, complete: bool) -> Assignment | None:
        ids, session.tasks = session.tasks, set()
        tasks: list[Task] = []
        removed: list[str] = []
        for id in ids:
            task = self._store.get(Task, id)
            if task is None or task.node_id != session.node_id:
                if session.sent.pop(id, None) is not None:
                    removed.append(id)
            elif task.status.state >= TaskState.ASSIGNED and session.sent.get(id) != task.version:
                session.sent[id] = task.version
                tasks.append(task)
        state: ClusterState | None = None
        place: Mapping[str, Any] | None = None
        if session.state:
            session.state = False
            place = self._place(session.node_id)
            if place == session.sent_node:
                place = None
            else:
                session.sent_node = place
            state = self._states.of(session.node_id)
            if state == session.sent_state:
                state = None
            else:
                session.sent_state = state
        logs, session.logs = tuple(session.logs), []
        if not complete and not tasks and not removed and state is None and place is None and not logs:
            return None
        secrets, configs = self._dependencies(session, tasks)
        services = {}
        for task in tasks:
            service = self._store.get(Service, task.service_id)
            if service is not None:
                row: dict[str, Any] = {"ID": service.id, "Name": service.name, "Labels": dict(service.labels)}
                services[service.id] = {**row, "auth": service.registry_auth} if service.registry_auth else row
        return Assignment(complete, tuple(tasks), tuple(removed), secrets, configs, services, state, place, logs)

    def _place(self, node_id: str) -> Mapping[str, Any] | None:
        """What a node is to be, and whom it may call."""
        node, cluster = self._store.get(Node, node_id), cluster_of(self._store)
        if node is None or cluster is None:
            return None
        managers = [[one.id, one.manager_address] for one in self._store.all(Node) if one.manager is not None]
        return {"role": node.role, "managers": managers, "roots": roots(cluster), "issuer": issuer(cluster).certificate}

    def _dependencies(self, session: _Session, tasks: Sequence[Task]) -> tuple[dict[str, dict[str, str]], dict[str, dict[str, str]]]:
        """Secrets and configs of tasks that this node does not have yet."""
        secrets: dict[str, dict[str, str]] = {}
        configs: dict[str, dict[str, str]] = {}
        for task in tasks:
            if task.over:
                continue
            container = task.spec.get("ContainerSpec") or {}
            for row in container.get("Secrets") or ():
                id = str(row.get("SecretID"))
                secret = self._store.get(Secret, id)
                if secret is not None and id not in session.sent_secrets:
                    secrets[id] = {"name": secret.name, "data": secret.data}
            for row in container.get("Configs") or ():
                id = str(row.get("ConfigID"))
                config = self._store.get(Config, id)
                if config is not None and id not in session.sent_secrets:
                    configs[id] = {"name": config.name, "data": config.data}
        session.sent_secrets |= set(secrets) | set(configs)
        return secrets, configs


_settled = attrgetter("node_id", "desired_state", "spec", "networks", "endpoint", "labels", "generic_resources", "not_before_ns")


def _own_news(old: Object | None, new: Object | None) -> bool:
    """Whether a change of a task is only what its node has reported itself: it need not be told that."""
    return (
        isinstance(old, Task)
        and isinstance(new, Task)
        and old.status.state >= TaskState.ASSIGNED
        and new.status.state is not TaskState.ORPHANED
        and _settled(old) == _settled(new)
    )


def _placed(task: Object | None) -> str:
    """The node that has a task, or is about to."""
    held = isinstance(task, Task) and not task.over and task.status.state >= TaskState.ASSIGNED
    return task.node_id if held and isinstance(task, Task) else ""
