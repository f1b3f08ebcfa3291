"""`load`: a docker-archive (Docker 1.10 or newer) or an OCI layout.

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

from scow.content import Ingest
from scow.content.store import check, digest_of
from scow.errors import InvalidArgument
from scow.images.platforms import Platform, host_platform, parse_platform
from scow.images.store import chain_ids, parse_spec
from scow.reference import Reference

if TYPE_CHECKING:
    from scow.images.service import ImageService

_SMALL_MAX = 8 << 20
_IMAGES_MAX = 1000
_DEPTH_MAX = 4


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
    names: list[Reference] = field(default_factory=list)


async def run(service: "ImageService", source: AsyncIterable[bytes], quiet: bool, platforms: list[str]) -> AsyncIterator[dict[str, Any]]:
    """Load everything in the archive; progress lines, then one line for each name or nameless image."""
    wanted_platforms = [parse_platform(text) for text in platforms]
    with service.content.ingest() as ingest:
        archive = await _split(service, source, ingest)
        wanted = _docker(archive)
        if wanted is None:
            wanted = _oci(archive, wanted_platforms)
        if wanted is None:
            raise InvalidArgument("invalid archive: it holds no image (neither manifest.json nor index.json)")
        if wanted_platforms:
            wanted = [image for image in wanted if any(_is(image.spec, platform) for platform in wanted_platforms)]
            if not wanted:
                raise InvalidArgument(f"the archive holds no image for platform {', '.join(map(str, wanted_platforms))}")
        chains = list(dict.fromkeys(name for image in wanted for name in chain_ids(_diff_ids(image.spec))))
        with service.layers.lease(chains):
            try:
                for image in wanted:
                    async for line in _unpack(service, image, quiet):
                        yield line
            except BaseException:
                await asyncio.shield(_forget(service, chains))
                raise
            now = time.time_ns()
            for image in wanted:
                id = service.recorded(image.config, image.spec, now)
                for name in image.names:
                    service.name(id, name, 0)  # as in Docker, a load counts as no tagging
                    yield {"stream": f"Loaded image: {name.familiar()}\n"}
                if not image.names:
                    yield {"stream": f"Loaded image ID: {id}\n"}
                service.loaded(id, image.names[0].familiar() if image.names else "")


async def _forget(service: "ImageService", chains: list[str]) -> None:
    """Drop the layers that a failed load brought: the lease is given up only afterwards, so look past it."""
    kept = {name for image in service.store.all() for name in image.layers}
    await service.layers.forget(chains, kept)


async def _split(service: "ImageService", source: AsyncIterable[bytes], ingest: Ingest) -> _Archive:
    fd = os.open(ingest.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        report = await service.workers.run_from({"job": "split"}, source, [fd])
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


def _is(spec: dict[str, Any], platform: Platform) -> bool:
    same = spec.get("architecture") == platform.architecture and (spec.get("os") or "linux") == platform.os
    return same and (not platform.variant or platform.variant == (spec.get("variant") or ""))


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


def _make(archive: _Archive, config: bytes, layers: list[str], names: list[Reference]) -> _Wanted:
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
    return _Wanted(config, spec, found, names)


def _docker(archive: _Archive) -> list[_Wanted] | None:
    manifest = archive.json("manifest.json")
    if manifest is None:
        if archive.find("repositories") and not archive.find("index.json"):
            raise InvalidArgument("invalid archive: it has no manifest.json (images saved by Docker before 1.10 cannot be loaded)")
        return None
    if not isinstance(manifest, list) or len(manifest) > _IMAGES_MAX or not all(isinstance(item, dict) for item in manifest):
        raise InvalidArgument("invalid archive: manifest.json is no list of images")
    wanted: list[_Wanted] = []
    for item in manifest:
        if not isinstance(item.get("Config"), str):
            raise InvalidArgument("invalid archive: manifest.json names no config")
        config = archive.read(_clean(item["Config"]))
        if config is None:
            raise InvalidArgument(f"invalid archive: config {item['Config'][:200]!r} is missing")
        names = [Reference.parse(tag).tagged() for tag in _strings(item.get("RepoTags"), "RepoTags")]
        layers = [_clean(layer) for layer in _strings(item.get("Layers"), "Layers")]
        wanted.append(_make(archive, config, layers, names))
    return wanted


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


def _oci(archive: _Archive, platforms: list[Platform]) -> list[_Wanted] | None:
    index = archive.json("index.json")
    if index is None:
        return None
    by_id: dict[str, _Wanted] = {}
    _index(archive, index, [], platforms, by_id, 0)
    if not by_id:
        raise InvalidArgument("invalid archive: it holds no image for this platform")
    return list(by_id.values())


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


def _index(archive: _Archive, index: Any, names: list[Reference], platforms: list[Platform], found: dict[str, _Wanted], depth: int) -> None:
    rows = index.get("manifests") if isinstance(index, dict) else None
    if not isinstance(rows, list) or len(rows) > _IMAGES_MAX or depth > _DEPTH_MAX:
        raise InvalidArgument("invalid archive: index.json is no index of images")
    several = depth > 0
    for row in rows:
        if not isinstance(row, dict):
            raise InvalidArgument("invalid archive: a descriptor is no object")
        kind = row.get("mediaType")
        where = row.get("platform")
        if several and isinstance(where, dict) and not platforms:
            here = host_platform()
            if (where.get("os"), where.get("architecture")) != (here.os, here.architecture):
                continue
        if several and isinstance(where, dict) and where.get("os") == "unknown":
            continue
        own = _names(row, names)
        name, data = _blob(archive, row)
        document = _document(data)
        if "manifests" in document or (isinstance(kind, str) and ("index" in kind or "manifest.list" in kind)):
            _index(archive, document, own, platforms, found, depth + 1)
            continue
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
        if id in found:
            found[id].names += [one for one in own if one not in found[id].names]
        else:
            found[id] = _make(archive, config, paths, list(own))


async def _unpack(service: "ImageService", image: _Wanted, quiet: bool) -> AsyncIterator[dict[str, Any]]:
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
            await service.layers.add_files(
                [(diff_id, file, digest) for diff_id, (file, _, digest) in zip(diff_ids, image.layers, strict=True)]
            )
