"""One engine for a module; each test begins and ends with nothing on it."""

from collections.abc import Iterator

import pytest

from tests.support.engine import Engine, can_run, engines
from tests.support.storm import leaks


@pytest.fixture(scope="module")
def shared() -> Iterator[Engine]:
    """The module's engine; `engine` is what tests use."""
    if can_run():
        pytest.skip(can_run())
    yield from engines()


@pytest.fixture
def engine(shared: Engine) -> Iterator[Engine]:
    """The engine, empty; after the test it is emptied and searched for leaks."""
    yield shared
    shared.clean()
    assert leaks(shared) == []
    assert [line for line in shared.log().splitlines() if line.startswith("time=") and "Traceback" in line] == []
