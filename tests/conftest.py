"""What all tests share: generated examples are the same in every run, and a loaded machine is no failure."""

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("tests.support.engine", "tests.support.schema")

settings.register_profile("scow", deadline=None, derandomize=True, max_examples=60, suppress_health_check=list(HealthCheck), database=None)
settings.load_profile("scow")


def pytest_configure(config: pytest.Config) -> None:
    """Sessions side by side clear up the same old temporary directories: who comes second has not failed."""
    config.addinivalue_line("filterwarnings", "ignore:.rm_rf. error removing:pytest.PytestWarning")
