"""Waiting until services run and are healthy: `--wait` of `up.py` and `lifecycle.py`."""

from __future__ import annotations

import time
from functools import partial

from scow.client.api import container_path
from scow.compose import observe
from scow.compose.execute.conditions import completed, healthy
from scow.compose.model.project import Project
from scow.compose.session import Session
from scow.compose.waiting import AGAIN, SETTLE, Watch
from scow.errors import ScowError


def wait_services(session: Session, project: Project, named: set[str], seconds: int = 0) -> None:
    """Until the containers of the services (none named: all) run, and are healthy where they have a check; 0 seconds wait for ever. One
    without a check must have run for SETTLE, and none may have ended while others were waited for. A service that another wants completed
    is ready when it has ended well, as for the plugin. Raises ScowError."""
    watch = Watch(session.dial(), project.name)
    begun = time.monotonic()
    end = begun + seconds if seconds else None
    wanted = named or set(project.services)
    chosen = [one for one in observe.containers(session.client, project.name)[0] if not one.oneoff and one.service in wanted]
    ending = {
        name
        for service in project.services.values()
        for name, dependency in service.depends_on.items()
        if dependency.condition == "service_completed_successfully"
    }

    def look(one: observe.ContainerInfo) -> bool | None:
        facts = session.client.get(container_path(one.id, "json"))
        if one.service in ending:
            return completed(facts, one.service)
        if not (ready := healthy(facts, one.name, False)):
            return None
        checked = (facts.get("State") or {}).get("Health")
        return ready if checked or time.monotonic() - begun >= SETTLE else None

    try:
        for one in chosen:
            label = f"Container {one.name}"
            session.progress.event(label, "Waiting")
            try:
                left = None if end is None else max(0.0, end - time.monotonic())
                watch.until(partial(look, one), left, again=AGAIN if one.health else SETTLE)
            except ScowError as exc:
                session.progress.event(label, "Error", "", True, True)
                raise ScowError("application not healthy after " + _seconds(seconds) if "timeout" in exc.message else exc.message) from None
            session.progress.event(label, "Exited" if one.service in ending else "Healthy", "", True)
        for one in [one for one in chosen[:-1] if one.service not in ending]:
            healthy(session.client.get(container_path(one.id, "json")), one.name, False)
    finally:
        watch.close()
        session.end()


def _seconds(count: int) -> str:
    return f"{count // 60}m{count % 60}s" if count >= 60 else f"{count}s"
