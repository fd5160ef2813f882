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
    next_base,
)


class Brought(NamedTuple):
    """What one sample brought."""

    interfaces: dict[str, Increase]
    """By the names of all its interfaces."""
    node: Increase


class TrafficScan:
    """Shown every sample of one server in time order, tells what each brought. Samples must not go back in time."""

    def __init__(self) -> None:
        self._by_device: dict[tuple[str, int | str], Base] = {}
        self._by_name: dict[str, Base] = {}
        self._before: Sample | None = None

    def enter(self, sample: Sample) -> Brought:
        """Take the next sample."""
        steps = {}
        bases = []
        before = self._before.timestamp if self._before is not None else None
        gap = max_gap(sample.interval)
        for interface in sample.interfaces:
            cur = Observation(sample.timestamp, sample.boot_id, interface)
            key = device_key(cur)
            named, device = self._by_name.get(interface.name), self._by_device.get(key) if key else None
            base = base_for(cur, named, device)
            step = steps[interface.name] = increase_of(cur, base, named, before, gap)
            bases.append((interface.name, key, next_base(base, cur, step)))
        for name, key, base in bases:
            self._by_name[name] = base
            if key is not None:
                self._by_device[key] = base
        prev, self._before = self._before, sample
        return Brought(steps, node_increase(prev, sample, steps))


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
