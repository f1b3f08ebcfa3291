"""One build of the classic builder. `service.py` loads this, and the Dockerfile language with it, when the first build comes."""

import contextlib
from collections.abc import AsyncIterable
from pathlib import Path

from scow import aio, ids
from scow.build.classic import remote
from scow.build.classic.cache import StepCache
from scow.build.classic.context import Context, Contexts
from scow.build.classic.dispatch import Dispatch, Write
from scow.build.classic.request import ClassicRequest
from scow.build.classic.steps import StepRunner
from scow.build.dockerfile import parser, stages
from scow.errors import InvalidArgument, NotFound
from scow.images.platforms import parse_platform
from scow.images.service import ImageService
from scow.images.store import Image
from scow.metadata import Database
from scow.reference import Reference


class Build:
    """From a request and its context to an image with names."""

    def __init__(self, db: Database, images: ImageService, runner: StepRunner, contexts: Contexts) -> None:
        self._db = db
        self._images = images
        self._runner = runner
        self._contexts = contexts

    async def run(self, request: ClassicRequest, body: AsyncIterable[bytes], write: Write) -> None:
        """See ClassicBuilder.build."""
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


def _tag(text: str) -> Reference:
    """Raises InvalidArgument."""
    reference = Reference.parse(text)
    if reference.digest:
        raise InvalidArgument("refusing to create a tag with a digest reference")
    return reference.tagged()
