"""A manager's part in keeping the cluster's state: which store it is, who leads, how managers come and go.

With one manager the store is the node's own database, and that manager leads. When the second comes, the rows move to etcd: each manager
runs one member (`store/etcd/member.py`), and the manager leads whose member leads the others. A new member first learns, and votes when it
has caught up.
"""

import asyncio
import base64
import contextlib
import shutil
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scow import log
from scow.aio import Supervisor, in_pool
from scow.errors import ScowError, Unavailable
from scow.metadata import Database
from scow.swarm import admission
from scow.swarm.ca import peers
from scow.swarm.ca.peers import Trust
from scow.swarm.clock import Clock
from scow.swarm.links.rpc import Json, dial
from scow.swarm.manager.loop import drive
from scow.swarm.manager.manager import Manager
from scow.swarm.manager.peers import PeerRotation
from scow.swarm.manager.roles import Roles
from scow.swarm.manager.tasks import cluster_of
from scow.swarm.objects import Cluster, Node
from scow.swarm.peering import Peering
from scow.swarm.store.etcd import member, upkeep
from scow.swarm.store.etcd.client import EtcdError
from scow.swarm.store.etcd.member import Etcd, Place
from scow.swarm.store.etcd.store import EtcdStore, fill
from scow.swarm.store.local import LocalStore, forget
from scow.swarm.store.sealed import Sealer
from scow.swarm.store.store import Store, Tx

if TYPE_CHECKING:
    from scow.swarm.node import SwarmNode

logger = log.get(__name__)

_POLL_SECONDS = 0.3
_FOUND_SECONDS = 60.0
_FINISH_SECONDS = 0.3
_WAIT_SECONDS = 10.0
_WITHDRAW_SECONDS = 12.0
_AGAIN_SECONDS = 1.0
_LOOK_SECONDS = 3.0
_TIDY_SECONDS = 300.0
_BACKUPS = "backups"
_GONE = "etcd's data on this host are gone"


