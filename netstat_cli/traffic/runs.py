"""The search for what went through: one subtraction a run, and a look at the lines where one ends and another begins.

Within a run any two samples can be subtracted (tracker.py), so a stretch of any length costs look-ups at its edges, and
one for each run that began in it. What the first sample of a run brought is decided by the definition (increase.py)
from that sample and the last earlier one of its device, which is looked for here.

A line says where its run began (`start`). That is looked at, and not taken on trust alone: where the lines around an
edge contradict it, the search raises Unproven, and the definition is applied to every line instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from netstat_cli.errors import NetcliError
from netstat_cli.line.model import Sample
from netstat_cli.line.topology import uplinks
from netstat_cli.line.wire import Line, decode
from netstat_cli.times import SECOND
from netstat_cli.traffic.increase import (
    NO_TRAFFIC,
    Base,
    Increase,
    Observation,
    Seen,
    Traffic,
    base_for,
    counters,
    counts_on,
    fell,
    increase_of,
    max_gap,
    same_device,
)
from netstat_cli.traffic.lookups import InterfaceSamples, Lookups
from netstat_cli.traffic.scan import node_counters, node_increase, same_node_run

Around = Sequence[tuple[Line | None, Line | None]]
"""For each edge, the server's last line at or before it and the first one after it."""
FIRST_STEP = 4 * SECOND


class Unproven(NetcliError):
    """The lines contradict what they say of their runs."""


class Spot(NamedTuple):
    """One sample of a chain: when, which run it says to be of, and its counters."""

    timestamp: int
    start: int | None
    amounts: Traffic
    seen: Observation | None
    """The interface, where the chain is one's."""
    boot_id: str | None


class Chain(Protocol):
    """The samples of an interface, or of the node, with runs."""

    lookups: Lookups

    def in_line(self, line: Line | None) -> Spot | None:
        """What a line shows, if it does."""

    def at_or_before(self, moment: int) -> Spot | None:
        """The last sample at or before a moment."""

    def after(self, moment: int) -> Spot | None:
        """The first sample after a moment."""

    def same_run(self, earlier: Spot, later: Spot) -> bool:
        """Tell if two samples can be subtracted, as they say themselves."""

    def steps(self, spot: Spot) -> list[Increase]:
        """What a sample brought since the one before, by the definition."""


class Run(NamedTuple):
    """A run, as far as a question touches it."""

    first: Spot
    last: Spot
    steps: list[Increase]
    """What its first sample brought; empty where the question begins later."""


# Where a run began: two strategies


def first_of_run(chain: Chain, spot: Spot) -> Spot:
    """Find the first sample of the run that a sample is of."""
    if spot.start is None:
        return spot
    begin = chain.lookups.believed(spot.start, spot.timestamp)
    if begin >= spot.timestamp:
        return spot
    first = chain.in_line(chain.lookups.after(begin - 1))
    if first is not None and chain.same_run(first, spot):
        return first
    return first_by_bisection(chain, spot, begin)


def first_by_bisection(chain: Chain, spot: Spot, begin: int) -> Spot:
    """Find the first of the samples from `begin` on that lead to `spot` in one run, where the line that the run names
    is not there: ever longer steps back, then halving."""
    good, bad, step = spot, begin - 1, FIRST_STEP
    while good.timestamp - step > bad:
        probe = chain.in_line(chain.lookups.floor(good.timestamp - step))
        if probe is None or probe.timestamp <= bad or not chain.same_run(probe, spot):
            bad = max(bad, good.timestamp - step)
            break
        good, step = probe, step * 2
    while good.timestamp - bad > 1:
        middle = (good.timestamp + bad) // 2
        line = chain.lookups.after(middle - 1)
        probe = chain.in_line(line)
        if probe is not None and probe.timestamp < good.timestamp and chain.same_run(probe, spot):
            good = probe
        elif line is not None and line.timestamp < good.timestamp:
            bad = line.timestamp
        else:
            bad = middle
    return good


def runs_between(chain: Chain, since: int, until: int) -> list[Run]:
    """List the runs that a question over [since, until] touches, and the samples after it that tell what went through
    at its end."""
    found: list[tuple[Spot, Spot]] = []
    cur = chain.at_or_before(until)
    while cur is not None:
        first = _first_unless_leapt(chain, cur, found[-1][0] if found else None)
        found.append((first, cur))
        if first.timestamp <= since:
            break
        cur = chain.at_or_before(first.timestamp - 1)
    runs = [Run(first, last, chain.steps(first) if first.timestamp > since else []) for first, last in reversed(found)]
    following = chain.after(until)
    while following is not None:
        if runs and chain.same_run(runs[-1].first, following):
            break
        steps = chain.steps(following)
        runs.append(Run(following, following, steps))
        if all(step.seen is not Seen.LEAP for step in steps):
            break
        following = chain.after(following.timestamp)
    return runs


