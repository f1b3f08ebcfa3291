"""Operations on containers. Called by `executor.py`, `rollout.py` and `commands/run.py` (`make`)."""

from __future__ import annotations

import os

from scow.client.api import container_path, quote
from scow.client.transport import ApiError
from scow.compose import contents, hooks, labels
from scow.compose import create as bodies
from scow.compose.execute.run import Failed, Run
from scow.compose.model.service import Service
from scow.compose.plan import Operation
from scow.compose.waiting import TimedOut
from scow.errors import ScowError

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

AGAIN = 0.5  # seconds until a name that is taken is tried again
OTHER = 600.0  # seconds that another `up` of the project gets for a container: a rollout waits for its health


def make(run: Run, one: Operation, called: str, **more: Any) -> str:
    """Creates the container of an operation under a name; its ID."""
    service = one.service
    assert service is not None
    image = bodies.image_name(run.project, service, run.separator)
    names: dict[str, tuple[str, ...]] = {}
    for other in {text.partition(":")[0] for text in service.links}:
        if other in run.project.services:
            names[other] = tuple(
                bodies.container_name(run.project, run.project.services[other], number + 1, run.separator)
                for number in range(run.project.services[other].replicas)
            )
    given: dict[str, Any] = {
        "number": one.number,
        "name": bodies.container_name(run.project, service, one.number, run.separator),
        "image_id": run.image_ids.get(image, ""),
        "containers": dict(run.first),
        "names": names,
        "image_volumes": run.image_volumes.get(image, ()),
        "api": run.observed.api,
        **more,
    }
    want = bodies.Want(**given)
    body = bodies.container(run.project, service, want)
    client = run.client()
    late = {}
    networking = body.get("NetworkingConfig")
    if networking and run.observed.api < (1, 44) and len(networking["EndpointsConfig"]) > 1:
        main = body["HostConfig"]["NetworkMode"]
        late = {key: value for key, value in networking["EndpointsConfig"].items() if key != main}
        networking["EndpointsConfig"] = {main: networking["EndpointsConfig"][main]}
    ident: str = client.post("/containers/create", {"name": called, "platform": service.platform or None}, body)["Id"]
    try:
        for key, value in late.items():
            client.post(f"/networks/{quote(key)}/connect", None, {"Container": ident, "EndpointConfig": value})
        _put(run, ident, contents.archive(run.project, service))
    except ScowError:
        forget(run, ident)
        raise
    return ident


def _put(run: Run, ident: str, archive: bytes) -> None:
    if archive:
        params = {"path": "/", "noOverwriteDirNonDir": "true", "copyUIDGID": "true"}
        run.client().call("PUT", container_path(ident, "archive"), params, archive).read()


def forget(run: Run, ident: str) -> None:
    """Removes a container that is of no use."""
    try:
        run.client().delete(container_path(ident) + "?force=1&v=1")
    except ScowError:
        pass


def create(run: Run, one: Operation) -> None:
    """Makes the container; where another `up` has just made it, that one is taken."""
    taken: ApiError | None = None

    def attempt() -> str | None:
        nonlocal taken
        try:
            return make(run, one, one.target)
        except ApiError as exc:
            if exc.status != 409:
                raise
            taken = exc
            there = _there(run, one.target)  # before the other question: a name is taken a moment before there is a container
            found = _made_by_another(run, one)
            if there and not found:
                raise
            return found or None

    ident = attempt() or run.watch().until(attempt, OTHER, stopped=run.stopped.is_set, again=AGAIN)
    if not ident:
        raise taken or Failed("interrupted")
    run.known(one, ident)


def _made_by_another(run: Run, one: Operation) -> str:
    """The container that already has the name, where it is what is wanted: another `up` of the project made it. "" where it is not."""
    assert one.service is not None
    try:
        facts = run.client().get(container_path(one.target, "json"))
    except ApiError:
        return ""
    marks = (facts.get("Config") or {}).get("Labels") or {}
    wanted = bodies.digest(one.service, run.first)
    same = marks.get(labels.PROJECT) == run.project.name and marks.get(labels.HASH) == wanted
    return str(facts["Id"]) if same and (one.old is None or facts["Id"] != one.old.id) else ""


def recreate(run: Run, one: Operation) -> None:
    """Makes the container anew: the new one has another name until the old one is gone."""
    old = one.old
    assert old is not None
    ident, ours = make_beside(run, one, one, replaces=old.id, inherit=() if one.renew else old.mounts)
    if not ours:
        run.known(one, ident)
        return
    if old.running:
        stop(run, one)
    try:
        run.client().delete(container_path(old.id))
    except ApiError as exc:
        if exc.status != 404:
            raise
    try:
        run.client().post(container_path(ident, "rename"), {"name": one.target})
    except ApiError as exc:
        other = _made_by_another(run, one) if exc.status == 409 else ""
        forget(run, ident)
        if not other:
            raise
        ident = other
    run.known(one, ident)


