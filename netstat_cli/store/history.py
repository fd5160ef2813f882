"""One server's stored lines over all its days, looked up by time. Readers take no lock."""

from __future__ import annotations

import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial

from netstat_cli.counters import mistimed
from netstat_cli.errors import InvalidSample, StoreError
from netstat_cli.model import Sample
from netstat_cli.store.blockgzip import GzipSegment
from netstat_cli.store.layout import CLOSED, LATE, DayFiles, days
from netstat_cli.store.segment import Line, MemorySegment, PlainSegment, Segment, to_line
from netstat_cli.times import day_of
from netstat_cli.wire import decode, encode

OPEN_SEGMENTS = 32
END = 1 << 62


class History:
    """The lines of one server. A day is opened when a look-up comes to it."""

    def __init__(self, server_id: str, segments: Mapping[str, Callable[[], Segment]]) -> None:
        """`segments` opens each day, by its name."""
        self.server_id = server_id
        self._openers = segments
        self._days = sorted(segments)
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
        at = bisect_right(self._days, day_of(moment))
        floor, higher = self._segment(at - 1).locate(moment) if at else (None, None)
        if floor is None:
            floor = next((line for day in range(at - 2, -1, -1) if (line := self._last(day))), None)
        if higher is None:
            higher = next((line for day in range(at, len(self._days)) if (line := self._first(day))), None)
        return floor, higher

    def floor(self, moment: int) -> Line | None:
        """The last line at or before the moment."""
        return self.locate(moment)[0]

    def first(self) -> Line | None:
        """The oldest line."""
        return self.locate(0)[0] or self.locate(0)[1]

    def last(self) -> Line | None:
        """The newest line."""
        return next((line for day in range(len(self._days) - 1, -1, -1) if (line := self._last(day))), None)

    def lines(self, since: int, until: int) -> Iterator[Line]:
        """Every line in (since, until], in order."""
        for day in range(max(0, bisect_right(self._days, day_of(max(0, since))) - 1), len(self._days)):
            for line in self._segment(day).lines(since):
                if line.timestamp > until:
                    return
                yield line

    def find(self, needle: bytes, after: int) -> Line | None:
        """The first line later than `after` that holds the needle: a plain byte search."""
        begin = max(0, bisect_right(self._days, day_of(max(0, after))) - 1)
        found = (self._segment(day).find(needle, after) for day in range(begin, len(self._days)))
        return next((line for line in found if line), None)

    def rfind(self, needle: bytes, until: int) -> Line | None:
        """The last line at or before `until` that holds the needle: a plain byte search."""
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


def open_history(data: str, server_id: str) -> History:
    """The stored history of a server; one without lines if the store does not know it."""
    listed = days(data, server_id)
    return History(server_id, {files.day: partial(_open_day, data, server_id, files) for files in listed})


def history_of(server_id: str, samples: Sequence[Sample]) -> History:
    """The history that a server's samples, in time order, make. It is held in memory."""
    wrong = mistimed(samples)
    lines = [Line(sample.timestamp, encode(sample)[:-1]) for sample in samples if sample.timestamp not in wrong]
    segment = MemorySegment(lines)
    return History(server_id, {day_of(lines[0].timestamp): lambda: segment} if lines else {})


def merged(data: str, server_id: str, files: DayFiles) -> tuple[list[Line], list[Line]]:
    """The lines of a day from all its files, in time order, each moment once; and those that a clock put in the wrong
    place. Raises OSError, ValueError and StoreError."""
    unique = {line.timestamp: line for path in reversed(files.paths) for line in _lines_of(path)}
    lines = [unique[moment] for moment in sorted(unique)]
    if files.late is None:
        return lines, []
    samples = [decode(line.text) for line in (*_last_line(data, server_id, files.day), *lines)]
    wrong = mistimed(samples[len(samples) - len(lines) :], samples[0] if len(samples) > len(lines) else None)
    return [one for one in lines if one.timestamp not in wrong], [one for one in lines if one.timestamp in wrong]


def _open_day(data: str, server_id: str, files: DayFiles) -> Segment:
    try:
        if len(files.paths) > 1 or files.late is not None:
            return MemorySegment(merged(data, server_id, files)[0])
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
