"""What run, start, attach, exec and wait share: terminals, resizing, the streams, the wait for the exit code.

A container outlives its engine, and what we wait for may come to be while nobody serves us: a wait that breaks off is begun again with the
engine that comes next.
"""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from scow.cli.command import Cli
    from scow.client.api import Client
    from scow.client.transport import Connection, Response

    T = TypeVar("T")

from scow.cli import terminal
from scow.cli.command import ExitCode
from scow.client.api import container_path
from scow.client.transport import ApiError, BrokenOff, CannotConnect
from scow.errors import ScowError

AGAIN_SECONDS = 30.0
"""How long an engine may take to come back."""
_STEP_SECONDS = 0.1
_BREAKS = 5
"""So many breaks, each soon after the one before, are a fault of another kind."""
_SOON_SECONDS = 10.0


def check_terminal(stdin: bool, tty: bool) -> None:
    """Refuses -t with an input that is no terminal. Raises ExitCode."""
    if stdin and tty and not terminal.is_terminal(0):
        raise ExitCode(1, "the input device is not a TTY")


def detach_keys(cli: Cli, given: str) -> tuple[str, bytes]:
    """The text for the daemon ("" = its default) and the bytes to look for. Raises ScowError."""
    text = given or cli.setting("detachKeys")
    return text, terminal.parse_keys(text or terminal.DETACH_KEYS)


def resize(client: Client, path: str) -> None:
    """Tells the daemon the terminal's size; failures don't matter."""
    rows, columns = terminal.size()
    if rows and columns:
        try:
            client.post(f"{path}/resize", {"h": rows, "w": columns})
        except (ScowError, OSError):
            pass


def killer(cli: Cli, ident: str) -> Any:
    """A function that sends a named signal to the container over a connection of its own."""

    def send(name: str) -> None:
        try:
            cli.redial().post(container_path(ident, "kill"), {"signal": name})
        except CannotConnect:
            if name in ("INT", "TERM"):  # nobody could be told: then it is for us
                raise KeyboardInterrupt from None
            raise

    return send


def wait_begun(client: Client, ident: str, condition: str) -> Response:
    """A wait that is in the daemon's hands; its answer is read later."""
    return client.call("POST", container_path(ident, "wait"), {"condition": condition})


def exit_code(response: Response) -> int:
    """The code of a begun wait. Raises ExitCode(125) when the daemon can't tell."""
    answer = response.json()
    if not isinstance(answer, dict):
        raise ExitCode(125, "error waiting for container: unexpected EOF")
    error = (answer.get("Error") or {}).get("Message")
    if error:
        raise ExitCode(125, f"error waiting for container: {error}")
    code = answer.get("StatusCode")
    return code if isinstance(code, int) else 125


def when_back(cli: Cli, work: Callable[[Client], T], broken: Exception) -> T:
    """`work` of a new connection, tried until an engine answers. Raises ApiError, or `broken` when none does for AGAIN_SECONDS.

    One that takes connections and ends them at once is given up sooner.
    """
    import time

    end = time.monotonic() + AGAIN_SECONDS
    told, breaks = False, 0
    while True:
        try:
            return work(cli.redial())
        except (BrokenOff, CannotConnect, OSError) as exc:
            breaks += isinstance(exc, BrokenOff)
            if breaks > _BREAKS or time.monotonic() > end:
                raise broken from None
        if not told:
            told = True
            cli.err(f"scow: the connection to the engine is lost: waiting up to {AGAIN_SECONDS:.0f} s for it to come back\n")
        time.sleep(_STEP_SECONDS)


def wait_again(client: Client, ident: str, condition: str) -> tuple[Response, dict[str, Any]]:
    """`wait_begun` with another engine than before, and the container's state, {} where it is gone. Raises ApiError."""
    try:
        waiting = wait_begun(client, ident, condition)
    except ApiError as exc:
        if exc.status != 404 or condition == "removed":
            raise
        waiting = wait_begun(client, ident, "removed")  # the codes of --rm containers are known for a while
    try:
        return waiting, client.get(container_path(ident, "json")).get("State") or {}
    except ApiError:
        return waiting, {}


def awaited(cli: Cli, ident: str, waiting: Response, condition: str, rejoin: Callable[[], bool] = lambda: False) -> int:
    """The code of a begun wait, whichever engine tells it.

    `rejoin` is called when the container goes on under another engine; True: nobody waits any more, 0 is the answer.
    """
    import time

    breaks = 0
    while True:
        begun = time.monotonic()
        try:
            return exit_code(waiting)
        except (BrokenOff, OSError) as exc:
            breaks = breaks + 1 if time.monotonic() - begun < _SOON_SECONDS else 0
            if breaks > _BREAKS:
                raise
            waiting, state = when_back(cli, lambda client: wait_again(client, ident, condition), exc)
        if state.get("Running") and not state.get("Restarting"):
            if rejoin():
                return 0
        elif condition == "next-exit" and "ExitCode" in state:
            return int(state["ExitCode"])


def joined(
    cli: Cli, ident: str, conn: Connection | None, params: dict[str, Any], tty: bool, keys: bytes, waiting: Response, condition: str
) -> int:
    """Relays a container's streams (None: attached to none) and tells its exit code; 0 when the user detached.

    A stream that broke off with its engine is joined again: `params` are those of the attach.
    """
    from scow.cli.streams import OutputGone, relay

    def again() -> bool:
        if conn is None:
            return False
        try:
            other, _ = cli.redial().hijack(container_path(ident, "attach"), params)
        except (ScowError, OSError):  # it has ended since; or the wait breaks off as well
            return False
        return relay(other, tty, bool(params["stdin"]), keys)

    try:
        if conn is not None and relay(conn, tty, bool(params["stdin"]), keys):
            return 0
        return awaited(cli, ident, waiting, condition, again)
    except OutputGone:
        return 141


def start_status(exc: ScowError) -> int:
    """125, 126 or 127 after a failed start, read from the sentence as docker does."""
    text = exc.message
    if "executable file not found" in text or "no such file or directory" in text or "system cannot find the file specified" in text:
        return 127
    if "permission denied" in text.lower() or "is a directory" in text:
        return 126
    return 125


def failure(exc: ScowError, verb: str, code: int) -> ExitCode:
    """The end of `run` and `create` after an error."""
    text = f"Error response from daemon: {exc.message}" if isinstance(exc, ApiError) else exc.message
    if verb == "create":
        return ExitCode(1 if isinstance(exc, ApiError) else code, text)
    return ExitCode(code, f"scow: {text}\n\nRun 'scow {verb} --help' for more information")
