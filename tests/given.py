"""Samples, interfaces and histories for tests, as short as the test can say them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from netstat_cli.counters import Growth, Ledger, complete, max_gap
from netstat_cli.model import NO_TRAFFIC, Interface, Sample, Traffic
from netstat_cli.series import Bucket, add
from netstat_cli.times import MINUTE, SECOND, parse_timestamp

T0 = parse_timestamp("2026-11-21T12:00:00Z")


def interface(name: str = "eth0", rx: int = 0, tx: int | None = None, **more: Any) -> Interface:
    """An interface that received `rx` bytes in a thousandth as many packets, and sent as many unless `tx` says."""
    sent = rx if tx is None else tx
    fields: dict[str, Any] = {"ifindex": 2, "kind": "physical", "is_up": True, "speed_mbps": None, "start": None}
    fields |= {"rx_bytes": rx, "tx_bytes": sent, "rx_packets": rx // 1000, "tx_packets": sent // 1000}
    fields |= {"rx_errors": 0, "tx_errors": 0, "rx_dropped": 0, "tx_dropped": 0}
    return Interface(name=name, **(fields | more))


def sample(at: float, *interfaces: Interface, server: str = "web1", boot: str | None = "boot-1", **more: Any) -> Sample:
    """A sample `at` seconds after T0."""
    fields: dict[str, Any] = {"hostname": f"{server}.lan", "seq": None, "interval": 10.0}
    fields |= {"network_rx_bytes_per_sec": None, "network_tx_bytes_per_sec": None}
    moment = T0 + round(at * SECOND)
    return Sample(timestamp=moment, server_id=server, boot_id=boot, interfaces=interfaces, **(fields | more))


def completed(samples: Iterable[Sample]) -> list[Sample]:
    """The samples as their maker would have completed them, one after the other."""
    done: list[Sample] = []
    for one in samples:
        done.append(complete(one, done[-1] if done else None))
    return done


def growths(samples: Iterable[Sample], name: str) -> list[Growth]:
    """What each sample brought to one interface, by the definition."""
    ledger = Ledger()
    return [growth for one in samples for who, growth in ledger.enter(one) if who == name]


def scan(samples: Sequence[Sample], name: str, edges: Sequence[int]) -> list[Bucket]:
    """The buckets of a series by looking at every sample: the definition that every search must meet."""
    grown = growths(samples, name)
    totals = [add(growth.by(edge) for growth in grown) for edge in edges]
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


def total(samples: Sequence[Sample], name: str) -> Traffic:
    """Everything that went through an interface."""
    return add(growth.traffic for growth in growths(samples, name)) if samples else NO_TRAFFIC
