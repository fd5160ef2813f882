"""The live view: the newest sample of every server and when it arrived. Status is about arrival, not about the
sender's clock."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from netstat_cli.model import Sample
from netstat_cli.repeats import Repeat, sample_of
from netstat_cli.times import MINUTE, SECOND
from netstat_cli.wire import encode

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

    newest: Sample | Repeat
    arrived: int

    @property
    def sample(self) -> Sample:
        """Its newest sample."""
        return sample_of(self.newest)

    @property
    def line(self) -> bytes:
        """The line of its newest sample."""
        return encode(self.newest) if isinstance(self.newest, Sample) else self.newest.line


class Live:
    """When each server was last heard of. Written by whoever stores samples, read by everybody."""

    def __init__(self, latest: Mapping[str, Sample | Repeat], at: int) -> None:
        """`latest`: the newest sample of every server, kept by the store; those that are there now are taken to have
        arrived when they were sampled."""
        self._lock = threading.Lock()
        self._latest = latest
        self._arrived = {name: min(newest.timestamp, at) for name, newest in latest.items()}

    def saw(self, names: Iterable[str], at: int) -> None:
        """Samples of these servers were stored."""
        arrived = dict.fromkeys(names, at)
        with self._lock:
            self._arrived.update(arrived)

    def forget(self, name: str) -> bool:
        """Drops a server until it speaks again; whether it was there."""
        with self._lock:
            return self._arrived.pop(name, None) is not None

    def node(self, name: str) -> Node | None:
        """One server."""
        newest, arrived = self._latest.get(name), self._arrived.get(name)
        return Node(newest, arrived) if newest is not None and arrived is not None else None

    def nodes(self) -> list[Node]:
        """All of them, by name."""
        with self._lock:
            names = sorted(self._arrived)
        return [node for name in names if (node := self.node(name)) is not None]


def ago(silence: int) -> str:
    """How long ago, in the largest whole unit: 3s ago, 5m ago, 2h ago, 4d ago."""
    seconds = max(0, silence) // SECOND
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit} ago"
    return f"{seconds}s ago"
