"""Where things lie in a store. The path depends on nothing but server and day, so `cat`, `rsync` and `rm` work on it.

<data>/store.json                          {"format":1}
<data>/lock                                held by the one writer
<data>/<server_id>/2026-11-21.jsonl        a UTC day, timestamps strictly increasing
<data>/<server_id>/2026-11-21.late.jsonl   what arrived out of order, until merged
<data>/<server_id>/2026-11-20.jsonl.gz     a closed day
<data>/<server_id>/2026-11-20.mistimed.jsonl   samples that a clock, later set back, put in the wrong place
<data>/<server_id>/2026-11-20.ahead.jsonl      samples of this day's arrivals with a clock far ahead

Samples that were set aside are kept for people to look at; no question is answered from them.
"""

from __future__ import annotations

import json
import os
from functools import lru_cache
from typing import NamedTuple

from netstat_cli.errors import NothingStored, StoreError
from netstat_cli.line.wire import is_server_id, to_line
from netstat_cli.times import day_start

FORMAT = 1
FOLDER_MODE = 0o700
FILE_MODE = 0o600
PLAIN, LATE, CLOSED = ".jsonl", ".late.jsonl", ".jsonl.gz"
MISTIMED, AHEAD = ".mistimed.jsonl", ".ahead.jsonl"

RESERVED = frozenset({"lock", "store.json"})
"""Names in a store that no server can have."""

_FIELDS = {PLAIN: "plain", LATE: "late", CLOSED: "closed"}


class DayFiles(NamedTuple):
    """The files that hold one server's day; None where there is no such file."""

    day: str
    plain: str | None = None
    late: str | None = None
    closed: str | None = None

    @property
    def paths(self) -> list[str]:
        """Those that there are."""
        return [path for path in self[1:] if path is not None]


def day_path(data: str, server_id: str, day: str, ending: str) -> str:
    """The path of one file of one day."""
    return f"{data}/{server_id}/{day}{ending}"


def servers(data: str) -> list[str]:
    """The servers that the store has a folder for, sorted. Raises NothingStored if there is no store."""
    check_format(data)
    try:
        with os.scandir(data) as entries:
            return sorted(entry.name for entry in entries if is_server_id(entry.name) and entry.is_dir())
    except OSError as error:
        raise _unreadable(data, error) from error


def days(data: str, server_id: str) -> list[DayFiles]:
    """The days of a server, in order; empty if it has none."""
    try:
        with os.scandir(f"{data}/{server_id}") as entries:
            names = [entry.name for entry in entries if entry.is_file()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unreadable(f"{data}/{server_id}", error) from error
    found: dict[str, dict[str, str]] = {}
    for name in names:
        day, ending = name[:10], name[10:]
        if ending in _FIELDS and is_day(day):
            found.setdefault(day, {})[_FIELDS[ending]] = f"{data}/{server_id}/{name}"
    return [DayFiles(day, **found[day]) for day in sorted(found)]


def newest_ahead(data: str, server_id: str, after: int) -> int | None:
    """The moment of the last sample of a server that was set aside because it was far ahead; None if none came after a
    moment, so that its clock is right again."""
    folder = f"{data}/{server_id}"
    try:
        files = sorted(name for name in os.listdir(folder) if name.endswith(AHEAD))
        with open(f"{folder}/{files[-1]}", "rb") as file:
            if os.fstat(file.fileno()).st_mtime_ns // 1_000_000 <= after:
                return None
            return to_line(file.read().split(b"\n")[-2]).timestamp
    except (OSError, IndexError, ValueError):
        return None


@lru_cache(maxsize=4096)
def is_day(text: str) -> bool:
    """Tell if a text names a day that there is: 2026-11-21, and not 2026-02-30."""
    try:
        day_start(text)
    except ValueError:
        return False
    return True


def check_format(data: str) -> None:
    """Raises NothingStored if there is no store at `data`, StoreError if it is not one that this version reads."""
    path = f"{data}/store.json"
    try:
        with open(path, "rb") as file:
            found = json.loads(file.read())
    except FileNotFoundError:
        raise NothingStored(
            f"no samples are stored in {data}",
            hint="start with: netcli collect --store --interval 10s   (or name another folder with --data)",
        ) from None
    except OSError as error:
        raise _unreadable(path, error) from error
    except ValueError:
        found = None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        hint = f"it should hold {json.dumps({'format': FORMAT})}; a newer netcli may have written it"
        raise StoreError(f"{path} does not describe a store that this netcli can read", hint=hint)


def create(data: str) -> None:
    """Makes the store's folder, unless it is there. Raises StoreError."""
    try:
        os.makedirs(data, mode=FOLDER_MODE, exist_ok=True)
        if not os.path.exists(f"{data}/store.json"):
            replace_file(f"{data}/store.json", json.dumps({"format": FORMAT}).encode() + b"\n")
    except OSError as error:
        hint = "make it writable for this user, or name another folder with --data"
        raise StoreError(f"cannot make a store in {data}: {error.strerror}", hint=hint) from error
    check_format(data)


def replace_file(path: str, content: bytes) -> None:
    """Writes a file whole or not at all: temporary file, fsync, rename, fsync of the folder. Raises OSError."""
    temporary = f"{path}.{os.getpid()}.tmp"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)
    try:
        with open(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(fd)
        os.rename(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise
    sync_folder(os.path.dirname(path))


def sync_folder(path: str) -> None:
    """Makes what was created, renamed or removed in a folder durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _unreadable(path: str, error: OSError) -> StoreError:
    return StoreError(f"cannot read {path}: {error.strerror}", hint="run as the user that the store belongs to")
