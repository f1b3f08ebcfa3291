"""What all tests share: generated examples are the same in every run, and a loaded machine is no failure."""

from hypothesis import HealthCheck, settings

settings.register_profile("scow", deadline=None, derandomize=True, max_examples=60, suppress_health_check=list(HealthCheck), database=None)
settings.load_profile("scow")
