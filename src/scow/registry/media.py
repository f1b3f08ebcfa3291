"""Media types and the two small facts everything here is about: a descriptor and a manifest. Imports nothing costly."""

from dataclasses import dataclass

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"
ACCEPT = ", ".join((DOCKER_MANIFEST, DOCKER_LIST, OCI_MANIFEST, OCI_INDEX, f"{SCHEMA_1};q=0.1"))


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest as it came: its digest is that of `data`."""

    digest: str
    media_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A blob that is wanted, or what a name leads to."""

    digest: str
    size: int
    media_type: str = ""
