"""The closed set of errors that may cross a package border.

    ScowError
    ├── InvalidArgument   the caller's input is wrong
    ├── Unauthorized      credentials missing or refused
    ├── Forbidden         understood, and not allowed
    ├── NotFound          no such thing
    ├── Conflict          the thing's state forbids it
    ├── NotModified       it is so already
    ├── Unsupported       known to Docker, not to this engine (yet)
    ├── Unavailable       right request, wrong moment
    ├── DataLoss          stored data is damaged
    └── Internal          a fault of the engine or the host

Specific errors subclass these beside the code that raises them. `api/errors.py` maps classes to HTTP statuses, nothing else does.
The text of an error is what a user reads: what is wrong, and what to do.
"""


class ScowError(Exception):
    """Root of the tree; `message` is the sentence for the user."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidArgument(ScowError):
    """The caller's input is wrong."""


class Unauthorized(ScowError):
    """Credentials are missing or were refused."""


class Forbidden(ScowError):
    """Understood, and not allowed."""


class NotFound(ScowError):
    """There is no such thing."""


class Conflict(ScowError):
    """The state of the thing forbids it."""


class NotModified(ScowError):
    """It is so already."""


class Unsupported(ScowError):
    """Docker knows this, the engine does not (yet)."""


class Unavailable(ScowError):
    """The right request at the wrong moment."""


class DataLoss(ScowError):
    """Stored data is damaged."""


class Internal(ScowError):
    """A fault of the engine or of the host; `told` where its sentence says all that a log needs (somebody else's no)."""

    told = False
