"""Totals per calendar period: edges in, figures out. Pure; nothing of it is decided when samples are taken, so another
time zone, billing day or set of interfaces is just another question."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import NamedTuple

from netstat_cli.times import DAY, HOUR, MINUTE, SECOND, local_time, moment_of
from netstat_cli.traffic.increase import Traffic
from netstat_cli.traffic.series import Bucket, Series, percentile

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


def periods(by: str, since: int, until: int, zone: tzinfo | None, billing_day: int = 1) -> list[tuple[str, int]]:
    """The labels and beginnings of all whole hours, days or months (beginning on `billing_day`, 1 to 28) that meet
    [since, until), and a last beginning where they end; strictly increasing. `zone` None: this machine's time, with its
    summer time. Raises OverflowError at the end of the year 9999."""
    if by == "total":
        return [("total", since), ("", until)]
    if by == "hour":
        return _covering(_hours(since, zone), since, until)
    if by == "day":
        return _covering(_days(since, zone), since, until)
    return _covering(_months(since, zone, billing_day), since, until)


def _covering(begins: Iterable[tuple[str, int]], since: int, until: int) -> list[tuple[str, int]]:
    """Of periods without end, the first of which begins before `since`, those that meet [since, until) and where they
    end. A period that ends as it begins, as the day that Samoa left out, is none."""
    found: list[tuple[str, int]] = []
    for label, moment in begins:
        if moment <= since:
            found.clear()
        elif moment == found[-1][1]:
            found.pop()
        if moment >= until:
            return [*found, ("", moment)]
        found.append((label, moment))
    raise AssertionError(until)


def _hours(since: int, zone: tzinfo | None) -> Iterator[tuple[str, int]]:
    """The hours of a zone's clocks, from a whole one before `since` on. Each begins as the clocks strike, or as they
    are put into another hour: one that is shown twice is there twice, one that is skipped is not there, and a change by
    half an hour makes one longer or shorter."""
    moment = since // SECOND * SECOND - 2 * HOUR  # no hour is longer than that, so that one begins before `since`
    shown = local_time(moment, zone)
    while True:
        ahead = moment + HOUR - (shown.minute * 60 + shown.second) * SECOND
        then = local_time(ahead, zone)
        if then - shown != timedelta(milliseconds=ahead - moment):
            ahead = _change(moment, ahead, zone)
            then = local_time(ahead, zone)
        hour = then.replace(minute=0, second=0)
        if hour == then or hour != shown.replace(minute=0, second=0):
            yield f"{hour:%Y-%m-%d %H:00}", ahead
        moment, shown = ahead, then


def _change(before: int, after: int, zone: tzinfo | None) -> int:
    """The moment between two, whole seconds, at which a zone's clocks are put on or back."""
    shown = local_time(before, zone)

    def changed(moment: int) -> bool:
        return local_time(moment, zone) - shown != timedelta(milliseconds=moment - before)

    seconds = range(before, after, SECOND)
    return before + bisect_left(seconds, True, key=changed) * SECOND


def _days(since: int, zone: tzinfo | None) -> Iterator[tuple[str, int]]:
    """The days of a zone, from the one before that of `since` on."""
    when = _midnight(local_time(since, zone)) - timedelta(days=1)
    while True:
        yield f"{when:%Y-%m-%d}", moment_of(when, zone)
        when += timedelta(days=1)


def _months(since: int, zone: tzinfo | None, billing_day: int) -> Iterator[tuple[str, int]]:
    """The months of a zone, from one before that of `since` on."""
    form = "%Y-%m" if billing_day == 1 else "%Y-%m-%d"
    first = _midnight(local_time(since, zone)).replace(day=1)
    when = (first - timedelta(days=32)).replace(day=billing_day)
    while True:
        yield when.strftime(form), moment_of(when, zone)
        when = _next_month(when)


def cycle(at: int, zone: tzinfo | None, billing_day: int) -> tuple[int, int]:
    """The billing cycle that a moment lies in."""
    (_, since), (_, until) = periods("month", at, at + 1, zone, billing_day)
    return since, until


def month(text: str, zone: tzinfo | None, billing_day: int = 1) -> tuple[int, int]:
    """The span of a month written 2026-10: from its billing day to the next. Raises ValueError."""
    begin = datetime.strptime(text, "%Y-%m").replace(day=billing_day)
    try:
        since, until = moment_of(begin, zone), moment_of(_next_month(begin), zone)
    except OverflowError:
        raise ValueError(text) from None
    if since < 0:
        raise ValueError(text)
    return since, until


def _next_month(when: datetime) -> datetime:
    return (when.replace(day=1) + timedelta(days=32)).replace(day=when.day)


def _midnight(when: datetime) -> datetime:
    return when.replace(hour=0, minute=0, second=0, microsecond=0)


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
