"""Samples at edges -> buckets: what went through an interface in each of many equal stretches of time.

Counters only grow within a run, so a stretch of any length costs two look-ups. Only a change of run inside it costs a
search for where it happened. counters.Ledger, which looks at every line, defines the numbers; this finds the same.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from itertools import pairwise
from operator import itemgetter
from typing import Any, NamedTuple

from netstat_cli.counters import Growth, Seen, growth, max_gap, same_run
from netstat_cli.glance import RunMark, head_of, interface_in, needle
from netstat_cli.model import NO_TRAFFIC, Sample, Traffic, counters
from netstat_cli.store.history import History
from netstat_cli.store.segment import Line
from netstat_cli.times import MINUTE, SECOND
from netstat_cli.topology import uplinks
from netstat_cli.wire import decode

MOST_EDGES = 20_001
"""So many edges a collector answers at a time."""


class Bucket(NamedTuple):
    """What went through in [since, until)."""

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
        """Whether it has a rate that can be shown. Whole bytes over a few milliseconds, as where the last sample lies
        just behind the bucket's beginning, are none: half of the bucket or a second of it must be sampled."""
        enough = min(1.0, (self.until - self.since) / SECOND / 2)
        return self.seconds >= enough and not self.gap

    @property
    def rates(self) -> tuple[float, float]:
        """Bytes per second received and sent; 0 where nothing is known."""
        if self.seconds <= 0:
            return 0.0, 0.0
        return self.traffic.rx_bytes / self.seconds, self.traffic.tx_bytes / self.seconds


class Series(NamedTuple):
    """The buckets of one interface of one server, or of a node's uplinks together (`interface` None)."""

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


def to_wire(one: Series) -> dict[str, object]:
    """A series as JSON can carry it."""
    buckets = [[b.since, b.until, *b.traffic, b.seconds, b.gap, b.silent] for b in one.buckets]
    return {"server_id": one.server_id, "interface": one.interface, "current": one.current, "buckets": buckets}


def from_wire(obj: Any) -> Series:
    """The same back. Raises TypeError, KeyError or ValueError for anything else."""
    buckets = [
        Bucket(int(b[0]), int(b[1]), Traffic(*map(int, b[2:6])), float(b[6]), bool(b[7])) for b in obj["buckets"]
    ]
    current = obj["current"]
    return Series(str(obj["server_id"]), obj["interface"], buckets, (current[0], current[1]) if current else None)


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile: the smallest of the values that this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]


def add(amounts: Iterable[Traffic]) -> Traffic:
    """The sum of amounts of traffic."""
    total = NO_TRAFFIC
    for amount in amounts:
        total = total.plus(amount)
    return total


def equal_edges(since: int, until: int, count: int) -> list[int]:
    """The `count` + 1 moments that cut [since, until) into equal buckets, as nearly as milliseconds allow."""
    return [since + (until - since) * i // count for i in range(count + 1)]


def series(history: History, names: Sequence[str], edges: Sequence[int], interface: str | None = None) -> Series:
    """The traffic of the named interfaces together, in the buckets between the edges (strictly increasing)."""
    frame = Frame(history, edges)
    parts = [_increases(history, name, edges, frame) for name in names]
    traffic = [add(amounts) for amounts in zip(*parts, strict=True)] or [NO_TRAFFIC] * (len(edges) - 1)
    return Series(history.server_id, interface, frame.buckets(traffic), _current(history, names, edges[-1]))


def interface_names(history: History, edges: Sequence[int]) -> list[str]:
    """The interfaces that the samples around the edges have, in the order of the newest."""
    found: dict[str, None] = {}
    for sample in _samples_at(history, edges):
        found.update(dict.fromkeys(interface.name for interface in sample.interfaces or ()))
    return list(found)


def uplink_names(history: History, edges: Sequence[int]) -> list[str]:
    """The interfaces that count in the node's total, as the samples around the edges tell."""
    found: dict[str, None] = {}
    for sample in _samples_at(history, edges):
        found.update(dict.fromkeys(interface.name for interface in uplinks(sample.interfaces or ())))
    return list(found)


def matching(names: Iterable[str], patterns: Sequence[str]) -> list[str]:
    """The names that one of the glob patterns names; all of them where there is no pattern."""
    return [name for name in names if not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)]


class Point(NamedTuple):
    """The counters at the moment of one sample, and the rates since the point before."""

    timestamp: int
    counters: Traffic
    rates: tuple[float, float]


