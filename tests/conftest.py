"""What holds for all tests."""

import gc
import subprocess
from pathlib import Path

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


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates for 127.0.0.1, each its own authority: server.pem, client.pem, other.pem, and their keys."""
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("server", "client", "other"):
        new = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj"
        files = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", f"{name}.key", "-out", f"{name}.pem"]
        subprocess.run([*new.split(), f"/CN={name}", *files], cwd=folder, check=True, capture_output=True)
    return folder
