"""Moments and durations: what is written, what is understood, what is refused."""

from __future__ import annotations

import re
from datetime import UTC, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netstat_cli import times
from netstat_cli.errors import UsageProblem
from netstat_cli.times import DAY, HOUR, LAST_MOMENT, MINUTE, SECOND
from tests.given import T0
from tests.zones import ZONES, local_zone

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


def test_small_letters_do() -> None:
    """RFC 3339 lets T and Z be small."""
    assert T0 + 75 == times.parse_timestamp("2026-11-21t12:00:00.075z")


@pytest.mark.parametrize(
    "text",
    ["2016-12-31T23:59:60Z", "2016-12-31T18:59:60-05:00", "2017-01-01T05:29:60+05:30", "2016-12-31 23:59:60",
     "2016-12-31t23:59:60.000999z"],
)  # fmt: skip
def test_a_leap_second_is_the_first_of_the_next_day(text: str) -> None:
    """23:59:60 UTC, in the words of any offset, is the same moment as 00:00:00: POSIX counts it so."""
    assert times.parse_timestamp("2017-01-01T00:00:00Z") == times.parse_timestamp(text)
    assert times.parse_timestamp("2017-01-01T00:00:00Z") == times.parse_when(text, T0, UTC)


def test_a_leap_second_has_milliseconds() -> None:
    """What is finer than the second stays."""
    assert "2017-01-01T00:00:00.999Z" == times.format_timestamp(times.parse_timestamp("2016-12-31T23:59:60.999Z"))


NO_LEAP_SECONDS = [
    "2016-12-31T12:00:60Z", "2016-12-31T23:58:60Z", "2016-12-31T23:59:60-05:00",
    "2016-12-31T23:60:60Z", "2016-02-30T23:59:60Z", "2016-12-31T23:59:60Z\n", "2016-12-31T23:59:600Z",
    "2016-12-31T23:59:60:00Z", "23:59:60Z", "2016-12-31T23:59:61Z",
]  # fmt: skip


