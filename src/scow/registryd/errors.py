"""The refusals of the registry's protocol: the only place here that knows HTTP statuses.

Body: `{"errors": [{"code", "message", "detail"}]}`; the codes are those of the OCI distribution specification and of Docker's registry.
"""

import errno
from typing import Any

from scow.errors import ScowError


class Refused(ScowError):
    """An answer that says no: HTTP `status`, the protocol's `code`, a sentence, and what it is about; `headers` go with it."""

    def __init__(self, status: int, code: str, message: str, detail: Any = None, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers

    def document(self) -> dict[str, Any]:
        """The body."""
        row = {"code": self.code, "message": self.message}
        if isinstance(self.detail, list):
            return {"errors": [{**row, "detail": one} for one in self.detail]}
        return {"errors": [row if self.detail is None else {**row, "detail": self.detail}]}


def name_invalid(message: str) -> Refused:
    """A repository's name that can't be."""
    return Refused(400, "NAME_INVALID", message)


def tag_invalid() -> Refused:
    """A tag that can't be."""
    return Refused(400, "TAG_INVALID", "a tag is made of letters, digits, _ . -, at most 128, and does not begin with . or -")


def name_unknown(name: str) -> Refused:
    """A repository that is not there."""
    return Refused(404, "NAME_UNKNOWN", "repository name not known to registry", {"name": name})


def digest_invalid(message: str, detail: Any = None) -> Refused:
    """A digest that can't be, or does not fit what was sent."""
    return Refused(400, "DIGEST_INVALID", message, detail)


def blob_unknown(digest: str) -> Refused:
    """A blob that the repository has not."""
    return Refused(404, "BLOB_UNKNOWN", "blob unknown to registry", {"digest": digest})


def upload_unknown() -> Refused:
    """An upload session that is not there (any more)."""
    return Refused(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry: begin a new one with POST")


def upload_invalid(message: str) -> Refused:
    """An upload that can't go on so."""
    return Refused(400, "BLOB_UPLOAD_INVALID", message)


def manifest_unknown(name: str, reference: str) -> Refused:
    """A manifest that the repository has not."""
    return Refused(404, "MANIFEST_UNKNOWN", "manifest unknown", {"name": name, "reference": reference})


def manifest_invalid(message: str) -> Refused:
    """A manifest that is none, or one of a kind that is not taken."""
    return Refused(400, "MANIFEST_INVALID", message)


def blobs_missing(digests: list[str]) -> Refused:
    """A manifest that names what the repository has not."""
    return Refused(
        404, "MANIFEST_BLOB_UNKNOWN", "the manifest refers to what this repository does not have", [{"digest": one} for one in digests]
    )


def too_large(what: str, limit: int) -> Refused:
    """More bytes than this server takes."""
    return Refused(413, "SIZE_INVALID", f"{what} is larger than the {limit} bytes that this registry takes")


def denied(message: str) -> Refused:
    """Known, and not allowed."""
    return Refused(403, "DENIED", message)


def unsupported(message: str) -> Refused:
    """A method that this endpoint has not, or that is turned off."""
    return Refused(405, "UNSUPPORTED", message)


def too_many(seconds: int) -> Refused:
    """Faster than the limit."""
    return Refused(429, "TOOMANYREQUESTS", "too many requests", headers=(("Retry-After", str(max(1, seconds))),))


def unavailable(message: str) -> Refused:
    """The right request at the wrong moment."""
    return Refused(503, "UNAVAILABLE", message)


def of(error: Exception) -> Refused | None:
    """The refusal that stands for an error nobody foresaw, where it has one of its own."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return unavailable("no space left on the registry's disk: what was uploaded so far is kept; try again when there is room")
    return None
