"""COPY, ADD and the other file actions: what is to be done in a tree, handed to an archive worker (`copywork.py` has the rules).

    await copying.run(workers, destination, [Step(action, source=0), …], [Path of the tree that is read, …]) -> Copied(files, size)

The destination is a mounted snapshot (or a plain directory); trees that are read are directories, too: a build context, a mounted image.
Callers: `ops/file.py`, the classic builder. Stored: nothing. Errors: `CopyError` says what a user did wrong, in BuildKit's words.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scow.archive.workers import Workers
from scow.build.llb.ops import Action, Mkfile, Owner
from scow.errors import InvalidArgument

_JOB = "scow.build.copyjob:do_files"


class CopyError(InvalidArgument):
    """A file action cannot be done; `action` is its number."""

    def __init__(self, message: str, action: int = 0) -> None:
        super().__init__(message)
        self.action = action


@dataclass(frozen=True, slots=True)
class Step:
    """One action. `source`: which of the trees a copy reads. Owners by name are looked up in the tree of that number that their
    `user_lookup` and `group_lookup` say (-1: the destination)."""

    action: Action
    source: int = 0


@dataclass(frozen=True, slots=True)
class Copied:
    """How many entries were copied, and the bytes in their files."""

    files: int
    size: int


def owner(text: str) -> Owner | None:
    """`--chown=user[:group]` as an Owner: numbers where they are numbers. None for an empty text."""
    if not text:
        return None
    user, colon, group = text.partition(":")
    return Owner(_name(user), _name(group) if colon else None)


def _name(text: str) -> int | str | None:
    if text.isascii() and text.isdigit() and len(text) < 11:
        return int(text)
    return text or None


def _plain(step: Step) -> dict[str, Any]:
    action = step.action
    found: dict[str, Any] = {"do": type(action).__name__, **asdict(action), "source": step.source}
    if isinstance(action, Mkfile):
        found["data"] = base64.b64encode(action.data).decode()
    return found


async def run(workers: Workers, destination: Path, steps: Sequence[Step], sources: Sequence[Path]) -> Copied:
    """Do `steps` in order in the tree `destination`. Cancelled: the worker is killed, what it did stays.

    Raises CopyError, NoSpace, Internal."""
    fds: list[int] = []
    try:
        for source in sources:  # one by one: what is open is closed when the next fails
            fds.append(os.open(source, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))  # noqa: PERF401
        answer = await workers.run({"job": _JOB, "root": str(destination), "actions": [_plain(step) for step in steps]}, fds)
    finally:
        for fd in fds:
            os.close(fd)
    if "refused" in answer:
        raise CopyError(str(answer["refused"]), int(answer["action"]))
    return Copied(int(answer["files"]), int(answer["size"]))
