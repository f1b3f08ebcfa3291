"""The start of an engine follows the order of a project's dependencies."""

import shutil
from pathlib import Path

import pytest

from tests.support.compose import Project
from tests.support.engine import Engine, can_run, until

FILE = """
x-service: &service {image: busybox, command: sleep 1000, stop_signal: KILL, restart: always}
services:
  a: {<<: *service, depends_on: [b]}
  b: {<<: *service, depends_on: {c: {condition: service_healthy}}}
  c: {<<: *service, healthcheck: {test: "true", interval: 200ms}}
"""


def test_dependencies_come_first_after_a_restart(tmp_path: Path) -> None:
    if why := can_run():
        pytest.skip(why)
    with Engine("--live-restore=false") as engine:
        engine.busybox()
        project = Project(engine, tmp_path)
        project.file(FILE)
        project("up", "-d")
        engine.restart()

        def started() -> list[str]:
            facts = [engine.api("GET", f"/containers/{project.name}-{name}-1/json").json["State"] for name in "cba"]
            return [one["StartedAt"] for one in facts] if all(one["Running"] for one in facts) else []

        times = until(started, what="all containers to run")
        assert times == sorted(times)
    shutil.rmtree(tmp_path, ignore_errors=True)
