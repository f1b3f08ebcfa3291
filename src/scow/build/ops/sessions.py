"""What ops ask of the client whose build it is. `session/` implements it over BuildKit's session calls; the classic builder needs none.

A session may come after the build that names it: every method waits for it (a few seconds) and raises `NotFound` when it does not come,
`Unavailable` when the client has gone. Sizes are bounded by the implementation; secrets are never logged.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class LocalRequest:
    """A directory of the client: `name` as the client knows it ("context", "dockerfile"), and what of it is wanted."""

    name: str
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    follow: tuple[str, ...] = ()
    differ: str = ""
    """"none": every file is taken as changed; else by metadata."""


class Sessions(Protocol):
    """The clients of the builds that run."""

    async def shared_key(self, session: str) -> str:
        """What the client says to be the same from build to build (its node and directory), "" when it says nothing."""
        ...

    async def sync(self, session: str, request: LocalRequest, tree: Path, progress: Callable[[int], None]) -> bool:
        """Make the directory `tree` (which holds what an earlier call left, or nothing) like the client's. Whether anything changed.

        Owners become 0:0, modes and times are kept, links stay as they are; nothing outside `tree` is touched, files are replaced and never
        written into. `progress(bytes so far)`. Cancelled or failed: the tree may be half-way, the next call goes on from there."""
        ...

    async def secret(self, session: str, id: str) -> bytes:
        """A secret's bytes (at most 512 KiB). Raises NotFound."""
        ...

    def ssh(self, session: str, id: str) -> AbstractAsyncContextManager[Path]:
        """A unix socket on this host that leads to the client's agent `id` ("" = default) while the context is open. Raises NotFound."""
        ...

    def upload(self, session: str, path: str) -> AsyncIterator[bytes]:
        """What the client uploads under the path of an `http://buildkit-session/` address; once only. Raises NotFound."""
        ...

    def blob(self, session: str, store: str, digest: str, limit: int) -> AsyncIterator[bytes]:
        """A blob of a content store that the client offers (`oci:<name>`, `local:<directory>`). Raises NotFound; DataLoss when it is larger
        than `limit` bytes."""
        ...

    async def credentials(self, session: str, registry: str) -> str:
        """The client's login for a registry as an X-Registry-Auth text, "" for none."""
        ...
