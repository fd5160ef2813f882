"""One way to read for everything that shows something: the store, files and pipes, or another collector's API."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

from netstat_cli.errors import NothingStored
from netstat_cli.glance import needle
from netstat_cli.model import Sample
from netstat_cli.series import Series, equal_edges, interface_names, matching, series, uplink_names
from netstat_cli.store.history import History, open_history
from netstat_cli.store.layout import servers
from netstat_cli.wire import decode

NAME_EDGES = 60
"""Interfaces are looked for in the samples around so many moments of a span."""


class Reader(Protocol):
    """Answers about servers. Raises NothingStored where it knows none of them."""

    def latest(self) -> list[Sample]:
        """The newest sample of every server."""

    def first(self, server_id: str) -> int | None:
        """The moment of a server's oldest sample."""

    def interfaces(self, server_id: str, patterns: Sequence[str], since: int, until: int) -> list[str]:
        """The interfaces that a server had in a span and that one of the patterns names (all, where there is none)."""

    def series(self, server_id: str, interface: str | None, edges: Sequence[int]) -> Series:
        """What an interface, or (None) the node over its uplinks, carried between the edges."""


class HistoryReader:
    """Reads histories."""

    def __init__(self, histories: Mapping[str, Callable[[], History]]) -> None:
        """`histories` opens each server's, by its id."""
        self._histories = histories

    def latest(self) -> list[Sample]:
        found = []
        for opener in self._histories.values():
            with opener() as history:
                if (last := history.last()) is not None:
                    found.append(decode(last.text))
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
            edges = equal_edges(since, until, max(1, min(NAME_EDGES, until - since)))
            found = matching(interface_names(history, edges), patterns)
            gone = [one for one in patterns if one not in found and history.rfind(needle(one), until)]
            return list(dict.fromkeys([*found, *gone]))

    def series(self, server_id: str, interface: str | None, edges: Sequence[int]) -> Series:
        with self._open(server_id) as history:
            names = uplink_names(history, edges) if interface is None else [interface]
            return series(history, names, edges, interface)

    def _open(self, server_id: str) -> History:
        return self._histories[server_id]()


def store_reader(data: str, server: str | None = None) -> HistoryReader:
    """Reads a store: one server of it, or all. Raises NothingStored."""
    known = servers(data)
    if not known:
        raise NothingStored(f"no samples are stored in {data} yet", hint="start with: netcli collect --store")
    if server is not None and server not in known:
        raise NothingStored(f"no server {server!r} in {data}", hint=f"there are: {', '.join(known)}")
    return HistoryReader({name: partial(open_history, data, name) for name in ([server] if server else known)})
