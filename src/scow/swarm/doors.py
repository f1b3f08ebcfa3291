"""What other nodes may call of a manager, and who may: strangers with a join token, nodes, managers.

A caller's certificate says which node it is; what that node may do is what the store says of it now, so a removed or demoted node has
nothing more to say, whatever its certificate.
"""

from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

from scow.errors import Forbidden, InvalidArgument, NotFound, Unavailable
from scow.swarm import ca, claims
from scow.swarm.identity import new_id
from scow.swarm.links.rpc import Door, Json, NotLeader
from scow.swarm.links.tls import Caller
from scow.swarm.manager import certificates
from scow.swarm.manager.authority import Authority
from scow.swarm.manager.manager import Manager
from scow.swarm.manager.tasks import cluster_of
from scow.swarm.objects import Cluster, Node, Task
from scow.swarm.store.store import Store, Tx
from scow.swarm.wire import pack
from scow.swarm.wording import invalid

_BAD_TOKEN = "A valid join token is necessary to join this cluster"
_MOST_STATUSES = 100_000


class Members(Protocol):
    """The part of a manager that lets further managers in (`managers.Managers`)."""

    async def admit(self, node_id: str, address: str) -> Json:
        """A manager's first step: everything that its member of the store needs."""

    async def promote(self, node_id: str, address: str) -> None:
        """Its last: its member has caught up and votes from now on."""

    async def leader(self) -> int:
        """Whom its member follows; 0 when nobody, or when it does not vote yet."""

    async def tidy(self, full: bool) -> None:
        """Look after its member's database, see `store/etcd/upkeep.py`."""


