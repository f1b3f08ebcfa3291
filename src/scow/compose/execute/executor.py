"""Carries out a plan: what is independent side by side, each thread with a connection of its own. A failure lets what runs end, starts
nothing more, and is raised. Called by `session.py`, `commands/run.py` and foreground `up`."""

from __future__ import annotations

import queue
import threading

from scow.client.transport import ApiError
from scow.compose.execute import conditions, containers, networks, volumes
from scow.compose.execute.rollout import rollout
from scow.compose.execute.run import Failed, Run, Skipped
from scow.compose.plan import WORDS, Operation, Plan

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Callable


def execute(run: Run, plan: Plan) -> None:
    """Carries it out to its end. Raises the first error."""
    if any(one.kind in ("wait", "completed", "rollout") for one in plan.operations):
        run.watch()
    waiting = {one.id: set(one.after) for one in plan.operations}
    byid = {one.id: one for one in plan.operations}
    after: dict[int, list[int]] = {}
    for one in plan.operations:
        for ident in one.after:
            after.setdefault(ident, []).append(one.id)
    todo: queue.SimpleQueue[Operation | None] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[int, BaseException | None]] = queue.SimpleQueue()

    def work() -> None:
        while (one := todo.get()) is not None:
            try:
                _one(run, one)
                done.put((one.id, None))
            except BaseException as exc:
                done.put((one.id, exc))

    threads = 0
    running = 0
    ready = [ident for ident, left in waiting.items() if not left]
    error: BaseException | None = None
    finished = 0
    while finished < len(byid):
        if error is None and not run.stopped.is_set():
            for ident in ready:
                todo.put(byid[ident])
                running += 1
            ready = []
            while threads < min(running, run.parallel):
                threading.Thread(target=work, daemon=True).start()
                threads += 1
        if not running:
            break
        ident, failed = done.get()
        running -= 1
        finished += 1
        if failed is not None and error is None:
            error = failed
        for other in after.get(ident, ()):
            waiting[other].discard(ident)
            if not waiting[other]:
                ready.append(other)
    for _ in range(threads):
        todo.put(None)
    if error is not None:
        raise error


def _one(run: Run, one: Operation) -> None:
    begins, ends = WORDS[one.kind]
    if begins:
        run.progress.event(one.label, begins)
    try:
        KINDS[one.kind](run, one)
    except Skipped as exc:
        run.progress.event(one.label, "Skipped", str(exc), True)
    except Exception as exc:
        run.progress.event(one.label, "Error", "", True, True)
        if isinstance(exc, ApiError):
            raise Failed(f"Error response from daemon: {exc.message}") from None
        raise
    else:
        run.progress.event(one.label, ends, "", True)


def _keep(run: Run, one: Operation) -> None:
    """Only shown."""


KINDS: dict[str, Callable[[Run, Operation], None]] = {
    "network": networks.create,
    "renew-network": networks.renew,
    "remove-network": networks.remove,
    "volume": volumes.create,
    "remove-volume": volumes.remove,
    "remove-image": volumes.remove_image,
    "create": containers.create,
    "recreate": containers.recreate,
    "rollout": rollout,
    "start": containers.start,
    "restart": containers.restart,
    "signal": containers.signal,
    "stop": containers.stop,
    "remove": containers.remove,
    "rename": containers.rename,
    "kill": containers.kill,
    "pause": containers.pause,
    "unpause": containers.unpause,
    "keep": _keep,
    "wait": conditions.until_healthy,
    "completed": conditions.until_completed,
}
