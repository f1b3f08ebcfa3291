"""Errors to replies: the only place that knows HTTP statuses."""

import asyncio
import errno

from scow import errors, log
from scow.api.wire import dumps
from scow.http.body import BodyBroken, BodyTooLarge
from scow.http.head import BadRequest
from scow.http.messages import ClientGone, Response

logger = log.get(__name__)

_STATUS: dict[type[errors.ScowError], int] = {
    errors.NotFound: 404,
    errors.InvalidArgument: 400,
    errors.Conflict: 409,
    errors.NotModified: 304,
    errors.Unauthorized: 401,
    errors.Forbidden: 403,
    errors.Unavailable: 503,
    errors.Unsupported: 501,
    errors.DataLoss: 500,
    errors.Internal: 500,
}


def status_of(error: BaseException) -> int:
    """The HTTP status of an error."""
    for cls in type(error).__mro__:
        if cls in _STATUS:
            return _STATUS[cls]
    if isinstance(error, BadRequest):
        return error.status
    if isinstance(error, BodyTooLarge):
        return 413
    if isinstance(error, BodyBroken):
        return 400
    return 500


def message_of(error: BaseException) -> str:
    """The sentence for the client; foreign errors keep their kind and text, never a traceback."""
    if isinstance(error, errors.ScowError | BadRequest):
        return error.message
    if isinstance(error, BodyTooLarge | BodyBroken):
        return str(error)
    if isinstance(error, asyncio.TimeoutError):
        return "the engine took too long to answer"
    if isinstance(error, OSError) and _is_full(error):
        return f"no space left on device: cannot write {error.filename or 'to the data root'} (free bytes or inodes, or run `system prune`)"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _is_fault(error: Exception) -> bool:
    """Whether it is a fault of ours that belongs into the log; `foreign` errors are those of other servers."""
    return not isinstance(error, errors.Unavailable | errors.Unsupported) and not getattr(error, "foreign", False)


def _is_full(error: BaseException | None) -> bool:
    """Whether a full disk is behind the error: the host's fault, not ours."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__
    return False


def _is_told(error: Exception) -> bool:
    """Whether others failed and the error's own sentence says how: a traceback would add nothing."""
    if not isinstance(error, errors.Internal):
        return False
    cause = error.__cause__
    return error.told or isinstance(cause, OSError) or (cause is None and error.__suppress_context__)


def message(status: int, text: str) -> Response:
    """An error reply."""
    return Response(status, dumps({"message": text}), content_type="application/json")


def reply(error: Exception, what: str) -> Response:
    """The reply to a request that failed with `error`. A fault is logged, once, here: with its traceback where nobody foresaw it, in one
    line where others are to blame (a plugin's no, the kernel's: a sentence of ours tells it)."""
    status = status_of(error)
    if status == 304:
        return Response(304)
    if (status >= 500 and _is_fault(error)) or not isinstance(error, errors.ScowError | BadRequest | BodyBroken | BodyTooLarge):
        logger.error("request failed: %s: %s", what, message_of(error), exc_info=None if _is_full(error) or _is_told(error) else error)
    return message(status, message_of(error))


def is_client_gone(error: BaseException) -> bool:
    """Whether the error only says that nobody listens any more."""
    return isinstance(error, ClientGone)


def in_stream(error: Exception, what: str) -> str:
    """The sentence for an error behind a head already sent; logged where it is a fault of ours."""
    if status_of(error) >= 500 and _is_fault(error):
        told = _is_told(error)
        logger.error("request failed: %s%s", what, f": {message_of(error)}" if told else "", exc_info=None if told else error)
    return message_of(error)
