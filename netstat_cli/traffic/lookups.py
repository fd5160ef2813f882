"""One server's stored lines as the search sees them: look-ups by time, and what a line shows of one interface.

Nothing here knows what counters mean. A look-up costs a read of some kilobytes, so what was looked at is kept for the
time of a question.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from netstat_cli.line.model import Head
from netstat_cli.line.wire import Line, decode, head_of, names_in, needle, reading_in, to_moment
from netstat_cli.traffic.increase import Observation, device_key

# The start of an interface's run in a stored line, not the node's: "start":"2026-11-21T15:32:38.070Z"
_START = re.compile(rb'"start":"([^"]{24})"')


class Stretch(NamedTuple):
    """A part of the history that is read at once: a day."""

    first: Line
    last: Line
    names: frozenset[str]
    """Of every interface in its lines."""


class Lines(Protocol):
    """The lines of one server in time order; see store/history.py."""

    server_id: str
    cuts: Sequence[int]
    """Moments over which no line's word is taken of the run that it belongs to, in order."""

    def locate(self, moment: int) -> tuple[Line | None, Line | None]:
        """The last line at or before the moment and the first one after it."""

    def first(self) -> Line | None:
        """The oldest line."""

    def last(self) -> Line | None:
        """The newest line."""

    def lines(self, since: int, until: int) -> Iterator[Line]:
        """Every line in (since, until], in order."""

    def find(self, needle: bytes, after: int) -> Line | None:
        """The first line later than `after` that holds the needle."""

    def rfind(self, needle: bytes, until: int) -> Line | None:
        """The last line at or before `until` that holds the needle."""

    def stretch(self, moment: int) -> Stretch:
        """The day of a line, named by its moment."""


class Lookups:
    """Looks into one server's lines for the time of a question."""

    def __init__(self, lines: Lines) -> None:
        self.lines = lines
        self._heads: dict[int, Head] = {}
        self._hops: dict[int, Line | None] = {}
        self._located: dict[int, tuple[Line | None, Line | None]] = {}

    def floor(self, moment: int) -> Line | None:
        """The last line at or before the moment."""
        return self.locate(moment)[0]

    def after(self, moment: int) -> Line | None:
        """The first line after the moment."""
        return self.locate(moment)[1]

    def locate(self, moment: int) -> tuple[Line | None, Line | None]:
        """Both of them."""
        found = self._located.get(moment)
        if found is None:
            found = self._located[moment] = self.lines.locate(moment)
        return found

    def head(self, line: Line) -> Head:
        """What the line says before it comes to its interfaces."""
        head = self._heads.get(line.timestamp)
        if head is None:
            head = self._heads[line.timestamp] = head_of(line.text)
        return head

    def interval(self, moment: int) -> float | None:
        """The sampling interval that the line of a moment states, in seconds."""
        line = self.floor(moment)
        return None if line is None else self.head(line).interval

    def believed(self, start: int, moment: int) -> int:
        """How far back the start of a run is believed, that a line of this moment states."""
        at = bisect_right(self.lines.cuts, moment)
        return max(start, self.lines.cuts[at - 1]) if at else start

    def device_before(self, cur: Observation) -> Observation | None:
        """The last earlier sample of a device under whatever name, if its boot is told apart."""
        if (key := device_key(cur)) is None:
            return None
        ifindex = cur.interface.ifindex
        pattern = needle(cur.interface.name) if ifindex is None else b'"ifindex":%d,' % ifindex
        line = self.floor(cur.timestamp - 1)
        while line is not None:
            if self.head(line).boot_id != cur.boot_id:
                line = self._before_the_runs_of(line)
            elif pattern not in line.text:
                line = self.lines.rfind(pattern, line.timestamp)
            else:
                for interface in decode(line.text).interfaces:
                    found = Observation(line.timestamp, cur.boot_id, interface)
                    if device_key(found) == key:
                        return found
                line = self.floor(line.timestamp - 1)
        return None

    def _before_the_runs_of(self, line: Line) -> Line | None:
        """A line so far back that between it and `line` there are only samples of the same boot: the one before the
        oldest run that `line` is of began. A search for a boot passes over whole boots so."""
        if line.timestamp not in self._hops:
            starts = _START.findall(line.text)
            oldest = line.timestamp if not starts else to_moment(min(starts).decode())
            begin = min(self.believed(oldest, line.timestamp), line.timestamp)
            self._hops[line.timestamp] = self.floor(begin - 1)
        return self._hops[line.timestamp]

    def names(self, since: int, until: int) -> list[str]:
        """Every interface that is in a line of (since, until], or in the last one before; those of the newest first."""
        found: dict[str, None] = {}
        line = self.floor(until)
        while line is not None:
            found.update(dict.fromkeys(names_in(line.text)))
            if line.timestamp <= since:
                break
            start = self.head(line).network_start
            if start is not None:  # the node's run has the same interfaces all along
                if self.believed(start, line.timestamp) <= since:
                    break
                line = self.floor(min(self.believed(start, line.timestamp), line.timestamp) - 1)
                continue
            day = self.lines.stretch(line.timestamp)
            if day.names <= found.keys() and day.first.timestamp > since:
                line = self.floor(day.first.timestamp - 1)
            else:
                line = self.floor(line.timestamp - 1)
        return list(found)


class InterfaceSamples:
    """The samples of one interface."""

    def __init__(self, lookups: Lookups, name: str) -> None:
        self.lookups = lookups
        self.name = name
        self._needle = needle(name)
        self._after: tuple[int, Observation | None] = (-2, None)

    def in_line(self, line: Line | None) -> Observation | None:
        """The interface as a line shows it, if it does."""
        if line is None:
            return None
        reading = reading_in(line.text, self._needle)
        return None if reading is None else Observation(line.timestamp, self.lookups.head(line).boot_id, reading)

    def at_or_before(self, moment: int) -> Observation | None:
        """The interface's last sample at or before a moment."""
        return self.in_line(self.lookups.floor(moment)) or self.in_line(self.lookups.lines.rfind(self._needle, moment))

    def after(self, moment: int) -> Observation | None:
        """The interface's first sample after a moment; remembered, because a search that finds none reads all."""
        if self._after[0] != moment:
            found = self.in_line(self.lookups.after(moment))
            self._after = moment, found or self.in_line(self.lookups.lines.find(self._needle, moment))
        return self._after[1]
