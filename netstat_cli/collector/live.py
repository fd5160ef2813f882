"""The live view: the newest sample of every server and when it arrived. Status is about arrival, not about the
sender's clock."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import NamedTuple

from netstat_cli.model import Interface, Sample
from netstat_cli.times import MINUTE, SECOND
from netstat_cli.topology import uplinks

WARNING_AFTER = MINUTE
OFFLINE_AFTER = 2 * MINUTE


class Thresholds(NamedTuple):
    """Milliseconds of silence after which a node is no longer online, and after which it is offline."""

    warning: int = WARNING_AFTER
    offline: int = OFFLINE_AFTER

    def status(self, silence: int) -> str:
        """online, warning or offline."""
        if silence < self.warning:
            return "online"
        return "warning" if silence < self.offline else "offline"


class Node(NamedTuple):
    """A server as it is known now."""

    sample: Sample
    arrived: int

    @property
    def uplinks(self) -> list[Interface]:
        """The interfaces that count."""
        return uplinks(self.sample.interfaces or ())


class Live:
    """Written by whoever stores samples, read by everybody."""

    def __init__(self, latest: Iterable[Sample], at: int) -> None:
        """`latest`: the newest stored samples, taken to have arrived when they were sampled."""
        self._lock = threading.Lock()
        self._nodes = {sample.server_id: Node(sample, min(sample.timestamp, at)) for sample in latest}

    def saw(self, sample: Sample, at: int) -> None:
        """A sample was stored."""
        with self._lock:
            known = self._nodes.get(sample.server_id)
            newest = known.sample if known and known.sample.timestamp > sample.timestamp else sample
            self._nodes[sample.server_id] = Node(newest, at)

    def forget(self, name: str) -> bool:
        """Drops a server until it speaks again; whether it was there."""
        with self._lock:
            return self._nodes.pop(name, None) is not None

    def node(self, name: str) -> Node | None:
        """One server."""
        return self._nodes.get(name)

    def nodes(self) -> list[Node]:
        """All of them, by name."""
        with self._lock:
            return [self._nodes[name] for name in sorted(self._nodes)]


def ago(silence: int) -> str:
    """How long ago, in the largest whole unit: 3s ago, 5m ago, 2h ago, 4d ago."""
    seconds = max(0, silence) // SECOND
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit} ago"
    return f"{seconds}s ago"
