import errno

import pytest

from scow import errors as kinds
from scow.api import errors
from scow.http.body import BodyBroken, BodyTooLarge
from scow.http.head import BadRequest
from scow.http.messages import ClientGone
from scow.plugins.remote import PluginFailed


class Special(kinds.NotFound):
    """As packages define them."""


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (Special("No such thing: x"), 404, "No such thing: x"),
        (kinds.InvalidArgument("x"), 400, "x"),
        (kinds.Conflict("x"), 409, "x"),
        (kinds.Forbidden("x"), 403, "x"),
        (kinds.Unauthorized("x"), 401, "x"),
        (kinds.Unsupported("x"), 501, "x"),
        (kinds.Unavailable("x"), 503, "x"),
        (kinds.Internal("x"), 500, "x"),
        (BadRequest("x", 431), 431, "x"),
        (BodyTooLarge("x"), 413, "x"),
        (BodyBroken("x"), 400, "x"),
        (TimeoutError(), 500, "the engine took too long to answer"),
        (ValueError("odd"), 500, "ValueError: odd"),
        (KeyError(), 500, "KeyError"),
    ],
)
def test_statuses_and_sentences(error, status, text):
    assert (errors.status_of(error), errors.message_of(error)) == (status, text)
    assert errors.reply(error, "GET /x").status == status


def test_not_modified_has_no_body():
    reply = errors.reply(kinds.NotModified("x"), "POST /x")
    assert (reply.status, reply.body) == (304, b"")


def test_only_what_nobody_foresaw_is_logged(caplog):
    errors.reply(kinds.NotFound("x"), "GET /x")
    errors.reply(kinds.Unsupported("x"), "GET /x")
    errors.reply(kinds.Unavailable("x"), "GET /x")
    assert caplog.text == ""
    errors.reply(RuntimeError("surprise"), "GET /x")
    assert "Traceback" not in str(errors.reply(RuntimeError("surprise"), "GET /x").body)
    assert "request failed: GET /x" in caplog.text


def test_what_others_refuse_is_one_line_in_the_log(caplog):
    plain, told = kinds.Internal("a fault"), kinds.Internal("failed to create bridge x: Invalid argument")
    told.__cause__ = OSError(errno.EINVAL, "Invalid argument")
    plugin = PluginFailed("no such disk")
    for error in (plain, told, plugin):
        errors.reply(error, "POST /x")
        errors.in_stream(error, "POST /x")
    assert [bool(record.exc_info) for record in caplog.records] == [True, True, False, False, False, False]
    assert [record.getMessage() for record in caplog.records[2:4]] == [
        "request failed: POST /x: failed to create bridge x: Invalid argument"
    ] * 2


def test_in_a_stream(caplog):
    assert errors.is_client_gone(ClientGone())
    assert errors.in_stream(kinds.Conflict("x"), "POST /x") == "x"
    assert caplog.text == ""
    assert errors.in_stream(ValueError("y"), "POST /x") == "ValueError: y"
    assert "POST /x" in caplog.text


def test_a_full_disk_is_a_sentence() -> None:
    error = OSError(errno.ENOSPC, "No space left on device", "/var/lib/scow/containers/x")
    assert errors.message_of(error).startswith("no space left on device: cannot write /var/lib/scow/containers/x")
    assert errors.status_of(error) == 500