class Managers:
    """Of one node that is a manager. `quorum`: whether the managers can commit, as far as this one knows."""

    def __init__(self, node: "SwarmNode", db: Database, folders: tuple[Path, Path], clock: Clock, initial: str = "") -> None:
        """`folders`: data, run. `initial`: the cluster that a new member comes to (see `Etcd.start`)."""
        self._node, self._db, self._clock = node, db, clock
        self._folders = folders
        self._sealer = Sealer(base64.b64decode(node.state.data_key))
        self._initial = initial
        self._etcd: Etcd | None = None
        self._store: Store | None = None
        self._manager: Manager | None = None
        self._supervisor = Supervisor("swarm leadership")
        self._leading = Supervisor("swarm roles")
        self._admitting = asyncio.Lock()
        self._at_work = asyncio.Event()  # not while the member is started again on purpose
        self._at_work.set()
        self.quorum = True

    def _member(self) -> Etcd:
        state = self._node.state
        data, run = self._folders
        place = Place(state.node_id, state.advertise, state.listen, data / "etcd", run / "etcd")
        return Etcd(place, state.trust)

    @property
    def trouble(self) -> str:
        """Why etcd does not run on this host, for people; "" while it does."""
        words = self._etcd.trouble if self._etcd is not None else ""
        full = ": make room on its disk" if "no space left" in words else ""
        return f"etcd ends again and again on this host, so this manager can do nothing{full}. Its last message: {words}" if words else ""

    # --- begin and end

    async def open(self, alone: bool = False) -> Store:
        """The store, as soon as it can be read. `alone`: the other managers are lost for good. Raises ScowError."""
        if not self._node.state.etcd:
            self._store = LocalStore(self._db, self._sealer, self._clock.now_ns)
            return self._store
        self.quorum = False
        self._etcd = etcd = self._member()
        joining = not etcd.known
        if joining and alone:
            raise Unavailable(f"{_GONE}: there is nothing to make a new cluster of. Let this node leave by force (swarm leave --force)")
        if joining and not self._initial:
            self._initial = await admission.admitted_again(self._node, _GONE)
            etcd.trust = self._node.state.trust
        await etcd.start(self._initial, alone=alone)
        if joining:
            await etcd.ready(_FOUND_SECONDS, learning=True)
            await admission.promoted(self._node)
        await self._readable(etcd, wait=not joining and not alone)
        store = EtcdStore(etcd.client, self._sealer, self._clock.now_ns)
        await store.open()
        self._store = store
        self.quorum = True
        return store

    async def _readable(self, etcd: Etcd, wait: bool) -> None:
        """Until there is a quorum; a manager that comes up before the others waits for them as long as it takes."""
        if not wait:
            await etcd.ready(_FOUND_SECONDS)
            return
        while True:
            try:
                await etcd.ready(_LOOK_SECONDS)
                return
            except Unavailable as error:
                logger.info("this manager waits for the others: %s", error.message)
                if etcd.damaged:
                    await self._begin_anew(etcd)

    # --- the member is started again on purpose

    async def restart(self, trust: Trust) -> None:
        """Start the member again, to work with this; requests wait meanwhile (`at_work`). Raises Unavailable."""
        assert self._etcd is not None
        self._at_work.clear()
        try:
            await asyncio.sleep(_FINISH_SECONDS)  # what was begun is answered
            await self._etcd.restart(trust)
            await self._etcd.ready(_FOUND_SECONDS)
        finally:
            self._at_work.set()

    async def at_work(self) -> None:
        """Wait while the member is started again, but not for long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_WAIT_SECONDS):
                await self._at_work.wait()

    # --- data that are lost

    async def _begin_anew(self, etcd: Etcd) -> None:
        """The member's data are of no use: another one takes its place."""
        logger.error("etcd's data are damaged (%s): they are fetched from the other managers", etcd.damaged)
        while True:
            cluster = await admission.admitted_again(
                self._node, f"etcd's data on this host are damaged: {etcd.damaged}" if etcd.damaged else _GONE
            )
            try:
                await etcd.begin_anew(cluster, self._node.state.trust)
                await etcd.ready(_FOUND_SECONDS, learning=True)
                await admission.promoted(self._node)
                return
            except ScowError as error:
                logger.warning("the copy of the swarm's state cannot be fetched yet: %s", error.message)

    async def begin(self, manager: Manager) -> None:
        """Lead when it is this node's turn."""
        self._manager = manager
        if self._etcd is None:
            manager.lead()
            self._look_after_roles()
        else:
            self._serve(self._etcd)

    def _serve(self, etcd: Etcd) -> None:
        """What every manager with a member does."""
        assert self._store is not None
        self._supervisor.start(self._elections(), "elections")
        self._supervisor.start(self._copies(etcd), "backups")
        self._supervisor.start(drive(Peering(self._node, self, self._store, etcd, self._clock), self._store, self._clock), "peering")

    def _look_after(self, etcd: Etcd) -> None:
        """What the leader does."""
        assert self._store is not None

        async def known() -> set[str]:
            return {str(one.id) for one in await etcd.client.members()}

        self._leading.start(upkeep.rounds(etcd.client, self._clock, self._tidy_all), "upkeep")
        rotation = PeerRotation(self._store, self._node.state.node_id, known)
        self._leading.start(drive(rotation, self._store, self._clock), "members' root")

    def _copies(self, etcd: Etcd) -> Coroutine[Any, Any, None]:
        def more() -> int:
            cluster = cluster_of(self._store) if self._store is not None else None
            return int(((cluster.spec.get("Raft") if cluster else None) or {}).get("KeepOldSnapshots") or 0)

        return upkeep.backups(etcd.client, self._clock, self._folders[0] / _BACKUPS, more)

    def _look_after_roles(self) -> None:
        assert self._store is not None
        self._leading.start(drive(Roles(self._store, self._node.state.node_id, self._expel), self._store, self._clock), "roles")

    async def _elections(self) -> None:
        """Lead as long as this node's member leads the others."""
        assert self._etcd is not None
        while True:
            try:
                health = await self._etcd.client.health()
                self.quorum = bool(health.leader)
                self._etcd.trouble = ""
                mine = health.leader == health.member and self.quorum and not health.learner
                await self._lead() if mine else await self._resign()
            except EtcdError:
                self.quorum = self.quorum and not self._at_work.is_set()
                await self._resign()
                if self._etcd.damaged:
                    await self._begin_anew(self._etcd)
            except ScowError as error:
                logger.info("leading has to wait: %s", error.message)
            except Exception:
                logger.exception("seeing who leads failed and is tried again")
            await asyncio.sleep(_POLL_SECONDS)

    async def _lead(self) -> None:
        assert self._manager is not None
        if self._manager.leading:
            return
        if isinstance(self._store, EtcdStore):
            await self._store.catch_up()
        logger.info("this manager leads the swarm")
        self._manager.lead()
        self._look_after_roles()
        assert self._etcd is not None
        self._look_after(self._etcd)

    async def _resign(self) -> None:
        assert self._manager is not None
        if self._manager.leading:
            logger.info("this manager leads the swarm no longer")
            await self._leading.close()
            await self._manager.resign()

    async def close(self) -> None:
        """The daemon stops: another manager takes over."""
        if self._etcd is not None and self._manager is not None and self._manager.leading:
            with contextlib.suppress(EtcdError, TimeoutError):
                async with asyncio.timeout(3):
                    await self.hand_over()
        await self._leading.close()
        await self._supervisor.close()
        if isinstance(self._store, EtcdStore):
            await self._store.close()
        if self._etcd is not None:
            await self._etcd.stop()

    async def forget(self) -> None:
        """Remove what is stored; after `close`."""
        if self._etcd is not None:
            await self._etcd.wipe()
        await in_pool(shutil.rmtree, self._folders[0] / _BACKUPS, True)

    # --- upkeep

    async def leader(self) -> int:
        """See doors.Members."""
        if self._etcd is None:
            return 0
        health = await self._etcd.client.health()
        return 0 if health.learner else health.leader

    async def tidy(self, full: bool) -> None:
        """See doors.Members."""
        if self._etcd is None:
            raise Unavailable("this manager has no member of etcd")
        if (await self._etcd.client.health()).learner:
            raise Unavailable("this manager's member of etcd still learns")
        await upkeep.tidy(self._etcd.client, full)

    async def _tidy_all(self, full: bool) -> None:
        """See upkeep.rounds: the others one after another, and nobody while one of them does not answer; this one leads no more before
        its own turn, which the next leader gives it. Raises ScowError."""
        assert self._etcd is not None
        assert self._store is not None
        own = self._node.state.node_id
        others = [node for node in self._store.all(Node) if node.manager is not None and node.id != own]
        for node in others:
            async with await dial(node.manager_address, self._node.context()) as client:
                await client.call("member.tidy", {"full": full}, _TIDY_SECONDS)
        health = await self._etcd.client.health()
        if not others:
            await upkeep.tidy(self._etcd.client, full)
        elif health.full or upkeep.worth(health):
            await self.hand_over()

    # --- managers come

    async def admit(self, node_id: str, address: str) -> Json:
        """See doors.Members."""
        async with self._admitting:
            etcd = await self._on_etcd()
            peer = member.peer_url(address)
            managers = self._voting(node_id)
            for one in await etcd.client.members():
                # who did not get through joining before is in the way: there may be one learner at a time
                if str(one.id) not in managers and (one.learner or not one.started or peer in one.peers):
                    await etcd.client.remove(one.id)
            id, members = await etcd.client.add(peer)

            state = self._node.state

            def write(tx: Tx) -> Trust:
                node = tx.get(Node, node_id)
                if node is not None:
                    tx.update(node.changed(member_id=str(id), peer_mark=""))
                exchange = tx.all(Cluster)[0].peers
                return self._node.state.trust if exchange is None else peers.wanted(exchange)

            assert self._store is not None
            trust = await self._store.update(write)
            cluster = cluster_of(self._store)
            return {
                "cluster": ",".join(f"{one.name or node_id}={url}" for one in members for url in one.peers),
                "data_key": state.data_key,
                "peer_root": trust.root.certificate,
                "peer_key": trust.root.key,
                "peer_believed": trust.believed,
                "unlock_key": cluster.unlock_key if cluster is not None else "",
            }

    def _voting(self, joining: str) -> set[str]:
        """Members of all managers but the one that joins: what it had before, it has lost."""
        nodes = self._store.all(Node) if self._store is not None else []
        return {node.member_id for node in nodes if node.manager is not None and node.id != joining}

    async def _on_etcd(self) -> Etcd:
        """The member; the first further manager makes the rows move to etcd."""
        if self._etcd is not None:
            return self._etcd
        local = self._store
        assert isinstance(local, LocalStore)
        state = self._node.state
        root = peers.new_root()  # no member works with one of before
        self._node.keep_trust(Trust(root, root.certificate))
        etcd = self._member()
        await etcd.wipe()
        await etcd.start(fresh=True)
        try:
            health = await etcd.ready(_FOUND_SECONDS)
            local.hold()
            revision = await fill(etcd.client, local, self._sealer)
        except BaseException:
            local.release()
            await etcd.stop()
            raise
        # from here to the state on disk without a pause: what is acknowledged later is in etcd, and etcd is what is read then
        store = EtcdStore(etcd.client, self._sealer, self._clock.now_ns)
        store.adopt(local, revision)
        self._node.save(replace(self._node.state, etcd=True))
        self._etcd, self._store, self._node.store = etcd, store, store
        local.release(store)
        forget(self._db)

        def write(tx: Tx) -> None:
            node = tx.get(Node, state.node_id)
            if node is not None:
                tx.update(node.changed(member_id=str(health.member)))

        await store.update(write)
        self._serve(etcd)
        self._look_after(etcd)  # whoever lets others in leads
        logger.info("the swarm's state is in etcd now")
        return etcd

    async def promote(self, node_id: str, address: str) -> None:
        """See doors.Members."""
        assert self._store is not None
        node = self._store.get(Node, node_id)
        if self._etcd is None or node is None or not node.member_id:
            raise Unavailable("this node has not been admitted as a manager")
        try:
            await self._etcd.client.promote(int(node.member_id))
        except EtcdError as error:
            if "can only promote a learner" not in error.message:
                raise

        def write(tx: Tx) -> None:
            found = tx.get(Node, node_id)
            if found is not None and found.role == "manager":
                tx.update(found.changed(manager={"Leader": False, "Reachability": "reachable", "Addr": address}))

        await self._store.update(write)

    # --- managers go

    async def hand_over(self) -> None:
        """Let another member lead. Raises EtcdError when none can."""
        assert self._etcd is not None
        own = (await self._etcd.client.health()).member
        ready = {node.member_id for node in self._node.store.all(Node) if node.status_state == "ready"} if self._node.store else set()
        others = [one for one in await self._etcd.client.members() if one.id != own and not one.learner and one.started]
        others.sort(key=lambda one: str(one.id) not in ready)
        if others:
            await self._etcd.client.move_leader(others[0].id)

    async def _expel(self, node: Node) -> bool:
        """See Roles."""
        if self._etcd is None:
            return node.id != self._node.state.node_id
        if node.id == self._node.state.node_id:
            await self.hand_over()
            return False
        if node.member_id:
            await self._etcd.client.remove(int(node.member_id))
        return True

    async def withdraw(self) -> None:
        """This manager leaves: its member goes, as far as the others can be asked."""
        if self._etcd is None or self._store is None:
            return
        own = self._node.state.node_id
        store, client = self._store, self._etcd.client

        def write(tx: Tx) -> None:
            node = tx.get(Node, own)
            if node is not None:
                tx.update(
                    node.changed(
                        spec={**node.spec, "Role": "worker"},
                        manager=None,
                        member_id="",
                        status_state="down",
                        status_message="the node has left the swarm",
                    )
                )

        try:
            async with asyncio.timeout(_WITHDRAW_SECONDS):
                members = await client.members()
                if sum(not one.learner for one in members) <= 1:
                    return
                await self._supervisor.close()
                await self._resign()
                await store.update(write)
                with contextlib.suppress(EtcdError):
                    await self.hand_over()
                await client.remove((await client.health()).member)
        except (ScowError, TimeoutError) as error:
            logger.warning("the other managers could not be told that this one leaves: %s", error or "they do not answer")

    # --- recovery

    async def alone(self) -> Store:
        """Go on without the other managers, which are lost. The store, in which they are managers no longer."""
        store = await self.open(alone=True)
        own = self._node.state.node_id

        def write(tx: Tx) -> None:
            for node in tx.all(Node):
                if node.id != own and (node.manager is not None or node.role == "manager"):
                    tx.update(node.changed(spec={**node.spec, "Role": "worker"}, manager=None, member_id="", status_state="unknown"))

        deadline = self._clock.elapsed_ns() + int(_FOUND_SECONDS * 1e9)
        while True:
            try:
                await store.update(write)
                return store
            except ScowError:
                if self._clock.elapsed_ns() > deadline:
                    raise
            await asyncio.sleep(_AGAIN_SECONDS)
