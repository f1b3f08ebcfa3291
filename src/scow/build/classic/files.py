"""COPY, ADD and WORKDIR of the classic builder: what is taken from where, its digest, and the layer it makes.

A plan is made (and its content digested) before the cache is asked; only then are files copied, into a snapshot that becomes the layer.
"""

import contextlib
import os
import posixpath
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scow.build import contenthash, copying
from scow.build.classic.context import Context
from scow.build.classic.remote import download, is_url
from scow.build.contenthash import Found, Selector
from scow.build.copying import Step
from scow.build.dockerfile import instructions as lang
from scow.build.llb.ops import Copy, Mkdir
from scow.errors import InvalidArgument
from scow.images.service import ImageService
from scow.images.store import Image

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Source:
    """One thing to copy: a path in the tree `tree` (the context, a downloaded file's directory) or in an image."""

    tree: Path | None
    image: Image | None
    found: Found


@dataclass(frozen=True, slots=True)
class Plan:
    """A transfer: what, where to, for whom; `digest` as `file:…`, `dir:…` or `multi:…`."""

    sources: tuple[Source, ...]
    dest: str
    chown: str
    unpack: bool
    digest: str


class Files:
    """Plans and carries out transfers of one build; `scratch` is a directory for mounts and downloads, removed by the caller."""

    def __init__(self, images: ImageService, context: Context, scratch: Path) -> None:
        self._images = images
        self._context = context
        self._scratch = scratch

    def _place(self) -> Path:
        return self._scratch / secrets.token_hex(8)

    @asynccontextmanager
    async def _mounted(self, image: Image) -> AsyncIterator[Path]:
        """An image's files; unmounted at the end."""
        target = self._place()
        target.mkdir()
        if image.layers:
            await self._images.snapshots.mount_layers(image.layers[-1], target)
        try:
            yield target
        finally:
            if image.layers:
                await self._images.snapshots.unmount(target)
            with contextlib.suppress(OSError):
                target.rmdir()

    async def plan(self, one: "lang.Copy | lang.Add", config: dict[str, Any], image: Image | None) -> Plan:
        """Find and digest what an expanded instruction copies. Raises InvalidArgument for what is missing or makes no sense."""
        add = isinstance(one, lang.Add)
        sources: list[Source] = []
        async with AsyncExitStack() as stack:
            tree = await stack.enter_async_context(self._mounted(image)) if image else self._context.root
            local = [path for path in one.sources if not (add and is_url(path))]
            found = await contenthash.find(self._images.workers, tree, [Selector(path, wildcard=True, follow=True) for path in local])
        for number, path in enumerate(local):
            matched = [hit for hit in found if hit.selector == number]
            if not matched:
                where = "" if image else "build context or excluded by .dockerignore: "
                problem = "file not found in " + where if not image else ""
                raise InvalidArgument(f"{one.name} failed: {problem}stat {path.lstrip('/')}: file does not exist")
            sources += [Source(None if image else tree, image, hit) for hit in matched]
        for url in one.sources if add else ():
            if is_url(url):
                sources.append(await self._download(url, one.dest))
        dest = self._destination(one, config, sources)
        kinds = {"file": "file", "dir": "dir"}
        kind = kinds.get(sources[0].found.kind, "file") if len(sources) == 1 else "multi"
        digest = sources[0].found.digest if len(sources) == 1 else contenthash.combined([source.found for source in sources])
        return Plan(tuple(sources), dest, one.chown, add, f"{kind}:{digest}")

    async def _download(self, url: str, dest: str) -> Source:
        folder = self._place()
        folder.mkdir()
        name = await download(url, folder, needs_name=dest.endswith("/"))
        hits = await contenthash.find(self._images.workers, folder, [Selector("/" + name)])
        return Source(folder, None, hits[0])

    @staticmethod
    def _destination(one: "lang.Copy | lang.Add", config: dict[str, Any], sources: list[Source]) -> str:
        many = len(sources) > 1 or len(one.sources) > 1
        if many and not one.dest.endswith("/") and one.dest not in (".", ".."):
            raise InvalidArgument(
                f"When using {one.name} with more than one source file, the destination must be a directory and end with a /"
            )
        base = str(config.get("WorkingDir") or "/")
        dest = posixpath.normpath(posixpath.join("/", base, one.dest))
        return dest + "/" if (one.dest.endswith("/") or one.dest in (".", "..")) and dest != "/" else dest

    async def copy(self, parent: Image | None, plan: Plan) -> str:
        """Do it on top of `parent`; the name of the new layer. Raises CopyError."""
        async with AsyncExitStack() as stack:
            trees: list[Path] = []
            steps: list[Step] = []
            mounted: dict[str, int] = {}
            for source in plan.sources:
                if source.image is not None:
                    if source.image.id not in mounted:
                        mounted[source.image.id] = len(trees)
                        trees.append(await stack.enter_async_context(self._mounted(source.image)))
                    number = mounted[source.image.id]
                else:
                    assert source.tree is not None
                    key = str(source.tree)
                    if key not in mounted:
                        mounted[key] = len(trees)
                        trees.append(source.tree)
                    number = mounted[key]
                downloaded = source.tree is not None and source.tree != self._context.root
                action = Copy(
                    source.found.path,
                    plan.dest,
                    owner=copying.owner(plan.chown) or copying.owner("0:0"),
                    follow_symlink=True,
                    dir_copy_contents=True,
                    attempt_unpack=plan.unpack and not downloaded,
                    create_dest_path=True,
                )
                steps.append(Step(action, number))
            return await self._layer(parent, steps, trees)

    async def make_directory(self, parent: Image | None, path: str) -> str:
        """WORKDIR's directory; the name of the new layer, "" when it was there."""
        if parent is not None and await self._is_directory(parent, path):
            return ""
        return await self._layer(parent, [Step(Mkdir(path, make_parents=True))], [])

    async def _is_directory(self, image: Image, path: str) -> bool:
        from scow.kernel import inroot

        async with self._mounted(image) as tree:
            try:
                os.close(inroot.open_fd(tree, path.lstrip("/") or ".", _DIRECTORY))
            except OSError:
                return False
        return True

    async def _layer(self, parent: Image | None, steps: list[Step], trees: list[Path]) -> str:
        key, target = f"build-{secrets.token_hex(16)}", self._place()
        top = parent.layers[-1] if parent and parent.layers else ""
        await self._images.snapshots.prepare(key, top)
        try:
            await self._images.snapshots.mount(key, target)
            try:
                await copying.run(self._images.workers, target, steps, trees)
            finally:
                await self._images.snapshots.unmount(target)
            return (await self._images.layers.adopt(key, top)).name
        finally:
            await self._images.snapshots.remove(key)
