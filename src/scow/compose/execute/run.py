"""One run of a plan: what its operations know and share. Made by `session.py`, `commands/run.py` and foreground `up`."""

from __future__ import annotations

import threading

from scow.compose.display.progress import Progress
from scow.compose.model.project import Project
from scow.compose.observe import Observed
from scow.compose.plan import Operation
from scow.compose.waiting import Watch
from scow.errors import ScowError

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Callable

    from scow.client.api import Client

THREADS = 16


class Failed(ScowError):
    """An operation failed; the message is the user's sentence."""


class Skipped(Exception):
    """An operation was left out, the others go on: an optional dependency did not become what was wanted, something is still in use."""


class Run:
    """The state of one run. `dial` makes a client for each thread; `timeout` is the grace of stops in seconds, None for the containers'
    own; `volumes`: containers go with their anonymous volumes; `image_volumes` and `image_ids` are what is known of images by name."""

    def __init__(
        self,
        project: Project,
        observed: Observed,
        dial: Callable[[], Client],
        progress: Progress,
        timeout: int | None = None,
        parallel: int = THREADS,
        separator: str = "-",
        volumes: bool = False,
        force: bool = False,
        image_volumes: dict[str, tuple[str, ...]] | None = None,
        image_ids: dict[str, str] | None = None,
    ) -> None:
        self.project, self.observed, self.dial, self.progress, self.timeout = project, observed, dial, progress, timeout
        self.parallel, self.separator, self.volumes, self.force = max(1, parallel), separator, volumes, force
        self.image_volumes, self.image_ids = image_volumes or {}, image_ids or {}
        self.ids = {one.name: one.id for one in observed.containers}
        self.first: dict[str, str] = {}
        for one in observed.containers:
            if not one.oneoff and (one.service not in self.first or one.number == 1):
                self.first[one.service] = one.id
        self._local = threading.local()
        self._watch: Watch | None = None
        self.lock = threading.Lock()
        self.stopped = threading.Event()

    def client(self) -> Client:
        """This thread's client."""
        found: Client | None = getattr(self._local, "client", None)
        if found is None:
            found = self._local.client = self.dial()
        return found

    def halt(self) -> None:
        """Nothing more is begun, nobody waits on; what has been begun ends."""
        self.stopped.set()
        if self._watch is not None:
            self._watch.wake()

    def close(self) -> None:
        """Ends the stream of events."""
        if self._watch is not None:
            self._watch.close()

    def watch(self) -> Watch:
        """The project's events, opened at first use."""
        with self.lock:
            if self._watch is None:
                self._watch = Watch(self.dial(), self.project.name)
            return self._watch

    def known(self, one: Operation, ident: str) -> None:
        """The container of an operation has got an ID, which later ones refer to."""
        self.ids[one.target] = ident
        if one.service and (one.service.name not in self.first or one.number == 1):
            self.first[one.service.name] = ident

    def made_by_others(self) -> str:
        """Why something that has the wanted name is left as it is."""
        return f"it is there, but was not made for project {self.project.name}: `external: true` says that this is meant"
