"""How commands that show something come to their data and their span of time."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterable, Iterator
from functools import partial
from typing import IO

import click

from netstat_cli.cli.options import data_dir, warn
from netstat_cli.cli.peer import Credentials
from netstat_cli.errors import InvalidSample, NetcliError, NothingStored
from netstat_cli.line.model import Sample
from netstat_cli.line.wire import decode
from netstat_cli.reader import HistoryReader, Reader, store_reader
from netstat_cli.store.history import history_of
from netstat_cli.store.writer import MAX_AHEAD
from netstat_cli.times import HOUR, format_timestamp, now, parse_when


def open_reader(
    data: str | None, server: str | None, peer: str | None, credentials: Credentials, files: tuple[IO[bytes], ...] = ()
) -> Reader:
    """Reads files and pipes if there are any, else another collector if it is named, else the store."""
    if bool(files) + bool(peer) + bool(data) > 1:
        raise click.UsageError("files, --from and --data are different places to read; choose one")
    if files:
        return files_reader(files, server)
    if peer:
        from netstat_cli.transport.remote import RemoteReader

        return RemoteReader(peer, server, credentials.session(peer))
    return store_reader(data_dir(data), now(), server)


def files_reader(files: Iterable[IO[bytes]], server: str | None) -> HistoryReader:
    """Reads sample lines from files and pipes. A line that is no sample is told and left out. Raises NothingStored."""
    by_server: dict[str, list[Sample]] = {}
    horizon, ahead = now() + MAX_AHEAD, 0
    for file in files:
        for sample in _samples(file):
            if sample.timestamp > horizon:
                ahead += 1
            elif server is None or sample.server_id == server:
                by_server.setdefault(sample.server_id, []).append(sample)
    if ahead:
        warn(f"samples left out because they are ahead of this machine's clock: {ahead}")
    if not by_server:
        raise NothingStored("no samples" + (f" of {server!r}" if server else "") + " in what was given")
    histories = {name: history_of(name, by_server[name]) for name in sorted(by_server)}
    return HistoryReader({name: partial(histories.get, name) for name in histories})  # type: ignore[misc]


def choose_span(reader: Reader, last: int | None, since: str | None, until: str | None, whole: bool) -> tuple[int, int]:
    """The time to show. Without a word about it: what there is of the last hour, or (`whole`) all there is."""
    if last is not None and since is not None:
        raise click.UsageError("--last and --since both say where to begin; choose one")
    at = now()
    end = parse_when(until, at, None) if until is not None else at
    begin = parse_when(since, at, None) if since is not None else end - (last or HOUR)
    if last is None and since is None:
        latest = reader.latest()
        newest = max((sample.timestamp for sample in latest), default=end)
        oldest = min(reader.first(sample.server_id) or end for sample in latest) if latest else begin
        if whole:
            begin, end = oldest, end if until is not None else max(newest, oldest + 1)
        elif newest < begin:
            when = format_timestamp(newest)
            message = f"nothing was sampled in the last hour; the newest sample is of {when}"
            raise NothingStored(message, hint=f"look back with --last, or from there: --until {when}")
        else:
            begin = max(begin, oldest)
    if begin >= end:
        raise click.UsageError("the span ends before it begins; see --since and --until")
    return begin, end


def _samples(file: IO[bytes]) -> Iterator[Sample]:
    name = "-" if file is sys.stdin.buffer else getattr(file, "name", "-")
    try:
        for number, line in enumerate(_text(file), 1):
            if line.strip():
                try:
                    yield decode(line)
                except InvalidSample as error:
                    warn(f"{name}:{number}: skipped: {error.message}")
    except (OSError, EOFError, zlib.error) as error:
        raise NetcliError(f"cannot read {name}: {error}", hint="is the file whole?") from error


def _text(file: IO[bytes]) -> Iterable[bytes]:
    """The file, unpacked if its name says that it is packed."""
    if getattr(file, "name", "").endswith(".gz"):
        import gzip

        return gzip.open(file)
    return file
