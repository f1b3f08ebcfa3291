"""What exporters work on: a build's answer, by platforms, made layers and configs when an exporter asks for them."""

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scow.build.exporters import cache, chain
from scow.build.refs import Refs, TreeRef
from scow.build.session.builds import Answer, Build
from scow.build.solver.progress import Progress
from scow.build.solver.types import Result
from scow.errors import InvalidArgument
from scow.snapshots.snapshotter import Committed


@dataclass(frozen=True, slots=True)
class Exported:
    """One platform of an image."""

    platform: str
    """`linux/arm64`."""
    spec: dict[str, Any]
    layers: list[Committed]
    key: str = ""
    """The platform's key in the answer, "" when there is only one."""


@dataclass(slots=True)
class Target:
    """The answer of a build, on its way out. `attests`: attestations that were asked for, kind → attributes; `options`: the frontend's."""

    build: Build
    answer: Answer
    attests: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    inline: bool = False
    """The image's config carries a cache."""
    started_ns: int = 0
    materials: tuple[tuple[str, str], ...] = ()
    """Images it was built from: name and id."""
    _exported: dict[bool, list[Exported]] = field(default_factory=dict)
    _leases: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @property
    def progress(self) -> Progress:
        """The build's."""
        found: Progress = self.build.job.progress
        return found

    @property
    def session(self) -> str:
        """The client's session."""
        return self.build.session

    @property
    def epoch(self) -> int | None:
        """SOURCE_DATE_EPOCH, when one was given. Raises InvalidArgument."""
        text = (self.answer.metadata.get("source.date.epoch") or b"").decode(errors="replace")
        text = text or self.options.get("build-arg:SOURCE_DATE_EPOCH", "")
        if not text:
            return None
        if not text.removeprefix("-").isdigit() or len(text) > 12:
            raise InvalidArgument(f"invalid SOURCE_DATE_EPOCH {text[:50]!r}: a number of seconds is needed")
        return int(text)

    async def trees(self) -> dict[str, Result]:
        """The results by platform key ("" alone for the only one)."""
        return {key: await reference.tree() if reference is not None else None for key, reference in self.answer.references.items()}

    def config(self, key: str) -> Mapping[str, Any] | None:
        """The image config that the frontend gave for a platform key. Raises InvalidArgument."""
        data = self.answer.metadata.get(f"containerimage.config/{key}" if key else "containerimage.config")
        if not data:
            return None
        try:
            found = json.loads(data)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise InvalidArgument("failed to parse image config: an object in JSON is needed")
        return found

    async def exported(self, refs: Refs, attrs: Mapping[str, str]) -> list[Exported]:
        """The image of each platform, with its layers in the store (pinned by the cache, or leased until `release`).

        `rewrite-timestamp` in the output's attributes: no file is younger than SOURCE_DATE_EPOCH."""
        rewrite = attrs.get("rewrite-timestamp", "").lower() in ("1", "t", "true") and self.epoch is not None
        if rewrite not in self._exported:
            epoch_ns = (self.epoch or 0) * 1_000_000_000 if rewrite else None
            made: list[Exported] = []
            for key, tree in (await self.trees()).items():
                layers = await chain.layers(refs, tree, epoch_ns)
                if rewrite:
                    self._leases.enter_context(refs.images.layers.lease([layer.name for layer in layers]))
                spec = chain.document(self.config(key), layers, refs.made_ns(tree if isinstance(tree, TreeRef) else None), self.epoch)
                if self.inline and not rewrite:
                    spec[cache.FIELD] = await cache.inline(refs, self.build.job, layers)
                made.append(Exported(key or _platform(spec), spec, layers, key))
            self._exported[rewrite] = made
        return self._exported[rewrite]

    def release(self) -> None:
        """Everything is written: layers that nobody has taken may go."""
        self._leases.close()


def _platform(spec: Mapping[str, Any]) -> str:
    return "/".join(str(part) for part in (spec.get("os"), spec.get("architecture"), spec.get("variant")) if part)
