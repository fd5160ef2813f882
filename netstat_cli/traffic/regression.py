"""Samples that a clock put in the wrong place, found by what their counters say.

When a clock is set back, what was sampled before comes to stand among what is sampled after, and its counters are
newer than those around it. Left out, such a sample costs not a byte, because the counters around it went on.
"""

from __future__ import annotations

from collections.abc import Sequence

from netstat_cli.line.model import Interface, Sample

Key = tuple[object, ...]


def clock_regressions(samples: Sequence[Sample], before: Sample | None = None) -> set[int]:
    """Name the moments of those samples (in time order, `before` preceding them) that a clock put in the wrong place.

    Such a sample shows a device of which bytes and packets fell together since just before, although its run, as its
    maker stamped it, began earlier, or the run before it goes on later. No reset looks like that. Where the sampler
    counts its samples, a count that went on says that the clock was right.
    """
    runs = {_run(sample, i): number for number, sample in enumerate(samples) for i in sample.interfaces}
    last: dict[Key, tuple[Sample, Interface]] = {}
    wrong: set[int] = set()
    for number, sample in enumerate([before, *samples] if before else samples, -1 if before else 0):
        present = [(_device(sample, interface), interface) for interface in sample.interfaces]
        if any(_contradicts(sample, i, *last[key], runs, number) for key, i in present if key in last):
            wrong.add(sample.timestamp)
        else:
            last.update((key, (sample, interface)) for key, interface in present)
    return wrong


def _contradicts(
    sample: Sample, cur: Interface, earlier: Sample, prev: Interface, runs: dict[Key, int], number: int
) -> bool:
    received = cur.rx_bytes < prev.rx_bytes and cur.rx_packets < prev.rx_packets
    sent = cur.tx_bytes < prev.tx_bytes and cur.tx_packets < prev.tx_packets
    if not (received or sent) or cur.start is None:
        return False
    if sample.seq is not None and earlier.seq is not None and sample.seq > earlier.seq:
        return False
    return cur.start <= earlier.timestamp or runs.get(_run(earlier, prev), -1) > number


def _device(sample: Sample, interface: Interface) -> Key:
    known = sample.boot_id is not None and interface.ifindex is not None
    return (sample.boot_id, interface.ifindex) if known else (interface.name,)


def _run(sample: Sample, interface: Interface) -> Key:
    return (interface.name, interface.start, *_device(sample, interface))
