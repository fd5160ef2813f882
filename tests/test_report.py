"""Totals per calendar period, and what is made of them."""

from datetime import UTC, timedelta, tzinfo
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netstat_cli.report import P95, Period, cycle, fine_edges, month, p95, periods, quota, summarize
from netstat_cli.store.history import history_of
from netstat_cli.times import DAY, HOUR, MINUTE, SECOND, format_timestamp, local_time, parse_timestamp
from netstat_cli.traffic.increase import Traffic
from netstat_cli.traffic.series import Bucket, Series, series
from tests.given import completed, interface, sample
from tests.zones import ZONES, local_zone

BERLIN, HAVANA = ZoneInfo("Europe/Berlin"), ZoneInfo("America/Havana")


def at(text: str) -> int:
    return parse_timestamp(f"2026-{text}:00Z")


PERIODS = [
    ("day", "03-28T12:00", "03-30T01:00", BERLIN, 1,
        "2026-03-28 03-27T23:00 2026-03-29 03-28T23:00 2026-03-30 03-29T22:00 - 03-30T22:00"),  # 23 hours
    ("day", "10-24T22:00", "10-26T22:00", BERLIN, 1,
        "2026-10-25 10-24T22:00 2026-10-26 10-25T23:00 - 10-26T23:00"),  # 25 hours
    ("day", "10-25T01:30", "10-25T01:31", BERLIN, 1, "2026-10-25 10-24T22:00 - 10-25T23:00"),  # 2:30 again
    ("day", "11-01T05:30", "11-01T06:00", HAVANA, 1, "2026-11-01 11-01T04:00 - 11-02T05:00"),  # midnight twice
    ("day", "03-08T06:00", "03-08T07:00", HAVANA, 1, "2026-03-08 03-08T05:00 - 03-09T04:00"),  # no midnight
    ("hour", "10-25T00:00", "10-25T03:00", BERLIN, 1,
        "2026-10-25_02:00 10-25T00:00 2026-10-25_02:00 10-25T01:00 2026-10-25_03:00 10-25T02:00 - 10-25T03:00"),
    ("month", "10-15T00:00", "11-02T00:00", BERLIN, 1,
        "2026-10 09-30T22:00 2026-11 10-31T23:00 - 11-30T23:00"),  # months
    ("month", "10-04T23:00", "10-05T23:00", UTC, 5,
        "2026-09-05 09-05T00:00 2026-10-05 10-05T00:00 - 11-05T00:00"),  # billing months
    ("total", "10-15T00:01", "11-02T00:02", BERLIN, 5, "total 10-15T00:01 - 11-02T00:02"),  # total
]  # fmt: skip


@pytest.mark.parametrize(("by", "since", "until", "zone", "billing_day", "found"), PERIODS)
def test_periods(by: str, since: str, until: str, zone: tzinfo, billing_day: int, found: str) -> None:
    """All whole hours, days or months of the zone that meet a span, and where the last one ends."""
    told = periods(by, at(since), at(until), zone, billing_day)
    shown = [f"{label.replace(' ', '_') or '-'} {format_timestamp(moment)[5:16]}" for label, moment in told]
    assert found == " ".join(shown)


