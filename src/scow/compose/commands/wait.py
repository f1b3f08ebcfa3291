"""`wait`: until a service's container stops."""

from __future__ import annotations

import queue
import threading

from scow.cli.command import ExitCode
from scow.cli.flags import Options
from scow.client.api import container_path
from scow.compose.commands.verb import Verb
from scow.compose.observe import ContainerInfo
from scow.compose.session import Session
from scow.errors import ScowError


def run(session: Session, options: Options, args: list[str]) -> int:
    """Ends with the status of the first container that stops."""
    project, _, chosen = session.acting(args)
    chosen = [one for one in chosen if one.running]
    if not chosen:
        raise ScowError(f'no containers for project "{project.name}"')
    ended: queue.SimpleQueue[tuple[ContainerInfo, object]] = queue.SimpleQueue()

    def wait(one: ContainerInfo) -> None:
        try:
            ended.put((one, (session.dial().post(container_path(one.id, "wait")) or {}).get("StatusCode", 0)))
        except ScowError as exc:
            ended.put((one, exc))

    for one in chosen:
        threading.Thread(target=wait, args=(one,), daemon=True).start()
    one, code = ended.get()
    if isinstance(code, ScowError):
        raise code
    session.cli.out(f'container "{one.name}" exited with status code {code}\n')
    if options.flag("down-project"):
        from scow.compose.commands.down import DOWN, down
        from scow.compose.commands.exec import options_of

        down(session, options_of(DOWN), [])
    raise ExitCode(code if isinstance(code, int) else 1)


WAIT = Verb(
    " SERVICE [SERVICE...] [OPTIONS]",
    (("down-project", "", "bool", False, "Take the project down when the first container has stopped"),),
    run,
    1,
)
