"""Source -> an endless series of samples, taken on deadlines that do not drift."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase

from netstat_cli.line.model import Interface, Moment, Sample
from netstat_cli.line.topology import LOOPBACK, kind_of
from netstat_cli.sources import Source
from netstat_cli.times import SECOND, now
from netstat_cli.traffic.tracker import RunTracker


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


MAX_CLOCK_STEP = 1 * SECOND
"""A wall clock that moved by more against the monotonic one was set: what it said before belongs to another run."""


class Sampler:
    """Takes samples of one source, each completed from the one before."""

    def __init__(
        self,
        source: Source,
        selection: Selection,
        server_id: str,
        hostname: str,
        interval: float | None = None,
        wall: Callable[[], int] = now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._selection = selection
        self._server_id = server_id
        self._hostname = hostname
        self._interval = interval
        self._wall = wall
        self._monotonic = monotonic
        self._tracker = RunTracker()
        self._taken_at = 0.0
        self._seq = 0

    def take(self) -> Sample:
        """Take one sample, now. Raises SourceError."""
        moment, clock = self._wall(), self._monotonic()
        last, elapsed_s = self._tracker.last, clock - self._taken_at
        rate = 0.0 if last is None else None
        sample = Sample(
            timestamp=Moment(moment),
            server_id=self._server_id,
            hostname=self._hostname,
            boot_id=self._source.boot_id,
            seq=self._seq,
            interval=self._interval,
            network_rx_bytes_per_sec=rate,
            network_tx_bytes_per_sec=rate,
            network_interfaces=tuple([i for i in self._source.read() if i in self._selection]),
        )
        is_set = last is not None and abs(moment - last.timestamp - elapsed_s * SECOND) > MAX_CLOCK_STEP
        sample = self._tracker.complete(sample, elapsed_s, new_runs=is_set)
        self._taken_at = clock
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
