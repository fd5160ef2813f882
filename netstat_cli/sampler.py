"""Source -> an endless series of samples, taken on deadlines that do not drift."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase

from netstat_cli.counters import complete
from netstat_cli.model import Interface, Sample
from netstat_cli.sources import Source
from netstat_cli.times import now
from netstat_cli.topology import LOOPBACK, kind_of


class Selection:
    """Which interfaces a sample holds: one filter for everything. Loopback is in if asked for by name or by `--all`."""

    def __init__(self, include: tuple[str, ...] = (), exclude: tuple[str, ...] = (), loopback: bool = False) -> None:
        self._include = include
        self._exclude = exclude
        self._loopback = loopback

    def __contains__(self, interface: Interface) -> bool:
        name = interface.name
        if any(fnmatchcase(name, pattern) for pattern in self._exclude):
            return False
        if self._include and not any(fnmatchcase(name, pattern) for pattern in self._include):
            return False
        return self._loopback or name in self._include or kind_of(interface) != LOOPBACK


class Sampler:
    """Takes samples of one source, each completed from the one before."""

    def __init__(
        self, source: Source, selection: Selection, server_id: str, hostname: str, interval: float | None = None
    ) -> None:
        self._source = source
        self._selection = selection
        self._server_id = server_id
        self._hostname = hostname
        self._interval = interval
        self._prev: Sample | None = None
        self._prev_clock = 0.0
        self._seq = 0

    def take(self) -> Sample:
        """One sample, now. Raises SourceError."""
        moment, clock = now(), time.monotonic()
        interfaces = tuple([i for i in self._source.read() if i in self._selection])
        known = (self._server_id, self._hostname, self._source.boot_id, self._seq, self._interval)
        if self._prev is None:
            sample = complete(Sample(moment, *known, 0.0, 0.0, interfaces), None)
        else:
            sample = complete(Sample(moment, *known, None, None, interfaces), self._prev, clock - self._prev_clock)
        self._prev, self._prev_clock = sample, clock
        self._seq += 1
        return sample


def ticks(interval: float, count: int | None, wait: Callable[[float], bool]) -> Iterator[int]:
    """Yields at once and then at every whole interval after that, `count` times. Ticks missed are skipped, never
    bunched. `wait` sleeps for so many seconds and says whether to go on."""
    begun = time.monotonic()
    done = 0
    while True:
        yield done
        done += 1
        if count is not None and done >= count:
            return
        passed = time.monotonic() - begun
        due = begun + (math.floor(passed / interval) + 1) * interval
        while (left := due - time.monotonic()) > 0:
            if not wait(left):
                return
