"""The definition of traffic, applied to every sample of one server in time order.

What an interface brought with a sample is what increase.py says of it and of the last earlier sample of its device.
What the **node** brought with a sample is

    within a run of the node's own counters    their difference
    else                                       the sum of what the interfaces that count in that sample brought

and it went through since the server's sample before. So it depends on nothing but the samples, and never on which of
them a question touches. The search (series.py) must find the same numbers; property tests hold the two together.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

from netstat_cli.line.model import Head, Sample
from netstat_cli.line.topology import uplinks
from netstat_cli.times import SECOND
from netstat_cli.traffic.increase import (
    NO_TRAFFIC,
    Base,
    Increase,
    Observation,
    Traffic,
    base_for,
    device_key,
    increase_of,
    max_gap,
    most_bytes,
    next_base,
)


class Brought(NamedTuple):
    """What one sample brought."""

    interfaces: dict[str, Increase]
    """By the names of all its interfaces."""
    node: Increase


class _Last:
    """The last sight of a device under a name: what the next one is compared with."""

    __slots__ = ("base", "key")

    def __init__(self, base: Base, key: tuple[str, int | str] | None) -> None:
        self.base = base
        self.key = key


class TrafficScan:
    """Shown every sample of one server in time order, tells what each brought. Samples must not go back in time."""

    def __init__(self) -> None:
        self._by_device: dict[tuple[str, int | str], _Last] = {}
        self._by_name: dict[str, _Last] = {}
        self._before: Sample | None = None

    def enter(self, sample: Sample) -> Brought:
        """Take the next sample."""
        prev, steps, changed = self._before, {}, []
        before = prev.timestamp if prev is not None else -1
        most = most_bytes((sample.timestamp - before) / SECOND)
        for interface in sample.interfaces:
            name, cur = interface.name, Observation(sample.timestamp, sample.boot_id, interface)
            last = self._by_name.get(name)
            if last is not None and (traffic := _quickly(last.base, cur, before, most)) is not None:
                steps[name] = Increase(before, sample.timestamp, traffic)
                last.base = Base(cur)
            else:
                steps[name], base = self._step(cur, last, max_gap(sample.interval))
                changed.append((name, base))
        for name, base in changed:
            last = self._by_name[name] = _Last(base, device_key(base.last))
            if last.key is not None:
                self._by_device[last.key] = last
        self._before = sample
        return Brought(steps, node_increase(prev, sample, steps))

    def _step(self, cur: Observation, last: _Last | None, gap: int) -> tuple[Increase, Base]:
        """What an interface brought, and what its next sample is compared with."""
        key = device_key(cur)
        device = self._by_device.get(key) if key is not None else None
        named_base, device_base = (one.base if one is not None else None for one in (last, device))
        base = base_for(cur, named_base, device_base)
        before = self._before.timestamp if self._before is not None else None
        step = increase_of(cur, base, named_base, before, gap)
        return step, next_base(base, cur, step)


def _quickly(base: Base, cur: Observation, before: int, most: int) -> Traffic | None:
    """What an interface brought that was in the sample before and counts on, as nearly all do; None where the table has
    to be asked. `most` is what a link can have carried since."""
    prev = base.last
    mine, its = prev.interface, cur.interface
    if prev.timestamp != before or prev.boot_id != cur.boot_id or base.before_leap is not None:
        return None
    if mine.ifindex != its.ifindex or mine.kind != its.kind:
        return None
    a, b = its.rx_bytes - mine.rx_bytes, its.tx_bytes - mine.tx_bytes
    m, n = its.rx_packets - mine.rx_packets, its.tx_packets - mine.tx_packets
    if a < 0 or b < 0 or m < 0 or n < 0 or a > most or b > most or m > most or n > most:
        return None
    return Traffic(a, b, m, n)


def node_increase(prev: Head | None, sample: Sample, steps: Mapping[str, Increase]) -> Increase:
    """Tell what the node carried since the server's sample before, given what the interfaces of the sample brought."""
    since = sample.timestamp if prev is None else prev.timestamp
    if prev is not None and same_node_run(prev, sample):
        return Increase(since, sample.timestamp, node_counters(sample).minus(node_counters(prev)))
    total = NO_TRAFFIC
    for interface in uplinks(sample.interfaces):
        total = total.plus(steps[interface.name].traffic)
    return Increase(since, sample.timestamp, total)


def node_counters(head: Head) -> Traffic:
    """Take the node's own counters; 0 where the line has none."""
    if head.network_rx_bytes is None or head.network_tx_bytes is None:
        return NO_TRAFFIC
    packets = head.network_rx_packets or 0, head.network_tx_packets or 0
    return Traffic(head.network_rx_bytes, head.network_tx_bytes, *packets)


def same_node_run(prev: Head, cur: Head) -> bool:
    """Tell if the node's counters of two samples can be subtracted."""
    return (
        prev.network_start is not None
        and prev.network_start == cur.network_start
        and prev.boot_id == cur.boot_id
        and min(node_counters(cur).minus(node_counters(prev))) >= 0
    )


def scan_totals(samples: Iterable[Sample], interface: str | None, edges: Sequence[int]) -> list[Traffic]:
    """Tell what went through an interface, or (None) the node, from the beginning of the history up to each edge.

    Every sample of the server is looked at, in time order; edges increase.
    """
    scan = TrafficScan()
    whole = [NO_TRAFFIC] * (len(edges) + 1)  # what comes to be from an edge on
    partly = [NO_TRAFFIC] * len(edges)  # what an edge cuts
    for sample in samples:
        brought = scan.enter(sample)
        if (one := brought.node if interface is None else brought.interfaces.get(interface)) is not None:
            ended = bisect_left(edges, one.until)
            whole[ended] = whole[ended].plus(one.traffic)
            for cut in range(bisect_right(edges, one.since), ended):
                partly[cut] = partly[cut].plus(one.by(edges[cut]))
    totals = list(accumulate(whole, Traffic.plus))
    return [totals[i].plus(partly[i]) for i in range(len(edges))]
