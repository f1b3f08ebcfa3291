"""`load`: a docker-archive (Docker 1.10 or newer) or an OCI layout, indexes of several platforms and attestations included.

The archive is split into files in an ingest directory, everything is checked before anything is recorded, layers are verified while they
are unpacked, and an image is recorded once all of it is in place: a bad archive leaves nothing.
"""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scow.aio import Supervisor
from scow.archive.workers import ArchiveError, Report, drain, pipe
from scow.content import Ingest
from scow.content.store import check, digest_of
from scow.errors import InvalidArgument, ScowError
from scow.images.manifest import blobs, fits
from scow.images.platforms import Platform, host_platform, normal, parse_platform
from scow.images.store import chain_ids, parse_spec
from scow.reference import Reference
from scow.registry.media import OCI_INDEX, OCI_MANIFEST, Descriptor

if TYPE_CHECKING:
    from scow.images.service import ImageService

_SMALL_MAX = 8 << 20
_IMAGES_MAX = 1000
_DEPTH_MAX = 4
_AHEAD = max(2, min(4, os.cpu_count() or 2))
_AHEAD_MAX = 200


@dataclass(slots=True)
class _Archive:
    """The files of the archive: path inside → (file on disk, size, digest)."""

    files: dict[str, tuple[Path, int, str]]
    links: dict[str, str]

    def find(self, name: str) -> tuple[Path, int, str] | None:
        """A file by its path, through links inside the archive."""
        for _ in range(8):
            if name in self.files:
                return self.files[name]
            if name not in self.links:
                return None
            name = self.links[name]
        return None

    def read(self, name: str) -> bytes | None:
        """The bytes of a small file, None when it is not there."""
        found = self.find(name)
        if found is None:
            return None
        if found[1] > _SMALL_MAX:
            raise InvalidArgument(f"invalid archive: {name} is too large")
        return found[0].read_bytes()

    def json(self, name: str) -> Any:
        """A JSON file, None when it is not there."""
        data = self.read(name)
        if data is None:
            return None
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            raise InvalidArgument(f"invalid archive: {name} is no JSON") from None


@dataclass(slots=True)
class _Wanted:
    """One image of the archive."""

    config: bytes
    spec: dict[str, Any]
    layers: list[tuple[Path, int, str]]

    @property
    def id(self) -> str:
        """Its id."""
        return digest_of(self.config)


@dataclass(slots=True)
class _Top:
    """What some names lead to: images (ids), and the manifest or index over them where that is to be kept."""

    names: list[Reference]
    images: list[str] = field(default_factory=list)
    target: Descriptor | None = None


@dataclass(slots=True)
class _Contents:
    """What an archive holds: images by id, names, manifests and indexes to keep, and what attestations hold (digest → file)."""

    images: dict[str, _Wanted] = field(default_factory=dict)
    tops: list[_Top] = field(default_factory=list)
    papers: dict[str, bytes] = field(default_factory=dict)
    statements: dict[str, Path] = field(default_factory=dict)


async def run(service: "ImageService", source: AsyncIterable[bytes], quiet: bool, platforms: list[str]) -> AsyncIterator[dict[str, Any]]:
    """Load everything in the archive; progress lines, then one line for each name or nameless image."""
    wanted_platforms = [parse_platform(text) for text in platforms]
    async with _Ahead(service) as ahead:
        ingest = ahead.ingest
        archive = await _split(service, source, ingest, ahead)
        found = _oci(archive) if _is_layout(archive) else _docker(archive) or _oci(archive)
        if found is None:
            raise InvalidArgument("invalid archive: it holds no image (neither manifest.json nor index.json)")
        if wanted_platforms:
            found.images = {id: one for id, one in found.images.items() if any(_is(one.spec, want) for want in wanted_platforms)}
            if not found.images:
                raise InvalidArgument(f"the archive holds no image for platform {', '.join(map(str, wanted_platforms))}")
        wanted = list(found.images.values())
        chains = list(dict.fromkeys(name for image in wanted for name in chain_ids(_diff_ids(image.spec))))
        with service.layers.lease(chains):
            try:
                for image in wanted:
                    async for line in _unpack(service, image, quiet, ahead):
                        yield line
                _papers(service, found)
            except BaseException:
                await asyncio.shield(_forget(service, chains))
                raise
            now = time.time_ns()
            for image in wanted:
                service.recorded(image.config, image.spec, now)
            for top in found.tops:
                ids = [id for id in top.images if id in found.images]
                best = _best(found, ids)
                for name in top.names if best else ():
                    service.name(best, name, 0, top.target)  # as in Docker, a load counts as no tagging
                    yield {"stream": f"Loaded image: {name.familiar()}\n"}
                for id in ids if not top.names else ():
                    yield {"stream": f"Loaded image ID: {id}\n"}
                for id in ids:
                    service.loaded(id, top.names[0].familiar() if top.names else "")


