"""Carries out a plan: what is independent side by side, each thread with a connection of its own. Decides nothing. A failure lets what
runs end, starts nothing more, and is raised. Called by `commands/`."""

from __future__ import annotations

import contextlib
import os
import queue
import threading

from scow.client.api import Client, container_path, image_path, quote
from scow.client.transport import ApiError
from scow.compose import contents, create, labels, observe
from scow.compose.display.progress import Progress
from scow.compose.observe import Observed
from scow.compose.plan import WORDS, Operation, Plan
from scow.compose.project import Project
from scow.compose.waiting import Watch
from scow.errors import NotFound, ScowError

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

THREADS = 16
OTHER = 30.0  # seconds that another `up` of the project gets for a container


class Failed(ScowError):
    """An operation failed; the message is the user's sentence."""


class Skipped(Exception):
    """An optional dependency did not become what was wanted."""


class Executor:
    """The state of one run. `dial` makes a client; `timeout` is the grace of stops in seconds, None for the containers' own."""

    def __init__(
        self,
        project: Project,
        observed: Observed,
        dial: Callable[[], Client],
        progress: Progress,
        timeout: int | None = None,
        parallel: int = THREADS,
        separator: str = "-",
        volumes: bool = False,
        force: bool = False,
        image_volumes: dict[str, tuple[str, ...]] | None = None,
        image_ids: dict[str, str] | None = None,
    ) -> None:
        self.project, self.observed, self.dial, self.progress, self.timeout = project, observed, dial, progress, timeout
        self.parallel, self.separator, self.volumes, self.force = max(1, parallel), separator, volumes, force
        self.image_volumes, self.image_ids = image_volumes or {}, image_ids or {}
        self.ids = {one.name: one.id for one in observed.containers}
        self.first: dict[str, str] = {}
        for one in observed.containers:
            if not one.oneoff and (one.service not in self.first or one.number == 1):
                self.first[one.service] = one.id
        self._local = threading.local()
        self._watch: Watch | None = None
        self._lock = threading.Lock()
        self.stopped = threading.Event()

    def client(self) -> Client:
        """This thread's client."""
        found: Client | None = getattr(self._local, "client", None)
        if found is None:
            found = self._local.client = self.dial()
        return found

    def close(self) -> None:
        """Ends the stream of events."""
        if self._watch is not None:
            self._watch.close()

    def watch(self) -> Watch:
        """The project's events, opened at first use."""
        with self._lock:
            if self._watch is None:
                self._watch = Watch(self.dial(), self.project.name)
            return self._watch

    def run(self, plan: Plan) -> None:
        """Carries it out. Raises the first error."""
        if any(one.kind in ("wait", "completed", "rollout") for one in plan.operations):
            self.watch()
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
                    self._one(one)
                    done.put((one.id, None))
                except BaseException as exc:
                    done.put((one.id, exc))

        threads = 0
        running = 0
        ready = [ident for ident, left in waiting.items() if not left]
        error: BaseException | None = None
        finished = 0
        while finished < len(byid):
            if error is None and not self.stopped.is_set():
                for ident in ready:
                    todo.put(byid[ident])
                    running += 1
                ready = []
                while threads < min(running, self.parallel):
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

    def _one(self, one: Operation) -> None:
        begins, ends = WORDS[one.kind]
        if begins:
            self.progress.event(one.label, begins)
        try:
            getattr(self, "_" + one.kind.replace("-", "_"))(one)
        except Skipped as exc:
            self.progress.event(one.label, "Skipped", str(exc), True)
        except Exception as exc:
            self.progress.event(one.label, "Error", "", True, True)
            if isinstance(exc, ApiError):
                raise Failed(f"Error response from daemon: {exc.message}") from None
            raise
        else:
            self.progress.event(one.label, ends, "", True)

    # ------------------------------------------------ networks and volumes

    def _network(self, one: Operation) -> None:
        try:
            self.client().post("/networks/create", None, create.network(self.project, one.key))
        except ApiError as exc:
            if exc.status == 409 and "already exists" in exc.message:
                self._ours(one)  # another `up` of the project may have made it
                return
            raise Failed(f"failed to create network {one.target}: Error response from daemon: {exc.message}") from None

    def _others(self) -> str:
        return f"it is there, but was not made for project {self.project.name}: `external: true` says that this is meant"

    def _ours(self, one: Operation) -> None:
        """Raises Failed where the network that has the name is another one of the files or none of compose's."""
        marks = self.client().get(f"/networks/{quote(one.target)}").get("Labels") or {}
        if marks.get(labels.NETWORK) != one.key:
            raise Failed(
                f'network {one.target} was found but has incorrect label {labels.NETWORK} set to "{marks.get(labels.NETWORK, "")}" '
                f'(expected: "{one.key}"): remove it, or say `external: true` to use it as it is'
            )
        if marks.get(labels.PROJECT) != self.project.name:
            raise Skipped(self._others())

    def _renew_network(self, one: Operation) -> None:
        """Makes a network anew and brings back who was in it: the plan makes containers anew, but another `up` may have chosen others."""
        client = self.client()
        path = f"/networks/{quote(one.target)}"
        members = set((client.get(path).get("Containers") or {}).keys())
        members |= {info.id for info in self.observed.containers if one.target in _networks_of(info)}
        held = {}
        for ident in sorted(members):
            try:
                facts = client.get(container_path(ident, "json"))
                held[ident] = ((facts.get("NetworkSettings") or {}).get("Networks") or {}).get(one.target) or {}
                client.post(path + "/disconnect", None, {"Container": ident, "Force": True})
            except ApiError as exc:
                if exc.status not in (404, 409):
                    raise
        client.delete(path)
        self._network(one)
        for ident, endpoint in held.items():
            kept = {name: endpoint[name] for name in ("Aliases", "Links", "IPAMConfig", "DriverOpts") if endpoint.get(name)}
            with contextlib.suppress(ApiError):  # a fixed address that the network has no more: that container is made anew
                client.post(path + "/connect", None, {"Container": ident, "EndpointConfig": kept})

    def _volume(self, one: Operation) -> None:
        found = self.client().post("/volumes/create", None, create.volume(self.project, one.key))
        if (found.get("Labels") or {}).get(labels.PROJECT) != self.project.name:
            raise Skipped(self._others())

    def _remove_network(self, one: Operation) -> None:
        try:
            self.client().delete(f"/networks/{quote(one.target)}")
        except ApiError as exc:
            if exc.status == 404:
                return
            if "active endpoints" in exc.message:
                raise Skipped("Resource is still in use") from None
            raise

    def _remove_volume(self, one: Operation) -> None:
        try:
            self.client().delete(f"/volumes/{quote(one.target)}")
        except ApiError as exc:
            if exc.status == 404:
                return
            if exc.status == 409:
                raise Skipped("Resource is still in use") from None
            raise

    # ------------------------------------------------ containers

    def make(self, one: Operation, called: str, **more: Any) -> str:
        """Creates the container of an operation under a name; its ID."""
        service = one.service
        assert service is not None
        image = create.image_name(self.project, service, self.separator)
        names: dict[str, tuple[str, ...]] = {}
        for other in {text.partition(":")[0] for text in service.links}:
            if other in self.project.services:
                names[other] = tuple(
                    create.container_name(self.project, self.project.services[other], number + 1, self.separator)
                    for number in range(self.project.services[other].replicas)
                )
        given: dict[str, Any] = {
            "number": one.number,
            "name": create.container_name(self.project, service, one.number, self.separator),
            "image_id": self.image_ids.get(image, ""),
            "containers": dict(self.first),
            "names": names,
            "image_volumes": self.image_volumes.get(image, ()),
            "api": self.observed.api,
            **more,
        }
        want = create.Want(**given)
        body = create.container(self.project, service, want)
        client = self.client()
        late = {}
        networking = body.get("NetworkingConfig")
        if networking and self.observed.api < (1, 44) and len(networking["EndpointsConfig"]) > 1:
            main = body["HostConfig"]["NetworkMode"]
            late = {key: value for key, value in networking["EndpointsConfig"].items() if key != main}
            networking["EndpointsConfig"] = {main: networking["EndpointsConfig"][main]}
        ident: str = client.post("/containers/create", {"name": called, "platform": service.platform or None}, body)["Id"]
        try:
            for key, value in late.items():
                client.post(f"/networks/{quote(key)}/connect", None, {"Container": ident, "EndpointConfig": value})
            self._put(ident, contents.archive(self.project, service))
        except ScowError:
            self.forget(ident)
            raise
        return ident

    def _put(self, ident: str, archive: bytes) -> None:
        if archive:
            params = {"path": "/", "noOverwriteDirNonDir": "true", "copyUIDGID": "true"}
            self.client().call("PUT", container_path(ident, "archive"), params, archive).read()

    def forget(self, ident: str) -> None:
        """Removes a container that is of no use."""
        try:
            self.client().delete(container_path(ident) + "?force=1&v=1")
        except ScowError:
            pass

    def _known(self, one: Operation, ident: str) -> None:
        self.ids[one.target] = ident
        if one.service and (one.service.name not in self.first or one.number == 1):
            self.first[one.service.name] = ident

    def _create(self, one: Operation) -> None:
        try:
            ident = self.make(one, one.target)
        except ApiError as exc:
            if exc.status != 409:
                raise
            ident = self._made_by_another(one)
            if not ident:
                raise
        self._known(one, ident)

    def _made_by_another(self, one: Operation) -> str:
        """The container that already has the name, where it is what is wanted: another `up` of the project made it. "" where it is not."""
        assert one.service is not None
        try:
            facts = self.client().get(container_path(one.target, "json"))
        except ApiError:
            return ""
        marks = (facts.get("Config") or {}).get("Labels") or {}
        wanted = create.digest(one.service, self.first)
        same = marks.get(labels.PROJECT) == self.project.name and marks.get(labels.HASH) == wanted
        return str(facts["Id"]) if same and (one.old is None or facts["Id"] != one.old.id) else ""

    def _recreate(self, one: Operation) -> None:
        old = one.old
        assert old is not None
        try:
            ident = self.make(one, f"{old.id[:12]}_{one.target}", replaces=old.id, inherit=() if one.renew else old.mounts)
        except ApiError as exc:
            if exc.status != 409:
                raise
            self._known(one, self._left_to_another(one))
            return
        if old.running:
            self.stop(one)
        try:
            self.client().delete(container_path(old.id))
        except ApiError as exc:
            if exc.status != 404:
                raise
        try:
            self.client().post(container_path(ident, "rename"), {"name": one.target})
        except ApiError as exc:
            other = self._made_by_another(one) if exc.status == 409 else ""
            if not other:
                raise
            self.forget(ident)
            ident = other
        self._known(one, ident)

    def _left_to_another(self, one: Operation) -> str:
        """Another `up` makes the container anew: its ID when it is done."""
        try:
            found: str = self.watch().until(lambda: self._made_by_another(one) or None, OTHER)
        except ScowError:
            raise Failed(f"another run makes {one.target} anew and does not end: run it again when that one is done") from None
        return found

    def _rename(self, one: Operation) -> None:
        assert one.old is not None
        self.client().call("POST", container_path(one.old.id, "rename"), {"name": one.target}).read()
        self._known(one, one.old.id)

    def _rollout(self, one: Operation) -> None:
        from scow.compose.rollout import rollout

        self._known(one, rollout(self, one))

    def _start(self, one: Operation) -> None:
        ident = self.ids.get(one.target, "")
        self.client().call("POST", container_path(ident, "start")).read()
        if one.service:
            from scow.compose.hooks import run

            for hook in one.service.post_start:
                run(self.client(), ident, hook, one.service.name)

    def _before_stop(self, one: Operation) -> None:
        service = one.service or (self.project.services.get(one.old.service) if one.old else None)
        if service and service.pre_stop and one.old:
            from scow.compose.hooks import run

            for hook in service.pre_stop:
                run(self.client(), one.old.id, hook, service.name)

    def _stop(self, one: Operation) -> None:
        self.stop(one)

    def stop(self, one: Operation) -> None:
        """Stops the container that an operation is about, with its hooks; gone is fine."""
        assert one.old is not None
        self._before_stop(one)
        try:
            self.client().call("POST", container_path(one.old.id, "stop"), {"t": self.timeout}).read()
        except ApiError as exc:
            if exc.status != 404:
                raise

    def _restart(self, one: Operation) -> None:
        assert one.old is not None
        self._before_stop(one)
        self.client().call("POST", container_path(one.old.id, "restart"), {"t": self.timeout}).read()

    def _remove(self, one: Operation) -> None:
        assert one.old is not None
        try:
            self.client().delete(container_path(one.old.id) + f"?force=1{'&v=1' if self.volumes else ''}")
        except ApiError as exc:
            if exc.status != 404 and "already in progress" not in exc.message:
                raise

    def _signal(self, one: Operation) -> None:
        from scow.compose import changes

        assert one.old is not None and one.service is not None
        self._put(one.old.id, contents.archive(self.project, one.service, "signal"))
        for signal in one.key.split(","):
            self._verb(one, "kill", {"signal": signal})
        digest = contents.digest(self.project, one.service, "signal")
        with self._lock:
            changes.remember(self.project.name, one.old.id, digest, os.environ)

    def _kill(self, one: Operation) -> None:
        self._verb(one, "kill", {"signal": one.key or None})

    def _pause(self, one: Operation) -> None:
        self._verb(one, "pause")

    def _unpause(self, one: Operation) -> None:
        self._verb(one, "unpause")

    def _verb(self, one: Operation, verb: str, params: dict[str, Any] | None = None) -> None:
        assert one.old is not None
        self.client().call("POST", container_path(one.old.id, verb), params).read()

    def _remove_image(self, one: Operation) -> None:
        try:
            self.client().delete(image_path(one.target))
        except ApiError as exc:
            if exc.status == 404:
                raise Skipped("Warning: No resource found to remove") from None
            if exc.status == 409:
                raise Skipped("Resource is still in use") from None
            raise

    def _keep(self, one: Operation) -> None:
        return

    # ------------------------------------------------ conditions

    def _state(self, name: str) -> dict[str, Any]:
        try:
            found: dict[str, Any] = self.client().get(container_path(self.ids.get(name, name), "json"))
        except ApiError as exc:
            if exc.status == 404:
                raise NotFound(f"container {name} is gone") from None
            raise
        return found

    def _wait(self, one: Operation) -> None:
        def look() -> bool | None:
            return healthy(self._state(one.target), one.target, True)

        self._condition(one, look)

    def _condition(self, one: Operation, look: Callable[[], bool | None]) -> None:
        try:
            self.watch().until(look, stopped=self.stopped.is_set)
        except ScowError as exc:
            if not one.required:
                raise Skipped(f"optional dependency: {exc.message}") from None
            raise Failed(f"dependency failed to start: {exc.message}" if one.kind == "wait" else exc.message) from None

    def _completed(self, one: Operation) -> None:
        name = one.service.name if one.service else one.target

        def look() -> bool | None:
            return completed(self._state(one.target), name)

        self._condition(one, look)


def _networks_of(one: observe.ContainerInfo) -> dict[str, Any]:
    return (one.summary.get("NetworkSettings") or {}).get("Networks") or {}


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


def refreshed(executor: Executor) -> tuple[observe.ContainerInfo, ...]:
    """The project's containers as they are now."""
    return observe.containers(executor.client(), executor.project.name)[0]