def _first_unless_leapt(chain: Chain, spot: Spot, later: Spot | None) -> Spot:
    """The first sample of the run; the sample itself where its counters leapt and 1.0.0 took that for the same run, as
    the fall after it, or the end of the history, may show."""
    cur, after = spot.seen, later.seen if later is not None else None
    if cur is not None and (after is None or fell(cur.interface, after.interface)):
        before = chain.in_line(chain.lookups.floor(spot.timestamp - 1))
        prev = before.seen if before is not None and before.start == spot.start else None
        if prev is not None and same_device(prev, cur) and not counts_on(prev, cur):
            return spot
    return first_of_run(chain, spot)


def totals(chain: Chain, edges: Sequence[int], around: Around) -> list[Traffic]:
    """Tell what went through up to each edge, from a moment that is the same for all of them.

    The total is a sum over runs: of each that is over, what its first sample brought and what came until its last; of
    the one that an edge lies in, what came until the edge; and of what the samples after it brought, the share until
    the edge.
    """
    runs = runs_between(chain, edges[0], edges[-1])
    found, done, current = [], NO_TRAFFIC, -1
    for edge, lines in zip(edges, around, strict=True):
        while current + 1 < len(runs) and runs[current + 1].first.timestamp <= edge:
            if current >= 0:
                done = done.plus(_whole(runs[current]))
            current += 1
            for step in runs[current].steps:
                done = done.plus(step.traffic)
        total = done
        if current >= 0:
            total = total.plus(_within(chain, runs[current], current + 1 < len(runs), edge, lines))
        for run in runs[current + 1 :]:
            reached = [step for step in run.steps if step.since < edge or step.seen is Seen.LEAP]
            for step in reached:
                total = total.plus(step.by(edge))
            if not reached:
                break
        found.append(total)
    return found


def _whole(run: Run) -> Traffic:
    return run.last.amounts.minus(run.first.amounts)


def _within(chain: Chain, run: Run, is_over: bool, edge: int, lines: tuple[Line | None, Line | None]) -> Traffic:
    """What came from a run's first sample until the edge."""
    if edge >= run.last.timestamp and (is_over or edge == run.last.timestamp):
        return _whole(run)
    here, following = chain.in_line(lines[0]), chain.in_line(lines[1])
    if here is None or not chain.same_run(run.first, here):
        if edge >= run.last.timestamp:
            return _whole(run)
        raise Unproven("the lines contradict what they say of their runs")
    came = here.amounts.minus(run.first.amounts)
    if here.timestamp == edge:
        return came
    if following is not None and chain.same_run(run.first, following):
        step = Increase(here.timestamp, following.timestamp, following.amounts.minus(here.amounts))
        came = came.plus(step.by(edge))
    elif edge < run.last.timestamp:
        raise Unproven("the lines contradict what they say of their runs")
    return came


# The two chains


class InterfaceChain:
    """One interface."""

    def __init__(self, lookups: Lookups, name: str) -> None:
        self.lookups = lookups
        self.samples = InterfaceSamples(lookups, name)
        self._steps: dict[int, tuple[Increase, Base | None]] = {}

    def in_line(self, line: Line | None) -> Spot | None:
        """What a line shows of it, if it does."""
        return _spot(self.samples.in_line(line))

    def at_or_before(self, moment: int) -> Spot | None:
        """Its last sample at or before a moment."""
        return _spot(self.samples.at_or_before(moment))

    def after(self, moment: int) -> Spot | None:
        """Its first sample after a moment."""
        return _spot(self.samples.after(moment))

    def same_run(self, earlier: Spot, later: Spot) -> bool:
        """Tell if two samples say to be of one run, and nothing that they show speaks against it."""
        if earlier.start is None or earlier.start != later.start or earlier.seen is None or later.seen is None:
            return False
        return same_device(earlier.seen, later.seen) and not fell(earlier.seen.interface, later.seen.interface)

    def steps(self, spot: Spot) -> list[Increase]:
        """What a sample brought, by the definition."""
        return [] if spot.seen is None else [self.step(spot.seen)[0]]

    def step(self, cur: Observation) -> tuple[Increase, Base | None]:
        """What a sample brought, and what it was compared with."""
        if cur.timestamp not in self._steps:
            self._steps[cur.timestamp] = self._step(cur)
        return self._steps[cur.timestamp]

    def _step(self, cur: Observation) -> tuple[Increase, Base | None]:
        before = self.lookups.floor(cur.timestamp - 1)
        named = self.samples.at_or_before(cur.timestamp - 1)
        gap = max_gap(self.lookups.interval(cur.timestamp))
        if named is not None and before is not None and named.timestamp == before.timestamp and same_device(named, cur):
            device = None
        else:
            device = self.lookups.device_before(cur)
        base = base_for(cur, _base(named), _base(device))
        if base is not None and same_device(base.last, cur) and fell(base.last.interface, cur.interface):
            base = self._of(base.last).base_at(base.last, cur.timestamp - gap)
        moment = before.timestamp if before is not None else None
        return increase_of(cur, base, _base(named), moment, gap), base

    def base_at(self, last: Observation, horizon: int) -> Base:
        """What a sample is compared with that fell below `last`: with the leap before it, if it was the last sample or
        the reading before it is not older than `horizon`."""
        counted, spot = NO_TRAFFIC, _spot(last)
        chain = self
        while spot is not None and spot.seen is not None:
            first = _first_unless_leapt(chain, spot, None)
            counted = counted.plus(spot.amounts.minus(first.amounts))
            step, base = chain.step(first.seen or spot.seen)
            if base is None or step.seen not in (Seen.LEAP, Seen.COUNTING_ON):
                break
            if step.seen is Seen.LEAP and (leap := chain.leap_base(first.seen or last)) is not None:
                return leap._replace(last=last, since_leap=None if first.timestamp == last.timestamp else counted)
            counted = counted.plus(step.traffic)
            if base.last.timestamp < horizon:
                break
            chain, spot = chain._of(base.last), _spot(base.last)
        return Base(last)

    def leap_base(self, cur: Observation) -> Base | None:
        """What a sample is compared with that fell below this one, if this one is a leap."""
        spot = _spot(cur)
        if spot is None or _first_unless_leapt(self, spot, None).timestamp != cur.timestamp:
            return None
        step, base = self.step(cur)
        if step.seen is not Seen.LEAP or base is None:
            return None
        earlier = self._of(base.last).leap_base(base.last)
        return Base(cur, base.last, None, step.since) if earlier is None else earlier._replace(last=cur)

    def _of(self, seen: Observation) -> InterfaceChain:
        same = seen.interface.name == self.samples.name
        return self if same else InterfaceChain(self.lookups, seen.interface.name)


