"""Volume requests."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class VolumeCreate:
    """Body of POST /volumes/create."""

    name: str = ""
    driver: str = ""
    driver_opts: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    cluster_volume_spec: dict[str, Any] | None = None
