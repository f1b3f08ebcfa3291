"""Operations on volumes, and on images, which compose only removes. Called by `executor.py`."""

from __future__ import annotations

from scow.client.api import image_path, quote
from scow.client.transport import ApiError
from scow.compose import labels
from scow.compose.create import volume
from scow.compose.execute.run import Run, Skipped
from scow.compose.plan import Operation


def create(run: Run, one: Operation) -> None:
    """Makes it, or takes the one that is there."""
    found = run.client().post("/volumes/create", None, volume(run.project, one.key))
    if (found.get("Labels") or {}).get(labels.PROJECT) != run.project.name:
        raise Skipped(run.made_by_others())


def remove(run: Run, one: Operation) -> None:
    """Removes it; gone is fine."""
    try:
        run.client().delete(f"/volumes/{quote(one.target)}")
    except ApiError as exc:
        if exc.status == 404:
            return
        if exc.status == 409:
            raise Skipped("Resource is still in use") from None
        raise


def remove_image(run: Run, one: Operation) -> None:
    """Removes an image."""
    try:
        run.client().delete(image_path(one.target))
    except ApiError as exc:
        if exc.status == 404:
            raise Skipped("Warning: No resource found to remove") from None
        if exc.status == 409:
            raise Skipped("Resource is still in use") from None
        raise
