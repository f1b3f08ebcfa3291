"""Shapes of the OCI runtime specification that cross package borders."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class SpecMount:
    """One entry of the `mounts` of a config.json."""

    destination: str
    source: str
    type: str
    options: tuple[str, ...] = ()

    def doc(self) -> dict[str, Any]:
        """As JSON."""
        return {"destination": self.destination, "type": self.type, "source": self.source, "options": list(self.options)}