NIGHTS = [
    # Half an hour is skipped: the hour from 2:00 on is shown from 2:30 on.
    ("hour", "2026-10-03T14:20", "2026-10-03T16:30", "Australia/Lord_Howe",
        "2026-10-04_00:00 10-03T13:30 2026-10-04_01:00 10-03T14:30 2026-10-04_02:00 10-03T15:30 "
        "2026-10-04_03:00 10-03T16:00 - 10-03T17:00"),
    # Half an hour is shown twice: the hour from 1:00 on has 90 minutes.
    ("hour", "2026-04-04T13:10", "2026-04-04T16:00", "Australia/Lord_Howe",
        "2026-04-05_00:00 04-04T13:00 2026-04-05_01:00 04-04T14:00 2026-04-05_02:00 04-04T15:30 - 04-04T16:30"),
    ("hour", "2026-04-04T15:10", "2026-04-04T15:11", "Australia/Lord_Howe",
        "2026-04-05_01:00 04-04T14:00 - 04-04T15:30"),
    ("hour", "2026-10-25T00:59", "2026-10-25T01:01", "Europe/Berlin",
        "2026-10-25_02:00 10-25T00:00 2026-10-25_02:00 10-25T01:00 - 10-25T02:00"),
    ("hour", "2026-03-29T00:30", "2026-03-29T01:30", "Europe/Berlin",
        "2026-03-29_01:00 03-29T00:00 2026-03-29_03:00 03-29T01:00 - 03-29T02:00"),
    ("hour", "2026-11-21T12:00", "2026-11-21T13:00", "Asia/Kolkata",
        "2026-11-21_17:00 11-21T11:30 2026-11-21_18:00 11-21T12:30 - 11-21T13:30"),
    ("hour", "2026-11-21T12:15", "2026-11-21T13:15", "Asia/Kathmandu", "2026-11-21_18:00 11-21T12:15 - 11-21T13:15"),
    # From 0:01 back to 23:01 of the day before.
    ("hour", "2009-11-01T02:00", "2009-11-01T03:45", "America/St_Johns",
        "2009-10-31_23:00 11-01T01:30 2009-11-01_00:00 11-01T02:30 2009-10-31_23:00 11-01T02:31 "
        "2009-11-01_00:00 11-01T03:30 - 11-01T04:30"),
    ("hour", "2011-12-30T09:30", "2011-12-30T10:30", "Pacific/Apia",
        "2011-12-29_23:00 12-30T09:00 2011-12-31_00:00 12-30T10:00 - 12-30T11:00"),
    # Days that begin at 1:00, the zone's first moment of them.
    ("day", "2018-11-03T12:00", "2018-11-05T01:00", "America/Sao_Paulo",
        "2018-11-03 11-03T03:00 2018-11-04 11-04T03:00 - 11-05T02:00"),
    ("day", "2026-04-23T21:30", "2026-04-24T12:00", "Africa/Cairo",
        "2026-04-23 04-22T22:00 2026-04-24 04-23T22:00 - 04-24T21:00"),
    ("day", "2026-03-28T22:00", "2026-03-29T21:00", "Asia/Beirut", "2026-03-29 03-28T22:00 - 03-29T21:00"),
    # Back from 0:00 to 23:00 of the day before, and from 0:01 to 23:01.
    ("day", "2018-02-18T01:30", "2018-02-18T03:30", "America/Sao_Paulo",
        "2018-02-17 02-17T02:00 2018-02-18 02-18T03:00 - 02-19T03:00"),
    ("day", "2009-11-01T02:30", "2009-11-01T02:31", "America/St_Johns", "2009-10-31 10-31T02:30 - 11-01T03:30"),
    # A day that is not there.
    ("day", "2011-12-29T12:00", "2012-01-01T09:00", "Pacific/Apia",
        "2011-12-29 12-29T10:00 2011-12-31 12-30T10:00 2012-01-01 12-31T10:00 - 01-01T10:00"),
    ("day", "2011-12-30T09:59", "2011-12-30T10:00", "Pacific/Apia", "2011-12-29 12-29T10:00 - 12-30T10:00"),
    ("day", "2011-12-30T10:00", "2011-12-30T10:01", "Pacific/Apia", "2011-12-31 12-30T10:00 - 12-31T10:00"),
    ("month", "2011-12-31T00:00", "2012-01-01T00:00", "Pacific/Apia",
        "2011-12 12-01T10:00 2012-01 12-31T10:00 - 01-31T10:00"),
    ("month", "2009-11-01T02:30", "2009-11-01T02:31", "America/St_Johns", "2009-10 10-01T02:30 - 11-01T03:30"),
]  # fmt: skip


