"""A cluster without hosts: the real manager on a store in memory, with agents that only say what a real one would."""

import asyncio
from collections.abc import Callable
from typing import Any

from scow.errors import Unavailable
from scow.swarm.clock import ManualClock
from scow.swarm.manager.manager import Manager
from scow.swarm.objects import Cluster, Node, Service, Task, TaskState, TaskStatus
from scow.swarm.store.memory import MemoryStore
from scow.swarm.store.store import Tx


class Cluster0:
    """`behave(task)` says what becomes of a task that its agent may run: RUNNING, COMPLETE, FAILED, REJECTED or None (nothing yet)."""

    def __init__(self, nodes: int = 1, **resources: int) -> None:
        self.clock = ManualClock()
        self.store = MemoryStore(self.clock.now_ns)
        self.manager = Manager(self.store, self.clock)
        self.behave: Callable[[Task], TaskState | None] = lambda task: TaskState.RUNNING
        self._nodes = nodes
        self._resources = {"NanoCPUs": 4 * 10**9, "MemoryBytes": 8 << 30, **resources}
        self.dead: set[str] = set()
        self.slow = False  # tasks that are to end take their time
        self._numbers = 0

    async def start(self) -> "Cluster0":
        """Nodes n1 … are ready, the manager leads."""

        def write(tx: Tx) -> None:
            tx.create(Cluster(id="cluster", spec={"Orchestration": {"TaskHistoryRetentionLimit": 5}}))
            for number in range(1, self._nodes + 1):
                tx.create(self.node(f"n{number}"))

        await self.store.update(write)
        self.manager.lead()
        await self.settle()
        return self

    def node(self, id: str, labels: dict[str, str] | None = None) -> Node:
        """A ready node."""
        description = {"Hostname": f"host-{id}", "Resources": self._resources, "Platform": {"OS": "linux", "Architecture": "x86_64"}}
        spec = {"Role": "worker", "Availability": "active", "Labels": labels or {}}
        return Node(id=id, spec=spec, description=description, status_state="ready")

    async def stop(self) -> None:
        """End the loops."""
        await self.manager.resign()

    def _step(self, tx: Tx) -> bool:
        """What agents report: each task one step on."""
        moved = False
        for task in tx.all(Task):
            if not task.node_id or task.node_id in self.dead or task.status.state > TaskState.RUNNING:
                continue
            state = task.status.state
            wanted: TaskState | None = None
            if task.desired_state > TaskState.COMPLETE:
                wanted = None if self.slow else TaskState.SHUTDOWN
            elif state < TaskState.READY and state >= TaskState.ASSIGNED:
                wanted = TaskState.READY if self.behave(task) is not TaskState.REJECTED else TaskState.REJECTED
            elif state is TaskState.READY and task.desired_state >= TaskState.RUNNING:
                found = self.behave(task)
                wanted = TaskState.RUNNING if found is not None else None
            elif state is TaskState.RUNNING:
                found = self.behave(task)
                wanted = found if found is not None and found > TaskState.RUNNING else None
            if wanted is not None and wanted != state:
                tx.update(task.changed(status=TaskStatus(wanted, self.clock.now_ns(), "simulated")))
                moved = True
        return moved

    async def settle(self, rounds: int = 400) -> None:
        """Until nothing more happens without time going on."""
        quiet = 0
        for _ in range(rounds):
            before = self.store.version
            await self.store.update(self._step)
            for _ in range(12):
                await asyncio.sleep(0)
            quiet = quiet + 1 if self.store.version == before else 0
            if quiet >= 3:
                return
        raise AssertionError("the cluster does not come to rest")

    async def _beat(self) -> None:
        """Nodes that live say so."""
        if self.manager.leading:
            for node in self.store.all(Node):
                if node.id not in self.dead:
                    try:
                        await self.manager.dispatcher.heartbeat(node.id)
                    except Unavailable:
                        await self.manager.dispatcher.register(node.id, node.description, "")

    async def pass_time(self, seconds: float, step: float = 0.5) -> None:
        """Time goes on, in steps, with rest between."""
        while seconds > 0:
            self.clock.advance(min(step, seconds))
            seconds -= step
            await self._beat()
            await self.settle()

    async def service(self, name: str, replicas: int | None = 1, **spec: Any) -> str:
        """Create a service and let it come to rest; its id. `replicas` None: `Mode` is in `spec`."""
        self._numbers += 1
        id = f"s{self._numbers}"
        template = {"ContainerSpec": {"Image": "x"}, "RestartPolicy": {"Delay": 0}, **spec.pop("TaskTemplate", {})}
        document = {"Name": name, "TaskTemplate": template, **spec}
        if replicas is not None:
            document["Mode"] = {"Replicated": {"Replicas": replicas}}
        await self.store.update(lambda tx: tx.create(Service(id=id, spec=document)))
        await self.settle()
        return id

    async def change(self, id: str, **spec: Any) -> None:
        """Update parts of a service's spec, as the control API would."""

        def write(tx: Tx) -> None:
            service = tx.get(Service, id)
            assert service is not None
            changed = {**service.spec, **spec}
            bump = service.spec_version + 1
            tx.update(service.changed(spec=changed, previous_spec=service.spec, spec_version=bump, update_status=None))

        await self.store.update(write)
        await self.settle()

    def running(self, id: str) -> list[Task]:
        """Tasks that run and shall."""
        return sorted(
            (
                task
                for task in self.store.by(Task, "service", id)
                if task.status.state is TaskState.RUNNING and task.desired_state is TaskState.RUNNING
            ),
            key=lambda task: task.slot,
        )

    def status(self, id: str) -> str:
        """The state of a service's update."""
        service = self.store.get(Service, id)
        assert service is not None
        return str((service.update_status or {}).get("State") or "")
