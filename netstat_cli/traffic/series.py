"""Buckets: what went through an interface, or the node, in each of many stretches of time.

The numbers are those of the definition (scan.py), found by a search (runs.py): a look at the lines around each edge,
and one where a run begins.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from itertools import pairwise
from operator import itemgetter
from typing import NamedTuple

import msgspec

from netstat_cli.line.model import Sample
from netstat_cli.line.topology import uplinks
from netstat_cli.line.wire import Line, decode
from netstat_cli.times import MINUTE, SECOND
from netstat_cli.traffic.increase import NO_TRAFFIC, Traffic, counters, max_gap
from netstat_cli.traffic.lookups import Lines, Lookups
from netstat_cli.traffic.runs import Chain, InterfaceChain, NodeChain, Unproven, totals
from netstat_cli.traffic.scan import node_counters, scan_totals

MAX_EDGES = 20_001
"""So many edges a collector answers at a time."""
_END = 1 << 62


class Bucket(NamedTuple):
    """What went through in [since, until), milliseconds since the epoch."""

    since: int
    until: int
    traffic: Traffic
    seconds: float
    """The part of the bucket that lies between the server's first and last sample."""
    gap: bool
    """Nothing was sampled in it, nor shortly before and after. Its traffic still counts."""
    silent: float = 0.0
    """Seconds of it that lie in silences too long to know anything of, as far as an edge of the series lies in them."""

    @property
    def known(self) -> bool:
        """True if at least half of the bucket (at most 1 s) was sampled. Shorter slivers would show the rounding of
        whole bytes as a peak."""
        enough = min(1.0, (self.until - self.since) / SECOND / 2)
        return self.seconds >= enough and not self.gap

    @property
    def rates(self) -> tuple[float, float]:
        """Bytes per second received and sent; 0 where nothing is known."""
        if self.seconds <= 0:
            return 0.0, 0.0
        return self.traffic.rx_bytes / self.seconds, self.traffic.tx_bytes / self.seconds


class Series(NamedTuple):
    """The buckets of one interface of one server, or of its node (`interface` None)."""

    server_id: str
    interface: str | None
    buckets: list[Bucket]
    current: tuple[float, float] | None
    """Bytes per second between the last two samples; None if the last is too old to be called current."""

    @property
    def total(self) -> Traffic:
        """What went through in all."""
        return add(bucket.traffic for bucket in self.buckets)

    @property
    def seconds(self) -> float:
        """How much of the time is covered by samples."""
        return sum(bucket.seconds for bucket in self.buckets)


def to_wire(series: Series) -> object:
    """Make of a series what JSON can carry: every value of it, a bucket as a list of its fields in their order."""
    described = series._asdict()
    described["buckets"] = [[*bucket[:2], *bucket.traffic, *bucket[3:]] for bucket in series.buckets]
    return described


class _WireSeries(msgspec.Struct):
    server_id: str
    interface: str | None
    current: tuple[float, float] | None
    buckets: list[tuple[int, int, int, int, int, int, float, bool, float]]


def from_wire(obj: object) -> Series:
    """Read a series back. Raises ValueError for anything else."""
    read = msgspec.convert(obj, _WireSeries)
    buckets = [Bucket(b[0], b[1], Traffic(*b[2:6]), *b[6:]) for b in read.buckets]
    return Series(read.server_id, read.interface, buckets, read.current)


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile: the smallest of the values that this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]


def add(amounts: Iterable[Traffic]) -> Traffic:
    """Add amounts of traffic."""
    total = NO_TRAFFIC
    for amount in amounts:
        total = total.plus(amount)
    return total


def equal_edges(since: int, until: int, count: int) -> list[int]:
    """The `count` + 1 moments that cut [since, until) into equal buckets, as nearly as milliseconds allow."""
    return [since + (until - since) * i // count for i in range(count + 1)]


def series(lines: Lines, interface: str | None, edges: Sequence[int]) -> Series:
    """Tell what an interface, or (None) the node over its uplinks, carried in the buckets between the edges, which
    increase strictly."""
    lookups = Lookups(lines)
    sampled = EdgeSamples(lookups, edges)
    found = _totals(lookups, interface, edges, sampled.around)
    traffic = [after.minus(before) for before, after in pairwise(found)]
    return Series(lines.server_id, interface, sampled.buckets(traffic), _current(lookups, interface, edges[-1]))


def interface_names(lines: Lines, since: int, until: int) -> list[str]:
    """List every interface that was there in a span, those of the newest sample first."""
    return Lookups(lines).names(since, until)


def matching(names: Iterable[str], patterns: Sequence[str]) -> list[str]:
    """Choose the names that one of the glob patterns names; all of them where there is no pattern."""
    return [name for name in names if not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)]


class Point(NamedTuple):
    """The counters at the moment of one sample, and the rates since the point before."""

    timestamp: int
    counters: Traffic
    rates: tuple[float, float]


