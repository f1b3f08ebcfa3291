"""One task as a container of this engine (`swarm.agent.executor.Controller`)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from scow.containers.container import Container
from scow.containers.logs import LogsQuery
from scow.engine_executor import request
from scow.engine_executor.files import File, target_of
from scow.errors import Conflict, NotFound, NotModified, ScowError
from scow.events import Subscription
from scow.model import codec
from scow.model.container import CreateRequest
from scow.reference import Reference
from scow.swarm import templates
from scow.swarm.agent.executor import Dependencies, Failed, Rejected
from scow.swarm.objects import ContainerStatus, Task
from scow.units import parse_rfc3339, rfc3339nano

if TYPE_CHECKING:
    from scow.engine_executor.executor import EngineExecutor


class ContainerController:
    """Carries a task out."""

    def __init__(self, engine: "EngineExecutor", task: Task, needs: Dependencies) -> None:
        self._engine = engine
        self._task = task
        self._needs = needs

    def _container(self) -> Container | None:
        return self._engine.container_of(self._task)

    # --- before it runs

    async def prepare(self) -> None:
        """See Controller."""
        if self._container() is not None:
            return
        spec = self._task.spec.get("ContainerSpec") or {}
        image = str(spec.get("Image") or "")
        try:
            await self._engine.pull(image, self._needs.registry_auth)
            await self._engine.networks_ready(self._task)
            body = request.create(self._task, self._needs, image)
            asked = codec.decode(CreateRequest, body)
            try:
                await self._engine.containers.create(asked, name=self._task.name)
            except Conflict:
                if self._container() is None:
                    raise
        except ScowError as error:
            raise Rejected(error.message) from error

    def files(self) -> list[File]:
        """Secrets and configs, their templates filled. Raises InvalidArgument."""
        spec = self._task.spec.get("ContainerSpec") or {}
        known = templates.values(self._task, self._needs)
        env = dict(entry.partition("=")[::2] for entry in spec.get("Env") or ())
        found: list[File] = []
        for kind, rows, stored in (
            ("Secret", spec.get("Secrets"), self._needs.secrets),
            ("Config", spec.get("Configs"), self._needs.configs),
        ):
            for row in rows or ():
                have = stored.get(str(row.get(f"{kind}ID")))
                if have is None or row.get("Runtime") is not None:
                    continue
                data = have[1]
                if self._engine.is_template(kind, str(row.get(f"{kind}ID"))):
                    data = templates.fill_payload(data, known, self._task, self._needs, env)
                file = row.get("File") or {}
                mode = file.get("Mode")
                found.append(
                    File(
                        target_of(row, kind), data, _number(file.get("UID")), _number(file.get("GID")), 0o444 if mode is None else int(mode)
                    )
                )
        return found

    # --- while it runs

    async def start(self) -> None:
        """See Controller."""
        container = self._container()
        if container is None:
            raise Failed("the task's container is gone")
        self._engine.mark(container.id, self)
        try:
            await self._engine.containers.start(container.id)
        except NotModified:
            pass
        except ScowError as error:
            raise Failed(f"starting container failed: {error.message}", getattr(error, "exit_code", None)) from error
        await self._healthy(container)

    async def _healthy(self, container: Container) -> None:
        """Until a health check has passed for the first time."""
        if container.state.health is None:
            return
        watch = self._engine.bus.subscribe()
        try:
            while True:
                state = container.state
                if not state.alive:
                    raise self._ended(container)
                if state.health is None or state.health.status == "healthy":
                    return
                if state.health.status == "unhealthy":
                    await self._unhealthy(container)
                if not await _changed(watch, container):
                    return
        finally:
            watch.close()

    async def _unhealthy(self, container: Container) -> None:
        await self.shutdown()
        raise Failed(f"task: non-zero exit ({container.state.exit_code}): dockerexec: unhealthy container", container.state.exit_code)

    async def wait(self) -> None:
        """See Controller."""
        container = self._container()
        if container is None:
            raise Failed("the task's container is gone")
        self._engine.mark(container.id, self)
        over = container.waiter("not-running")
        if container.state.health is None and container.config.healthcheck is None:
            # no watch: each costs at every event, and there is one for each task
            try:
                await asyncio.wait([over])
            finally:
                over.cancel()
            self._check_end(container)
            return
        watch = self._engine.bus.subscribe()
        try:
            async with asyncio.TaskGroup() as group:
                sick = group.create_task(self._sickness(container, watch))
                either: list[asyncio.Future[Any]] = [sick, over]
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
                unhealthy = not over.done()
                sick.cancel()
        finally:
            over.cancel()
            watch.close()
        if unhealthy:
            await self._unhealthy(container)
        self._check_end(container)

    def _check_end(self, container: Container) -> None:
        if container.state.exit_code or container.state.error:
            raise self._ended(container)

    async def _sickness(self, container: Container, watch: Any) -> None:
        """Until the container is unhealthy."""
        state = container.state
        if state.alive and state.health is not None and state.health.status == "unhealthy":
            return
        async for event in watch:
            if event.kind == "container" and event.actor_id == container.id and event.action == "health_status: unhealthy":
                return
        await asyncio.Event().wait()  # the bus has dropped us: the end of the process still comes

    @staticmethod
    def _ended(container: Container) -> Failed:
        code, error = container.state.exit_code, container.state.error
        return Failed(f"task: non-zero exit ({code})" + (f": {error}" if error else ""), code)

    async def shutdown(self) -> None:
        """See Controller."""
        container = self._container()
        if container is None:
            return
        await self._engine.unbalance(self._task)
        with contextlib.suppress(NotModified, NotFound):
            await self._engine.containers.stop(container.id)

    async def remove(self) -> None:
        """See Controller."""
        container = self._container()
        if container is not None:
            with contextlib.suppress(NotFound):
                await self._engine.containers.remove(container.id, force=True, volumes=True)
            self._engine.unmark(container.id)
        await self._engine.task_gone(self._task)

    async def update(self, task: Task) -> None:
        """See Controller."""
        self._task = task

    async def status(self) -> ContainerStatus | None:
        """See Controller."""
        container = self._container()
        if container is None:
            return None
        return ContainerStatus(container.id, container.state.pid, container.state.exit_code)

    async def ports(self) -> tuple[Mapping[str, Any], ...]:
        """See Controller."""
        container = self._container()
        rows = [row for row in self._task.endpoint.get("Ports") or () if row.get("PublishMode") == "host"]
        if container is None or not rows:
            return ()
        bound = self._engine.network.settings(container.id).ports
        found = []
        for row in rows:
            for binding in bound.get(f"{row['TargetPort']}/{row.get('Protocol') or 'tcp'}") or ():
                found.append({**row, "PublishedPort": int(binding["HostPort"])})
                break
        return tuple(found)

    async def logs(self, options: Mapping[str, Any]) -> AsyncIterator[tuple[int, int, bytes]]:
        """See Controller."""
        container = self._container()
        if container is None:
            return
        if options.get("follow"):
            await self._begun(container)
        query = LogsQuery(
            stdout=bool(options.get("stdout", True)),
            stderr=bool(options.get("stderr", True)),
            follow=bool(options.get("follow")),
            since=rfc3339nano(int(options["since_ns"])) if options.get("since_ns") else "",
            until=rfc3339nano(int(options["until_ns"])) if options.get("until_ns") else "",
            timestamps=True,
            tail=str(options.get("tail", "all")),
        )
        buffer = b""
        tty = container.config.tty
        async for piece in self._engine.logs.read(container, query):
            buffer += piece
            while True:
                if tty:
                    line, found, rest = buffer.partition(b"\n")
                    if not found:
                        break
                    stream, buffer, data = 1, rest, line + b"\n"
                else:
                    end = 8 + int.from_bytes(buffer[4:8], "big")
                    if len(buffer) < 8 or len(buffer) < end:
                        break
                    stream, data, buffer = buffer[0], buffer[8:end], buffer[end:]
                stamp, _, text = data.partition(b" ")
                yield stream, parse_rfc3339(stamp.decode()), text

    async def _begun(self, container: Container) -> None:
        """Until a container has been started: following one that is about to be would end at once."""
        watch = self._engine.bus.subscribe()
        try:
            while not container.state.started_ns and self._container() is not None:
                if not await _changed(watch, container):
                    return
        finally:
            watch.close()


async def _changed(watch: Subscription, container: Container) -> bool:
    """Wait for the container's next event; False where no more events come."""
    async for event in watch:
        if event.kind == "container" and event.actor_id == container.id:
            return True
    return False


def _number(text: Any) -> int:
    try:
        return int(str(text or 0))
    except ValueError:
        return 0


def digest_pinned(image: str) -> bool:
    """Whether a reference names its content."""
    return bool(Reference.parse(image).digest)