def _base(seen: Observation | None) -> Base | None:
    return None if seen is None else Base(seen)


def _spot(seen: Observation | None) -> Spot | None:
    if seen is None:
        return None
    return Spot(seen.timestamp, seen.interface.start, counters(seen.interface), seen, seen.boot_id)


class NodeChain:
    """The node over its uplinks: one chain, whatever their number.

    Lines of 1.0.0 have no counters of the node. Their sums over the uplinks stand for them on days on which no
    interface came, went or began a new run; on other days each line is a run of its own, exact though slower.
    """

    def __init__(self, lookups: Lookups) -> None:
        self.lookups = lookups
        self._chains: dict[str, InterfaceChain] = {}
        self._even_days: dict[int, bool] = {}

    def in_line(self, line: Line | None) -> Spot | None:
        """What a line shows of the node."""
        if line is None:
            return None
        head = self.lookups.head(line)
        if head.network_start is not None:
            return Spot(line.timestamp, head.network_start, node_counters(head), None, head.boot_id)
        sample = decode(line.text)
        total = NO_TRAFFIC
        for interface in uplinks(sample.interfaces):
            total = total.plus(counters(interface))
        return Spot(line.timestamp, self._start_of_day(line), total, None, head.boot_id)

    def at_or_before(self, moment: int) -> Spot | None:
        """The node's last sample at or before a moment."""
        return self.in_line(self.lookups.floor(moment))

    def after(self, moment: int) -> Spot | None:
        """The node's first sample after a moment."""
        return self.in_line(self.lookups.after(moment))

    def same_run(self, earlier: Spot, later: Spot) -> bool:
        """Tell if two samples say to be of one run, and nothing that they show speaks against it."""
        same = earlier.start is not None and earlier.start == later.start and earlier.boot_id == later.boot_id
        return same and min(later.amounts.minus(earlier.amounts)) >= 0

    def steps(self, spot: Spot) -> list[Increase]:
        """What a sample brought: the node's own difference, or what its uplinks brought with it."""
        line, before = self.lookups.floor(spot.timestamp), self.lookups.floor(spot.timestamp - 1)
        if line is None:
            return []
        sample = decode(line.text)
        prev = self.lookups.head(before) if before is not None else None
        known = prev is not None and same_node_run(prev, sample)
        return [node_increase(prev, sample, {} if known else self._interfaces(sample))]

    def _interfaces(self, sample: Sample) -> dict[str, Increase]:
        """What each uplink of a sample brought."""
        found = {}
        for interface in uplinks(sample.interfaces):
            chain = self._chains.setdefault(interface.name, InterfaceChain(self.lookups, interface.name))
            found[interface.name] = chain.step(Observation(sample.timestamp, sample.boot_id, interface))[0]
        return found

    def _start_of_day(self, line: Line) -> int | None:
        day = self.lookups.lines.stretch(line.timestamp)
        first = day.first.timestamp
        if first not in self._even_days:
            self._even_days[first] = _is_even(decode(day.first.text), decode(day.last.text), day.names)
        return first if self._even_days[first] else None


def _is_even(begin: Sample, end: Sample, names: frozenset[str]) -> bool:
    """Tell if no interface came, went, changed its role or began a new run from one sample to another."""
    listed = {interface.name: interface for interface in begin.interfaces}
    if not names == listed.keys() == {interface.name for interface in end.interfaces}:
        return False
    return all(
        (mine.start, mine.kind, mine.master, mine.lower) == (its.start, its.kind, its.master, its.lower)
        and counts_on(Observation(begin.timestamp, begin.boot_id, mine), Observation(end.timestamp, end.boot_id, its))
        for mine, its in ((listed[interface.name], interface) for interface in end.interfaces)
    )