def points(history: History, interface: str | None, since: int, until: int, count: int) -> list[Point]:
    """About `count` of the samples in (since, until], evenly chosen, as the counters of an interface (None: of the
    node's uplinks together) and the rates between them. Samples without the interface are left out."""
    chosen = _choose(history, since, until, count)
    if not chosen:
        return []
    samples = [decode(line.text) for line in chosen]
    before = history.floor(chosen[0].timestamp - 1)
    begin = before.timestamp if before is not None else chosen[0].timestamp
    names = [interface] if interface is not None else uplink_names(history, [line.timestamp for line in chosen])
    chains = [Chain(history, name, begin) for name in names]
    found, last_moment, last_total = [], begin, NO_TRAFFIC
    for sample, line in zip(samples, chosen, strict=True):
        total = add(chain.total_at(sample.timestamp, line, None) for chain in chains)
        carried, seconds = total.minus(last_total), (sample.timestamp - last_moment) / SECOND
        rates = (carried.rx_bytes / seconds, carried.tx_bytes / seconds) if seconds else (0.0, 0.0)
        last_moment, last_total = sample.timestamp, total
        counted = [one for one in sample.interfaces or () if one.name in names]
        if counted:
            found.append(Point(sample.timestamp, add(counters(one) for one in counted), rates))
    return found


def _choose(history: History, since: int, until: int, count: int) -> list[Line]:
    """Every line in (since, until] if they are few, else the last one in each of `count` equal stretches."""
    few: list[Line] = []
    line = history.locate(since)[1]
    while line is not None and line.timestamp <= until and len(few) <= count:
        few.append(line)
        line = history.locate(line.timestamp)[1]
    if len(few) <= count:
        return few
    floors = [history.floor(edge) for edge in equal_edges(since, until, count)[1:]]
    unique = {floor.timestamp: floor for floor in floors if floor is not None and floor.timestamp > since}
    return list(unique.values())


def _samples_at(history: History, edges: Sequence[int]) -> Iterable[Sample]:
    lines = {line.timestamp: line for edge in reversed(edges) for line in reversed(history.locate(edge)) if line}
    return (decode(line.text) for line in lines.values())


class Frame:
    """The server's samples around the edges: what is known of each bucket whatever the interface."""

    def __init__(self, history: History, edges: Sequence[int]) -> None:
        self.edges = edges
        self.around = [history.locate(edge) for edge in edges]
        self._first, self._last = history.first(), history.last()
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
            if before is not None and silence > MINUTE and silence > max_gap(head_of(before.text).interval):
                found[before.timestamp] = before.timestamp + silence
        return sorted(found.items())


def _increases(history: History, name: str, edges: Sequence[int], frame: Frame) -> list[Traffic]:
    chain = Chain(history, name, edges[0])
    totals = [chain.total_at(edge, *around) for edge, around in zip(edges, frame.around, strict=True)]
    return [after.minus(before) for before, after in pairwise(totals)]


def _current(history: History, names: Sequence[str], until: int) -> tuple[float, float] | None:
    last = history.floor(until)
    before = history.floor(last.timestamp - 1) if last else None
    if last is None or before is None:
        return None
    gap = max_gap(head_of(last.text).interval)
    if until - last.timestamp > gap or last.timestamp - before.timestamp > gap:
        return None
    carried = add(Chain(history, name, before.timestamp).total_at(last.timestamp, last, None) for name in names)
    elapsed = (last.timestamp - before.timestamp) / SECOND
    return carried.rx_bytes / elapsed, carried.tx_bytes / elapsed


