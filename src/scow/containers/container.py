"""One container: configuration, state, waiters; a state change happens in `commit` and nowhere else.

Rows are written by the `Ledger` (the store). Live objects are shared by all services; only `commit` and the few setters below change them.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from scow.containers.lifecycle import TABLE, Condition, State, Status, Transition, advance
from scow.errors import InvalidArgument
from scow.model.container import ContainerConfig, HostConfig
from scow.model.network import EndpointSettings

if TYPE_CHECKING:
    from scow.runtime.task import Attachment, LogPlan
    from scow.volumes.mounts import MountPoint

_NS = 1_000_000_000
_ENDS = (Condition.NOT_RUNNING, Condition.NEXT_EXIT)


@dataclass(frozen=True, slots=True)
class WaitResult:
    """Answer of a wait: the exit code, and why removal failed, if it did."""

    code: int
    error: str = ""


class Ledger(Protocol):
    """Where a container's changes go."""

    def save(self, container: "Container") -> None:
        """Write the row."""

    def erase(self, container: "Container") -> None:
        """Drop the row and free the name."""

    def publish(self, container: "Container", action: str, attributes: Mapping[str, str]) -> None:
        """Tell the world."""


@dataclass(slots=True, eq=False)
class Container:
    """A container as the engine knows it. `log` is the plan of its driver; `mounts` and `networks` are what was resolved at creation."""

    id: str
    name: str  # without the leading slash
    created_ns: int
    image_id: str
    image_ref: str  # as the user gave it
    config: ContainerConfig
    host: HostConfig
    path: str
    args: tuple[str, ...]
    dir: Path  # <data>/containers/<id>
    bundle: Path  # <run>/bundles/<id>
    ledger: Ledger
    mounts: "tuple[MountPoint, ...]" = ()
    networks: dict[str, EndpointSettings] = field(default_factory=dict)
    state: State = field(default_factory=State)
    driver: str = "overlay2"
    platform: str = "linux"
    hold: str = ""  # who keeps the row unacknowledged: "creating" until create has finished
    log: "LogPlan | None" = None
    exec_ids: set[str] = field(default_factory=set)
    version: int = 0  # counts saved changes: the key of cached views
    pending_attachments: "list[Attachment]" = field(default_factory=list)
    ended: WaitResult | None = None  # its process is gone, and the row that says so can't be written yet (a full disk)
    _waiters: dict[Condition, list["asyncio.Future[WaitResult]"]] = field(default_factory=dict)

    @property
    def rootfs(self) -> Path:
        """Where the root file system is mounted while the container runs."""
        return self.bundle / "rootfs"

    def commit(self, event: Transition, **facts: Any) -> State:
        """Let `event` happen: check the table, write the row, wake waiters, publish.

        Facts that are fields of State are stored; `attributes` (dict of str) goes to the event, `action` replaces its name, `quiet=True`
        leaves it out, `failure` is the error text for those who wait for the removal. Raises IllegalTransition.
        """
        rule = TABLE[event]
        before = self.state
        self.state = advance(before, event, facts)
        if event is Transition.REMOVED:
            self.ledger.erase(self)
        else:
            try:
                self.ledger.save(self)
            except BaseException:
                self.state = before
                raise
        self.ended = None
        result = WaitResult(self.state.exit_code, facts.get("failure", ""))
        for condition in rule.wakes:
            self._wake(condition, result)
        action = facts.get("action", rule.action)
        if action and not facts.get("quiet"):
            attributes: dict[str, str] = dict(facts.get("attributes", {}))
            if action == "die":
                duration = max(0, self.state.finished_ns - self.state.started_ns) // _NS
                attributes |= {"exitCode": str(self.state.exit_code), "execDuration": str(duration)}
            self.ledger.publish(self, action, attributes)
        return self.state

    def announce(self, action: str, attributes: Mapping[str, str] | None = None) -> None:
        """Publish an event which changes no state (kill, stop, restart, rename, exec_…, attach, resize…)."""
        self.ledger.publish(self, action, attributes or {})

    def save(self) -> None:
        """Write the row after a change of configuration (rename, update, connect)."""
        self.ledger.save(self)

    def drop_link(self, alias: str) -> None:
        """Forget a legacy link of this container."""
        links = [link for link in self.host.links if link.partition(":")[2] != alias]
        self.host = replace(self.host, links=links)
        self.save()

    def tell_end(self, code: int) -> None:
        """The process has ended and its row can't be written: whoever waits for the end is not left waiting for space on the disk."""
        if not self.state.alive:
            return
        self.ended = WaitResult(code)
        for condition in _ENDS:
            self._wake(condition, self.ended)

    def _wake(self, condition: Condition, result: WaitResult) -> None:
        for waiter in self._waiters.pop(condition, ()):
            if not waiter.done():
                waiter.set_result(result)

    def waiter(self, condition: str) -> "asyncio.Future[WaitResult]":
        """A future that resolves when `condition` (not-running, next-exit, removed; "" = not-running) is met; registered on return.

        Raises InvalidArgument for an unknown condition. Cancel it when nobody waits any more.
        """
        try:
            wanted = Condition(condition or "not-running")
        except ValueError as exc:
            raise InvalidArgument(f'invalid condition: "{condition}"') from exc
        future: asyncio.Future[WaitResult] = asyncio.get_running_loop().create_future()
        if self.ended is not None and wanted in _ENDS:
            future.set_result(self.ended)
            return future
        if wanted is Condition.NOT_RUNNING and not self.state.running:
            future.set_result(WaitResult(self.state.exit_code))
            return future
        if wanted is Condition.REMOVED and self.state.status is Status.DEAD:
            future.set_result(WaitResult(self.state.exit_code, self.state.error))
            return future
        waiters = self._waiters.setdefault(wanted, [])
        waiters.append(future)
        future.add_done_callback(lambda done: self._forget(wanted, done))
        return future

    def _forget(self, condition: Condition, future: "asyncio.Future[WaitResult]") -> None:
        waiters = self._waiters.get(condition)
        if waiters and future in waiters:
            waiters.remove(future)

    async def wait(self, condition: str = "not-running") -> WaitResult:
        """Wait for a condition: not-running, next-exit or removed. Raises InvalidArgument for another word."""
        return await self.waiter(condition)
