"""`docker logs`: what a container wrote, chosen by time and number, and what it will write until it ends.

Reads what the keeper stores, through `logdrivers.reader`.
"""

import dataclasses
from collections.abc import AsyncIterator
from dataclasses import dataclass

from scow.containers import shapes
from scow.containers.container import Container
from scow.errors import InvalidArgument, Unsupported
from scow.logdrivers import reader
from scow.logdrivers.plan import Facts, LogPlan, plan
from scow.units import parse_timestamp

_MAX_TAIL = 1 << 31


@dataclass(frozen=True, slots=True)
class LogsQuery:
    """Parameters of logs as the client wrote them."""

    stdout: bool = False
    stderr: bool = False
    follow: bool = False
    since: str = ""
    until: str = ""
    timestamps: bool = False
    details: bool = False
    tail: str = "all"


def parse_tail(text: str) -> int:
    """The number of last lines; -1 = all, also for what is no number (as Docker)."""
    try:
        number = int(text) if len(text) < 20 else -1
    except ValueError:
        return -1
    return min(number, _MAX_TAIL) if number >= 0 else -1


def parse_query(query: LogsQuery) -> reader.LogQuery:
    """The reader's query. Raises InvalidArgument (no stream, a time that is none)."""
    if not (query.stdout or query.stderr):
        raise InvalidArgument("Bad parameters: you must choose at least one stream")
    return reader.LogQuery(
        follow=query.follow,
        stdout=query.stdout,
        stderr=query.stderr,
        since_ns=max(0, parse_timestamp(query.since)),
        until_ns=max(0, parse_timestamp(query.until)),
        timestamps=query.timestamps,
        details=query.details,
        tail=parse_tail(query.tail),
    )


def plan_of(container: Container) -> LogPlan:
    """The plan of a container's log, settled now if it wasn't yet (it was never started, or the daemon was)."""
    if container.log is None:
        facts = Facts(
            container_id=container.id,
            name=container.name,
            image_id=container.image_id,
            image_name=container.image_ref,
            labels=container.config.labels,
            env=tuple(container.config.env),
            command=shapes.command(container.path, container.args),
        )
        container.log = plan(container.host.log_config, facts, container.dir)
    return container.log


class LogsService:
    """Reads the logs of containers."""

    def read(self, container: Container, query: LogsQuery) -> AsyncIterator[bytes]:
        """Frames ready for the wire (raw for a terminal). With `follow` until the container ends (at once when it doesn't run).

        Raises InvalidArgument, Unsupported (a driver that can't be read) before anything is sent. Close it to break off.
        """
        wanted = dataclasses.replace(parse_query(query), tty=container.config.tty)
        settled = plan_of(container)
        if settled.path is None:
            raise Unsupported("configured logging driver does not support reading")
        alive, started_ns = container.state.alive, container.state.started_ns

        def ended() -> bool:
            return not alive or not container.state.alive or container.state.started_ns != started_ns

        return reader.read(settled, wanted, ended)
