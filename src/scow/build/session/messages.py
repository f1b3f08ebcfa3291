"""BuildKit's messages as Python classes, made at first import from `protos.binpb` (descriptors; how to make it: `tools/protos`).

`V1.SolveRequest`, `PB.Op`…: one namespace for each package of the protocol. Nothing is stored. Imported by what serves builds only.
"""

from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_POOL = descriptor_pool.DescriptorPool()


def _load() -> None:
    files = descriptor_pb2.FileDescriptorSet.FromString((Path(__file__).parent / "protos.binpb").read_bytes())
    for file in files.file:
        _POOL.Add(file)


_load()


class Namespace:
    """The messages and enumerations of one package: attributes by name."""

    def __init__(self, package: str) -> None:
        self._package = package

    def __getattr__(self, name: str) -> Any:
        made = message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{self._package}.{name}"))
        setattr(self, name, made)
        return made


def service(name: str) -> dict[str, tuple[Any, Any, bool, bool]]:
    """The methods of a service: name → (request class, reply class, requests are a stream, replies are a stream)."""
    found = _POOL.FindServiceByName(name)
    make = message_factory.GetMessageClass
    return {m.name: (make(m.input_type), make(m.output_type), m.client_streaming, m.server_streaming) for m in found.methods}


V1 = Namespace("moby.buildkit.v1")
TYPES = Namespace("moby.buildkit.v1.types")
CAPS = Namespace("moby.buildkit.v1.apicaps")
GATEWAY = Namespace("moby.buildkit.v1.frontend")
PB = Namespace("pb")
FILES = Namespace("moby.filesync.v1")
FSUTIL = Namespace("fsutil.types")
SECRETS = Namespace("moby.buildkit.secrets.v1")
SSH = Namespace("moby.sshforward.v1")
UPLOAD = Namespace("moby.upload.v1")
HEALTH = Namespace("grpc.health.v1")
CONTENT = Namespace("containerd.services.content.v1")
RPC = Namespace("google.rpc")
