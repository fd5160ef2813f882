"""Look-ups by time in the lines of one day.

Samples come nearly evenly spaced, so the place of a moment in a file is first guessed from the times at both ends of
what is left, and every few guesses the rest is halved, so that a file with a hole in it is searched in logarithmic
time too. Files are read by pread, a few kilobytes at a look: a file that is cut back under its reader then gives a
short read, where a memory map would kill the process.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator
from typing import Protocol

from netstat_cli.line.wire import TIMESTAMP, Line, names_in, to_line
from netstat_cli.times import format_timestamp, parse_timestamp

LOOK = 1 << 12
"""Bytes to read at a look: a handful of lines. A stretch that fits in twice as much is read whole."""
SWEEP = 1 << 20
"""Bytes to read at a time when every line counts."""


class Segment(Protocol):
    """One server's lines of one day, strictly increasing in time."""

    def locate(self, moment: int) -> tuple[Line | None, Line | None]:
        """The last line at or before the moment and the first one after it."""

    def lines(self, after: int = -1) -> Iterator[Line]:
        """Every line later than `after`, in order."""

    def find(self, needle: bytes, after: int) -> Line | None:
        """The first line later than `after` that holds the needle."""

    def rfind(self, needle: bytes, until: int) -> Line | None:
        """The last line at or before `until` that holds the needle."""

    def names(self) -> frozenset[str]:
        """The interfaces that any of the lines has."""

    def close(self) -> None:
        """Gives back what the segment holds open."""


def stamp(text: bytes) -> bytes:
    """The timestamp of a line as it is written, which sorts as time does."""
    return text[TIMESTAMP]


def stamp_of(moment: int) -> bytes:
    """How a moment is written."""
    return format_timestamp(moment).encode()


class MemorySegment:
    """Lines held in memory: a day with late lines, or samples from files and pipes."""

    def __init__(self, lines: list[Line]) -> None:
        """`lines` may be in any order; of several with one timestamp the first is kept."""
        unique: dict[int, Line] = {}
        for line in lines:
            unique.setdefault(line.timestamp, line)
        self._times = sorted(unique)
        self._lines = [unique[moment] for moment in self._times]

    def locate(self, moment: int) -> tuple[Line | None, Line | None]:
        at = bisect_right(self._times, moment)
        return self._lines[at - 1] if at else None, self._lines[at] if at < len(self._lines) else None

    def lines(self, after: int = -1) -> Iterator[Line]:
        yield from self._lines[bisect_right(self._times, after) :]

    def find(self, needle: bytes, after: int) -> Line | None:
        return next((line for line in self.lines(after) if needle in line.text), None)

    def rfind(self, needle: bytes, until: int) -> Line | None:
        earlier = reversed(self._lines[: bisect_right(self._times, until)])
        return next((line for line in earlier if needle in line.text), None)

    def names(self) -> frozenset[str]:
        return frozenset(names_in(b"\n".join([line.text for line in self._lines])))

    def close(self) -> None:
        pass


