"""Projects of `scow compose` on a scowd of their own."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.compose import Project
from tests.support.engine import Engine, can_run, engines


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """A scowd with the image busybox."""
    if why := can_run():
        pytest.skip(why)
    yield from engines()


@pytest.fixture
def project(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A project, taken down at the end."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / ".state"))
    made = Project(engine, tmp_path)
    yield made
    engine.clean()
    shutil.rmtree(tmp_path, ignore_errors=True)
