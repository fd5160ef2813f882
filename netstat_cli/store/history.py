"""One server's stored lines over all its days, looked up by time. Readers take no lock."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator

from netstat_cli.errors import StoreError
from netstat_cli.model import Sample
from netstat_cli.store.layout import DayFiles, days
from netstat_cli.store.segment import Line, MemorySegment, PlainSegment, Segment, to_line
from netstat_cli.times import day_of
from netstat_cli.wire import encode

OPEN_SEGMENTS = 8


class History:
    """The lines of one server. A day is opened when a look-up comes to it."""

    def __init__(self, server_id: str, segments: dict[str, Callable[[], Segment]]) -> None:
        """`segments` opens each day, by its name."""
        self.server_id = server_id
        self._openers = segments
        self._days = sorted(segments)
        self._open: dict[str, Segment] = {}

    def __enter__(self) -> History:
        return self

    def __exit__(self, *_: object) -> None:
        for segment in self._open.values():
            segment.close()
        self._open.clear()

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
        return self._segment(day).locate(1 << 62)[0]

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
    return History(server_id, {files.day: _opener(files) for files in days(data, server_id)})


def history_of(server_id: str, samples: Iterable[Sample]) -> History:
    """The history that a server's samples make, held in memory."""
    lines = [Line(sample.timestamp, encode(sample)[:-1]) for sample in samples]
    segment = MemorySegment(lines)
    return History(server_id, {day_of(min(lines).timestamp): lambda: segment} if lines else {})


def _opener(files: DayFiles) -> Callable[[], Segment]:
    return lambda: _open_day(files)


def _open_day(files: DayFiles) -> Segment:
    try:
        if files.late is not None:
            return MemorySegment([line for path in (files.plain, files.late) if path for line in _whole(path)])
        if files.plain is not None:
            return PlainSegment(files.plain)
    except FileNotFoundError:
        return MemorySegment([])  # removed since the folder was listed
    except OSError as error:
        raise StoreError(f"cannot read {error.filename or files.day}: {error.strerror}") from error
    return MemorySegment([])


def _whole(path: str) -> list[Line]:
    with open(path, "rb") as file:
        text = file.read()
    return [to_line(line) for line in text.split(b"\n")[:-1]]
