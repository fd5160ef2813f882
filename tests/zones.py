"""Time zones whose clocks do what clocks do, and this machine's own set to one of them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/Havana",  # midnight twice, or not at all
    "America/Sao_Paulo",  # no midnight, until 2018
    "America/St_Johns",  # an offset of half an hour; back from 00:01 to 23:01, until 2011
    "Africa/Cairo",
    "Asia/Beirut",
    "Asia/Kolkata",
    "Asia/Kathmandu",  # an offset of three quarters
    "Australia/Lord_Howe",  # half an hour of summer time
    "Pacific/Apia",  # no 2011-12-30
    "Pacific/Kiritimati",  # no 1994-12-31; the first to have a new day
    "Africa/Monrovia",  # an offset of seconds, until 1972
)


CLOCK = ("LD_PRELOAD", "FAKETIME", "FAKETIME_DONT_FAKE_MONOTONIC", "PYTHONPATH")
"""How libfaketime is told what to show."""


def shown_clock() -> dict[str, str]:
    """The part of the environment that shows this process another wall clock, for the programs that it starts."""
    return {name: os.environ[name] for name in CLOCK if name in os.environ}


@contextmanager
def local_zone(monkeypatch: pytest.MonkeyPatch, name: str) -> Iterator[None]:
    """This machine's time is that of a zone."""
    with monkeypatch.context() as changed:
        changed.setenv("TZ", name)
        time.tzset()
        yield
    time.tzset()
