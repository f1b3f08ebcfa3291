"""What the classic builder needs of the container service; `containers.steps` implements it, wiring binds the two."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

Output = Callable[[bytes, bool], Awaitable[None]]


class StepRunner(Protocol):
    """Runs the process of a RUN instruction as a container."""

    async def create(self, image: str, config: dict[str, Any], host: dict[str, Any]) -> str:
        """Make a container of the image (an id) with Docker's `config` and `HostConfig`; its id. Raises ScowError."""

    async def run(self, container_id: str, output: Output) -> int:
        """Start it and wait for its end; `output(data, is_stderr)` gets what it writes. Its exit code. Raises ScowError."""

    async def remove(self, container_id: str) -> None:
        """Kill and remove it, also when the caller is cancelled; absent is fine."""

    def keep(self, container_id: str) -> None:
        """It stays when the build is over, and survives the next boot."""
