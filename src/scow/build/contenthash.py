"""Digests of what a COPY or a mount takes from a tree: names, kinds, modes, owners, link targets, attributes and content; never times.

    await contenthash.digest(workers, tree, [Selector("/src/*.py", wildcard=True)]) -> [Found(path, kind, digest), …]

The walk happens in an archive worker (`hashwork.py`). Callers: the solver's content keys, the classic builder. Stored: nothing.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from scow.archive.workers import Workers
from scow.errors import InvalidArgument

_JOB = "scow.build.hashwork:do_hash"


@dataclass(frozen=True, slots=True)
class Selector:
    """A part of a tree: a path, or (`wildcard`) a pattern of Go's filepath.Match; patterns as in .dockerignore. `follow`: a link at its
    end."""

    path: str
    wildcard: bool = False
    follow: bool = False
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """One thing that a selector names: its path in the tree, `file`, `dir` or `other`, its digest (hexadecimal sha256)."""

    selector: int
    path: str
    kind: str
    digest: str


async def find(workers: Workers, tree: Path, selectors: Sequence[Selector]) -> list[Found]:
    """Everything that the selectors name, in their order, then by path; a selector that names nothing gives nothing.

    Raises InvalidArgument (a malformed pattern, a tree too deep)."""
    fd = os.open(tree, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        answer = await workers.run({"job": _JOB, "selectors": [asdict(one) for one in selectors]}, [fd])
    finally:
        os.close(fd)
    if "refused" in answer:
        raise InvalidArgument(str(answer["refused"]))
    return [Found(*row) for row in answer["found"]]


def combined(found: Sequence[Found]) -> str:
    """One digest of several: of their base names and digests in order."""
    hasher = hashlib.sha256()
    for one in found:
        hasher.update(f"{os.path.basename(one.path)}\0{one.kind}\0{one.digest}\n".encode("utf-8", "surrogateescape"))
    return hasher.hexdigest()


async def digest(workers: Workers, tree: Path, selectors: Sequence[Selector]) -> str:
    """One digest of everything that the selectors name."""
    return combined(await find(workers, tree, selectors))
