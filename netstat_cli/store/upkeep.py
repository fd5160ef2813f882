"""What keeps a store small and quick: late lines are merged, past days closed, old ones thinned or deleted.

Whatever is rewritten is written beside the old file, synced, and renamed over it in the writer's own turn, if nothing
was appended meanwhile. A crash at any step leaves the old files, or the new one beside them, which together read the
same; the next run finishes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

from msgspec.structs import replace

from netstat_cli.line.model import Sample
from netstat_cli.line.wire import Line, decode
from netstat_cli.store.blockgzip import GzipSegment, compress
from netstat_cli.store.history import merge, to_stored
from netstat_cli.store.layout import (
    CLOSED,
    FILE_MODE,
    LATE,
    MISTIMED,
    PLAIN,
    DayFiles,
    day_path,
    days,
    servers,
    sync_folder,
)
from netstat_cli.store.writer import Warn, Writer
from netstat_cli.times import DAY, SECOND, day_start

LINES_AT_ONCE = 500


class Thinning(NamedTuple):
    """Of days older than `after` keep one sample per `step`; milliseconds both."""

    after: int
    step: int


class Policy(NamedTuple):
    """What is kept for how long."""

    keep: int | None = None
    thinning: Thinning | None = None


class Work(NamedTuple):
    """A day to rewrite."""

    server_id: str
    files: DayFiles
    step: int
    """What to thin it to, 0 for not at all."""
    close: bool


def plan(data: str, policy: Policy, at: int) -> list[Work]:
    """The days that want rewriting, oldest first within each server."""
    return [work for server_id in servers(data) for work in _plan_server(data, server_id, policy, at)]


def _plan_server(data: str, server_id: str, policy: Policy, at: int) -> Iterator[Work]:
    for files in days(data, server_id):
        over = day_start(files.day) + DAY <= at
        step, done = _step_for(files, policy, at), _step_of(files.closed)
        untidy = files.late is not None or (over and files.plain is not None)
        if untidy or (files.closed is not None and done < step):
            yield Work(server_id, files, max(step, done), over)


def prune(data: str, policy: Policy, at: int) -> list[str]:
    """Deletes the days that are older than is kept; the files that it deleted. Raises OSError."""
    deleted = []
    for server_id in servers(data) if policy.keep is not None else ():
        old = [files for files in days(data, server_id) if day_start(files.day) + DAY <= at - (policy.keep or 0)]
        for path in [path for files in old for path in files.paths]:
            os.unlink(path)
            deleted.append(path)
        if old:
            sync_folder(f"{data}/{server_id}")
    return deleted


def carry_out(data: str, work: Work, writer: Writer, warn: Warn, pause: Callable[[], None]) -> bool:
    """Rewrites one day; False if lines came in between, so that it is to be tried again. `pause` is called now and
    then. Raises OSError, ValueError and StoreError."""
    files = work.files
    sizes = [os.stat(path).st_size for path in files.paths]
    lines, wrong, passes_on = merge(data, work.server_id, files)
    if work.step:
        lines = list(thin(lines, work.step))
    target = day_path(data, work.server_id, files.day, CLOSED if work.close else PLAIN)
    temporary = f"{target}.tmp"
    _write(temporary, compress(lines, work.step) if work.close else _in_pieces(lines), pause)

    def swap() -> bool:
        if [os.stat(path).st_size for path in files.paths] != sizes:
            os.unlink(temporary)
            return False
        if wrong:
            _set_aside(day_path(data, work.server_id, files.day, MISTIMED), wrong)
        os.rename(temporary, target)
        sync_folder(os.path.dirname(target))
        for path in files.paths:
            if path != target:
                os.unlink(path)
        following = [later.day for later in days(data, work.server_id) if later.day > files.day][:1]
        if passes_on and following:  # an empty late file has that day looked through for runs that are not its own
            os.close(os.open(day_path(data, work.server_id, following[0], LATE), os.O_WRONLY | os.O_CREAT, FILE_MODE))
        sync_folder(os.path.dirname(target))
        return True

    done = writer.exclusively(work.server_id, files.paths, swap)
    if done and wrong:
        warn(f"{target}: {len(wrong)} samples of a clock that was set back are set aside in {files.day}{MISTIMED}")
    return done


def thin(lines: list[Line], step: int) -> Iterator[Line]:
    """One line per step, and every line at which a run ends or begins, so that no total changes; the day's first and
    last too. What is kept says the step as its interval, but for the first of a run: whether it came soon after the
    line before depends on its own. So the one after it is kept as well."""
    runs = [_runs_in(decode(line.text)) for line in lines]
    begins = [number == 0 or runs[number] != runs[number - 1] for number in range(len(lines))]
    ends = [*begins[1:], True]
    slot = -1
    for number, line in enumerate(lines):
        if begins[number]:
            yield line
        elif ends[number] or begins[number - 1] or line.timestamp // step != slot:
            yield _at_interval(line, step)
        slot = line.timestamp // step


def _runs_in(sample: Sample) -> tuple[object, ...]:
    """What stays the same as long as no run begins or ends."""
    return (sample.boot_id, sample.network_start, *[(i.name, i.ifindex, i.start) for i in sample.interfaces])


def _at_interval(line: Line, step: int) -> Line:
    sample = decode(line.text)
    if (sample.interval or 0.0) >= step / SECOND:
        return line
    return to_stored(replace(sample, interval=step / SECOND))


def _step_for(files: DayFiles, policy: Policy, at: int) -> int:
    thinning = policy.thinning
    return thinning.step if thinning and day_start(files.day) + DAY <= at - thinning.after else 0


def _step_of(closed: str | None) -> int:
    """What a closed day was thinned to; 0 also where it cannot be read, which rewriting it will tell."""
    if closed is None:
        return 0
    try:
        segment = GzipSegment(closed)
    except (OSError, ValueError):
        return 0
    segment.close()
    return segment.step


def _write(path: str, parts: Iterator[bytes], pause: Callable[[], None]) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)
    with open(fd, "wb") as file:
        for part in parts:
            file.write(part)
            pause()
        file.flush()
        os.fsync(fd)


def _in_pieces(lines: list[Line]) -> Iterator[bytes]:
    for begin in range(0, len(lines), LINES_AT_ONCE):
        yield b"".join([line.text + b"\n" for line in lines[begin : begin + LINES_AT_ONCE]])


def _set_aside(path: str, lines: list[Line]) -> None:
    with open(path, "ab", opener=lambda name, flags: os.open(name, flags, FILE_MODE)) as file:
        file.writelines(line.text + b"\n" for line in lines)
        file.flush()
        os.fsync(file.fileno())
