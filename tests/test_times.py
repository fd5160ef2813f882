"""Moments and durations: what is written, what is understood, what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netstat_cli import times
from netstat_cli.times import LAST_MOMENT, SECOND
from tests.given import T0

MOMENTS = st.integers(0, LAST_MOMENT)
NOT_A_TIME = "should be an RFC 3339 time such as 2026-11-21T15:39:28.075Z"
NOT_A_MOMENT = "should be an RFC 3339 time or seconds since the epoch"
OUT_OF_RANGE = "should lie between the years 1970 and 9999"


@given(MOMENTS)
def test_text_and_moment_are_the_same_thing(moment: int) -> None:
    """Every moment of the years 1970 to 9999 has a text of 24 characters, and that text means this moment."""
    text = times.format_timestamp(moment)
    assert (24, moment) == (len(text), times.parse_timestamp(text))


@given(MOMENTS, MOMENTS)
def test_text_sorts_as_time_runs(one: int, other: int) -> None:
    """Timestamps can be compared as text."""
    assert (one < other) == (times.format_timestamp(one) < times.format_timestamp(other))


def test_format_timestamp() -> None:
    """A moment is written in UTC with exactly three decimals."""
    expected = ["1970-01-01T00:00:00.000Z", "2026-11-21T15:39:28.075Z", "9999-12-31T23:59:59.999Z"]
    assert expected == [times.format_timestamp(moment) for moment in (0, 1_795_275_568_075, LAST_MOMENT)]


@pytest.mark.parametrize("value", ["12:00:00.000Z", "12:00:00Z", "13:30:00+01:30", "12:00:00", "12:00:00.000999Z"])
def test_any_rfc_3339_time_is_understood(value: str) -> None:
    """A time may have any offset, be UTC without one, and is cut off at milliseconds; a space does for the T."""
    assert [T0, T0] == [times.parse_timestamp(f"2026-11-21{between}{value}") for between in "T "]


def test_epoch_seconds_are_understood() -> None:
    """A number is seconds since the epoch."""
    assert [0, T0, T0 + 75] == [times.parse_timestamp(value) for value in (0, T0 // SECOND, T0 / SECOND + 0.075)]


MILLISECONDS = T0  # taken for seconds
