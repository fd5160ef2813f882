"""How commands that show something come to their histories and their span of time."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import IO

from netstat_cli.cli.options import warn
from netstat_cli.counters import complete
from netstat_cli.errors import InvalidSample, NothingStored
from netstat_cli.model import Sample
from netstat_cli.store.history import History, history_of, open_history
from netstat_cli.store.layout import servers
from netstat_cli.wire import decode


def stored_histories(data: str, server: str | None) -> list[History]:
    """The histories in a store: of one server, or of all. Raises NothingStored."""
    known = servers(data)
    if server is not None and server not in known:
        raise NothingStored(f"no server {server!r} in {data}", hint=f"there are: {', '.join(known) or 'none yet'}")
    if not known:
        raise NothingStored(f"no samples are stored in {data} yet", hint="start with: netcli collect --store")
    return [open_history(data, name) for name in ([server] if server else known)]


def given_histories(files: Iterable[IO[bytes]], server: str | None) -> list[History]:
    """The histories in files and pipes. A line that is no sample is told and left out. Raises NothingStored."""
    by_server: dict[str, dict[int, Sample]] = {}
    for file in files:
        for sample in _samples(file):
            if server is None or sample.server_id == server:
                by_server.setdefault(sample.server_id, {}).setdefault(sample.timestamp, sample)
    if not by_server:
        raise NothingStored("no samples" + (f" of {server!r}" if server else "") + " in what was given")
    return [history_of(name, _completed(by_server[name])) for name in sorted(by_server)]


def _samples(file: IO[bytes]) -> Iterator[Sample]:
    name = "-" if file is sys.stdin.buffer else getattr(file, "name", "-")
    for number, line in enumerate(_text(file), 1):
        if line.strip():
            try:
                yield decode(line)
            except InvalidSample as error:
                warn(f"{name}:{number}: skipped: {error.message}")


def _text(file: IO[bytes]) -> Iterable[bytes]:
    """The file, unpacked if its name says that it is packed."""
    if getattr(file, "name", "").endswith(".gz"):
        import gzip

        return gzip.open(file)
    return file


def _completed(by_time: dict[int, Sample]) -> Iterator[Sample]:
    before: Sample | None = None
    for moment in sorted(by_time):
        before = complete(by_time[moment], before)
        yield before
