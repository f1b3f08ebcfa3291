"""What services wait for of others: being healthy, having ended well. Called by `executor.py`, `rollout.py` and `commands/ready.py`."""

from __future__ import annotations

from scow.client.api import container_path
from scow.client.transport import ApiError
from scow.compose.execute.run import Failed, Run, Skipped
from scow.compose.plan import Operation
from scow.errors import NotFound, ScowError

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def healthy(facts: dict[str, Any], name: str, must_check: bool) -> bool | None:
    """True for healthy (or running, where there is no check and none is asked for), None while it may yet be. Raises ScowError."""
    state = facts.get("State") or {}
    health = state.get("Health") or {}
    status = state.get("Status")
    if status in ("exited", "dead"):
        raise ScowError(f"container {name} exited ({state.get('ExitCode', 0)})")
    if not health or health.get("Status") in ("none", ""):
        if must_check:
            raise ScowError(f"container {name} has no healthcheck configured")
        return True if status == "running" else None
    if health.get("Status") == "unhealthy":
        raise ScowError(f"container {name} is unhealthy")
    return True if health.get("Status") == "healthy" else None


def completed(facts: dict[str, Any], service: str) -> bool | None:
    """True for a container that has ended well, None while it runs. Raises ScowError."""
    state = facts.get("State") or {}
    if state.get("Status") not in ("exited", "dead"):
        return None
    if state.get("ExitCode"):
        raise ScowError(f'service "{service}" didn\'t complete successfully: exit {state["ExitCode"]}')
    return True


def until_healthy(run: Run, one: Operation) -> None:
    """Waits until the container is healthy."""

    def look() -> bool | None:
        return healthy(_state(run, one.target), one.target, True)

    _condition(run, one, look)


def until_completed(run: Run, one: Operation) -> None:
    """Waits until the container has ended well."""
    name = one.service.name if one.service else one.target

    def look() -> bool | None:
        return completed(_state(run, one.target), name)

    _condition(run, one, look)


def _condition(run: Run, one: Operation, look: Callable[[], bool | None]) -> None:
    try:
        run.watch().until(look, stopped=run.stopped.is_set)
    except ScowError as exc:
        if not one.required:
            raise Skipped(f"optional dependency: {exc.message}") from None
        raise Failed(f"dependency failed to start: {exc.message}" if one.kind == "wait" else exc.message) from None


def _state(run: Run, name: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = run.client().get(container_path(run.ids.get(name, name), "json"))
    except ApiError as exc:
        if exc.status == 404:
            raise NotFound(f"container {name} is gone") from None
        raise
    return found
