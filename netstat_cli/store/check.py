"""Is a store what it should be: what there is in it, and what is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import NamedTuple

from netstat_cli.counters import fell
from netstat_cli.errors import InvalidSample, StoreError
from netstat_cli.model import Interface, Sample
from netstat_cli.store.blockgzip import GzipSegment
from netstat_cli.store.history import open_history
from netstat_cli.store.layout import DayFiles, days, servers
from netstat_cli.store.segment import Line, PlainSegment
from netstat_cli.times import day_of, format_timestamp
from netstat_cli.wire import decode, is_canonical

Progress = Callable[[int], None]
"""Told of how many days more were read."""


class Contents(NamedTuple):
    """What a store holds of one server."""

    server_id: str
    days: int
    lines: int
    readings: int
    """Interfaces in all lines together."""
    size: int
    """Bytes in its files."""
    first: int | None
    last: int | None


class Finding(NamedTuple):
    """One thing that is wrong, and where; a hole in `seq` is told but is not a fault of the store."""

    where: str
    what: str
    is_fault: bool = True


def contents(data: str, progress: Progress) -> list[Contents]:
    """What there is of every server; reads every line."""
    found = []
    for server_id in servers(data):
        listed = days(data, server_id)
        size = sum(os.stat(path).st_size for files in listed for path in files.paths)
        lines = readings = 0
        with open_history(data, server_id) as history:
            first, last = history.first(), history.last()
            for line in history.lines(-1, 1 << 62):
                lines += 1
                readings += line.text.count(b'{"name":"')
        progress(len(listed))
        moments = (first.timestamp if first else None, last.timestamp if last else None)
        found.append(Contents(server_id, len(listed), lines, readings, size, *moments))
    return found


def verify(data: str, progress: Progress) -> Iterator[Finding]:
    """What is wrong: every line parses and is canonical, time strictly increases, the samples of a run never fall,
    gzip members and headers agree. And where `seq` says that samples are missing."""
    for server_id in servers(data):
        chain = _Chain()
        for files in days(data, server_id):
            try:
                yield from _verify_day(server_id, files, chain)
            except (StoreError, ValueError, OSError) as error:
                yield Finding(f"{data}/{server_id}/{files.day}", str(error))
            progress(1)


def _verify_day(server_id: str, files: DayFiles, chain: _Chain) -> Iterator[Finding]:
    thinned = False
    if files.closed is not None:
        with closing(GzipSegment(files.closed)) as segment:
            segment.check()
            thinned = segment.step > 0
            yield from _verify_lines(segment.lines(), server_id, files.closed, files.day, chain, thinned)
    if files.plain is not None:
        with closing(PlainSegment(files.plain)) as plain:
            if plain.torn:
                yield Finding(files.plain, f"the last line is torn ({plain.torn} bytes); the next writer cuts it off")
            yield from _verify_lines(plain.lines(), server_id, files.plain, files.day, chain, thinned)
    if files.late is not None:
        with open(files.late, "rb") as file:
            for number, text in enumerate(file.read().split(b"\n")[:-1], 1):
                try:
                    decode(text)
                except InvalidSample as error:
                    yield Finding(f"{files.late}:{number}", error.message)
        chain.interrupt()


def _verify_lines(
    lines: Iterator[Line], server_id: str, path: str, day: str, chain: _Chain, thinned: bool
) -> Iterator[Finding]:
    for number, line in enumerate(lines, 1):
        where = f"{path}:{number}"
        try:
            sample = decode(line.text)
        except InvalidSample as error:
            yield Finding(where, error.message)
            continue
        if sample.server_id != server_id:
            yield Finding(where, f"is of another server, {sample.server_id}")
        if day_of(sample.timestamp) != day:
            yield Finding(where, f"is of another day, {format_timestamp(sample.timestamp)}")
        if not is_canonical(line.text, sample):
            yield Finding(where, "is not written as the store writes lines; `netcli store import` does")
        yield from chain.follow(sample, where, thinned)


class _Chain:
    """A server's samples one after the other."""

    def __init__(self) -> None:
        self._prev: Sample | None = None
        self._runs: dict[tuple[str, int | None, int | None, str | None], Interface] = {}

    def interrupt(self) -> None:
        """Late lines belong in between: of what is missing nothing can be said."""
        self._prev = self._prev and self._prev._replace(seq=None)

    def follow(self, sample: Sample, where: str, thinned: bool) -> Iterator[Finding]:
        """What is wrong with a sample after those before it."""
        prev, self._prev = self._prev, sample
        if prev is not None and sample.timestamp <= prev.timestamp:
            yield Finding(where, f"its time does not come after {format_timestamp(prev.timestamp)}")
        runs = {(i.name, i.ifindex, i.start, sample.boot_id): i for i in sample.interfaces or ()}
        for key, interface in runs.items():
            earlier = self._runs.get(key)
            if earlier is not None and fell(earlier, interface):
                yield Finding(where, f"a counter of {interface.name!r} falls within its run")
        self._runs = runs
        missing = _missing(prev, sample) if prev is not None and not thinned else 0
        if missing:
            since = format_timestamp(prev.timestamp) if prev else ""
            yield Finding(where, f"{missing} samples are missing since {since}, says seq", is_fault=False)


def _missing(prev: Sample, sample: Sample) -> int:
    if prev.seq is None or sample.seq is None or prev.boot_id != sample.boot_id or sample.seq <= prev.seq:
        return 0
    return sample.seq - prev.seq - 1
