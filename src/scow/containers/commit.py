"""`docker commit`: an image of what a container changed, the container held still meanwhile."""

import contextlib
from typing import TYPE_CHECKING, Any

from scow.containers import shapes
from scow.containers.container import Container
from scow.containers.lifecycle import Status
from scow.errors import Conflict, ScowError
from scow.images.service import CommitSource, target_reference
from scow.model.container import ContainerConfig

if TYPE_CHECKING:
    from scow.containers.parts import Parts


class CommitService:
    """Makes images of containers."""

    def __init__(self, parts: "Parts") -> None:
        self._parts = parts

    async def commit(
        self,
        container: Container,
        *,
        repo: str = "",
        tag: str = "",
        comment: str = "",
        author: str = "",
        changes: list[str] | None = None,
        config: ContainerConfig | None = None,
        pause: bool = True,
    ) -> str:
        """The new image's id. `config` and `changes` (Dockerfile instructions) go over the container's configuration.

        Raises InvalidArgument (reference, instruction), Conflict (the container is being removed).
        """
        target_reference(repo, tag)  # wrong names are refused before anything is paused
        if container.state.status in (Status.REMOVING, Status.DEAD):
            raise Conflict(f"You cannot commit container {container.id} which is Dead")
        source = CommitSource(
            container_id=container.id,
            image_id=container.image_id,
            config=shapes.config(container.config),
            command=" ".join(container.config.cmd or ()),
            hostname=container.config.hostname,
        )
        held = pause and container.state.status is Status.RUNNING
        if held:
            await self._parts.tasks.pause(container.id)
        try:
            made = await self._parts.images.commit(source, repo, tag, comment, author, changes or [], self._given(config))
        finally:
            if held:
                with contextlib.suppress(ScowError):
                    await self._parts.tasks.resume(container.id)
        container.announce("commit", {"comment": comment})
        return made

    @staticmethod
    def _given(config: ContainerConfig | None) -> dict[str, Any] | None:
        """What a configuration sets, in Docker's keys."""
        return {name: value for name, value in shapes.config(config).items() if value} if config is not None else None
