"""Waiting until a service has converged: all its tasks run (or are done) and stay so for the monitor's time. The rules and the lines are
docker's. Called by create, update, scale, rollback and `stack deploy --detach=false`."""

from __future__ import annotations

import time

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.command import Cli

from scow.cli.commands.service.display import Display
from scow.client.api import filters_param, quote
from scow.errors import ScowError

EVERY = 0.2  # seconds between two looks
MONITOR = 5_000_000_000
MOST_BARS = 20
STATES = (
    *("", "new", "allocated", "pending", "assigned", "accepted", "preparing", "ready", "starting", "running"),
    *("complete", "shutdown", "failed", "rejected"),
)
NUMBERS = {state: number for number, state in enumerate(STATES)}
RUNNING = NUMBERS["running"]
_LONGEST = 9


def wait(cli: Cli, service: str, quiet: bool = False) -> int:
    """Shows how a service converges, until it has. Raises ScowError where its update pauses. An interrupt leaves it to the swarm."""
    display = Display(cli, quiet)
    watch = _Watch(display)
    try:
        while not watch.step(cli, service):
            time.sleep(EVERY)
    except KeyboardInterrupt:
        display.end()
        if not quiet:
            cli.out(f"Operation continuing in background.\nUse `scow service ps {service}` to check progress.\n")
    display.end()
    return 0


class _Watch:
    """What is remembered from look to look."""

    def __init__(self, display: Display) -> None:
        self.display = display
        self.converged_at = 0.0
        self.converged = False
        self.rollback = False
        self.last = ""  # what the end of a rollback is called
        self.counter: _Counter | None = None

    def step(self, cli: Cli, name: str) -> bool:
        """One look; whether it was the last."""
        service = cli.client.get(f"/services/{quote(name)}", {"insertDefaults": "false"})
        spec = service.get("Spec") or {}
        monitor = ((spec.get("UpdateConfig") or {}).get("Monitor") or MONITOR) / 1e9
        if self.counter is None:
            self.counter = counter_of(spec.get("Mode") or {}, self.display)
        if self._update(service.get("UpdateStatus") or {}):
            return True
        if self.converged and self.converged_at and time.monotonic() - self.converged_at >= monitor:
            self.display.line("verify", f"Service {name} converged")
            if self.last:
                self.display.line("rollback", self.last)
            return True
        wanted = {"service": {service["ID"]: True}, "_up-to-date": {"true": True}}
        tasks = cli.client.get("/tasks", {"filters": filters_param(wanted)}) or []
        nodes = {one["ID"] for one in cli.client.get("/nodes") or [] if (one.get("Status") or {}).get("State") != "down"}
        self.converged = self.counter.update(service, tasks, nodes, self.rollback)
        if not self.converged:
            if self.converged_at:
                self.display.line("verify", "Detected task failure")
            self.converged_at = 0.0
            return False
        if self.counter.job:
            self.display.line("", "job complete")
            return True
        self.converged_at = self.converged_at or time.monotonic()
        left = monitor - (time.monotonic() - self.converged_at)
        if left >= 0:
            self.display.line("verify", f"Waiting {int(left) + 1} seconds to verify that tasks are stable...")
        return False

    def _update(self, status: dict[str, Any]) -> bool:
        """Reads how the update goes; whether it is over."""
        state, message = status.get("State") or "", status.get("Message") or ""
        if state == "updating":
            self.rollback = False
        elif state == "completed":
            return not self.converged
        elif state == "paused":
            raise ScowError(f"service update paused: {message}")
        elif state == "rollback_started":
            if not self.rollback and message:
                self.display.line("rollback", message)
            self.rollback = True
        elif state == "rollback_paused":
            raise ScowError(f"service rollback paused: {message}")
        elif state == "rollback_completed":
            if not self.converged:
                self.last = message
            self.rollback = True
        return False


class _Counter:
    """How many tasks of a service run, and the lines that say so."""

    job = False

    def __init__(self, display: Display) -> None:
        self.display = display
        self.started = False
        self.done = False

    def update(self, service: dict[str, Any], tasks: list[dict[str, Any]], nodes: set[str], rollback: bool) -> bool:
        """Whether the service has converged."""
        raise NotImplementedError

    def overall(self, running: int, total: int, rollback: bool) -> None:
        lead = "rolling back update: " if rollback else ""
        self.display.line("overall progress", f"{lead}{running} out of {total} tasks")

    def task(self, name: str, task: dict[str, Any], rollback: bool) -> None:
        """The line of one task: its error, or how far it is."""
        status = task.get("Status") or {}
        state = status.get("State") or ""
        if status.get("Err"):
            error = str(status["Err"]).replace("\n", " ")
            self.display.line(name, error if len(error) <= 75 else error[:74] + "…")
        elif not terminal(task.get("DesiredState") or "") and not terminal(state):
            number = NUMBERS.get(state, 0)
            self.display.bar(name, f"{state:<{_LONGEST}}", RUNNING - number if rollback else number, RUNNING)


def terminal(state: str) -> bool:
    """Whether a task in that state runs no more."""
    return NUMBERS.get(state, 0) > RUNNING