class Chain:
    """One interface's samples, followed forward in time, with what went through up to each."""

    def __init__(self, history: History, name: str, since: int) -> None:
        self._history = history
        self._needle = needle(name)
        self._interval: tuple[int, float | None] = (-1, None)
        """Of the line that was looked at last: its moment, and the interval that it states."""
        before = history.floor(since)
        self._anchor = self._seen(before) if before else None
        if self._anchor is None:
            self._anchor = self._seen(history.rfind(self._needle, since))
        self._total = NO_TRAFFIC
        self._next: tuple[int, Seen | None] = (-2, None)
        self._base = NO_TRAFFIC
        self._base = self.total_at(since, before, None)

    def total_at(self, moment: int, floor: Line | None, higher: Line | None) -> Traffic:
        """What went through from the beginning to the moment. Moments must not go back. `floor` is the server's last
        sample at or before the moment, `higher` (if known) the first after it."""
        self._advance(moment, floor)
        anchor = self._anchor
        if anchor is not None and anchor.timestamp == moment:
            return self._total.minus(self._base)
        upcoming = self._seen(higher) if anchor and floor and anchor.timestamp == floor.timestamp else None
        if anchor is not None and upcoming is not None and same_run(anchor, upcoming):
            return self._total.plus(_within_run(anchor, upcoming).by(moment)).minus(self._base)
        upcoming = upcoming or self._after(anchor)
        if upcoming is None:
            return self._total.minus(self._base)
        return self._total.plus(self._growth(upcoming, anchor).by(moment)).minus(self._base)

    def _advance(self, moment: int, floor: Line | None) -> None:
        """Moves the anchor to the interface's last sample at or before the moment."""
        here = self._seen(floor)
        if self._anchor is not None and here is not None and self._step_back(self._anchor, here):
            return
        while True:
            anchor = self._anchor
            if anchor is not None:
                if here is not None and (here.timestamp <= anchor.timestamp or same_run(anchor, here)):
                    self._move(here)
                    return
                self._move(self._end_of_run(anchor, moment))
            upcoming = self._after(self._anchor)
            if upcoming is None or upcoming.timestamp > moment:
                return
            self._total = self._total.plus(self._growth(upcoming, self._anchor).traffic)
            self._anchor = upcoming

    def _step_back(self, anchor: Seen, here: Seen) -> bool:
        """Moves the anchor to a sample of a later run by way of the runs' own word: `start` is the moment of a run's
        first sample, so the run before it ends just there. False where that cannot be followed to the anchor."""
        carried, cur = NO_TRAFFIC, here
        while not same_run(anchor, cur):
            start = cur.interface.start
            if start is None or start <= anchor.timestamp:
                return False
            before, at = self._history.locate(start - 1)
            first = self._seen(at)
            if first is None or first.timestamp != start or not same_run(first, cur):
                return False
            named = self._seen(before) or self._seen(self._history.rfind(self._needle, start - 1))
            if named is None or named.timestamp < anchor.timestamp:
                return False
            carried = carried.plus(_within_run(first, cur).traffic).plus(self._growth(first, named, before).traffic)
            cur = named
        if here.timestamp > anchor.timestamp:
            self._total = self._total.plus(carried).plus(_within_run(anchor, cur).traffic)
            self._anchor = here
        return True

    def _move(self, seen: Seen) -> None:
        """Puts the anchor on a later sample of its own run."""
        if self._anchor is not None and seen.timestamp > self._anchor.timestamp:
            self._total = self._total.plus(_within_run(self._anchor, seen).traffic)
            self._anchor = seen

    def _end_of_run(self, anchor: Seen, until: int) -> Seen:
        """The last sample of the anchor's run, which is over at `until`: ever longer steps forward, then halving."""
        run = RunMark(anchor.interface, anchor.boot_id)
        best: Line | None = None
        low, high = anchor.timestamp, until  # the samples at or before these are in the run, and are not
        step = 4 * SECOND
        while low + 1 < high:
            moment = low + step if step else (low + high) // 2
            probe, following = self._history.locate(min(moment, high - 1))
            if probe is None or probe.text not in run:
                high, step = (probe.timestamp if probe else min(moment, high - 1)), 0
            elif following is None or following.text not in run:
                return self._seen(probe) or anchor
            else:
                best, low, step = following, following.timestamp, step * 2
        return self._seen(best) or anchor

    def _after(self, seen: Seen | None) -> Seen | None:
        """The interface's next sample; remembered, because a search that finds none has read everything."""
        after = -1 if seen is None else seen.timestamp
        if self._next[0] != after:
            following = self._history.locate(after)[1]
            found = self._seen(following) or self._seen(self._history.find(self._needle, after))
            self._next = (after, found)
        return self._next[1]

    def _growth(self, cur: Seen, named: Seen | None, before: Line | None = None) -> Growth:
        """What the interface's next sample brought. `named` is its sample before that, under the same name; `before`
        the server's, if it is known."""
        before = before or self._history.floor(cur.timestamp - 1)
        device = None if named is not None and same_run(named, cur) else self._device_before(cur, before)
        moment, interval = self._interval
        if moment != cur.timestamp:
            line = self._history.floor(cur.timestamp)
            interval = head_of(line.text).interval if line else None
        return growth(cur, named, device, before.timestamp if before else None, max_gap(interval))

    def _device_before(self, cur: Seen, before: Line | None) -> Seen | None:
        """The last earlier sample of the same device under whatever name; `before` is the server's last one."""
        if cur.device is None:
            return None
        pattern = b'"ifindex":%d,' % (cur.interface.ifindex or 0)
        line = before if before and pattern in before.text else self._history.rfind(pattern, cur.timestamp - 1)
        while line is not None:
            sample = decode(line.text)
            if sample.boot_id != cur.boot_id:
                return None  # boots follow one another: before this one there are only others
            for interface in sample.interfaces or ():
                if interface.ifindex == cur.interface.ifindex:
                    return Seen(sample.timestamp, sample.boot_id, interface)
            line = self._history.rfind(pattern, line.timestamp - 1)
        return None

    def _seen(self, line: Line | None) -> Seen | None:
        if line is None:
            return None
        interface = interface_in(line.text, self._needle)
        if interface is None:
            return None
        head = head_of(line.text)
        self._interval = (line.timestamp, head.interval)
        return Seen(line.timestamp, head.boot_id, interface)


def _within_run(earlier: Seen, later: Seen) -> Growth:
    grown = counters(later.interface).minus(counters(earlier.interface))
    return Growth(earlier.timestamp, later.timestamp, grown)
