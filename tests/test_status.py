"""Is a node alive: one rule for the collector, the files and every screen."""

from __future__ import annotations

import pytest

from netstat_cli.status import Thresholds, ago, learnt_interval
from netstat_cli.times import DAY, HOUR, MINUTE, SECOND


@pytest.mark.parametrize(
    ("silence", "interval", "status"),
    [
        (-5000, 10.0, "online"),
        (0, 10.0, "online"),
        (59_999, 10.0, "online"),
        (60_000, 10.0, "warning"),
        (119_999, 10.0, "warning"),
        (120_000, 10.0, "offline"),
        (DAY, 10.0, "offline"),
        (59_999, None, "online"),
        (60_000, None, "warning"),
        (179_999, 60.0, "online"),
        (180_000, 60.0, "warning"),
        (359_999, 60.0, "warning"),
        (360_000, 60.0, "offline"),
        (900_000 - 1, 300.0, "online"),
        (DAY, 1e12, "offline"),
    ],
)
def test_status_follows_silence(silence: int, interval: float | None, status: str) -> None:
    """Online until three of its intervals without a sample, offline after six; at least one minute, and two."""
    assert status == Thresholds().status(silence, interval)


@pytest.mark.parametrize(
    ("thresholds", "status"),
    [
        (Thresholds(10 * MINUTE), "online"),
        (Thresholds(offline=3 * MINUTE), "offline"),
        (Thresholds(MINUTE, 10 * MINUTE), "warning"),
        (Thresholds(10 * MINUTE, 2 * MINUTE), "offline"),
    ],
)
def test_thresholds_that_were_asked_for(thresholds: Thresholds, status: str) -> None:
    """They hold whatever the interval."""
    assert status == thresholds.status(4 * MINUTE, 60.0)


@pytest.mark.parametrize(
    ("moments", "interval"),
    [
        ([], None),
        ([5], None),
        ([0, 66_000], 66.0),
        ([0, 60_000, 126_000, 186_000, 900_000], 63.0),
        ([0, 3 * HOUR, 3 * HOUR + 60_000], 60.0),
        ([0, 3 * HOUR], None),
        ([0, 10, 10, 10], 0.01),
    ],
)
def test_an_interval_is_learnt(moments: list[int], interval: float | None) -> None:
    """It is the median pause; a pause of hours is a silence, and says nothing."""
    assert interval == learnt_interval(moments)


@pytest.mark.parametrize(
    ("silence", "said"),
    [
        (-1, "0s ago"),
        (999, "0s ago"),
        (3 * SECOND, "3s ago"),
        (59_999, "59s ago"),
        (MINUTE, "1m ago"),
        (HOUR - 1, "59m ago"),
        (2 * HOUR, "2h ago"),
        (DAY - 1, "23h ago"),
        (400 * DAY, "400d ago"),
    ],
)
def test_silence_in_words(silence: int, said: str) -> None:
    """How long ago, in the largest whole unit, and never in the future."""
    assert said == ago(silence)