@pytest.mark.parametrize("own", [False, True], ids=["named", "this machine's"])
@pytest.mark.parametrize(("by", "since", "until", "name", "found"), NIGHTS)
def test_nights_that_change_the_clocks(
    monkeypatch: pytest.MonkeyPatch, own: bool, by: str, since: str, until: str, name: str, found: str
) -> None:
    """An hour begins as the clocks strike, or as they are put into it; a day with its first moment."""
    span = parse_timestamp(f"{since}Z"), parse_timestamp(f"{until}Z")
    with local_zone(monkeypatch, name):
        told = periods(by, *span, None if own else ZoneInfo(name))
    shown = [f"{label.replace(' ', '_') or '-'} {format_timestamp(moment)[5:16]}" for label, moment in told]
    assert found == " ".join(shown)


FORMS = {"hour": "%Y-%m-%d %H:00", "day": "%Y-%m-%d", "month": "%Y-%m"}
CHANGES = [
    parse_timestamp(f"{text}Z")
    for text in ("2026-10-03T15:30", "2026-04-04T15:00", "2009-11-01T02:31", "2018-11-04T03:00", "2011-12-30T10:00")
]
NEAR_A_CHANGE = st.builds(int.__add__, st.sampled_from(CHANGES), st.integers(-2 * DAY, 2 * DAY))
EVER = st.integers(0, parse_timestamp("2400-01-01T00:00Z"))


@given(NEAR_A_CHANGE | EVER, st.integers(1, 3 * DAY), st.sampled_from(ZONES), st.sampled_from([*FORMS]))
def test_periods_cover_the_span_in_any_zone(since: int, length: int, name: str, by: str) -> None:
    """They begin at or before the span, and end at or after it; each is longer than nothing, begins in what it is named
    for, and no part of it is of a later period."""
    zone, until = ZoneInfo(name), since + length
    told = periods(by, since, until, zone)
    moments = [moment for _, moment in told]
    assert all(one < other for one, other in pairwise(moments))
    assert (True, True) == (moments[0] <= since < moments[1], moments[-2] < until <= moments[-1])
    for (label, begin), (_, end) in pairwise(told):
        assert label == local_time(begin, zone).strftime(FORMS[by])
        assert label >= local_time(end - 1, zone).strftime(FORMS[by])


@given(NEAR_A_CHANGE | EVER, st.sampled_from(ZONES))
def test_hours_begin_as_the_clocks_strike(since: int, name: str) -> None:
    """Every hour that is not a whole one is beside a change of the clocks."""
    zone = ZoneInfo(name)
    moments = [moment for _, moment in periods("hour", since, since + DAY, zone)]
    for begin, end in pairwise(moments):
        lag = (local_time(end, zone) - local_time(begin - 1, zone)) // timedelta(milliseconds=1) - (end - begin + 1)
        struck = local_time(begin, zone).minute == local_time(begin, zone).second == 0
        assert lag != 0 or (HOUR, True) == (end - begin, struck)


@given(NEAR_A_CHANGE | EVER, st.sampled_from(ZONES), st.integers(1, 28))
def test_every_moment_lies_in_its_billing_cycle(at: int, name: str, billing_day: int) -> None:
    """A cycle covers the moment that it is of, and its neighbours meet it."""
    zone = ZoneInfo(name)
    since, until = cycle(at, zone, billing_day)
    assert since <= at < until
    assert [since, until] == [cycle(since - 1, zone, billing_day)[1], cycle(until, zone, billing_day)[0]]


MONTHS = [("2026-10", UTC, 1, "10-01T00:00", "11-01T00:00"), ("2026-10", BERLIN, 5, "10-04T22:00", "11-04T23:00")]


