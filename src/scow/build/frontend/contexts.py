"""Where a build's files come from: the Dockerfile, the main context (the client's directory, git, http, a graph), named contexts."""

import asyncio
import json
import posixpath
from collections.abc import Mapping
from typing import Any

from scow import aio
from scow.build.dockerfile.gitrefs import is_http, parse_git
from scow.build.dockerfile.options import Source, follow_paths
from scow.build.dockerfile.parser import MAX_FILE
from scow.build.dockerfile.tree import Tree, emit
from scow.build.frontend.attrs import Asked, input_config
from scow.build.llb import ops
from scow.build.llb.ops import Builder, Definition, FileAction, FileOp, Meta, Platform, SourceOp
from scow.build.session.builds import Build
from scow.build.session.engine import Engine
from scow.errors import InvalidArgument, NotFound
from scow.kernel import inroot
from scow.opts import ignore
from scow.reference import BadReference, Reference

IGNORE = ".dockerignore"
_MAX_IGNORE = 4 << 20
_MAGIC = (b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd")


class Contexts:
    """The files of one build. What was read once is not read again."""

    def __init__(self, asked: Asked, build: Build, engine: Engine, inputs: Mapping[str, Definition]) -> None:
        self.asked, self.build, self.engine, self.inputs = asked, build, engine, inputs
        self.filename = asked.filename
        self.excludes: tuple[str, ...] = ()
        self.head = ""
        """Digest of the vertex that the Dockerfile comes from: warnings hang there."""
        self._main: Tree | None = None
        """The context, when it is not the client's directory."""
        self._own_ignore: bytes | None = None
        self._named: dict[str, tuple[str, ...]] = {}
        self._lock = asyncio.Lock()

    # ---- reading ---------------------------------------------------------------------------------------------------------------

    async def _definition(self, tree: Tree) -> Definition:
        builder = Builder()
        return builder.definition(emit(tree, builder))

    async def read(self, tree: Tree, path: str, limit: int = MAX_FILE) -> bytes | None:
        """A file of a tree, which is built for that; None when there is none."""
        definition = await self._definition(_again(tree))
        result = await self.build.job.build(definition)
        if result is None:
            return None
        async with self.engine.view(result) as root:
            return await aio.in_pool(inroot.read_bytes, root, path.lstrip("/"), limit)

    def _session(self, name: str) -> str:
        return self.asked.local_sessions.get(name) or self.build.session

    def _local(self, name: str, follow: list[str], hint: str, differ: str = "", excludes: tuple[str, ...] = ()) -> SourceOp:
        attrs = {"local.session": self._session(name), "local.sharedkeyhint": hint}
        if follow:
            attrs["local.followpaths"] = json.dumps(follow)
        if excludes:
            attrs["local.excludepatterns"] = json.dumps(list(excludes))
        if differ:
            attrs["local.differ"] = differ
        return SourceOp(ops.LOCAL + name, attrs)

    # ---- the Dockerfile --------------------------------------------------------------------------------------------------------

    async def dockerfile(self) -> bytes:
        """The Dockerfile's text; finds the main context on the way. Raises NotFound when there is none."""
        asked = self.asked
        source = await self._remote()
        if source is None or asked.dockerfile_name:
            given = self.inputs.get("dockerfile") if not asked.dockerfile_name else None
            source = Tree(graph=given) if given else self._dockerfile_local()
        definition = await self._definition(_again(source))
        self.head = definition.root.digest if definition.root else ""
        data = await self.read(source, self.filename, MAX_FILE + 1)
        folder, base = posixpath.split(self.filename)
        if data is None and base == "Dockerfile":
            data = await self.read(source, posixpath.join(folder, "dockerfile"), MAX_FILE + 1)
        if data is None:
            raise NotFound(f"failed to read dockerfile: open {self.filename}: no such file or directory")
        self._own_ignore = await self.read(source, self.filename + IGNORE, _MAX_IGNORE)
        return data

    def _dockerfile_local(self) -> Tree:
        name = self.asked.dockerfile_name or "dockerfile"
        files = [self.filename, self.filename + IGNORE]
        folder, base = posixpath.split(self.filename)
        if base == "Dockerfile":
            files.append(posixpath.join(folder, "dockerfile"))
        op = self._local(name, files, name, "none")
        return Tree(op, meta=Meta(name=f"[internal] load build definition from {posixpath.basename(self.filename)}"))

    async def _remote(self) -> Tree | None:
        """The main context, when it is an address or a graph; also where the Dockerfile is then. None for the client's directory."""
        asked = self.asked
        source: Tree | None = None
        git = parse_git(asked.context, context=True) if asked.context else None
        if git:
            meta = Meta(name=f"[internal] load git source {asked.context}")
            self._main = source = Tree(git.source(asked.keep_git_dir), meta=meta)
        elif asked.context and is_http(asked.context):
            source = await self._http(asked.context)
        elif "context" in self.inputs:
            self._main = Tree(graph=self.inputs["context"])
        if self._main and asked.subdir:
            self._main = _below(self._main, asked.subdir)
        return source

    async def _http(self, url: str) -> Tree:
        fetched = Tree(SourceOp(url, {"http.filename": "context"}), meta=Meta(name="[internal] load remote build context"))
        head = await self.read(fetched, "context", 1024) or b""
        if head.startswith(_MAGIC) or head[257:262] == b"ustar":
            copy = ops.Copy("/context", "/", attempt_unpack=True)
            fetched = Tree(
                FileOp((FileAction(copy, secondary=0, output=0),)), (fetched,), meta=Meta(name="[internal] unpack build context")
            )
        else:
            self.filename = "context"
        self._main = fetched
        return fetched

    # ---- contexts --------------------------------------------------------------------------------------------------------------

    async def load_ignore(self) -> None:
        """Read the patterns of the main context's .dockerignore (or of the Dockerfile's own)."""
        data = self._own_ignore
        if data is None:
            if self.filename == "context" or "context" in self.inputs:
                return
            name = self.asked.context_name
            op = self._local(name, [IGNORE], f"{name}-{IGNORE}", "none")
            tree = self._main or Tree(op, meta=Meta(name=f"[internal] load {IGNORE}"))
            data = await self.read(tree, IGNORE, _MAX_IGNORE) or b""
        self.excludes = _patterns(data)

    def main(self) -> Source:
        """The build context of one conversion."""
        if self._main is not None:
            return Source(_again(self._main))
        source = Source(None)
        name = self.asked.context_name

        def late() -> SourceOp:
            return self._local(name, follow_paths(source.paths), name, excludes=self.excludes)

        source.tree = Tree(late=late, meta=Meta(name="[internal] load build context"))
        return source

    async def named(self, name: str, platform: Platform | None) -> Source | None:
        """What --build-context gives for a name. Raises ScowError."""
        try:
            familiar = Reference.parse(name).familiar().removesuffix(":latest")
        except BadReference:
            familiar = name
        for key in (f"{familiar}::{platform}", familiar) if platform else (familiar,):
            value = self.asked.contexts.get(key)
            if value is not None:
                return await self._load(key, value, platform)
        return None

    async def _load(self, key: str, value: str, platform: Platform | None) -> Source:
        kind, colon, rest = value.partition(":")
        if not colon:
            raise InvalidArgument(f"invalid context specifier {value} for {key}")
        lead = f"[context {key}]"
        if kind == "docker-image":
            return await self._image(rest.removeprefix("//"), platform, lead)
        if kind == "oci-layout":
            _, _, config = await self.engine.image_config(
                self.build, value, platform, self.asked.pull, f"{lead} load metadata for {rest.removeprefix('//')}"
            )
            op = SourceOp(ops.OCI_LAYOUT + rest.removeprefix("//"), {"oci.session": self.build.session})
            return Source(Tree(op, platform=platform, meta=Meta(name=f"{lead} OCI load from client")), _config(config))
        if kind == "local":
            return await self._directory(key, rest, lead)
        if kind == "input":
            given = self.inputs.get(rest)
            if given is None:
                raise InvalidArgument(f"invalid input {rest} for {key}")
            metadata = self.asked.input_metadata.get(rest)
            return Source(Tree(graph=given) if given.root else None, input_config(metadata) if metadata else None)
        git = parse_git(value, context=True)
        if git:
            return Source(Tree(git.source(), meta=Meta(name=f"{lead} {value}")))
        if kind in ("http", "https"):
            return Source(Tree(SourceOp(value, {"http.filename": "context"}), meta=Meta(name=f"{lead} {value}")))
        raise InvalidArgument(f"unsupported context source {kind} for {key}")

    async def _image(self, ref: str, platform: Platform | None, lead: str) -> Source:
        if ref == "scratch":
            return Source(None)
        full = Reference.parse(ref).tagged().full()
        name, config = await self.image_config(full, platform, f"{lead} load metadata for {full}")
        return Source(Tree(SourceOp(ops.IMAGE + name), platform=platform, meta=Meta(name=f"{lead} {ref}")), config)

    async def _directory(self, key: str, name: str, lead: str) -> Source:
        async with self._lock:
            if key not in self._named:
                op = self._local(name, [IGNORE], f"context:{key}-{IGNORE}", "none")
                data = await self.read(Tree(op, meta=Meta(name=f"{lead} load {IGNORE}")), IGNORE, _MAX_IGNORE)
                self._named[key] = _patterns(data or b"")
        source = Source(None)

        def late() -> SourceOp:
            return self._local(name, follow_paths(source.paths), f"context:{key}", excludes=self._named[key])

        source.tree = Tree(late=late, meta=Meta(name=f"{lead} load from client"))
        return source

    async def image_config(self, ref: str, platform: Platform | None, shown: str) -> tuple[str, dict[str, Any]]:
        """The reference with its digest, and the config, of an image."""
        found, digest, data = await self.engine.image_config(self.build, ref, platform, self.asked.pull, shown)
        name = found if "@" in found or not digest else f"{found}@{digest}"
        return name, _config(data)


class Resolver:
    """`dockerfile.options.Resolver` over the contexts of a build."""

    def __init__(self, contexts: Contexts) -> None:
        self._contexts = contexts

    async def image_config(self, ref: str, platform: Platform, what: str) -> tuple[str, Mapping[str, Any]]:
        return await self._contexts.image_config(ref, platform, what)

    async def named_context(self, name: str, platform: Platform | None) -> Source | None:
        return await self._contexts.named(name, platform)

    async def main_context(self) -> Source:
        return self._contexts.main()


def _again(tree: Tree) -> Tree:
    """A tree that no graph knows yet: one conversion's marks must not be seen by the next."""
    return Tree(
        tree.op, tuple(_again(one) for one in tree.inputs), tree.index, tree.platform, tree.meta, tree.location, tree.late, tree.graph
    )


def _below(tree: Tree, folder: str) -> Tree:
    path = posixpath.normpath("/" + folder).replace("//", "/")
    copy = ops.Copy(path, "/", dir_copy_contents=True)
    return Tree(FileOp((FileAction(copy, secondary=0, output=0),)), (tree,), meta=Meta(name=f"[internal] context folder {folder}"))


def _patterns(data: bytes) -> tuple[str, ...]:
    if len(data) >= _MAX_IGNORE:
        raise InvalidArgument(f"{IGNORE} is larger than {_MAX_IGNORE >> 20} MB")
    return tuple(ignore.lines(data.decode("utf-8", "replace")))


def _config(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise InvalidArgument("failed to parse image config")
    return found
