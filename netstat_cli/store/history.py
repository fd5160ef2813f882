"""One server's stored lines over all its days, looked up by time. Readers take no lock."""

from __future__ import annotations

import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import NamedTuple

from netstat_cli.errors import InvalidSample, StoreError
from netstat_cli.line.model import Sample
from netstat_cli.line.wire import Line, decode, encode, to_line
from netstat_cli.store.blockgzip import GzipSegment
from netstat_cli.store.layout import CLOSED, LATE, DayFiles, days
from netstat_cli.store.segment import MemorySegment, PlainSegment, Segment
from netstat_cli.times import DAY, LAST_MOMENT, day_of, day_start
from netstat_cli.traffic.lookups import Stretch
from netstat_cli.traffic.regression import clock_regressions
from netstat_cli.traffic.tracker import RunTracker

OPEN_SEGMENTS = 32
END = 1 << 62
LAST_DAY = "9999-12-31"


class History:
    """The lines of one server. A day is opened when a look-up comes to it."""

    def __init__(
        self,
        server_id: str,
        segments: Mapping[str, Callable[[], Segment]],
        cuts: Sequence[int] = (),
        horizon: int = END,
    ) -> None:
        """`segments` opens each day, by its name. Over the `cuts` no line's word is taken of its run; what lies after
        the `horizon` is a wrong clock's, and not there."""
        self.server_id = server_id
        self.cuts = cuts
        self._openers = segments
        self._horizon = horizon
        last_day = day_of(horizon) if horizon <= LAST_MOMENT else LAST_DAY
        self._days = [day for day in sorted(segments) if day <= last_day]
        self._open: dict[str, Segment] = {}

    def __enter__(self) -> History:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        for segment in self._open.values():
            segment.close()
        self._open.clear()
        if isinstance(error, (InvalidSample, ValueError, LookupError, TypeError, zlib.error)):
            hint = "see what is wrong with: netcli store verify"
            raise StoreError(f"the history of {self.server_id} is damaged: {error!s}", hint=hint) from error

    def locate(self, moment: int) -> tuple[Line | None, Line | None]:
        """The last line at or before the moment and the first one after it."""
        moment = min(moment, self._horizon)
        at = bisect_right(self._days, day_of(moment)) if moment <= LAST_MOMENT else len(self._days)
        floor, higher = self._segment(at - 1).locate(moment) if at else (None, None)
        if floor is None:
            floor = next((line for day in range(at - 2, -1, -1) if (line := self._last(day))), None)
        if higher is None:
            higher = next((line for day in range(at, len(self._days)) if (line := self._first(day))), None)
        return floor, None if higher is not None and higher.timestamp > self._horizon else higher

    def floor(self, moment: int) -> Line | None:
        """The last line at or before the moment."""
        return self.locate(moment)[0]

    def first(self) -> Line | None:
        """The oldest line."""
        return self.locate(-1)[1]

    def last(self) -> Line | None:
        """The newest line."""
        return self.locate(END)[0]

    def stretch(self, moment: int) -> Stretch:
        """The day of a line, named by its moment: its first and last line, and its interfaces."""
        segment = self._segment(self._days.index(day_of(moment)))
        first, last = segment.locate(-1)[1], segment.locate(min(END, self._horizon))[0]
        if first is None or last is None:
            raise StoreError(f"the history of {self.server_id} has no line at {moment}")
        return Stretch(first, last, segment.names())

    def lines(self, since: int, until: int) -> Iterator[Line]:
        """Every line in (since, until], in order."""
        until = min(until, self._horizon)
        for day in range(max(0, bisect_right(self._days, day_of(max(0, since))) - 1), len(self._days)):
            for line in self._segment(day).lines(since):
                if line.timestamp > until:
                    return
                yield line

    def find(self, needle: bytes, after: int) -> Line | None:
        """The first line later than `after` that holds the needle: a plain byte search."""
        begin = max(0, bisect_right(self._days, day_of(max(0, after))) - 1)
        found = (self._segment(day).find(needle, after) for day in range(begin, len(self._days)))
        line = next((line for line in found if line), None)
        return None if line is not None and line.timestamp > self._horizon else line

    def rfind(self, needle: bytes, until: int) -> Line | None:
        """The last line at or before `until` that holds the needle: a plain byte search."""
        until = min(until, self._horizon)
        end = bisect_right(self._days, day_of(until)) - 1
        found = (self._segment(day).rfind(needle, until) for day in range(end, -1, -1))
        return next((line for line in found if line), None)

    def _first(self, day: int) -> Line | None:
        return self._segment(day).locate(-1)[1]

    def _last(self, day: int) -> Line | None:
        return self._segment(day).locate(END)[0]

    def _segment(self, index: int) -> Segment:
        day = self._days[index]
        segment = self._open.pop(day, None)
        if segment is None:
            segment = self._openers[day]()
        self._open[day] = segment
        if len(self._open) > OPEN_SEGMENTS:
            oldest = next(iter(self._open))
            self._open.pop(oldest).close()
        return segment


