"""What holds for all tests."""

import gc

import pytest
from hypothesis import HealthCheck, settings

NESTED = "[" * 1000

# On a busy machine an example may take its time.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("a few examples", settings.get_profile("any machine"), max_examples=5)
settings.load_profile("any machine")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before JSON that is nested too deeply is read, what earlier tests left is cleared away: were it found at the
    bottom of the recursion, there would be no room for what it does at its end (urllib3 closes its connections)."""
    callspec = getattr(item, "callspec", None)
    if callspec is not None and NESTED in repr(callspec.params):
        gc.collect()
