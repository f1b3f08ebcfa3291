"""How waiting for a service goes, with an engine that advances at each look."""

import pytest

from scow.cli.command import Cli
from scow.cli.commands.service import progress
from scow.errors import ScowError


class Engine:
    """`looks`: what services, and their tasks, are at each look; the last one stays."""

    def __init__(self, mode, looks, monitor=1):
        self.mode, self.looks, self.monitor, self.at = mode, looks, monitor, -1

    def get(self, path, params=None):
        if path == "/nodes":
            return [{"ID": "n1", "Status": {"State": "ready"}}]
        if path == "/tasks":
            return [
                {
                    "Slot": slot,
                    "NodeID": "n1",
                    "DesiredState": "running",
                    "Status": {"State": state, "Err": "bad" if state == "failed" else ""},
                }
                for slot, state in enumerate(self.looks[self.at][0], 1)
            ]
        self.at = min(self.at + 1, len(self.looks) - 1)
        spec = {"Name": "web", "Mode": self.mode, "UpdateConfig": {"Monitor": self.monitor}}
        return {"ID": "svc", "Spec": spec, "UpdateStatus": self.looks[self.at][1]}


def watch(tmp_path, capsys, engine, quiet=False):
    try:
        progress.wait(Cli(lambda: engine, lambda name: "", str(tmp_path)), "web", quiet)
    finally:
        lines = capsys.readouterr().out.splitlines()
    return lines


class Clock:
    """Time passes with each sleep, and only then."""

    now = 100.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(progress, "time", Clock())


TWO = {"Replicated": {"Replicas": 2}}


def test_replicas_come_up(tmp_path, capsys):
    lines = watch(tmp_path, capsys, Engine(TWO, [((), {}), (("running", "preparing"), {}), (("running", "running"), {})]))
    assert lines[:3] == ["overall progress: 0 out of 2 tasks", "1/2:  ", "2/2:  "]
    assert "overall progress: 1 out of 2 tasks" in lines
    assert "overall progress: 2 out of 2 tasks" in lines and lines[-1] == "verify: Service web converged"


def test_what_did_not_change_is_not_said_again(tmp_path, capsys):
    looks = [(("running", "preparing"), {})] * 9 + [(("running", "running"), {})]
    lines = watch(tmp_path, capsys, Engine(TWO, looks))
    assert lines.count("overall progress: 1 out of 2 tasks") == 1 and lines[-1] == "verify: Service web converged"


def test_errors_of_tasks_are_shown_and_failures_start_again(tmp_path, capsys):
    looks = [(("running", "failed"), {}), (("running", "running"), {}), (("running", "failed"), {}), (("running", "running"), {})]
    lines = watch(tmp_path, capsys, Engine(TWO, looks, 500_000_000))
    assert "2/2: bad" in lines and "verify: Detected task failure" in lines and lines[-1] == "verify: Service web converged"


def test_a_paused_update_is_an_error(tmp_path, capsys):
    looks = [((), {"State": "updating"}), ((), {"State": "paused", "Message": "task x failed"})]
    with pytest.raises(ScowError, match="service update paused: task x failed"):
        watch(tmp_path, capsys, Engine(TWO, looks))


def test_a_rollback_says_so(tmp_path, capsys):
    looks = [
        ((), {"State": "rollback_started", "Message": "asked for"}),
        (("running",) * 2, {"State": "rollback_started", "Message": "asked for"}),
    ]
    lines = watch(tmp_path, capsys, Engine(TWO, looks))
    assert lines[0] == "rollback: asked for" and "overall progress: rolling back update: 2 out of 2 tasks" in lines


@pytest.mark.parametrize("mode", [{"ReplicatedJob": {"TotalCompletions": 2, "MaxConcurrent": 1}}, {"GlobalJob": {}}])
def test_jobs_end_when_they_are_done(tmp_path, capsys, mode):
    lines = watch(tmp_path, capsys, Engine(mode, [(("running", "pending"), {}), (("complete", "complete"), {})]))
    assert lines[-1] == "job complete"


def test_quiet_says_nothing(tmp_path, capsys):
    assert watch(tmp_path, capsys, Engine({"Global": {}}, [(("running",), {})]), quiet=True) == []
