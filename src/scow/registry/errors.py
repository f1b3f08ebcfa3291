"""What a registry answers when it says no, in the words dockerd's users know."""

import json
from typing import Any

from scow.errors import Forbidden, Internal, InvalidArgument, NotFound, ScowError, Unauthorized, Unavailable

TEXT_MAX = 1000


class RegistryError(Internal):
    """A registry refused. `code` is the protocol's (MANIFEST_UNKNOWN, DENIED…, "" when it gave none), `status` HTTP's."""

    foreign = True

    def __init__(self, message: str, code: str = "", status: int = 0, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.retry_after = retry_after


class Unreachable(Unavailable):
    """No answer came. `plain` means that the server speaks HTTP where TLS was expected; `refused` that nothing listens."""

    def __init__(self, message: str, plain: bool = False, final: bool = False) -> None:
        super().__init__(message)
        self.plain = plain
        self.final = final  # trying again does not help


class Broken(Internal):
    """The transfer ended early or holds something else than promised."""

    foreign = True


def words(code: str) -> str:
    """MANIFEST_UNKNOWN → `manifest unknown`."""
    return code.lower().replace("_", " ")


def parse(status: int, body: bytes, insufficient: bool = False, retry_after: float = 0.0) -> RegistryError:
    """The error of a reply. `insufficient`: the challenge said that the token's scope is too small."""
    code, message = "", ""
    try:
        document: Any = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if isinstance(document, dict):
        rows = document.get("errors")
        first = rows[0] if isinstance(rows, list) and rows and isinstance(rows[0], dict) else None
        if first is not None:
            code = str(first.get("code") or "")[:100]
            message = str(first.get("message") or "")[:TEXT_MAX]
        else:
            message = str(document.get("details") or document.get("message") or document.get("error") or "")[:TEXT_MAX]
    if status == 401:
        if insufficient:
            code, message = "DENIED", "requested access to the resource is denied"
        else:
            code, message = code or "UNAUTHORIZED", message or "authentication required"
    elif not code:
        default = {403: "DENIED", 404: "", 429: "TOOMANYREQUESTS"}.get(status, "")
        code = default
        if not message:
            text = body[:TEXT_MAX].decode("utf-8", "replace").strip()
            message = f"received unexpected HTTP status: {status}" + (f": {text}" if text and not text.startswith("<") else "")
        elif not default:
            message = f"received unexpected HTTP status: {status}: {message}"
    text = f"{words(code)}: {message}" if code else message
    return RegistryError(text, code, status, retry_after)


def translated(error: ScowError, name: str, full: str) -> ScowError:
    """A registry's error in a pull as dockerd words it: `name` is the repository's familiar name, `full` with its tag or digest.

    A 401 stays a fault of the server's: to one of the engine's the docker client would answer by asking the user for a password.
    """
    if not isinstance(error, RegistryError):
        return error
    if error.code == "DENIED":
        return NotFound(f"pull access denied for {name}, repository does not exist or may require 'docker login': {error.message}")
    if error.code == "MANIFEST_UNKNOWN":
        return NotFound(f"manifest for {full} not found: {error.message}")
    if error.code == "NAME_UNKNOWN":
        return NotFound(f"repository {name} not found: {error.message}")
    if error.status == 404 and not error.code:
        return NotFound(f"manifest for {full} not found: {error.message}")
    return error if error.status == 401 else status_error(error)


def status_error(error: ScowError) -> ScowError:
    """A registry's error as one of the closed set, its text kept."""
    if not isinstance(error, RegistryError):
        return error
    match error.status:
        case 401:
            return Unauthorized(error.message)
        case 403:
            return Forbidden(error.message)
        case 404:
            return NotFound(error.message)
        case 400:
            return InvalidArgument(error.message)
        case 429:
            return Unavailable(error.message)
        case _:
            return error