@pytest.mark.parametrize(("text", "zone", "day", "since", "until"), MONTHS)
def test_a_month_is_from_its_billing_day_to_the_next(text: str, zone: tzinfo, day: int, since: str, until: str) -> None:
    """A month and the cycle that any moment of it lies in are the same span."""
    span = (at(since), at(until))
    assert span == month(text, zone, day)
    assert [span, span] == [cycle(moment, zone, day) for moment in (span[0], span[1] - 1)]


@pytest.mark.parametrize("text", ["2026", "2026-13", "october", "2026-10-01", "9999-12"])
def test_what_is_no_month_is_refused(text: str) -> None:
    """Another form, and a month that no sample can be of, raise ValueError."""
    with pytest.raises(ValueError, match=r".+"):
        month(text, ZoneInfo("Asia/Tokyo"))


def figures(rates: list[float], seconds: float = 300.0, gaps: tuple[int, ...] = ()) -> Series:
    made = []
    for i, rate in enumerate(rates):
        carried = Traffic(round(rate * seconds), round(2 * rate * seconds), 1, 2)
        made.append(Bucket(i * 5 * MINUTE, (i + 1) * 5 * MINUTE, carried, seconds, i in gaps, seconds * (i in gaps)))
    return Series("web1", "eth0", made, None)


def test_a_period_is_put_together_from_finer_buckets() -> None:
    """Bytes and seconds add up; coverage and peak leave gaps out, whose bytes still count."""
    edges = [0, 15 * MINUTE, 20 * MINUTE, 25 * MINUTE]
    found = summarize(["a", "b", "c", ""], edges, figures([1, 9, 4, 5, 0], gaps=(1, 4)))
    assert [
        Period("a", 0, 900_000, Traffic(4200, 8400, 3, 6), 2 / 3, (14 / 3, 28 / 3), (4.0, 8.0), 12.0),
        Period("b", 900_000, 1_200_000, Traffic(1500, 3000, 1, 2), 1.0, (5.0, 10.0), (5.0, 10.0), 15.0),
        Period("c", 1_200_000, 1_500_000, Traffic(0, 0, 1, 2), 0.0, (0.0, 0.0), None, None),
    ] == found
    assert [12_600, 4500, 0] == [period.total for period in found]


@pytest.mark.parametrize(("zone", "days"), [(UTC, 3), (BERLIN, 3), (ZoneInfo("Asia/Kathmandu"), 3)])
def test_another_zone_is_another_question(zone: tzinfo, days: int) -> None:
    """The days of any zone, with their buckets for peaks, add up to the same bytes."""
    samples = completed([sample(i * 60, interface(rx=i * i * 7)) for i in range(2880)])
    labels, edges = zip(*periods("day", samples[0].timestamp, samples[-1].timestamp, zone), strict=True)
    with history_of("web1", samples) as history:
        found = summarize(labels, edges, series(history, "eth0", fine_edges(edges, 5 * MINUTE)))
    assert (days, 2879 * 2879 * 7) == (len(found), sum(period.traffic.rx_bytes for period in found))


def test_p95_is_of_the_buckets_that_were_sampled() -> None:
    """Each direction has its own; gaps and what is not covered do not count as zero, and are counted as unknown."""
    assert P95(19.0, 38.0, 20, 22) == p95(figures([*range(20, 0, -1), 500, 600], gaps=(20, 21)))


def test_quota() -> None:
    """Used so far, what is left, and what it comes to if the sampled pace holds to the end of the cycle."""
    used = figures([1.0, 1.0])  # 1800 bytes in 600 seconds
    cases = [(10_000, 600), (1800, 600), (1000, 600), (10_000, 1200), (10_000, 9999)]
    found = [quota(0, 1200 * SECOND, limit, used, seconds * SECOND) for limit, seconds in cases]
    assert [(1800, 3600), (1800, 3600), (1800, 3600), (1800, 1800), (1800, 1800)] == [one[3:] for one in found]
    assert [8200, 0, -800, 8200, 8200] == [one.left for one in found]
