"""POST /containers/{id}/rename."""

from scow.containers import names
from scow.containers.container import Container
from scow.containers.lifecycle import Status
from scow.containers.parts import Parts
from scow.containers.store import NameInUse
from scow.errors import Conflict, InvalidArgument


async def rename(parts: Parts, container: Container, new: str) -> None:
    """Give a container another name. Raises InvalidArgument, NameInUse; then nothing has changed."""
    if not new.removeprefix("/"):
        raise InvalidArgument("Neither old nor new names may be empty")
    async with parts.locks(container.id):
        if container.state.status is Status.REMOVING:
            raise Conflict(f"container {container.id} is being removed")
        name = names.check(new)
        old = container.name
        if name == old:
            raise InvalidArgument("Renaming a container with the same name as its current name")
        try:
            parts.store.rename(container, name)
        except NameInUse as exc:
            raise Conflict(f"Error when allocating new name: {exc.message}") from None
        parts.network.rename(container.id, name)
        container.announce("rename", {"oldName": f"/{old}"})
