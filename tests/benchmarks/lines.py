"""The line: reading and writing one, and a day of them by the definition."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice

from netstat_cli.line.wire import decode, encode
from netstat_cli.times import parse_timestamp
from netstat_cli.traffic.scan import TrafficScan
from tests.benchmarks.table import Row, by_turns, milliseconds, ratio
from tests.benchmarks.year import samples

DAY_LINES = 8640
END = parse_timestamp("2026-11-21T12:00:00Z")
"""Any moment: the year of made-up samples ends there."""


def rows() -> Iterator[Row]:
    """All comparisons of lines: with 5 interfaces, as netcli collect makes them."""
    day = [encode(sample) for sample in islice(samples(END, 2), DAY_LINES)]
    line = day[-1]
    sample, plain = decode(line), json.loads(line)
    for what, mine, other, against in (
        ("decode with validation", lambda: decode(line), lambda: json.loads(line), "json.loads"),
        ("encode", lambda: encode(sample), lambda: json.dumps(plain), "json.dumps"),
    ):
        own, theirs = by_turns(mine, other, 20_000)
        yield Row(
            f"{what}, {len(line)} bytes", milliseconds(own), against, milliseconds(theirs), ratio(own, theirs), "< 1x"
        )
    decoded = [decode(line) for line in day]
    scanned, loaded = by_turns(lambda: scan(decoded), lambda: [json.loads(line) for line in day], 5)
    yield Row(f"a day of {DAY_LINES} samples by the definition", milliseconds(scanned), "json.loads of its lines",
              milliseconds(loaded), ratio(scanned, loaded), "≤ 150 ms")  # fmt: skip


def scan(day: list[object]) -> None:
    """Have the definition look at every sample."""
    reference = TrafficScan()
    for sample in day:
        reference.enter(sample)  # type: ignore[arg-type]