def _best(found: _Contents, ids: list[str]) -> str:
    """The image that a name shall lead to: this machine's, else the first; "" when there is none."""
    here = host_platform()
    return max(ids, key=lambda id: (fits(_platform(found.images[id].spec), here), -ids.index(id)), default="")


def _papers(service: "ImageService", found: _Contents) -> None:
    """Keep the manifests of what has a name, and what attestations hold."""
    if not any(top.names and top.target for top in found.tops):
        return
    for digest, file in found.statements.items():
        if not service.content.has(digest) and file.exists():
            service.content.commit(file, digest)
    for data in found.papers.values():
        service.content.put(data, durable=False)


async def _forget(service: "ImageService", chains: list[str]) -> None:
    """Drop the layers that a failed load brought: the lease is given up only afterwards, so look past it."""
    kept = {name for image in service.store.all() for name in image.layers}
    await service.layers.forget(chains, kept)


class _Ahead:
    """Layers that are unpacked while the archive still comes in: any large file in it may be one. The context ends what is left over."""

    def __init__(self, service: "ImageService") -> None:
        self._service = service
        self._tasks = Supervisor("load")
        self._gate = asyncio.Semaphore(_AHEAD)
        self._found: dict[Path, asyncio.Task[tuple[str, Report] | None]] = {}
        self.ingest = service.content.ingest()

    async def __aenter__(self) -> "_Ahead":
        self.ingest.__enter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await asyncio.shield(self._end())

    async def _end(self) -> None:
        for task in self._found.values():
            task.cancel()
        for done in await asyncio.gather(*self._found.values(), return_exceptions=True):
            if isinstance(done, tuple):
                await self._service.snapshots.remove(done[0])
        await self._tasks.close()
        self.ingest.__exit__(None, None, None)

    def start(self, fd: int) -> "asyncio.Task[None]":
        """Follow a descriptor, which is this one's from now on."""
        return self._tasks.start(self._listen(fd), "listen")

    async def _listen(self, fd: int) -> None:
        """Follow what the helper says that splits the archive: a line for each large file that it begins."""
        rest = b""
        async for data in drain(fd):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                number, size, name = json.loads(line)
                digest = "sha256:" + name.rpartition("/")[2]
                if len(self._found) < _AHEAD_MAX and not self._known(digest):
                    path = self.ingest.path / str(number)
                    self._found[path] = self._tasks.start(self._one(path, size), "ahead")

    def _known(self, digest: str) -> bool:
        """Whether a file of this name holds a layer that is here."""
        return any(digest in (layer.blob, layer.diff_id) for layer in self._service.snapshots.layers())

    async def _one(self, path: Path, size: int) -> tuple[str, Report] | None:
        async with self._gate:
            try:
                return await self._service.layers.ahead(path, size)
            except ScowError:  # it is no layer, or will be found to be a bad one
                return None

    async def take(self, file: Path, diff_id: str, digest: str, lowest: bool) -> tuple[str, Report] | None:
        """See layers.Ahead. A whiteout in the lowest layer means nothing, so one that has some is unpacked again."""
        task = self._found.get(file)
        done = await asyncio.shield(task) if task is not None else None
        if task is None or done is None or self._found.get(file) is not task:
            return None
        report = done[1]
        if (report["digest"] if report["compression"] else digest) != diff_id or (lowest and report["marks"]):
            return None
        del self._found[file]
        return done


