"""One engine for each module; the clients of this machine, or a skip that says which one is missing."""

from collections.abc import Iterator

import pytest

from tests.support.cli import SCOW, Cli, docker_program
from tests.support.engine import Engine, can_run, engines


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """A scowd with the image busybox."""
    if why := can_run():
        pytest.skip(why)
    yield from engines()


@pytest.fixture(scope="module")
def docker(engine: Engine) -> Cli:
    """The docker CLI."""
    program = docker_program()
    if program is None:
        pytest.skip("needs the docker CLI on PATH")
    return Cli(engine, program)


@pytest.fixture(scope="module")
def scow(engine: Engine) -> Cli:
    """Scow's own client."""
    return Cli(engine, SCOW)
