"""What the doors of BuildKit ask of the engine, as one Protocol: `wiring` binds it to the solver, the frontend and the exporters."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from scow.build.llb.ops import Definition, Platform
from scow.build.session.builds import Answer, Build
from scow.build.solver.types import Result


@dataclass(frozen=True, slots=True)
class FrontendRequest:
    """A frontend's work: its name, BuildKit's options (`build-arg:X`, `target`…), graphs for `input:` contexts, caches to use."""

    frontend: str
    options: Mapping[str, str]
    inputs: Mapping[str, Definition]
    imports: tuple[tuple[str, dict[str, str]], ...]
    build: Build


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """Where a result goes: `exports` in the client's order (type, attributes), `caches` = what to write the cache to."""

    exports: tuple[tuple[str, dict[str, str]], ...]
    caches: tuple[tuple[str, dict[str, str]], ...]
    attests: Mapping[str, str]
    """Attestations that were asked for: kind → attributes."""
    options: Mapping[str, str]
    """The options the frontend was asked with."""


class Engine(Protocol):
    """The engine, as a build's client sees it."""

    def job(self, id: str, session: str, entitlements: frozenset[str]) -> AbstractAsyncContextManager[Any]:
        """A job of the solver while the context is open: `.build(definition)`, `.progress`. Then what runs for it alone is stopped."""
        ...

    async def frontend(self, request: FrontendRequest) -> Answer:
        """Run a frontend."""
        ...

    async def image_config(self, build: Build, name: str, platform: Platform | None, mode: str, shown: str) -> tuple[str, str, bytes]:
        """Reference with digest, digest, and configuration (JSON) of an image."""
        ...

    def view(self, result: Result) -> AbstractAsyncContextManager[Path]:
        """A result as a directory to read."""
        ...

    async def export(self, build: Build, answer: Answer, request: ExportRequest) -> dict[str, str]:
        """Write a result where it was asked for; BuildKit's facts about it (`containerimage.digest`…)."""
        ...

    def workers(self) -> list[Any]:
        """The moby.buildkit.v1.types.WorkerRecord of this machine."""
        ...

    def version(self) -> Any:
        """The moby.buildkit.v1.types.BuildkitVersion."""
        ...
