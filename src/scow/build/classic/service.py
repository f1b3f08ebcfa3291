"""The classic builder: from a request and its context to an image with names.

Contexts and mounts of a build lie below `<data>/build/` while it runs; what a crash leaves there `recover` removes.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterable
from pathlib import Path

from scow import aio, ids
from scow.aio import Supervisor
from scow.build.classic import remote
from scow.build.classic.cache import StepCache
from scow.build.classic.context import Context, Contexts
from scow.build.classic.dispatch import Dispatch, Write
from scow.build.classic.request import ClassicRequest
from scow.build.classic.steps import StepRunner
from scow.build.dockerfile import parser, stages
from scow.errors import Conflict, InvalidArgument, NotFound
from scow.images.platforms import parse_platform
from scow.images.service import ImageService
from scow.images.store import Image
from scow.metadata import Database
from scow.reference import Reference


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

    async def build(self, request: ClassicRequest, body: AsyncIterable[bytes], write: Write) -> None:
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

    async def _outcome(self, request: ClassicRequest, body: AsyncIterable[bytes], write: Write) -> Exception | None:
        """What went wrong, if anything: it belongs to the client, not to the log of tasks."""
        try:
            await self._build(request, body, write)
        except Exception as error:
            return error
        return None

    async def _build(self, request: ClassicRequest, body: AsyncIterable[bytes], write: Write) -> None:
        tags = [_tag(text) for text in request.tags if text]
        if request.platform:
            parse_platform(request.platform)
        async with self._contexts.folder() as folder:
            context = await self._context(request, body, folder)
            document = await aio.in_pool(parser.parse, context.text)
            read = stages.read(document)
            read.target(request.target)
            scratch = folder / "scratch"
            scratch.mkdir(mode=0o700)
            cache = StepCache(self._db, self._images, self._lenders(request), enabled=not request.no_cache)
            dispatch = Dispatch(request, context, document, self._images, self._runner, cache, scratch, write)
            with contextlib.ExitStack() as leases:
                image = await dispatch.run(read, leases)
                await self._finish(request, image, tags, dispatch, write)

    async def _finish(self, request: ClassicRequest, image: Image, tags: list[Reference], dispatch: Dispatch, write: Write) -> None:
        if request.quiet:
            await write({"stream": f"{image.id}\n"})
        else:
            await write({"aux": {"ID": image.id}})
        await dispatch.say(f"Successfully built {ids.short(image.id.removeprefix('sha256:'))}\n")
        for tag in tags:
            self._images.name(image.id, tag)
            self._images.publish("tag", image.id, tag.familiar(), image)
            await dispatch.say(f"Successfully tagged {tag.familiar()}\n")

    async def _context(self, request: ClassicRequest, body: AsyncIterable[bytes], folder: Path) -> Context:
        root = folder / "context"
        root.mkdir(mode=0o755)
        if not request.remote:
            await self._contexts.unpack(root, body)
            return await self._contexts.finish(root, request.dockerfile)
        if remote.is_git(request.remote):
            return await self._contexts.finish(await remote.clone(request.remote, folder), request.dockerfile)
        if not remote.is_url(request.remote):
            raise InvalidArgument(f"remote context {request.remote[:200]!r} is neither a git repository nor an http address")
        answer = await remote.fetch_context(request.remote)
        if answer.text is not None:
            if not answer.text.strip():
                raise InvalidArgument("the Dockerfile at the remote address cannot be empty")
            return Context(root, "Dockerfile", answer.text)
        await self._contexts.unpack(root, answer.chunks)
        return await self._contexts.finish(root, request.dockerfile)

    def _lenders(self, request: ClassicRequest) -> list[Image]:
        found: list[Image] = []
        for name in request.cache_from:
            with contextlib.suppress(NotFound, InvalidArgument):
                found.append(self._images.get(name))
        return found


def _cancelling() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _tag(text: str) -> Reference:
    """Raises InvalidArgument."""
    reference = Reference.parse(text)
    if reference.digest:
        raise InvalidArgument("refusing to create a tag with a digest reference")
    return reference.tagged()
