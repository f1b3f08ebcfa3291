"""Caches that others can import: records (key → layers) in an image's config (`type=inline`).

A record is `{"digest": "sha256:<key>", "canonical": key, "layers": [{"layer": index}]}` over the layers of the image, in the field that
BuildKit uses (`moby.buildkit.cache.v0`, base64). Keys are this solver's: its engines understand each other, BuildKit's own reads none of
them and goes on without. `imports.py` reads them back.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import orjson

from scow.build.exporters import chain
from scow.build.refs import Refs
from scow.build.solver.scheduler import Job
from scow.errors import NotFound
from scow.snapshots.snapshotter import Committed

FIELD = "moby.buildkit.cache.v0"
MAX_RECORDS = 10_000


async def records(refs: Refs, job: Job, layers: Sequence[Committed]) -> list[dict[str, Any]]:
    """What of a job's cache lies in these layers: results that are their first ones."""
    names = [layer.name for layer in layers]
    found: list[dict[str, Any]] = []
    for key, canonical, results in job.recorded()[:MAX_RECORDS]:
        if len(results) != 1 or results[0] is None:
            continue
        try:
            own = [layer.name for layer in await chain.layers(refs, results[0])]
        except NotFound:
            continue
        if own and own == names[: len(own)]:
            found.append({"digest": f"sha256:{key}", "canonical": canonical, "layers": [{"layer": len(own) - 1}]})
    return found


async def inline(refs: Refs, job: Job, layers: Sequence[Committed]) -> str:
    """The field of an image's config."""
    return base64.b64encode(orjson.dumps(await records(refs, job, layers))).decode()