class PlainSegment:
    """A day's file as it is being written. What comes after its last newline is not there yet, and not read."""

    def __init__(self, path: str) -> None:
        """Raises OSError."""
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        size = os.fstat(self._fd).st_size
        look = max(0, size - LOOK)
        tail = os.pread(self._fd, LOOK, look)
        newline = tail.rfind(b"\n")
        self._end = look + newline + 1 if newline >= 0 else self._line_start(size)
        self.torn = size - self._end
        """Bytes after the last newline."""
        self._last: Line | None
        before = tail.rfind(b"\n", 0, max(newline, 0))
        if before >= 0:
            self._last_at, self._last = look + before + 1, to_line(tail[before + 1 : newline])
        else:
            self._last_at = self._line_start(self._end - 1) if self._end else 0
            self._last = self._line_at(self._last_at) if self._end else None
        self._first = self._line_at(0) if self._end else None

    def close(self) -> None:
        os.close(self._fd)

    def locate(self, moment: int) -> tuple[Line | None, Line | None]:
        if self._first is None or self._last is None or moment < self._first.timestamp:
            return None, self._first
        if moment >= self._last.timestamp:
            return self._last, None
        begin, end = self._narrow(moment)
        texts = os.pread(self._fd, end - begin, begin).split(b"\n")[:-1]
        at = bisect_right(texts, stamp_of(moment), key=stamp)
        return to_line(texts[at - 1]), to_line(texts[at]) if at < len(texts) else self._line_at(end)

    def lines(self, after: int = -1) -> Iterator[Line]:
        at = self._offset_after(after)
        rest = b""
        while at < self._end:
            chunk = os.pread(self._fd, min(SWEEP, self._end - at), at)
            at += len(chunk)
            *whole, rest = (rest + chunk).split(b"\n")
            yield from map(to_line, whole)
            if not chunk:
                return

    def find(self, needle: bytes, after: int) -> Line | None:
        at = self._offset_after(after)
        while at < self._end:
            chunk = os.pread(self._fd, min(SWEEP, self._end - at), at)
            hit = chunk.find(needle)
            if hit >= 0:
                return self._line_at(self._line_start(at + hit))
            if len(chunk) < len(needle) or at + len(chunk) >= self._end:
                return None
            at += len(chunk) - len(needle) + 1
        return None

    def rfind(self, needle: bytes, until: int) -> Line | None:
        end = self._offset_after(until)
        while end > 0:
            start = max(0, end - SWEEP)
            hit = os.pread(self._fd, end - start, start).rfind(needle)
            if hit >= 0:
                return self._line_at(self._line_start(start + hit))
            if start == 0:
                return None
            end = start + len(needle) - 1
        return None

    def names(self) -> frozenset[str]:
        found: set[str] = set()
        at = 0
        while at < self._end:
            text = os.pread(self._fd, min(SWEEP, self._end - at), at)
            whole = text.rfind(b"\n") + 1
            if not whole:
                return frozenset(found.union(*(names_in(line.text) for line in self.lines())))
            found.update(names_in(text[:whole]))
            at += whole
        return frozenset(found)

    def _offset_after(self, moment: int) -> int:
        """Where the first line after the moment begins."""
        if self._first is None or self._last is None or moment < self._first.timestamp:
            return 0
        if moment >= self._last.timestamp:
            return self._end
        begin, end = self._narrow(moment)
        texts = os.pread(self._fd, end - begin, begin).split(b"\n")[:-1]
        earlier = texts[: bisect_right(texts, stamp_of(moment), key=stamp)]
        return begin + sum(map(len, earlier)) + len(earlier)

    def _narrow(self, moment: int) -> tuple[int, int]:
        """A short stretch of whole lines of which the first is at or before the moment; after it comes a later one."""
        if self._first is None or self._last is None:
            raise ValueError("a file without lines")
        low, low_time = 0, self._first.timestamp
        high, high_time = self._last_at, self._last.timestamp
        guesses = 0
        while high - low > 2 * LOOK:  # low begins a line at or before the moment, high one after it
            guesses += 1
            share = (moment - low_time) / (high_time - low_time) if guesses % 4 else 0.5
            guess = max(low + LOOK // 2, min(low + int((high - low) * share), high - LOOK // 2))
            text = os.pread(self._fd, LOOK, guess - LOOK // 2)
            newline = text.find(b"\n") + 1
            begin = guess - LOOK // 2 + newline
            if not newline or len(text) < newline + TIMESTAMP.stop or not low < begin < high:
                begin = low + len(self._line_at(low).text) + 1
                if begin >= high:
                    break
                text, newline = os.pread(self._fd, TIMESTAMP.stop, begin), 0
            time = parse_timestamp(text[newline:][TIMESTAMP].decode())
            if time <= moment:
                low, low_time = begin, time
            else:
                high, high_time = begin, time
        return low, high

    def _line_start(self, at: int) -> int:
        """Where the line begins in which byte `at` - 1 is not the last: the place after the newline before `at`."""
        look = LOOK
        while at > 0:
            start = max(0, at - look)
            newline = os.pread(self._fd, at - start, start).rfind(b"\n")
            if newline >= 0:
                return start + newline + 1
            if start == 0:
                break
            look *= 4
        return 0

    def _line_at(self, at: int) -> Line:
        look = LOOK
        while True:
            text = os.pread(self._fd, look, at)
            newline = text.find(b"\n")
            if newline >= 0:
                return to_line(text[:newline])
            if len(text) < look:
                raise ValueError(f"not a sample line: {text[:60]!r}")
            look *= 4