def test_epoch_seconds_are_understood() -> None:
    """A number is seconds since the epoch."""
    assert [0, T0, T0 + 75] == [times.parse_timestamp(value) for value in (0, T0 // SECOND, T0 / SECOND + 0.075)]


MILLISECONDS = T0  # taken for seconds


@pytest.mark.parametrize(
    ("message", "values"),
    [
        (NOT_A_TIME, ["yesterday", "", "2026-02-30T00:00:00Z", "2026-11-21T12:00:00Z\ud800"]),
        (NOT_A_TIME, NO_LEAP_SECONDS),
        (NOT_A_MOMENT, [True, None, [T0], float("nan"), float("inf"), 10**400]),
        (
            OUT_OF_RANGE,
            [MILLISECONDS, -1, "1969-12-31T23:59:59.999Z", "9999-12-31T23:59:59-01:00", "9999-12-31T23:59:60Z"],
        ),
    ],
)
def test_what_is_no_time_is_refused_with_a_sentence(message: str, values: list[object]) -> None:
    """Anything else raises ValueError with a sentence that a sender can act on."""
    for value in values:
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            times.parse_timestamp(value)


@given(MOMENTS)
def test_a_day_is_utc(moment: int) -> None:
    """A moment lies within its UTC day, whatever zone the machine is in."""
    start = times.day_start(times.day_of(moment))
    assert start <= moment < start + DAY


@pytest.mark.parametrize("text", ["", "2026-11-2", "2026-13-01", "2026-11-21T00", "20261121", "2026-W01-1"])
def test_only_a_day_is_a_day(text: str) -> None:
    """What is not of the form 2026-11-21 is not taken for a day."""
    with pytest.raises(ValueError, match=r"day|month|isoformat"):
        times.day_start(text)


@pytest.mark.parametrize(
    ("milliseconds", "texts"),
    [
        (500, ["500ms", "0.5", "0.5s"]),
        (10 * SECOND, ["10", "10s", " 10s "]),
        (90 * MINUTE, ["1h30m", "90m", "1.5h"]),
        (14 * DAY, ["14d", "2w"]),
        (365 * DAY, ["1y", "365d"]),
    ],
)
def test_parse_duration(milliseconds: int, texts: list[str]) -> None:
    """A duration is a number with a unit, several of them, or bare seconds."""
    assert {milliseconds} == {times.parse_duration(text) for text in texts}


@pytest.mark.parametrize("text", ["", "h", "5x", "1h 30m", "5m!", "nan", "inf", "1e999", "-5", "-1h", "9" * 400 + "d"])
def test_what_is_no_duration_is_refused_with_a_hint(text: str) -> None:
    """Anything else, a negative duration included, is a wrong usage that says how to write one."""
    with pytest.raises(UsageProblem) as caught:
        times.parse_duration(text)
    assert (f"{text!r} is not a duration", 2) == (caught.value.message, caught.value.exit_code)
    assert caught.value.hint == "write for example 500ms, 10s, 5m, 1h30m, 7d or 365d"


def test_format_duration() -> None:
    """A duration is shown in at most two neighbouring units."""
    parts = {"0s": 0, "1.5s": 1500, "45s": 45 * SECOND, "5m": 5 * MINUTE, "1m 30s": 90 * SECOND, "1h 30m": 90 * MINUTE}
    days = {"1h": HOUR + 5 * SECOND, "12d": 12 * DAY, "400d 3h": 400 * DAY + 3 * HOUR}
    assert [*parts, *days] == [times.format_duration(one) for one in [*parts.values(), *days.values()]]


@pytest.mark.parametrize(
    ("text", "zone", "moment"),
    [
        ("now", UTC, T0),
        (" now ", UTC, T0),
        ("-2h", UTC, T0 - 2 * HOUR),
        ("-1h30m", UTC, T0 - 90 * MINUTE),
        ("11:30", UTC, T0 - 30 * MINUTE),
        ("11:30:15", UTC, T0 - 30 * MINUTE + 15 * SECOND),
        ("11:30", timezone(timedelta(hours=2)), T0 - 150 * MINUTE),
        ("2026-11-21", UTC, T0 - 12 * HOUR),
        ("2026-11-21", timezone(timedelta(hours=-5)), T0 - 7 * HOUR),
        ("2026-11-21T12:00:00Z", timezone(timedelta(hours=-5)), T0),
        ("2026-11-21T12:00:00.250+00:00", None, T0 + 250),
    ],
)
def test_parse_when(text: str, zone: timezone | None, moment: int) -> None:
    """A time on the command line is relative, a clock time of today, a day or a full time, read in the zone asked
    for."""
    assert moment == times.parse_when(text, T0, zone)


BEYOND = ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-01:00", "9999-12-31T23:59:60Z", "10000-01-01"]


@pytest.mark.parametrize("text", ["", "soon", "25:00", "11:60", "2026-13-01", "11", *BEYOND])
def test_what_is_no_time_on_the_command_line_is_wrong_usage(text: str) -> None:
    """Anything else is a wrong usage that says how to write one."""
    with pytest.raises(UsageProblem) as caught:
        times.parse_when(text, T0, UTC)
    assert caught.value.message == f"{text!r} is not a time"
    assert caught.value.hint == "write for example now, -2h, 14:30, 2026-11-21 or 2026-11-21T15:39:28Z"


@pytest.mark.parametrize("own", [False, True], ids=["named", "this machine's"])
@pytest.mark.parametrize(
    ("name", "at", "text", "moment"),
    [
        ("Europe/Berlin", "2026-03-29T10:00", "02:30", "2026-03-29T01:00"),  # skipped: when it is put forward
        ("Europe/Berlin", "2026-03-29T10:00", "14:30", "2026-03-29T12:30"),
        ("Europe/Berlin", "2026-03-28T23:30", "14:30", "2026-03-29T12:30"),  # today is the zone's
        ("Europe/Berlin", "2026-10-25T00:30", "14:30", "2026-10-25T13:30"),  # 2:30, and again
        ("Europe/Berlin", "2026-10-25T01:30", "14:30", "2026-10-25T13:30"),
        ("Europe/Berlin", "2026-10-25T01:30", "02:15", "2026-10-25T00:15"),  # shown twice: the first
        ("Australia/Lord_Howe", "2026-10-03T23:00", "02:10", "2026-10-03T15:30"),
        ("Asia/Kathmandu", "2026-10-03T18:20", "14:30", "2026-10-04T08:45"),
        ("America/Sao_Paulo", "2018-11-04T12:00", "00:30", "2018-11-04T03:00"),
        ("America/Sao_Paulo", "2018-11-04T12:00", "2018-11-04", "2018-11-04T03:00"),  # has no midnight
        ("America/New_York", "2026-11-04T12:00", "1974-01-06T02:30:00.5", "1974-01-06T07:00"),
        ("Pacific/Apia", "2011-12-30T12:00", "14:30", "2011-12-31T00:30"),
        ("Pacific/Apia", "2011-12-30T12:00", "2011-12-30", "2011-12-30T10:00"),  # a day that Samoa left out
        ("America/St_Johns", "2009-11-03T00:00", "2009-11-01", "2009-11-01T03:30"),  # begins twice
        ("America/St_Johns", "2009-11-03T00:00", "2009-11-01T00:00:30.25", "2009-11-01T02:30:30.250"),
        ("Africa/Monrovia", "1970-06-01T12:00", "14:30", "1970-06-01T15:14:30"),  # an offset of seconds
    ],
)
def test_a_time_by_the_clocks_of_a_zone(
    monkeypatch: pytest.MonkeyPatch, own: bool, name: str, at: str, text: str, moment: str
) -> None:
    """A time that the zone's clocks skip is when they are put forward, one that they show twice is the first, and a day
    begins with the first moment from which it stays; of a zone that is named or the machine's own."""
    zone = None if own else ZoneInfo(name)
    with local_zone(monkeypatch, name):
        found = times.parse_when(text, times.parse_timestamp(f"{at}Z"), zone)
    assert times.format_timestamp(times.parse_timestamp(f"{moment}Z")) == times.format_timestamp(found)


@given(MOMENTS.filter(lambda moment: DAY < moment < LAST_MOMENT - DAY), st.sampled_from(ZONES))
def test_a_clock_that_is_read_says_the_moment(moment: int, name: str) -> None:
    """What the clocks of a zone show names the moment; or an earlier one that shows the same, or a day's beginning."""
    zone = ZoneInfo(name)
    shown = times.local_time(moment, zone)
    found = times.moment_of(shown, zone)
    assert shown == times.local_time(found, zone)
    assert abs(found - moment) <= DAY


def test_a_time_before_all_samples_can_be_asked_for() -> None:
    """A question may reach back a thousand years, and its beginning has a day before all others; no further."""
    assert times.day_of(times.parse_when("-1000y", T0, UTC)) < "1970-01-01"
    with pytest.raises(UsageProblem, match="is not a duration"):
        times.parse_when("-99999999999y", T0, UTC)