def points(lines: Lines, interface: str | None, since: int, until: int, count: int) -> list[Point]:
    """Take about `count` of the samples in (since, until], evenly chosen, as the counters of an interface (None: of the
    node) and the rates between them. Samples without the interface are left out."""
    lookups = Lookups(lines)
    chosen = _choose(lookups, since, until, count)
    if not chosen:
        return []
    before = lookups.floor(chosen[0].timestamp - 1)
    edges = [line.timestamp for line in chosen]
    around: list[tuple[Line | None, Line | None]] = [(line, None) for line in chosen]
    if before is not None:
        edges, around = [before.timestamp, *edges], [(before, chosen[0]), *around]
    found = dict(zip(edges, _totals(lookups, interface, edges, around), strict=True))
    shown = []
    for line in chosen:
        mine = _counters_in(decode(line.text), interface)
        if mine is not None:
            earlier = max((edge for edge in edges if edge < line.timestamp), default=line.timestamp)
            carried, seconds = found[line.timestamp].minus(found[earlier]), (line.timestamp - earlier) / SECOND
            rates = (carried.rx_bytes / seconds, carried.tx_bytes / seconds) if seconds else (0.0, 0.0)
            shown.append(Point(line.timestamp, mine, rates))
    return shown


def _counters_in(sample: Sample, interface: str | None) -> Traffic | None:
    if interface is not None:
        named = sample.interface(interface)
        return None if named is None else counters(named)
    if sample.network_start is not None and sample.interfaces:
        return node_counters(sample)
    counted = uplinks(sample.interfaces)
    return add(counters(one) for one in counted) if counted else None


def _choose(lookups: Lookups, since: int, until: int, count: int) -> list[Line]:
    """Every line in (since, until] if they are few, else the last one in each of `count` equal stretches."""
    few: list[Line] = []
    line = lookups.after(since)
    while line is not None and line.timestamp <= until and len(few) <= count:
        few.append(line)
        line = lookups.after(line.timestamp)
    if len(few) <= count:
        return few
    floors = [lookups.floor(edge) for edge in equal_edges(since, until, count)[1:]]
    unique = {floor.timestamp: floor for floor in floors if floor is not None and floor.timestamp > since}
    return list(unique.values())


def _totals(
    lookups: Lookups, interface: str | None, edges: Sequence[int], around: Sequence[tuple[Line | None, Line | None]]
) -> list[Traffic]:
    chain: Chain = NodeChain(lookups) if interface is None else InterfaceChain(lookups, interface)
    try:
        return totals(chain, edges, around)
    except Unproven:
        samples = (decode(line.text) for line in lookups.lines.lines(-1, _END))
        return scan_totals(samples, interface, edges)


class EdgeSamples:
    """The server's samples around the edges: what is known of each bucket whatever the interface."""

    def __init__(self, lookups: Lookups, edges: Sequence[int]) -> None:
        self.edges = edges
        self.around = [lookups.locate(edge) for edge in edges]
        self._lookups = lookups
        self._first, self._last = lookups.lines.first(), lookups.lines.last()
        self._silences = self._find_silences()

    def buckets(self, traffic: Sequence[Traffic]) -> list[Bucket]:
        """The buckets that hold these amounts."""
        return [
            Bucket(since, until, amount, self._seconds(since, until), self._is_gap(i), self._silent(since, until))
            for i, ((since, until), amount) in enumerate(zip(pairwise(self.edges), traffic, strict=True))
        ]

    def _seconds(self, since: int, until: int) -> float:
        if self._first is None or self._last is None:
            return 0.0
        return max(0, min(until, self._last.timestamp) - max(since, self._first.timestamp)) / SECOND

    def _is_gap(self, index: int) -> bool:
        before, after = self.around[index]
        if before is None or after is None or (before.timestamp, after.timestamp) not in self._silences:
            return False
        return before.timestamp < self.edges[index] and after.timestamp >= self.edges[index + 1]

    def _silent(self, since: int, until: int) -> float:
        first = bisect_right(self._silences, since, key=itemgetter(1))
        milliseconds = 0
        for begin, end in self._silences[first:]:
            if begin >= until:
                break
            milliseconds += min(end, until) - max(begin, since)
        return milliseconds / SECOND

    def _find_silences(self) -> list[tuple[int, int]]:
        """The silences around the edges that are longer than a gap, in order."""
        found = {}
        for before, after in self.around:
            silence = after.timestamp - before.timestamp if before is not None and after is not None else 0
            if before is not None and silence > MINUTE and silence > max_gap(self._lookups.head(before).interval):
                found[before.timestamp] = before.timestamp + silence
        return sorted(found.items())


def _current(lookups: Lookups, interface: str | None, until: int) -> tuple[float, float] | None:
    last = lookups.floor(until)
    before = lookups.floor(last.timestamp - 1) if last else None
    if last is None or before is None:
        return None
    gap = max_gap(lookups.head(last).interval)
    if until - last.timestamp > gap or last.timestamp - before.timestamp > gap:
        return None
    edges = [before.timestamp, last.timestamp]
    begin, end = _totals(lookups, interface, edges, [(before, last), (last, None)])
    carried, elapsed = end.minus(begin), (last.timestamp - before.timestamp) / SECOND
    return carried.rx_bytes / elapsed, carried.tx_bytes / elapsed
