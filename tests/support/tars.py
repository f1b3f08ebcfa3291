"""Tar archives and images made by hand."""

import hashlib
import io
import json
import tarfile
from collections.abc import AsyncIterator
from typing import Any

Member = tuple[tarfile.TarInfo, bytes]


def entry(path: str, content: bytes = b"", *, type: bytes = tarfile.REGTYPE, mode: int = 0o644, link: str = "", **more: Any) -> Member:
    """One member; names are not cleaned."""
    info = tarfile.TarInfo(path)
    info.type, info.mode, info.linkname, info.mtime = type, mode, link, 1_600_000_000
    info.size = len(content)
    info.uid, info.gid = more.get("uid", 0), more.get("gid", 0)
    info.devmajor, info.devminor = more.get("device", (0, 0))
    info.pax_headers = {"SCHILY.xattr." + key: value for key, value in more.get("xattrs", {}).items()}
    return info, content


def folder(path: str, mode: int = 0o755, **more: Any) -> Member:
    return entry(path, type=tarfile.DIRTYPE, mode=mode, **more)


def symlink(path: str, target: str) -> Member:
    return entry(path, type=tarfile.SYMTYPE, link=target)


def hardlink(path: str, target: str) -> Member:
    return entry(path, type=tarfile.LNKTYPE, link=target)


def tarball(*members: Member, format: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar of the members."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def config(*layers: bytes, **more: Any) -> bytes:
    """A config document for plain layers."""
    spec = {"architecture": "amd64", "os": "linux", "created": "2020-01-02T03:04:05Z", "config": {"Cmd": ["x"]}, **more}
    history = [{"created": "2020-01-02T03:04:05Z", "created_by": f"layer {number}"} for number, _ in enumerate(layers)]
    return json.dumps({"history": history, **spec, "rootfs": {"type": "layers", "diff_ids": [sha256(layer) for layer in layers]}}).encode()


def docker_archive(*images: tuple[bytes, list[bytes], list[str]]) -> dict[str, bytes]:
    """The files of a docker-archive of (config, layers, tags)."""
    files: dict[str, bytes] = {}
    manifest = []
    for data, layers, tags in images:
        names = [f"{index}-{sha256(data)[7:19]}/layer.tar" for index, _ in enumerate(layers)]
        files |= dict(zip(names, layers, strict=True))
        name = sha256(data)[7:] + ".json"
        files[name] = data
        manifest.append({"Config": name, "RepoTags": tags, "Layers": names})
    files["manifest.json"] = json.dumps(manifest).encode()
    return files


def packed(files: dict[str, bytes]) -> bytes:
    return tarball(*(entry(name, data) for name, data in files.items()))


async def chunks(data: bytes, size: int = 50_000) -> AsyncIterator[bytes]:
    """Bytes as an async stream."""
    for at in range(0, len(data), size):
        yield data[at : at + size]