def open_history(data: str, server_id: str, horizon: int = END) -> History:
    """The stored history of a server up to a horizon; one without lines if the store does not know it."""
    listed = days(data, server_id)
    openers = {files.day: partial(_open_day, data, server_id, files) for files in listed}
    return History(
        server_id, openers, [day_start(files.day) + DAY for files in listed if files.late is not None], horizon
    )


def history_of(server_id: str, samples: Iterable[Sample]) -> History:
    """The history that samples of one server make, in whatever order they come. It is held in memory."""
    by_time: dict[int, Sample] = {}
    in_order, newest = True, -1
    for sample in samples:
        by_time.setdefault(sample.timestamp, sample)
        in_order, newest = in_order and sample.timestamp >= newest, max(newest, sample.timestamp)
    ordered = [by_time[moment] for moment in sorted(by_time)]
    wrong = set() if in_order else clock_regressions(ordered)
    tracker = RunTracker()
    lines = [to_stored(tracker.complete(sample)) for sample in ordered if sample.timestamp not in wrong]
    segment = MemorySegment(lines)
    return History(server_id, {day_of(lines[0].timestamp): lambda: segment} if lines else {})


def to_stored(sample: Sample) -> Line:
    """The line of a sample."""
    return Line(sample.timestamp, encode(sample))


class Merged(NamedTuple):
    """The lines of a day from all its files, in time order, each moment once."""

    lines: list[Line]
    mistimed: list[Line]
    """Those that a clock put in the wrong place."""
    passes_on: bool
    """The day ends in other runs than its newest line says: what follows it has to be looked through too."""


def merge(data: str, server_id: str, files: DayFiles) -> Merged:
    """Read a day from all its files. Raises OSError, ValueError and StoreError."""
    unique = {line.timestamp: line for path in reversed(files.paths) for line in _lines_of(path)}
    lines = [unique[moment] for moment in sorted(unique)]
    if files.late is None or not lines:
        return Merged(lines, [], False)
    samples = [decode(line.text) for line in lines]
    before = next((decode(line.text) for line in _last_line(data, server_id, files.day)), None)
    wrong = clock_regressions(samples, before)
    tracker = RunTracker(before)
    kept = [tracker.complete(sample) for sample in samples if sample.timestamp not in wrong]
    stamps = bool(kept) and _stamps(kept[-1]) != _stamps(decode(unique[kept[-1].timestamp].text))
    return Merged([to_stored(sample) for sample in kept], [line for line in lines if line.timestamp in wrong], stamps)


def _stamps(sample: Sample) -> tuple[object, ...]:
    return (sample.network_start, *[interface.start for interface in sample.interfaces])


def _open_day(data: str, server_id: str, files: DayFiles) -> Segment:
    try:
        if len(files.paths) > 1 or files.late is not None:
            return MemorySegment(merge(data, server_id, files).lines)
        return _open_file(files.paths[0])
    except FileNotFoundError:
        return MemorySegment([])  # removed since the folder was listed
    except OSError as error:
        raise StoreError(f"cannot read {error.filename or files.day}: {error.strerror}") from error


def _open_file(path: str) -> Segment:
    try:
        return GzipSegment(path) if path.endswith(CLOSED) else PlainSegment(path)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _lines_of(path: str) -> list[Line]:
    try:
        if path.endswith(LATE):  # in the order of arrival: nothing to search in
            with open(path, "rb") as file:
                return [to_line(line) for line in file.read().split(b"\n")[:-1]]
        with closing(_open_file(path)) as segment:
            return list(segment.lines())
    except (ValueError, zlib.error) as error:
        raise ValueError(f"{path}: {error}") from error


def _last_line(data: str, server_id: str, day: str) -> list[Line]:
    """The server's last line before a day, if there is one."""
    earlier = [files for files in days(data, server_id) if files.day < day]
    if not earlier:
        return []
    with closing(_open_day(data, server_id, earlier[-1])) as segment:
        last = segment.locate(END)[0]
    return [last] if last is not None else []