def make_beside(run: Run, one: Operation, body: Operation, **more: Any) -> tuple[str, bool]:
    """Makes what replaces the container of an operation, as `body` says, beside it: its ID and True. Where another `up` does the same,
    its container when it has taken the place, and False; where that one gives up, it is made here. Raises ScowError."""
    assert one.old is not None
    temporary = f"{one.old.id[:12]}_{one.target}"

    def made() -> str:
        try:
            return make(run, body, temporary, **more)
        except ApiError as exc:
            if exc.status != 409:
                raise
        return ""

    def again() -> tuple[str, bool] | None:
        if found := _made_by_another(run, one):
            return found, False
        if not (ident := made()):
            return None
        if found := _made_by_another(run, one):  # the name was free because the other one had just taken the place
            forget(run, ident)
            return found, False
        return ident, True

    if ident := made():
        return ident, True
    try:
        found: tuple[str, bool] | None = run.watch().until(again, OTHER, stopped=run.stopped.is_set, again=AGAIN)
    except TimedOut:
        raise Failed(f"another run makes {one.target} anew and does not end: run it again when that one is done") from None
    if not found:
        raise Failed("interrupted")
    return found


def _there(run: Run, name: str) -> bool:
    try:
        run.client().get(container_path(name, "json"))
    except ApiError as exc:
        if exc.status != 404:
            raise
        return False
    return True


def rename(run: Run, one: Operation) -> None:
    """Gives a container the name that its operation is about."""
    assert one.old is not None
    run.client().call("POST", container_path(one.old.id, "rename"), {"name": one.target}).read()
    run.known(one, one.old.id)


def start(run: Run, one: Operation) -> None:
    """Starts the container, and runs its `post_start`."""
    begin(run, run.ids.get(one.target, ""), one.service)


def begin(run: Run, ident: str, service: Service | None) -> None:
    """Starts a container, and runs what its service wants after that."""
    run.client().call("POST", container_path(ident, "start")).read()
    if service:
        for hook in service.post_start:
            hooks.run(run.client(), ident, hook, service.name)


def _before_stop(run: Run, one: Operation) -> None:
    service = one.service or (run.project.services.get(one.old.service) if one.old else None)
    if service and one.old:
        for hook in service.pre_stop:
            hooks.run(run.client(), one.old.id, hook, service.name)


def stop(run: Run, one: Operation) -> None:
    """Stops the container that an operation is about, with its hooks; gone is fine."""
    assert one.old is not None
    _before_stop(run, one)
    try:
        run.client().call("POST", container_path(one.old.id, "stop"), {"t": run.timeout}).read()
    except ApiError as exc:
        if exc.status != 404:
            raise


def restart(run: Run, one: Operation) -> None:
    """Restarts the container, after its `pre_stop`."""
    assert one.old is not None
    _before_stop(run, one)
    run.client().call("POST", container_path(one.old.id, "restart"), {"t": run.timeout}).read()


def remove(run: Run, one: Operation) -> None:
    """Removes the container; gone is fine."""
    assert one.old is not None
    try:
        run.client().delete(container_path(one.old.id) + f"?force=1{'&v=1' if run.volumes else ''}")
    except ApiError as exc:
        if exc.status != 404 and "already in progress" not in exc.message:
            raise


def signal(run: Run, one: Operation) -> None:
    """Puts changed configs and secrets into the container and sends it the signals of `x-on-change`."""
    from scow.compose import changes

    assert one.old is not None and one.service is not None
    _put(run, one.old.id, contents.archive(run.project, one.service, "signal"))
    for name in one.key.split(","):
        _verb(run, one, "kill", {"signal": name})
    digest = contents.digest(run.project, one.service, "signal")
    with run.lock:
        changes.remember(run.project.name, one.old.id, digest, os.environ)


def kill(run: Run, one: Operation) -> None:
    """Sends a signal."""
    _verb(run, one, "kill", {"signal": one.key or None})


def pause(run: Run, one: Operation) -> None:
    """Freezes."""
    _verb(run, one, "pause")


def unpause(run: Run, one: Operation) -> None:
    """Thaws."""
    _verb(run, one, "unpause")


def _verb(run: Run, one: Operation, verb: str, params: dict[str, Any] | None = None) -> None:
    assert one.old is not None
    run.client().call("POST", container_path(one.old.id, verb), params).read()
