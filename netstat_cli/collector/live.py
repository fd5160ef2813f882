"""The live view: the newest sample of every server, and when it was heard of.

Which sample is the newest, and whether a node is alive, is about arrival, not about the sender's clock. Written by
whoever stores samples, read by everybody.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from netstat_cli.line.model import Sample
from netstat_cli.status import LEARNT_FROM, Thresholds, learnt_interval
from netstat_cli.times import SECOND


class Node(NamedTuple):
    """A server as it is known now."""

    sample: Sample
    """Its newest sample; of a node that only ever sent samples from far ahead, the last of those."""
    arrived: int
    """When it was heard of last, by this machine's clock, in milliseconds since the epoch."""
    interval_s: float | None
    """Seconds between its samples, as it says or as was learnt."""
    skew_s: float | None
    """Seconds by which the clock of its newest sample was ahead of this machine's when that arrived."""
    ahead: int
    """Milliseconds by which its last sample was ahead of this machine's clock, if that was too far to be believed."""

    def status(self, thresholds: Thresholds, at: int) -> str:
        """Tell if the node is online, warning or offline."""
        return thresholds.status(at - self.arrived, self.interval_s)


class _Heard(NamedTuple):
    arrivals: tuple[int, ...]
    skew: int | None
    ahead: int
    ahead_sample: Sample | None


class Live:
    """When each server was last heard of."""

    def __init__(self, latest: Mapping[str, Sample], at: int) -> None:
        """`latest`: the newest sample of every server, kept by the store; those that are there now are taken to have
        arrived when they were sampled."""
        self._lock = threading.Lock()
        self._latest = latest
        self._heard = {
            name: _Heard((min(newest.timestamp, at),), None, 0, None) for name, newest in list(latest.items())
        }

    def saw(self, samples: Iterable[Sample], at: int) -> None:
        """Samples were stored."""
        heard = {sample.server_id: sample for sample in samples}
        with self._lock:
            for name, sample in heard.items():
                arrivals = self._arrivals(name, at)
                newest = self._latest.get(name)
                skew = sample.timestamp - at if newest is not None and newest.timestamp <= sample.timestamp else None
                if skew is None and name in self._heard:
                    skew = self._heard[name].skew
                self._heard[name] = _Heard(arrivals, skew, 0, None)

    def saw_ahead(self, sample: Sample, ahead: int, at: int) -> None:
        """A sample was set aside, because it was so far ahead of this machine's clock."""
        with self._lock:
            name = sample.server_id
            skew = self._heard[name].skew if name in self._heard else None
            self._heard[name] = _Heard(self._arrivals(name, at), skew, ahead, sample)

    def _arrivals(self, name: str, at: int) -> tuple[int, ...]:
        known = self._heard.get(name)
        if known is None:
            return (at,)
        return (*known.arrivals[-LEARNT_FROM:], at) if at > known.arrivals[-1] else known.arrivals

    def forget(self, name: str) -> bool:
        """Drop a server until it speaks again. False if it was not there."""
        with self._lock:
            return self._heard.pop(name, None) is not None

    def node(self, name: str) -> Node | None:
        """One server."""
        heard = self._heard.get(name)
        sample = self._latest.get(name) or (heard.ahead_sample if heard is not None else None)
        if heard is None or sample is None:
            return None
        interval_s = sample.interval if sample.interval is not None else learnt_interval(heard.arrivals)
        skew_s = None if heard.skew is None else heard.skew / SECOND
        return Node(sample, heard.arrivals[-1], interval_s, skew_s, heard.ahead)

    def nodes(self) -> list[Node]:
        """All of them, by name."""
        with self._lock:
            names = sorted(self._heard)
        return [node for name in names if (node := self.node(name)) is not None]
