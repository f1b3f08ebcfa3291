"""Volume requests."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class VolumeCreate:
    """Body of POST /volumes/create."""

    name: str = ""
    driver: str = ""
    driver_opts: dict[str, str] | None = None
    labels: dict[str, str] | None = None
    cluster_volume_spec: dict[str, Any] | None = None
