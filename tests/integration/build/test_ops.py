"""Graphs on a real kernel: processes, mounts, networks, caches, what is left behind. `scenario.py` does it, in namespaces of its own."""

from pathlib import Path

import pytest

from tests.support.engine import can_run
from tests.support.scenario import seen as seen_by

pytestmark = pytest.mark.skipif(bool(can_run()), reason=can_run() or "-")
SCENARIO = Path(__file__).with_name("scenario.py")


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What the scenario saw, by topic."""
    return seen_by(SCENARIO, tmp_path_factory.mktemp("build"), seconds=170)


def test_steps_run_once_and_again_when_what_they_read_changes(seen):
    first, second, third, fourth = seen["steps"]
    assert [one["error"] for one in seen["steps"]] == [None] * 4
    assert first["text"] == "one\n0\n" or first["text"] == "one0\n"
    assert sorted(first["log"].split()) == ["told", "wrong"]
    assert not first["cached"]
    assert second["ran"] == third["ran"] == ["local"]
    assert second["text"] == first["text"]
    assert fourth["text"].startswith("two")
    assert "copy f" in fourth["ran"]


def test_a_failing_step_says_how(seen):
    one, two = seen["failing"]
    assert one["code"] == 7
    assert one["error"].endswith("did not complete successfully: exit code: 7")
    assert one["output"] == "before\n"
    assert two["code"] == 127
    assert "/nothing" in two["error"]


def test_a_layer_holds_what_the_step_wrote_and_nothing_of_its_mounts(seen):
    found = seen["layer"]
    assert found["error"] is None
    assert found["text"].startswith("hush")
    assert found["layer"] == ["seen"]
    assert found["same"]
    assert found["count"] == 2
    assert found["second"] == "kept\n", "a cache mount is there for the next step"


def test_mounts(seen):
    one, two, three, four = seen["mounts"]
    assert one["log"] == "changed\n"
    assert two["log"] == "data"
    assert three["text"] == "datamore\n"
    assert four["log"].endswith("ok\n")
    assert "escape" not in four["names"]


def test_networks_and_entitlements(seen):
    first, alone, refused, allowed, insecure = seen["networks"]
    assert first.split() == ["2", "10.9.8.7", "elsewhere", "me"]
    assert alone == "1\n"
    assert "network.host is not allowed" in refused
    assert allowed is None
    assert "security.insecure is not allowed" in insecure


def test_a_locked_cache_is_one_steps_at_a_time(seen):
    assert seen["sharing"] == [None, ["1", "2", "3", "4", "5", "6"]]


def test_merge_and_diff(seen):
    names, text, diffed, merged, removed_is_there = seen["merging"]
    assert {"x", "x/a", "x/b", "x/l"} <= set(names)
    assert text == "b"
    assert diffed == merged == "n\n"
    assert removed_is_there is False


def test_prune_takes_everything_and_the_next_build_makes_it_again(seen):
    found = seen["pruning"]
    assert {"regular", "source.local", "exec.cachemount"} <= set(found["kinds"])
    assert found["gone"]
    assert found["left"] == 0
    assert found["error"] is None


def test_nothing_is_left(seen):
    assert seen["cancelling"] == []
    assert not any(seen["leftovers"].values()), seen["leftovers"]
    assert seen["left mounts"] == []
