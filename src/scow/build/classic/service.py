"""The classic builder: builds that are under way, and what a crash left of them. One build is `run.py`.

Contexts and mounts of a build lie below `<data>/build/` while it runs; what a crash leaves there `recover` removes.
"""

import asyncio
from collections.abc import AsyncIterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scow import aio
from scow.aio import Supervisor
from scow.build.classic.context import Contexts
from scow.build.classic.request import ClassicRequest
from scow.build.classic.steps import StepRunner
from scow.errors import Conflict
from scow.images.service import ImageService
from scow.metadata import Database

if TYPE_CHECKING:
    from scow.build.classic.dispatch import Write


class ClassicBuilder:
    """Builds images; one call of `build` is one build, any number run side by side."""

    def __init__(self, root: Path, db: Database, images: ImageService, runner: StepRunner) -> None:
        self._db = db
        self._images = images
        self._runner = runner
        self._contexts = Contexts(root / "contexts", images.workers)
        self._supervisor = Supervisor("builds")
        self._running: dict[str, asyncio.Task[Exception | None]] = {}

    async def recover(self) -> None:
        """At boot: remove what a crash left, and forget steps whose image is gone."""
        await self._contexts.recover()
        table = self._db.table("classic_cache")
        known = {image.id for image in self._images.store.all()}
        with self._db.update():
            for key, row in table.all().items():
                if row.get("image") not in known:
                    table.delete(key)

    async def close(self) -> None:
        """End what is under way."""
        await self._supervisor.close()

    def cancel(self, build_id: str) -> None:
        """End a build by the id that its client gave it; unknown is fine."""
        if (task := self._running.get(build_id)) is not None:
            task.cancel()

    async def build(self, request: ClassicRequest, body: AsyncIterable[bytes], write: "Write") -> None:
        """Build; progress goes to `write` as Docker's JSON objects. What raises before the first is wrong with the request.

        Raises ScowError: InvalidArgument (parameters, context, Dockerfile), StepFailed (with the exit code), NotFound (an image)…
        """
        task = self._supervisor.start(self._outcome(request, body, write), request.build_id or "build")
        if request.build_id:
            self._running[request.build_id] = task
        try:
            error = await asyncio.shield(task)
            if error is not None:
                raise error
        except asyncio.CancelledError:
            if task.cancelled() and not _cancelling():
                raise Conflict("the build was cancelled") from None
            task.cancel()
            await asyncio.wait([task])
            raise
        finally:
            if self._running.get(request.build_id) is task:
                del self._running[request.build_id]

    async def _outcome(self, request: ClassicRequest, body: AsyncIterable[bytes], write: "Write") -> Exception | None:
        """What went wrong, if anything: it belongs to the client, not to the log of tasks."""
        try:
            await self._build(request, body, write)
        except Exception as error:
            return error
        return None

    async def _build(self, request: ClassicRequest, body: AsyncIterable[bytes], write: "Write") -> None:
        run = await aio.in_pool(_import)
        await run.Build(self._db, self._images, self._runner, self._contexts).run(request, body, write)


def _import() -> Any:
    from scow.build.classic import run

    return run


def _cancelling() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
