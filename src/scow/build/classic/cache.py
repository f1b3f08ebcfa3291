"""The cache of the classic builder: which image a step made of which parent.

Stored in the table `classic_cache`: a digest of (parent, configuration, step) → image id. A row whose image is gone counts for nothing and
is dropped when it is met. Images given by `--cache-from` lend their steps when their history says the same.
"""

import hashlib
import json
import time
from collections.abc import Sequence
from typing import Any

from scow.images.service import ImageService
from scow.images.store import Image
from scow.metadata import Database


def key(parent: str, config: dict[str, Any], step: str) -> str:
    """What a step is known by: its parent's id, the configuration it starts with and its text with all values in it."""
    text = json.dumps([parent, config, step], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


class StepCache:
    """Finds and remembers steps of one build. `lenders`: only what leads to these images may be used, as in Docker."""

    def __init__(self, db: Database, images: ImageService, lenders: Sequence[Image] = (), enabled: bool = True) -> None:
        self._table = db.table("classic_cache")
        self._images = images
        self._lenders = lenders
        self.enabled = enabled

    def find(self, parent: Image | None, config: dict[str, Any], step: str, created_by: str, after: dict[str, Any]) -> Image | None:
        """The image that the step made of `parent` before; `after` is the configuration it leads to. A miss ends the use of the cache."""
        if not self.enabled:
            return None
        found = self._own(parent, config, step)
        if self._lenders and (found is None or not any(self._leads_to(found, lender) for lender in self._lenders)):
            found = self._lent(parent, created_by, after)
        if found is None:
            self.enabled = False
        return found

    def put(self, parent: Image | None, config: dict[str, Any], step: str, image_id: str) -> None:
        """Remember what a step made."""
        self._table.put(key(parent.id if parent else "", config, step), {"image": image_id})

    def _own(self, parent: Image | None, config: dict[str, Any], step: str) -> Image | None:
        name = key(parent.id if parent else "", config, step)
        row = self._table.get(name)
        if row is None:
            return None
        found = self._images.store.by_id(str(row["image"]))
        if found is None:
            self._table.delete(name)
        return found

    def _leads_to(self, image: Image, lender: Image) -> bool:
        current: Image | None = lender
        while current is not None:
            if current.id == image.id:
                return True
            current = self._images.store.by_id(current.parent) if current.parent else None
        return False

    def _lent(self, parent: Image | None, created_by: str, after: dict[str, Any]) -> Image | None:
        done = list(parent.spec.get("history") or []) if parent else []
        below = list(parent.diff_ids) if parent else []
        for lender in self._lenders:
            history = list(lender.spec.get("history") or [])
            if len(history) <= len(done) or _texts(history[: len(done)]) != _texts(done) or list(lender.diff_ids[: len(below)]) != below:
                continue
            row = history[len(done)]
            if row.get("created_by") != created_by:
                continue
            grown = [] if row.get("empty_layer") else list(lender.diff_ids[len(below) : len(below) + 1])
            spec = {**lender.spec, "config": after, "history": [*done, row], "created": row.get("created")}
            spec["rootfs"] = {"type": "layers", "diff_ids": [*below, *grown]}
            if any(self._images.layers.gone(name) for name in self._images.store_layers(spec)):
                continue
            return record(self._images, spec, parent)
        return None


def record(images: ImageService, spec: dict[str, Any], parent: Image | None) -> Image:
    """Make an image of a config document whose layers are in the store."""
    from scow.images.store import parse_spec

    data = json.dumps(spec, separators=(",", ":")).encode("utf-8", "surrogateescape")
    return images.get(images.recorded(data, parse_spec(data), time.time_ns(), parent.id if parent else ""))


def _texts(history: list[dict[str, Any]]) -> list[tuple[Any, bool]]:
    return [(row.get("created_by"), bool(row.get("empty_layer"))) for row in history]
