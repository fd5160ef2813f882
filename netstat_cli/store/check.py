"""Is a store what it should be: what there is in it, and what is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import NamedTuple

from netstat_cli.errors import InvalidSample, StoreError
from netstat_cli.line.model import Interface, Sample
from netstat_cli.line.wire import Line, decode, is_canonical
from netstat_cli.store.blockgzip import GzipSegment
from netstat_cli.store.history import open_history
from netstat_cli.store.layout import DayFiles, days, servers
from netstat_cli.store.segment import PlainSegment
from netstat_cli.times import SECOND, day_of, format_timestamp
from netstat_cli.traffic.increase import Increase, Seen, counters, fell
from netstat_cli.traffic.scan import TrafficScan, same_node_run

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
    """One thing that is told, and where. A hole in `seq`, or counters that say less than one would like, is told and is
    not a fault of the store."""

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
        chain = RunChecker()
        for files in days(data, server_id):
            try:
                yield from _verify_day(server_id, files, chain)
            except (StoreError, ValueError, OSError) as error:
                yield Finding(f"{data}/{server_id}/{files.day}", str(error))
            progress(1)


def _verify_day(server_id: str, files: DayFiles, chain: RunChecker) -> Iterator[Finding]:
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
    lines: Iterator[Line], server_id: str, path: str, day: str, chain: RunChecker, thinned: bool
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


class RunChecker:
    """Follows a server's samples, one after the other."""

    def __init__(self) -> None:
        self._prev: Sample | None = None
        self._late_before = False
        self._scan = TrafficScan()
        self._last: dict[str, Interface] = {}
        self._boots: dict[str, None] = {}

    def interrupt(self) -> None:
        """Late lines belong in between: of what is missing nothing can be said."""
        self._late_before = True

    def follow(self, sample: Sample, where: str, thinned: bool) -> Iterator[Finding]:
        """Tell what is wrong with a sample after those before it, and what it brought that could not be counted."""
        prev, self._prev = self._prev, sample
        if prev is not None and sample.timestamp <= prev.timestamp:
            yield Finding(where, f"its time does not come after {format_timestamp(prev.timestamp)}")
            return
        yield from self._runs(prev, sample, where)
        yield from self._boot(prev, sample, where)
        for name, step in self._scan.enter(sample).interfaces.items():
            interface = sample.interface(name)
            if interface is not None and (told := _uncounted(interface, self._last.get(name), step)):
                yield Finding(where, f"{name!r}: {told}", is_fault=False)
        self._last |= {interface.name: interface for interface in sample.interfaces}
        missing = _missing(prev, sample) if prev is not None and not thinned and not self._late_before else 0
        self._late_before = False
        if missing and prev is not None:
            since = format_timestamp(prev.timestamp)
            yield Finding(where, f"{missing} samples are missing since {since}, says seq", is_fault=False)

    def _runs(self, prev: Sample | None, sample: Sample, where: str) -> Iterator[Finding]:
        """A sample's runs must not reach back over a sample that is not theirs."""
        before = {interface.name: interface for interface in prev.interfaces} if prev is not None else {}
        for cur in sample.interfaces:
            earlier = before.get(cur.name)
            if prev is None or cur.start is None:
                continue
            if earlier is not None and earlier.start == cur.start and prev.boot_id == sample.boot_id:
                if fell(earlier, cur) and earlier.ifindex == cur.ifindex:
                    yield Finding(where, f"a counter of {cur.name!r} falls within its run")
            elif cur.start <= prev.timestamp:
                since = format_timestamp(cur.start)
                yield Finding(where, f"{cur.name!r} says that its run began {since}, before a sample of another run")
        begun = sample.network_start
        if prev is not None and begun is not None and begun <= prev.timestamp and not same_node_run(prev, sample):
            since = format_timestamp(begun)
            yield Finding(where, f"the node says that its run began {since}, before a sample of another run")

    def _boot(self, prev: Sample | None, sample: Sample, where: str) -> Iterator[Finding]:
        boot = sample.boot_id
        if boot is None or (prev is not None and prev.boot_id == boot):
            return
        if boot in self._boots and prev is not None:
            what = f"boot {boot} is back after boot {prev.boot_id}: two machines share this name, or a clock went back"
            yield Finding(where, what, is_fault=False)
        self._boots[boot] = None


def _uncounted(cur: Interface, prev: Interface | None, step: Increase) -> str | None:
    """What the counters show and was not counted, for want of evidence; None where everything was."""
    shown = counters(cur)
    if step.seen is Seen.LEAP:
        return f"its counters leapt beyond what any link carries ({_figures(cur)}); nothing of it is counted"
    if step.seen is Seen.MOVED_IN:
        return f"came with a past of its own ({_figures(cur)}), which is not counted"
    if step.seen is Seen.UNKNOWN and max(shown) > 0 and step.since < step.until:
        return f"nothing is known of what went before ({_figures(cur)}), so it is not counted"
    if step.seen is Seen.RESET and step.traffic != shown:
        return f"was counted anew and shows more than its link carries ({_figures(cur)}); that is not counted"
    if prev is None:
        return None
    if step.seen is Seen.CORRECTION:
        fallen = [
            f"{key} from {old} to {new}"
            for key, old, new in zip(shown._fields, counters(prev), shown, strict=True)
            if new < old
        ]
        return f"a counter was corrected or wrapped unseen ({', '.join(fallen)}); counted as 0"
    if step.seen is Seen.WRAP:
        possible = (cur.speed_mbps or 0) * 125 * (step.until - step.since)
        if possible >= 1 << 32:
            seconds = (step.until - step.since) / SECOND
            return f"a 32-bit counter wrapped within {seconds:g} s, in which it can wrap twice: bytes may be missing"
    return None


def _figures(cur: Interface) -> str:
    return ", ".join(f"{key} {value}" for key, value in counters(cur)._asdict().items())


def _missing(prev: Sample, sample: Sample) -> int:
    if prev.seq is None or sample.seq is None or prev.boot_id != sample.boot_id or sample.seq <= prev.seq:
        return 0
    return sample.seq - prev.seq - 1
