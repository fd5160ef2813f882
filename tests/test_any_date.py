"""The tests that ask for the time, on other days and in other zones: none may depend on today, the hour or the zone.

libfaketime (Debian's package of that name) shows pytest, and the programs that it starts, another wall clock. It is set
ahead by so many seconds, and goes on from there: what is set to a moment begins anew at it in every process.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from netstat_cli.times import SECOND, now, parse_timestamp
from tests.test_clock import libfaketime

TESTS = Path(__file__).parent
ROOM = [
    "test_times.py",
    "test_report.py",
    "test_importing.py",
    "test_reader.py",
    "test_status.py",
    "sources/test_sampler.py",
    "traffic/test_series.py",
    "store/test_check.py",
    "store/test_older_store.py",
    "collector/test_agents.py",
    "collector/test_live.py",
    "cli/test_report.py",
    "cli/test_store.py",
    "cli/test_spark.py",
    "cli/test_nodes.py",
]
COSTLY = [
    "search_finds",
    "searched_too",
    "add_up",
    "drawn[",
    "wrong_usage",
    "terminal",
    "bad_values",
    "no_such",
    "looked_for",
    "raw",
]
COSTLY += ["several", "packed", "numbers_behind", "the_text", "collector[nodes", "collector[spark", "another_format"]
"""Tests, by parts of their names, that take long and do not ask for the time."""

EVENINGS = [
    "2026-12-31T23:59:50Z",  # a year ends while they run
    "2027-03-28T00:59:50Z",  # Europe puts its clocks forward
    "2028-02-29T23:59:30Z",  # a leap day ends
]
ZONES = ["Pacific/Kiritimati", "America/St_Johns", "Australia/Lord_Howe"]  # far east, -3:30 or -2:30, +10:30 or +11


@pytest.mark.slow
@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("evening", EVENINGS)
def test_the_tests_pass_on_any_date(evening: str, zone: str) -> None:
    """They pass while a year, a leap day and winter end, as the machine's zone is east, west, or half an hour off."""
    ahead = (parse_timestamp(evening) - now()) // SECOND
    shown = {
        "LD_PRELOAD": libfaketime(),
        "FAKETIME": f"{ahead:+d}",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "PYTHONPATH": str(TESTS / "another_clock"),
        "TZ": zone,
    }
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--hypothesis-profile", "a few examples"]
    command += ["-k", " and ".join(f"not {name}" for name in COSTLY), *(str(TESTS / name) for name in ROOM)]
    done = subprocess.run(command, env={**os.environ, **shown}, capture_output=True, text=True, check=False)
    assert (0, "") == (done.returncode, done.stdout[-5000:] if done.returncode else "")
