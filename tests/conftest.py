"""What holds for all tests."""

from hypothesis import HealthCheck, settings

# On a busy machine an example may take its time.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
