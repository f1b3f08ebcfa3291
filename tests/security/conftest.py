"""One engine for all security tests that need one."""

from collections.abc import Iterator

import pytest

from tests.support.engine import Engine, can_run, engines


@pytest.fixture(scope="package")
def engine() -> Iterator[Engine]:
    """A running engine with busybox; nothing may be left of it at the end."""
    if reason := can_run():
        pytest.skip(reason)
    yield from engines()