async def _split(service: "ImageService", source: AsyncIterable[bytes], ingest: Ingest, ahead: _Ahead) -> _Archive:
    fd = os.open(ingest.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    read, write = pipe()
    listening = ahead.start(read)
    try:
        try:
            report = await service.workers.run_from({"job": "split"}, source, [fd, write])
        finally:
            os.close(write)
        await listening
    except ArchiveError as exc:
        raise InvalidArgument(f"this is no archive of images (scow save makes them), or a damaged one: {exc.message}") from exc
    finally:
        os.close(fd)
    files = {name: (ingest.path / str(number), size, digest) for name, (number, size, digest) in report["files"].items()}
    links: dict[str, str] = {}
    for name, (symbolic, target) in report["links"].items():
        parts = [*name.split("/")[:-1], *target.split("/")] if symbolic else target.split("/")
        found: list[str] = []
        for part in parts:
            if part == "..":
                if found:
                    found.pop()
            elif part not in ("", "."):
                found.append(part)
        links[name] = "/".join(found)
    return _Archive(files, links)


def _diff_ids(spec: dict[str, Any]) -> list[str]:
    return (spec.get("rootfs") or {}).get("diff_ids") or []


def _platform(spec: dict[str, Any]) -> Platform:
    return Platform(spec.get("os") or "linux", spec.get("architecture") or "", spec.get("variant") or "")


def _is(spec: dict[str, Any], platform: Platform) -> bool:
    have = normal(_platform(spec))
    same = (have.os, have.architecture) == (platform.os, platform.architecture)
    return same and (not platform.variant or normal(platform).variant == have.variant)


def _strings(value: Any, what: str) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise InvalidArgument(f"invalid archive: {what} is no list of strings")
    return value


def _clean(name: str) -> str:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts or not parts:
        raise InvalidArgument(f"invalid archive: bad path {name[:200]!r}")
    return "/".join(parts)


def _make(archive: _Archive, config: bytes, layers: list[str]) -> _Wanted:
    spec = parse_spec(config)
    diff_ids = _diff_ids(spec)
    if len(layers) != len(diff_ids):
        raise InvalidArgument(f"invalid archive: the manifest has {len(layers)} layers and the config {len(diff_ids)}")
    found: list[tuple[Path, int, str]] = []
    for layer in layers:
        file = archive.find(layer)
        if file is None:
            raise InvalidArgument(f"invalid archive: layer {layer[:200]!r} is missing")
        found.append(file)
    return _Wanted(config, spec, found)


def _docker(archive: _Archive) -> _Contents | None:
    manifest = archive.json("manifest.json")
    if manifest is None:
        if archive.find("repositories") and not archive.find("index.json"):
            raise InvalidArgument("invalid archive: it has no manifest.json (images saved by Docker before 1.10 cannot be loaded)")
        return None
    if not isinstance(manifest, list) or len(manifest) > _IMAGES_MAX or not all(isinstance(item, dict) for item in manifest):
        raise InvalidArgument("invalid archive: manifest.json is no list of images")
    contents = _Contents()
    for item in manifest:
        if not isinstance(item.get("Config"), str):
            raise InvalidArgument("invalid archive: manifest.json names no config")
        config = archive.read(_clean(item["Config"]))
        if config is None:
            raise InvalidArgument(f"invalid archive: config {item['Config'][:200]!r} is missing")
        names = [Reference.parse(tag).tagged() for tag in _strings(item.get("RepoTags"), "RepoTags")]
        layers = [_clean(layer) for layer in _strings(item.get("Layers"), "Layers")]
        image = _make(archive, config, layers)
        contents.images[image.id] = image
        contents.tops.append(_Top(names, [image.id]))
    return contents


def _blob(archive: _Archive, descriptor: Any) -> tuple[str, bytes]:
    if not isinstance(descriptor, dict):
        raise InvalidArgument("invalid archive: a descriptor is no object")
    digest = check(descriptor.get("digest") or "")
    name = "blobs/" + digest.replace(":", "/")
    data = archive.read(name)
    if data is None:
        raise InvalidArgument(f"invalid archive: blob {digest} is missing")
    if digest_of(data) != digest:
        raise InvalidArgument(f"invalid archive: blob {digest} holds something else")
    return name, data


def _document(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise InvalidArgument("invalid archive: a manifest is no JSON") from None
    if not isinstance(found, dict):
        raise InvalidArgument("invalid archive: a manifest is no object")
    return found


def _is_layout(archive: _Archive) -> bool:
    """Whether index.json says more than manifest.json: it lists indexes, or manifests over compressed layers, whose digests are to stay."""
    if archive.find("manifest.json") is None or archive.find("index.json") is None:
        return False
    try:
        rows = archive.json("index.json")["manifests"]
        documents = [_document(_blob(archive, row)[1]) for row in rows[:_IMAGES_MAX]]
        return any("manifests" in one or _compressed(one) for one in documents) and any(_names(row, []) for row in rows)
    except (InvalidArgument, KeyError, TypeError, AttributeError):
        return False


def _compressed(document: dict[str, Any]) -> bool:
    """Whether a manifest has layers, all of them compressed."""
    layers = document.get("layers")
    kinds = [str(layer.get("mediaType") or "") if isinstance(layer, dict) else "" for layer in layers] if isinstance(layers, list) else []
    return bool(kinds) and all(kind.endswith(("gzip", "zstd")) for kind in kinds)


def _oci(archive: _Archive) -> _Contents | None:
    index = archive.json("index.json")
    if index is None:
        return None
    contents = _Contents()
    for row in _rows(index, 0):
        top = _Top(_names(row, []))
        document = _row(archive, row, top, contents, 0)
        if document is None or not top.images:
            continue
        if "manifests" in document or _compressed(document):
            data = contents.papers[check(row.get("digest") or "")]
            kind = str(document.get("mediaType") or row.get("mediaType") or (OCI_INDEX if "manifests" in document else OCI_MANIFEST))
            top.target = Descriptor(digest_of(data), len(data), kind)
        contents.tops.append(top)
    if not contents.images:
        raise InvalidArgument("invalid archive: it holds no image")
    return contents


def _names(descriptor: dict[str, Any], inherited: list[Reference]) -> list[Reference]:
    notes = descriptor.get("annotations")
    if isinstance(notes, dict):
        name = notes.get("io.containerd.image.name") or ""
        tag = notes.get("org.opencontainers.image.ref.name") or ""
        if isinstance(name, str) and name:
            return [Reference.parse(name).tagged()]
        if isinstance(tag, str) and ("/" in tag or ":" in tag):
            return [Reference.parse(tag).tagged()]
    return inherited


def _rows(index: Any, depth: int) -> list[dict[str, Any]]:
    rows = index.get("manifests") if isinstance(index, dict) else None
    if not isinstance(rows, list) or len(rows) > _IMAGES_MAX or depth > _DEPTH_MAX:
        raise InvalidArgument("invalid archive: index.json is no index of images")
    if not all(isinstance(row, dict) for row in rows):
        raise InvalidArgument("invalid archive: a descriptor is no object")
    return rows


def _row(archive: _Archive, row: dict[str, Any], top: _Top, contents: _Contents, depth: int) -> dict[str, Any] | None:
    """Take up a row of an index and what is below it; its document, None for a row of a nested index that is not in the archive."""
    if depth and archive.find("blobs/" + check(row.get("digest") or "").replace(":", "/")) is None:
        return None
    name, data = _blob(archive, row)
    document = _document(data)
    contents.papers[digest_of(data)] = data
    if len(contents.papers) > _IMAGES_MAX * 2:
        raise InvalidArgument("invalid archive: it holds too many manifests")
    kind, where = row.get("mediaType"), row.get("platform")
    if "manifests" in document or (isinstance(kind, str) and ("index" in kind or "manifest.list" in kind)):
        for inner in _rows(document, depth + 1):
            if not top.names:
                top.names += _names(inner, [])
            _row(archive, inner, top, contents, depth + 1)
        return document
    if depth and isinstance(where, dict) and where.get("os") == "unknown":
        for blob in blobs(data):
            file = archive.find("blobs/" + blob.digest.replace(":", "/"))
            if file is not None and file[2] == blob.digest:
                contents.statements[blob.digest] = file[0]
        return document
    _, config = _blob(archive, document.get("config"))
    layers = document.get("layers")
    if not isinstance(layers, list):
        raise InvalidArgument(f"invalid archive: {name} has no layers")
    paths: list[str] = []
    for layer in layers:
        digest = check((layer.get("digest") if isinstance(layer, dict) else None) or "")
        path = "blobs/" + digest.replace(":", "/")
        file = archive.find(path)
        if file is not None and file[2] != digest:
            raise InvalidArgument(f"invalid archive: blob {digest} holds something else")
        paths.append(path)
    id = digest_of(config)
    if id not in contents.images:
        contents.images[id] = _make(archive, config, paths)
    if id not in top.images:
        top.images.append(id)
    return document


async def _unpack(service: "ImageService", image: _Wanted, quiet: bool, ahead: "_Ahead") -> AsyncIterator[dict[str, Any]]:
    diff_ids = _diff_ids(image.spec)
    missing = [
        (diff_id[7:19], layer[1])
        for name, diff_id, layer in zip(chain_ids(diff_ids), diff_ids, image.layers, strict=True)
        if service.snapshots.layer(name) is None
    ]
    if not missing:
        return
    for current in (0, 1):
        for id, size in () if quiet else missing:
            yield {"status": "Loading layer", "progressDetail": {"current": size * current, "total": size}, "id": id}
        if not current:
            files = [(diff_id, file, digest) for diff_id, (file, _, digest) in zip(diff_ids, image.layers, strict=True)]
            await service.layers.add_files(files, ahead)
