"""Samples, interfaces and histories for tests, as short as the test can say them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from netstat_cli.line.model import Interface, Moment, Sample
from netstat_cli.line.wire import encode
from netstat_cli.store.writer import Writer
from netstat_cli.times import DAY, MINUTE, SECOND, parse_timestamp
from netstat_cli.traffic.increase import NO_TRAFFIC, Increase, Traffic, max_gap
from netstat_cli.traffic.scan import TrafficScan, scan_totals
from netstat_cli.traffic.series import Bucket, add
from netstat_cli.traffic.tracker import RunTracker

T0 = parse_timestamp("2026-11-21T12:00:00Z")


def interface(name: str = "eth0", rx: int = 0, tx: int | None = None, **more: Any) -> Interface:
    """An interface that received `rx` bytes in a thousandth as many packets, and sent as many unless `tx` says."""
    sent = rx if tx is None else tx
    fields: dict[str, Any] = {"ifindex": 2, "kind": "physical", "is_up": True}
    fields |= {"rx_bytes": rx, "tx_bytes": sent, "rx_packets": rx // 1000, "tx_packets": sent // 1000}
    fields |= {"rx_errors": 0, "tx_errors": 0, "rx_dropped": 0, "tx_dropped": 0}
    if more.get("start") is not None:
        more["start"] = Moment(more["start"])
    return Interface(name=name, **(fields | more))


def sample(at: float, *interfaces: Interface, server: str = "web1", boot: str | None = "boot-1", **more: Any) -> Sample:
    """A sample `at` seconds after T0."""
    fields: dict[str, Any] = {"hostname": f"{server}.lan", "interval": 10.0, "network_interfaces": interfaces}
    moment = Moment(T0 + round(at * SECOND))
    return Sample(timestamp=moment, server_id=server, boot_id=boot, **(fields | more))


def line_of(one: Sample) -> bytes:
    """The line of a sample, with its newline."""
    return encode(one) + b"\n"


def completed(samples: Iterable[Sample]) -> list[Sample]:
    """The samples as their maker would have completed them, one after the other."""
    tracker = RunTracker()
    return [tracker.complete(one) for one in samples]


def increases(samples: Iterable[Sample], name: str | None) -> list[Increase]:
    """What each sample brought to one interface, or (None) to the node, by the definition."""
    scan = TrafficScan()
    found = []
    for one in samples:
        brought = scan.enter(one)
        if name is None:
            found.append(brought.node)
        elif name in brought.interfaces:
            found.append(brought.interfaces[name])
    return found


def scan(samples: Sequence[Sample], name: str | None, edges: Sequence[int]) -> list[Bucket]:
    """The buckets of a series by looking at every sample: the definition that every search must meet."""
    totals = scan_totals(samples, name, edges)
    silences = _silences(samples, edges)
    buckets = []
    for i, (since, until) in enumerate(pairwise(edges)):
        first, last = samples[0].timestamp, samples[-1].timestamp
        seconds = max(0, min(until, last) - max(since, first)) / SECOND
        gap = any(begin < since and end >= until for begin, end in silences)
        silent = sum(max(0, min(end, until) - max(begin, since)) for begin, end in silences) / SECOND
        buckets.append(Bucket(since, until, totals[i + 1].minus(totals[i]), seconds, gap, silent))
    return buckets


def _silences(samples: Sequence[Sample], edges: Sequence[int]) -> list[tuple[int, int]]:
    """Between which samples nothing is known, as far as an edge lies there."""
    return [
        (before.timestamp, after.timestamp)
        for before, after in pairwise(samples)
        if after.timestamp - before.timestamp > max(MINUTE, max_gap(before.interval))
        and any(before.timestamp <= edge < after.timestamp for edge in edges)
    ]


def writing(data: str | Path, warn: Callable[[str], None] = lambda _: None, **more: Any) -> Writer:
    """The writer of a store, by a clock that is behind no sample of a test."""
    return Writer(str(data), "the tests", warn, **({"clock": lambda: T0 + 10_000 * DAY} | more))


def total(samples: Sequence[Sample], name: str | None) -> Traffic:
    """Everything that went through an interface, or (None) the node."""
    return add(one.traffic for one in increases(samples, name)) if samples else NO_TRAFFIC
