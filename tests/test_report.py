"""Totals per calendar period, and what is made of them."""

from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo

import pytest

from netstat_cli.model import Traffic
from netstat_cli.report import P95, Period, cycle, fine_edges, month, p95, periods, quota, summarize
from netstat_cli.series import Bucket, Series, series
from netstat_cli.store.history import history_of
from netstat_cli.times import MINUTE, SECOND, format_timestamp, parse_timestamp
from tests.given import completed, interface, sample

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
        "2026-10-25_02:00 10-25T00:00 2026-10-25_02:00 10-25T01:00 2026-10-25_03:00 10-25T02:00"),
    ("month", "10-15T00:00", "11-02T00:00", BERLIN, 1,
        "2026-10 09-30T22:00 2026-11 10-31T23:00 - 11-30T23:00"),  # months
    ("month", "10-04T23:00", "10-05T23:00", UTC, 5,
        "2026-09-05 09-05T00:00 2026-10-05 10-05T00:00 - 11-05T00:00"),  # billing months
    ("total", "10-15T00:01", "11-02T00:02", BERLIN, 5, "total 10-15T00:01 - 11-02T00:02"),  # total
]  # fmt: skip


@pytest.mark.parametrize(("by", "since", "until", "zone", "billing_day", "found"), PERIODS)
def test_periods(by: str, since: str, until: str, zone: tzinfo, billing_day: int, found: str) -> None:
    """All whole hours, days or months of the zone that meet a span, and where the last one ends."""
    told = periods(by, at(since), at(until), zone, billing_day)[: -1 if by == "hour" else None]
    shown = [f"{label.replace(' ', '_') or '-'} {format_timestamp(moment)[5:16]}" for label, moment in told]
    assert found == " ".join(shown)


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
        found = summarize(labels, edges, series(history, ["eth0"], fine_edges(edges, 5 * MINUTE)))
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
