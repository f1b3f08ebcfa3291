"""An image of one layer as the archive that `load` takes (docker's own format: Docker 1.10 and newer, and this engine, read it)."""

import hashlib
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from scow.bootstrap.layer import Layer

_CHUNK = 256 * 1024
_BLOCK = 512
ENV = ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",)


@dataclass(frozen=True, slots=True)
class Base:
    """What an image is made of: its layer, its names (name:tag), the command, where it comes from, the architecture and its variant."""

    layer: Layer
    names: tuple[str, ...]
    command: tuple[str, ...]
    made_by: str
    comment: str
    architecture: str
    variant: str = ""


def config(base: Base) -> bytes:
    """The image's configuration; its SHA-256 is the image's id."""
    created = datetime.fromtimestamp(base.layer.epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    document = {
        "architecture": base.architecture,
        **({"variant": base.variant} if base.variant else {}),
        "os": "linux",
        "created": created,
        "config": {"Env": list(ENV), "Cmd": list(base.command)},
        "rootfs": {"type": "layers", "diff_ids": [base.layer.digest]},
        "history": [{"created": created, "created_by": base.made_by, "comment": base.comment}],
    }
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()


def image_id(base: Base) -> str:
    """The image's id."""
    return f"sha256:{hashlib.sha256(config(base)).hexdigest()}"


def pieces(base: Base) -> Iterator[bytes]:
    """The archive's bytes."""
    document = config(base)
    name = f"{hashlib.sha256(document).hexdigest()}.json"
    layer = f"{base.layer.digest.removeprefix('sha256:')}/layer.tar"
    manifest = json.dumps([{"Config": name, "RepoTags": list(base.names), "Layers": [layer]}], separators=(",", ":")).encode()
    for path, data in (("manifest.json", manifest), (name, document)):
        yield _head(path, len(data), base.layer.epoch) + data + bytes(-len(data) % _BLOCK)
    yield _head(layer, base.layer.size, base.layer.epoch)
    with base.layer.path.open("rb") as file:
        while data := file.read(_CHUNK):
            yield data
    yield bytes(-base.layer.size % _BLOCK + 2 * _BLOCK)


def size(base: Base) -> int:
    """About how many bytes `pieces` gives, for progress."""
    return base.layer.size + 8 * _BLOCK


def _head(path: str, length: int, epoch: int) -> bytes:
    member = tarfile.TarInfo(path)
    member.size, member.mtime, member.mode = length, epoch, 0o644
    return member.tobuf(tarfile.GNU_FORMAT)
