"""One way to read for everything that shows something: the store, files and pipes, or another collector's API."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, Protocol

from netstat_cli.errors import NothingStored
from netstat_cli.line.model import Sample
from netstat_cli.line.wire import decode, needle
from netstat_cli.status import LEARNT_FROM, Thresholds, learnt_interval
from netstat_cli.store.history import History, open_history
from netstat_cli.store.layout import newest_ahead, servers
from netstat_cli.store.writer import MAX_AHEAD
from netstat_cli.traffic.series import Series, interface_names, matching, series


class Newest(NamedTuple):
    """A server's newest sample, and if the server is alive."""

    sample: Sample
    status: str
    """online, warning or offline."""
    silence: int
    """Milliseconds since the server was heard of; from files, since its newest sample was taken."""
    ahead: int
    """Milliseconds by which its clock is ahead, if that is too far to be believed."""


class Reader(Protocol):
    """Answers about servers. Raises NothingStored where it knows none of them."""

    def latest(self) -> list[Sample]:
        """The newest sample of every server."""

    def newest(self, at: int) -> list[Newest]:
        """The newest sample of every server, and if the server is alive at a moment."""

    def first(self, server_id: str) -> int | None:
        """The moment of a server's oldest sample."""

    def interfaces(self, server_id: str, patterns: Sequence[str], since: int, until: int) -> list[str]:
        """The interfaces that a server had in a span and that one of the patterns names (all, where there is none)."""

    def series(self, server_id: str, interface: str | None, edges: Sequence[int]) -> Series:
        """What an interface, or (None) the node over its uplinks, carried between the edges."""


class HistoryReader:
    """Reads histories."""

    def __init__(
        self,
        histories: Mapping[str, Callable[[], History]],
        ahead: Callable[[str, int], int | None] = lambda _, __: None,
    ) -> None:
        """`histories` opens each server's, by its id; `ahead` tells the moment of the last sample of a server that was
        set aside because it was far ahead, if one was after a moment."""
        self._histories = histories
        self._ahead = ahead

    def latest(self) -> list[Sample]:
        found = []
        for opener in self._histories.values():
            with opener() as history:
                if (last := history.last()) is not None:
                    found.append(decode(last.text))
        return found

    def newest(self, at: int) -> list[Newest]:
        found = []
        for server_id, opener in self._histories.items():
            with opener() as history:
                if (last := history.last()) is None:
                    continue
                sample = decode(last.text)
                interval_s = sample.interval if sample.interval is not None else _learnt_interval(history, sample)
            silence = max(0, at - sample.timestamp)
            ahead = self._ahead(server_id, sample.timestamp) or at
            found.append(Newest(sample, Thresholds().status(silence, interval_s), silence, max(0, ahead - at)))
        return found

    def first(self, server_id: str) -> int | None:
        with self._open(server_id) as history:
            first = history.first()
        return first.timestamp if first else None

    def interfaces(self, server_id: str, patterns: Sequence[str], since: int, until: int) -> list[str]:
        with self._open(server_id) as history:
            newest = history.floor(until)
            if len(patterns) == 1 and newest and needle(patterns[0]) in newest.text:
                return list(patterns)
            found = matching(interface_names(history, since, until), patterns)
            gone = [one for one in patterns if one not in found and history.rfind(needle(one), until)]
            return list(dict.fromkeys([*found, *gone]))

    def series(self, server_id: str, interface: str | None, edges: Sequence[int]) -> Series:
        with self._open(server_id) as history:
            return series(history, interface, edges)

    def _open(self, server_id: str) -> History:
        return self._histories[server_id]()


def _learnt_interval(history: History, newest: Sample) -> float | None:
    moments: list[int] = [newest.timestamp]
    while len(moments) <= LEARNT_FROM and (line := history.floor(moments[0] - 1)) is not None:
        moments.insert(0, line.timestamp)
    return learnt_interval(moments)


def store_reader(data: str, at: int, server: str | None = None) -> HistoryReader:
    """Read a store: one server of it, or all. Samples that are far ahead of `at`, the time by this machine's clock, are
    not there. Raises NothingStored."""
    known = servers(data)
    if not known:
        raise NothingStored(f"no samples are stored in {data} yet", hint="start with: netcli collect --store")
    if server is not None and server not in known:
        raise NothingStored(f"no server {server!r} in {data}", hint=f"there are: {', '.join(known)}")
    chosen = [server] if server else known
    histories = {name: partial(open_history, data, name, at + MAX_AHEAD) for name in chosen}
    return HistoryReader(histories, partial(newest_ahead, data))