def newest(tasks: list[dict[str, Any]], key: str, nodes: set[str]) -> dict[Any, dict[str, Any]]:
    """The task that counts for each slot (or node): the one that is wanted to live, of those the least advanced."""
    found: dict[Any, dict[str, Any]] = {}
    for task in tasks:
        if NUMBERS.get(task.get("DesiredState") or "", 0) == 0 or NUMBERS.get((task.get("Status") or {}).get("State") or "", 0) == 0:
            continue
        if task.get("NodeID") and task["NodeID"] not in nodes:
            continue
        other = found.get(task.get(key))
        if other is not None:
            mine, theirs = NUMBERS[task["DesiredState"]], NUMBERS[other["DesiredState"]]
            if theirs < mine or (theirs == mine and NUMBERS[other["Status"]["State"]] <= NUMBERS[task["Status"]["State"]]):
                continue
        found[task.get(key)] = task
    return found


def lives(task: dict[str, Any]) -> bool:
    """Whether a task runs and is wanted to."""
    return not terminal(task.get("DesiredState") or "") and (task.get("Status") or {}).get("State") == "running"


class _Replicated(_Counter):
    def __init__(self, display: Display) -> None:
        super().__init__(display)
        self.places: dict[Any, int] = {}

    def update(self, service: dict[str, Any], tasks: list[dict[str, Any]], nodes: set[str], rollback: bool) -> bool:
        total = (service["Spec"]["Mode"].get("Replicated") or {}).get("Replicas")
        if total is None:
            raise ScowError("no replica count")
        slots = newest(tasks, "Slot", nodes)
        if not self.started:
            self.overall(0, total, rollback)
            for number in range(1, total + 1 if total <= MOST_BARS else 0):
                self.display.line(f"{number}/{total}", " ")
            self.started = True
        self.done = self.done and all(lives(task) for task in slots.values())
        running = 0
        for slot, task in slots.items():
            place = self.places.setdefault(slot, len(self.places) + 1)
            running += lives(task)
            if not self.done and total <= MOST_BARS and place <= total:
                self.task(f"{place}/{total}", task, rollback)
        if not self.done:
            self.overall(running, total, rollback)
            self.done = running == total
        return bool(running == total)


class _Global(_Counter):
    def update(self, service: dict[str, Any], tasks: list[dict[str, Any]], nodes: set[str], rollback: bool) -> bool:
        found = newest(tasks, "NodeID", nodes)
        if not self.started:
            if not tasks:
                return False
            self.overall(0, len(found), rollback)
            self.started = True
        self.done = self.done and all(lives(task) for task in found.values())
        running = sum(map(lives, found.values()))
        for node, task in found.items():
            if not self.done and len(found) <= MOST_BARS:
                self.task(str(node)[:12], task, rollback)
        if not self.done:
            self.overall(running, len(found), rollback)
            self.done = running == len(found)
        return running == len(found)


class _Job(_Counter):
    """A job that runs so many times: those of this iteration count."""

    job = True

    def update(self, service: dict[str, Any], tasks: list[dict[str, Any]], nodes: set[str], rollback: bool) -> bool:
        mode = service["Spec"]["Mode"].get("ReplicatedJob") or {}
        total = mode.get("TotalCompletions") or mode.get("MaxConcurrent") or 1
        most = mode.get("MaxConcurrent") or 1
        own = of_iteration(service, tasks)
        complete = sum(1 for task in own if task["Status"]["State"] == "complete")
        running = sum(1 for task in own if task["Status"]["State"] == "running")
        self.display.bar("job progress", f"{complete} out of {total} complete", complete, total)
        wanted = min(most, total - complete)
        self.display.line("active tasks", f"{min(running, wanted) if self.started else 0} out of {wanted} tasks")
        if not self.started:
            for number in range(1, total + 1 if total <= MOST_BARS else 0):
                self.display.line(f"{number}/{total}", " ")
            self.started = True
        for task in own:
            if total <= MOST_BARS and 0 < (task.get("Slot") or 0) + 1 <= total:
                self.task(f"{task['Slot'] + 1}/{total}", task, False)
        return complete >= total


class _GlobalJob(_Counter):
    job = True

    def update(self, service: dict[str, Any], tasks: list[dict[str, Any]], nodes: set[str], rollback: bool) -> bool:
        own = [task for task in of_iteration(service, tasks) if not task.get("NodeID") or task["NodeID"] in nodes]
        if not own:
            return False
        complete = sum(1 for task in own if task["Status"]["State"] == "complete")
        self.display.bar("job progress", f"{complete} out of {len(own)} complete", complete, len(own))
        for task in own:
            if len(own) <= MOST_BARS:
                self.task(str(task.get("NodeID") or "")[:12], task, False)
        return complete == len(own)


def of_iteration(service: dict[str, Any], tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The tasks of a job's present run."""
    index = ((service.get("JobStatus") or {}).get("JobIteration") or {}).get("Index") or 0
    return [task for task in tasks if ((task.get("JobIteration") or {}).get("Index") or 0) == index]


def counter_of(mode: dict[str, Any], display: Display) -> _Counter:
    """What counts a service of that mode. Raises ScowError."""
    kinds = (("Replicated", _Replicated), ("Global", _Global), ("ReplicatedJob", _Job), ("GlobalJob", _GlobalJob))
    for key, kind in kinds:
        if mode.get(key) is not None:
            return kind(display)
    raise ScowError("unrecognized service mode")
