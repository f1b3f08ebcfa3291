"""Log lines."""

import io
import json
import logging

import pytest

from scow import log


@pytest.fixture
def lines() -> object:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    yield io.StringIO()
    root.handlers[:], root.level = before


def test_bound_fields_are_on_each_line(lines: io.StringIO) -> None:
    log.setup("info", stream=lines)
    with log.bind(container="abc"):
        log.get("x").warning("started")
        log.get("x").debug("hidden")
    assert "level=warning msg='started' container=abc" in lines.getvalue()
    assert "hidden" not in lines.getvalue()


def test_json_lines(lines: io.StringIO) -> None:
    log.setup("debug", json_lines=True, stream=lines)
    log.get("x").debug("sentence %s", 1)
    assert json.loads(lines.getvalue())["msg"] == "sentence 1"