class Doors:
    """The table of calls of one manager."""

    def __init__(self, store: Store, manager: Manager, members: Members, leader: Callable[[], str], authority: Authority) -> None:
        """`leader()`: address of the manager that leads, "" when unknown."""
        self._store = store
        self._manager = manager
        self._members = members
        self._leader = leader
        self._authority = authority

    def table(self) -> dict[str, Door]:
        """Name → door."""
        return {
            "hello": Door("anyone", self._hello),
            "ca.root": Door("anyone", self._root),
            "ca.issue": Door("anyone", self._issue),
            "ca.renew": Door("node", self._renew),
            "session.register": Door("node", self._register),
            "session.heartbeat": Door("node", self._heartbeat),
            "session.assignments": Door("node", stream=self._assignments),
            "session.report": Door("node", self._report),
            "session.lease": Door("node", self._lease),
            "session.release": Door("node", self._release),
            "session.tunnel": Door("node", self._tunnel),
            "session.leave": Door("node", self._leave),
            "logs.publish": Door("node", sink=self._publish),
            "logs.read": Door("manager", stream=self._read_logs),
            "member.admit": Door("manager", self._admit),
            "member.promote": Door("manager", self._promote),
            "member.leader": Door("manager", self._follows),
            "member.tidy": Door("manager", self._tidy),
        }

    # --- who

    async def admit(self, caller: Caller) -> None:
        """Whether a caller is still a node of this swarm. Raises NotFound for one that was removed, whatever its certificate says; a node
        that hears that leaves, so it is not said of one that came a moment ago. Raises NoLeader where that cannot be known."""
        if self._store.get(Node, caller.node_id) is None:
            await self._store.fresh()
            self._node(caller)

    def _must_lead(self) -> None:
        if not self._manager.leading:
            raise NotLeader(self._leader())

    def _cluster(self) -> Cluster:
        found = cluster_of(self._store)
        if found is None:
            raise Unavailable("this manager has no state of the swarm yet")
        return found

    def _node(self, caller: Caller) -> Node:
        node = self._store.get(Node, caller.node_id)
        if node is None:
            raise NotFound(f"node {caller.node_id} is not part of this swarm")
        return node

    def _wished_manager(self, caller: Caller) -> Node:
        node = self._node(caller)
        if node.role != "manager":
            raise Forbidden(f"node {node.id} is no manager of this swarm")
        return node

    # --- finding the leader, certificates

    async def _hello(self, caller: Caller, body: Json) -> Json:
        return {"leading": self._manager.leading, "leader": self._leader()}

    async def _root(self, caller: Caller, body: Json) -> Json:
        return {"root": self._cluster().root_certificate}

    async def _issue(self, caller: Caller, body: Json) -> Json:
        self._must_lead()
        cluster = self._cluster()
        try:
            digest, secret = ca.read_token(str(body["token"]))
        except InvalidArgument:
            raise invalid(_BAD_TOKEN) from None
        role = next((role for role, known in cluster.tokens.items() if ca.same(known, secret)), "")
        if not role or not ca.same(digest, ca.root_digest(cluster.root_certificate)):
            raise invalid(_BAD_TOKEN)
        availability = str(body.get("availability") or "active")
        if availability not in ("active", "pause", "drain"):
            raise InvalidArgument(f'invalid Availability: "{availability}"')
        request = str(body["request"])
        known = self._half_way(request, role)
        node_id = known.id if known is not None else new_id()
        try:
            certificate = await self._authority.signed(cluster, request, node_id, role)
        except Unavailable as error:
            return {"pending": error.message}
        spec = {"Labels": {}, "Role": role, "Availability": availability}
        address = claims.address(body.get("address") or caller.address)
        node = Node(id=node_id, spec=spec, address=address, certificate=certificate)

        def write(tx: Tx) -> None:
            now = tx.all(Cluster)[0]
            if now.tokens != cluster.tokens or now.root_certificate != cluster.root_certificate:
                raise invalid(_BAD_TOKEN)
            if not certificates.same_issuer(now, cluster):
                raise Unavailable("the swarm's root changed while the certificate was signed: join again")
            if (before := tx.get(Node, node_id)) is not None:
                tx.update(before.changed(spec=spec, address=address, certificate=certificate))
            else:
                tx.create(node)

        await self._store.update(write)
        return {"node": node_id, **certificates.issued(self._store, cluster, role, certificate)}

    def _half_way(self, request: str, role: str) -> Node | None:
        """The node that a request has made before, when its answer did not arrive: that one never had a session."""
        fresh = (node for node in self._store.all(Node) if not node.description and node.role == role and node.manager is None)
        return next((node for node in fresh if node.certificate and ca.same_key(request, node.certificate)), None)

    async def _renew(self, caller: Caller, body: Json) -> Json:
        self._must_lead()
        return await self._authority.renewed(caller.node_id, str(body["request"]))

    # --- sessions

    async def _register(self, caller: Caller, body: Json) -> float:
        self._must_lead()
        return await self._manager.dispatcher.register(
            caller.node_id, claims.description(body["description"]), claims.address(body.get("address") or caller.address)
        )

    async def _heartbeat(self, caller: Caller, body: Json) -> float:
        self._must_lead()
        usage = {id: row for id, row in claims.usage(body.get("usage")).items() if self._runs(caller, id)}
        self._manager.autoscaler.note(usage)
        return await self._manager.dispatcher.heartbeat(caller.node_id)

    def _runs(self, caller: Caller, task_id: str) -> bool:
        task = self._store.get(Task, task_id)
        return task is not None and task.node_id == caller.node_id

    async def _assignments(self, caller: Caller, body: Json) -> AsyncIterator[Any]:
        self._must_lead()
        async for assignment in self._manager.dispatcher.assignments(caller.node_id):
            yield pack(assignment)

    async def _report(self, caller: Caller, body: Json) -> None:
        self._must_lead()
        rows = [(str(id), claims.status(row)) for id, row in list(body["statuses"])[:_MOST_STATUSES]]
        await self._manager.dispatcher.report(caller.node_id, rows)

    async def _lease(self, caller: Caller, body: Json) -> Any:
        self._must_lead()
        names, asked = ([str(one) for one in body.get(key) or ()] for key in ("names", "asked"))
        return await self._manager.leases.lease(self._node(caller).id, str(body["network"]), str(body["container"]), names, asked)

    async def _release(self, caller: Caller, body: Json) -> None:
        self._must_lead()
        networks = [str(one) for one in body.get("networks") or ()]
        await self._manager.leases.release(self._node(caller).id, str(body["container"]), networks)

    async def _tunnel(self, caller: Caller, body: Json) -> None:
        self._must_lead()
        await self._manager.keys.note(self._node(caller).id, list(body["keys"]))

    async def _leave(self, caller: Caller, body: Json) -> None:
        self._must_lead()
        await self._manager.dispatcher.leave(caller.node_id)

    # --- logs

    async def _publish(self, caller: Caller, body: Json, items: AsyncIterator[Any]) -> None:
        await self._manager.logs.publish(caller.node_id, str(body["id"]), items)

    async def _read_logs(self, caller: Caller, body: Json) -> AsyncIterator[Any]:
        self._must_lead()
        self._wished_manager(caller)
        task = self._store.find(Task, str(body["task"]))
        async for stream, at_ns, line in self._manager.logs.read(task, dict(body.get("options") or {})):
            yield [stream, at_ns, line.decode("latin-1")]

    # --- further managers

    async def _admit(self, caller: Caller, body: Json) -> Json:
        self._must_lead()
        return await self._members.admit(self._wished_manager(caller).id, str(body["address"]))

    async def _promote(self, caller: Caller, body: Json) -> None:
        self._must_lead()
        await self._members.promote(self._wished_manager(caller).id, str(body["address"]))

    async def _follows(self, caller: Caller, body: Json) -> int:
        self._wished_manager(caller)
        return await self._members.leader()

    async def _tidy(self, caller: Caller, body: Json) -> None:
        self._wished_manager(caller)
        await self._members.tidy(bool(body.get("full")))
