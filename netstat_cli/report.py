"""Totals per calendar period: edges in, figures out. Pure; nothing of it is decided when samples are taken, so another
time zone, billing day or set of interfaces is just another question."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from typing import NamedTuple

from netstat_cli.model import Traffic
from netstat_cli.series import Bucket, Series, percentile
from netstat_cli.times import DAY, HOUR, MINUTE, SECOND

P95_STEP = 5 * MINUTE
FINEST_PEAKS = 800
"""A report looks at so many moments at most for its peaks."""
_PEAK_STEPS = (P95_STEP, HOUR, 6 * HOUR, DAY)


class Period(NamedTuple):
    """One line of a report."""

    label: str
    since: int
    until: int
    traffic: Traffic
    coverage: float
    """The share of the period that was sampled; a silence shorter than the step of the peaks may go unseen."""
    average: tuple[float, float] | None
    peak: tuple[float, float] | None
    busiest: float | None
    """The highest rate of both directions together."""

    @property
    def total(self) -> int:
        """Received and sent together."""
        return self.traffic.rx_bytes + self.traffic.tx_bytes


class P95(NamedTuple):
    """The 95th percentile of 5-minute average rates, by nearest rank; `known` of `expected` of them were sampled."""

    rx: float
    tx: float
    known: int
    expected: int


class Quota(NamedTuple):
    """Where the running billing cycle stands."""

    since: int
    until: int
    limit: int
    used: int
    forecast: int | None
    """What it comes to at the end if it goes on like this; None while nothing is known."""

    @property
    def left(self) -> int:
        """What may still go through; less than 0 when it is exceeded."""
        return self.limit - self.used


def _next_day(when: datetime) -> datetime:
    return when + timedelta(days=1)


def _next_month(when: datetime) -> datetime:
    return (when.replace(day=1) + timedelta(days=32)).replace(day=when.day)


def periods(by: str, since: int, until: int, zone: tzinfo | None, billing_day: int = 1) -> list[tuple[str, int]]:
    """The labels and beginnings of all whole hours, days or months (beginning on `billing_day`, 1 to 28) that meet
    [since, until), and a last beginning where they end. `zone` None: this machine's time, with its summer time."""
    first = _local(since, zone)
    if by == "total":
        return [("total", since), ("", until)]
    if by == "hour":
        begin = _moment(first.replace(minute=0, second=0, microsecond=0), zone)
        hours = range(begin, until + HOUR, HOUR)  # a clock that is put back shows one hour twice
        return [(_local(moment, zone).strftime("%Y-%m-%d %H:00"), moment) for moment in hours]
    if by == "day":
        when, step, form = _midnight(first), _next_day, "%Y-%m-%d"
    else:
        when = _cycle_start(first, billing_day)
        step, form = _next_month, "%Y-%m" if billing_day == 1 else "%Y-%m-%d"
    found = []
    while (moment := _moment(when, zone)) < until:
        found.append((when.strftime(form), moment))
        when = step(when)
    return [*found, ("", _moment(when, zone))]


def cycle(at: int, zone: tzinfo | None, billing_day: int) -> tuple[int, int]:
    """The billing cycle that a moment lies in."""
    begin = _cycle_start(_local(at, zone), billing_day)
    return _moment(begin, zone), _moment(_next_month(begin), zone)


def month(text: str, zone: tzinfo | None, billing_day: int = 1) -> tuple[int, int]:
    """The span of a month written 2026-10: from its billing day to the next. Raises ValueError."""
    begin = datetime.strptime(text, "%Y-%m").replace(day=billing_day, tzinfo=zone)
    try:
        since, until = _moment(begin, zone), _moment(_next_month(begin), zone)
    except OverflowError:
        raise ValueError(text) from None
    if since < 0:
        raise ValueError(text)
    return since, until


def _cycle_start(when: datetime, billing_day: int) -> datetime:
    begin = _midnight(when).replace(day=billing_day)
    return begin if begin <= when else (begin.replace(day=1) - timedelta(days=1)).replace(day=billing_day)


def _midnight(when: datetime) -> datetime:
    return when.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)


def _local(moment: int, zone: tzinfo | None) -> datetime:
    """The wall-clock time of a moment; without a tzinfo where it is this machine's own."""
    return datetime.fromtimestamp(moment / SECOND, zone)


def _moment(when: datetime, zone: tzinfo | None) -> int:
    return round(when.replace(tzinfo=zone).timestamp() * SECOND)


def peak_step(since: int, until: int) -> int:
    """The step at which peaks are taken over a span: 5 minutes over days, an hour over a month, a day over a year."""
    return next((step for step in _PEAK_STEPS if (until - since) // step <= FINEST_PEAKS), DAY)


def fine_edges(edges: Sequence[int], step: int) -> list[int]:
    """The edges, and every whole step between them."""
    steps = range(edges[0] // step * step + step, edges[-1], step)
    return sorted({*edges, *steps})


def summarize(labels: Sequence[str], edges: Sequence[int], fine: Series) -> list[Period]:
    """The periods between the edges, put together from finer buckets that meet at them."""
    found = []
    buckets = iter(fine.buckets)
    for label, since, until in zip(labels, edges, edges[1:], strict=False):
        inside: list[Bucket] = []
        while not inside or inside[-1].until < until:
            inside.append(next(buckets))
        found.append(_period(label, since, until, inside))
    return found


def _period(label: str, since: int, until: int, inside: list[Bucket]) -> Period:
    traffic = Traffic(*(sum(column) for column in zip(*(bucket.traffic for bucket in inside), strict=True)))
    seconds = sum(bucket.seconds for bucket in inside)
    known = [bucket for bucket in inside if bucket.known]
    average = (traffic.rx_bytes / seconds, traffic.tx_bytes / seconds) if seconds else None
    peak = (max(b.rates[0] for b in known), max(b.rates[1] for b in known)) if known else None
    busiest = max(sum(bucket.rates) for bucket in known) if known else None
    sampled = seconds - sum(bucket.silent for bucket in inside)
    return Period(label, since, until, traffic, sampled * SECOND / (until - since), average, peak, busiest)


def p95(fine: Series) -> P95 | None:
    """The 95th percentile of buckets of five minutes; None if none of them was sampled."""
    known = [bucket.rates for bucket in fine.buckets if bucket.known]
    if not known:
        return None
    received, sent = zip(*known, strict=True)
    return P95(percentile(received, 0.95), percentile(sent, 0.95), len(known), len(fine.buckets))


def quota(since: int, until: int, limit: int, carried: Series, at: int) -> Quota:
    """Where a cycle stands, from the series of what it carried up to now."""
    used = carried.total.rx_bytes + carried.total.tx_bytes
    seconds = carried.seconds
    rest = max(0, until - at) / SECOND
    return Quota(since, until, limit, used, used + round(used / seconds * rest) if seconds else None)
