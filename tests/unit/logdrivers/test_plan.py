"""Log options: defaults, attributes, dockerd's words for what is wrong."""

import dataclasses
from pathlib import Path

import pytest

from scow.errors import InvalidArgument
from scow.logdrivers.plan import Facts, LogPlan, plan, validate
from scow.model.container import LogConfig

FACTS = Facts("c" * 64, "/web", labels={"a": "1", "b": "2"}, env=("X=y", "Z=0"))


def test_defaults_bound_the_log() -> None:
    found = plan(LogConfig(), FACTS, Path("/d"))
    assert (found.driver, found.max_size, found.max_file, found.compress) == ("json-file", 100 << 20, 5, True)
    assert found.path == Path("/d") / f"{'c' * 64}-json.log"
    assert LogPlan.from_dict(found.to_dict()) == found


def test_options() -> None:
    options = {"max-size": "10k", "max-file": "3", "labels": "a,none", "env-regex": "^X", "tag": "{{.Name}}/{{.ID}}"}
    found = plan(LogConfig(type="json-file", config=options), FACTS, Path("/d"))
    assert (found.max_size, found.max_file) == (10240, 3)
    assert found.extra == {"a": "1", "X": "y", "tag": f"web/{'c' * 12}"}
    assert plan(LogConfig(type="json-file", config={"max-size": "-1"}), FACTS, Path("/d")).max_size == -1
    assert plan(LogConfig(type="none"), FACTS, Path("/d")).path is None


def test_an_expression_made_to_take_forever_does_not() -> None:
    facts = dataclasses.replace(FACTS, labels={"a" * 1000 + "!": "1"})
    assert plan(LogConfig(type="json-file", config={"labels-regex": "^(a+)+$"}), facts, Path("/d")).extra == {}


@pytest.mark.parametrize(
    ("driver", "options", "text"),
    [
        ("nope", {}, 'plugin "nope" not found'),
        ("json-file", {"x": "1"}, "unknown log opt 'x' for json-file log driver"),
        ("json-file", {"max-file": "0"}, "max-file cannot be less than 1"),
        ("json-file", {"max-size": "x"}, "invalid size: 'x'"),
        ("json-file", {"max-size": "9" * 400}, "invalid size: '999"),
        ("json-file", {"env-regex": "(a"}, "invalid value for env-regex: error parsing regexp: '(a'"),
        ("json-file", {"labels-regex": "a" * 300}, "invalid value for labels-regex: a pattern may have at most 256 characters"),
        ("json-file", {"mode": "x"}, "logging mode not supported: x"),
        ("local", {"labels": "a"}, "unknown log opt 'labels' for local log driver"),
        ("journald", {"max-buffer-size": "1m"}, "only supported with 'mode=non-blocking'"),
    ],
)
def test_refusals(driver: str, options: dict[str, str], text: str) -> None:
    with pytest.raises(InvalidArgument, match=text.replace("(", "\\(")):
        validate(LogConfig(type=driver, config=options))
