"""What run, start, attach and exec share: terminals, resizing, the wait for the exit code."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.command import Cli
    from scow.client.api import Client
    from scow.client.transport import Response

from scow.cli import terminal
from scow.cli.command import ExitCode
from scow.client.api import container_path
from scow.client.transport import ApiError
from scow.errors import ScowError


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
        cli.redial().post(container_path(ident, "kill"), {"signal": name})

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
