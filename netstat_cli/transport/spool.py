"""Lines that are on disk until the peer has them.

    <spool>/<time>-<pid>.jsonl     a segment: lines as they came, oldest first over all segments
    <spool>/acknowledged.json      how far into each segment the peer has everything
    <spool>/lock                   held by the one process that delivers; in it, where to
    <spool>/rejected.jsonl         what the peer refused or nobody could send: {"error":…,"line":…}

Any number of processes add, each to a segment of its own, which it holds locked while it lives. A segment goes when all
of it is acknowledged and nobody holds it. If `acknowledged.json` is behind, lines are sent again, which does no harm.

A folder that is not there is an empty spool, made when there is something to keep: the disk may have no room for it.
A write that fails is taken back whole, and the segment ends: what follows comes into a new one.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from netstat_cli.errors import DeliveryError, InvalidSample
from netstat_cli.line.wire import parse_json
from netstat_cli.store.appending import AppendFile, Disk
from netstat_cli.store.layout import FILE_MODE, FOLDER_MODE, sync_folder

SEGMENTS = 16
"""A full spool is about so many segments; dropping the oldest drops one of them."""
_PASSING = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_ENDING = ".jsonl"
_REJECTED = "rejected.jsonl"


class SpoolFull(DeliveryError):
    """There is no room for more until the peer takes some."""


class SpoolUnwritable(DeliveryError):
    """The disk does not take more."""

    def __init__(self, message: str, error: OSError) -> None:
        super().__init__(message)
        self.may_pass = may_pass(error)
        """Whether it may again, by itself or after somebody freed some room."""


class Spooled(NamedTuple):
    """Lines of one segment, and where in it they end."""

    segment: str
    end: int
    lines: list[bytes]


class Spool:
    """A spool folder: what this process adds to it, and (one process at a time) what it delivers from it. One thread
    may add while another delivers."""

    def __init__(self, folder: str, most: int, disk: Disk | None = None) -> None:
        """`most`: bytes that it may take. Raises DeliveryError if the folder cannot be used."""
        self.folder = folder
        self.dropped = 0
        """Lines that were dropped because the spool was full."""
        self.delivered_to: str | None = None
        """Where another process delivers to, as far as it said so."""
        self.corrupt = 0
        """Lines that were set aside because they are no JSON."""
        self._most = most
        self._disk = disk or Disk()
        self._lock = threading.RLock()
        self._own: AppendFile | None = None
        self._own_lock = -1
        self._delivery_lock = -1
        try:
            self._make_folder()
        except OSError as error:
            if not may_pass(error):
                hint = "name another folder with --spool"
                raise DeliveryError(f"cannot make a spool in {folder}: {error.strerror}", hint=hint) from error
        self._judged: dict[str, int] = {}
        """How far into each segment corrupt lines were set aside."""
        self._acknowledged = self._read_acknowledged()

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self._end_own()
        if self._delivery_lock >= 0:
            os.close(self._delivery_lock)

    def add(self, lines: list[bytes], drop_oldest: bool) -> None:
        """Returns once the lines are on disk. Raises SpoolFull, unless the oldest may be dropped, and DeliveryError."""
        with self._lock:
            self._add(lines, drop_oldest)

    def _add(self, lines: list[bytes], drop_oldest: bool) -> None:
        text = b"".join([line + b"\n" for line in lines])
        while (size := self.size()) and size + len(text) > self._most:
            if not drop_oldest:
                raise SpoolFull(f"the spool {self.folder} is full", hint="it empties when the peer is back")
            if not self._drop_oldest():
                break
        try:
            own = self._own
            if own is None or own.size > self._most // SEGMENTS or self._is_gone(own):
                own = self._begin_own()
            self._write(own, text)
        except OSError as error:
            raise SpoolUnwritable(f"cannot write to the spool {self.folder}: {error.strerror}", error) from error

    def _is_gone(self, own: AppendFile) -> bool:
        """Whether somebody removed the own segment, or put another file into its place (rm, rsync)."""
        try:
            return not os.path.samestat(os.stat(own.path), os.fstat(self._own_lock))
        except FileNotFoundError:
            return True

    def _write(self, own: AppendFile, text: bytes) -> None:
        """Adds lines durably. Raises OSError; then they are taken back, and nothing more is added to that segment:
        another process may have delivered some of them, and would take what follows in their place for delivered."""
        before = own.size
        try:
            own.append(text, -1)
            own.sync()
        except OSError:
            try:
                own.cut(before, -1)
                if before == 0:
                    os.unlink(own.path)
            finally:
                self._end_own()
            raise

    def take_delivery(self, peer: str = "") -> bool:
        """Makes this process the one that delivers, to `peer`; False if another one is, or if there is no folder yet
        and no room for it. Raises OSError."""
        if self._delivery_lock >= 0:
            return True
        self._make_folder()
        fd = os.open(f"{self.folder}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.delivered_to = os.pread(fd, 4096, 0).decode(errors="replace") or None
            os.close(fd)
            return False
        self._delivery_lock = fd
        self.delivered_to = None
        with suppress(OSError):  # a full disk; then nobody can tell
            os.ftruncate(fd, 0)
            os.pwrite(fd, peer.encode(), 0)
        self._acknowledged = self._read_acknowledged()
        return True

    def remove_if_empty(self) -> None:
        """Removes the folder, if nothing but what this process delivered from was ever in it."""
        if self._delivery_lock >= 0 and not self._segments():
            with suppress(OSError):
                for name in ("acknowledged.json", "lock"):
                    with suppress(FileNotFoundError):
                        os.unlink(f"{self.folder}/{name}")
                os.rmdir(self.folder)

    def next(self, most_lines: int, most_bytes: int) -> Spooled | None:
        """The oldest lines that are not acknowledged; None if there are none."""
        with self._lock:
            return self._next(most_lines, most_bytes)

    def _next(self, most_lines: int, most_bytes: int) -> Spooled | None:
        for segment in self._segments():
            while lines := self._read(segment, begin := self._acknowledged.get(segment, 0), most_bytes)[:most_lines]:
                end = begin + sum(map(len, lines)) + len(lines)
                spooled = Spooled(segment, end, self._sound(segment, begin, end, lines))
                if spooled.lines:
                    return spooled
                self.acknowledge(spooled)
            self._remove_if_done(segment)
        return None

    def _sound(self, segment: str, begin: int, end: int, lines: list[bytes]) -> list[bytes]:
        """Those of the lines that are JSON. The others are set aside, once, though they may be read again."""
        sound, place = [], begin
        for line in lines:
            place += len(line) + 1
            error = _what_is_wrong(line)
            if error is None:
                sound.append(line)
            elif place > self._judged.get(segment, 0):
                self.set_aside(line, error)
                self.corrupt += 1
        if len(sound) < len(lines) and end > self._judged.get(segment, 0):
            self._judged[segment] = end
            self._write_acknowledged()
        return sound

    def acknowledge(self, spooled: Spooled) -> None:
        """The peer has these lines, or somebody was told."""
        with self._lock:
            if os.path.exists(f"{self.folder}/{spooled.segment}"):  # it may have been dropped meanwhile
                self._acknowledged[spooled.segment] = spooled.end
                self._write_acknowledged()
                self._remove_if_done(spooled.segment)

    def set_aside(self, line: bytes, error: str) -> None:
        """Keeps a line that cannot be delivered, with the reason."""
        described = {"error": error, "line": line.decode(errors="backslashreplace")}
        with open(f"{self.folder}/{_REJECTED}", "ab", buffering=0, opener=_opener) as file:
            is_new = (before := file.tell()) == 0
            text = memoryview(json.dumps(described).encode() + b"\n")
            try:
                while text:
                    text = text[self._disk.write(file.fileno(), text) :]
                os.fsync(file.fileno())
            except OSError:
                os.ftruncate(file.fileno(), before)
                raise
        if is_new:
            sync_folder(self.folder)

    def size(self) -> int:
        """Bytes of all segments."""
        return sum(self._size_of(segment) for segment in self._segments())

    def waiting(self) -> int:
        """Bytes that are not acknowledged yet."""
        acknowledged = self._delivered()
        return sum(max(0, self._size_of(segment) - acknowledged.get(segment, 0)) for segment in self._segments())

    def _delivered(self) -> dict[str, int]:
        """How far into each segment the peer has everything, whoever delivers."""
        return self._acknowledged if self._delivery_lock >= 0 else self._read_acknowledged()

    def _segments(self) -> list[str]:
        try:
            names = os.listdir(self.folder)
        except FileNotFoundError:
            return []
        return sorted(name for name in names if name.endswith(_ENDING) and name != _REJECTED)

    def _size_of(self, segment: str) -> int:
        try:
            return os.stat(f"{self.folder}/{segment}").st_size
        except FileNotFoundError:
            return 0

    def _make_folder(self) -> None:
        os.makedirs(self.folder, FOLDER_MODE, exist_ok=True)

    def _begin_own(self) -> AppendFile:
        self._end_own()
        self._make_folder()
        while True:
            path = f"{self.folder}/{time.time_ns():020d}-{os.getpid()}{_ENDING}"
            self._own_lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
            fcntl.flock(self._own_lock, fcntl.LOCK_EX)
            if os.path.exists(path):
                break
            os.close(self._own_lock)  # whoever delivers took the empty segment for one that is done
        try:
            sync_folder(self.folder)
            self._own = AppendFile(path, self._disk)
        except OSError:
            os.close(self._own_lock)
            raise
        return self._own

    def _end_own(self) -> None:
        if self._own is not None:
            self._own.close()
            os.close(self._own_lock)
            self._own = None

    def _read(self, segment: str, begin: int, most: int) -> list[bytes]:
        """Whole lines from a place on: at least one if there is one."""
        try:
            with open(f"{self.folder}/{segment}", "rb") as file:
                file.seek(begin)
                text = file.read(most)
                if b"\n" not in text:
                    text += file.readline()
        except FileNotFoundError:
            return []
        return text.split(b"\n")[:-1]

    def _remove_if_done(self, segment: str) -> None:
        """Removes a segment of which nothing is left to deliver and which nobody adds to."""
        path = f"{self.folder}/{segment}"
        if self._own is not None and self._own.path == path:
            if self._acknowledged.get(segment, 0) < self._own.size:
                return
            self._end_own()
        try:
            with open(path, "rb+") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                file.seek(self._acknowledged.get(segment, 0))
                rest = file.read()
                if b"\n" in rest:
                    return
                if rest:
                    self.set_aside(rest, "torn by a crash while it was written")
                os.unlink(path)
        except (BlockingIOError, FileNotFoundError):  # somebody adds to it, or dropped it meanwhile
            return
        self._judged.pop(segment, None)
        if self._acknowledged.pop(segment, None) is not None:
            self._write_acknowledged()

    def _drop_oldest(self) -> bool:
        """Drops the oldest segment that no other process still adds to; False if there is none."""
        acknowledged = self._delivered()
        for segment in self._segments():
            path = f"{self.folder}/{segment}"
            if self._own is not None and self._own.path == path:
                self._end_own()
            try:
                with open(path, "rb+") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    file.seek(acknowledged.get(segment, 0))
                    lines = file.read().count(b"\n")
                    os.unlink(path)
            except BlockingIOError:
                continue
            except FileNotFoundError:  # another process delivered or dropped it: there may be room now
                return True
            self.dropped += lines
            self._acknowledged.pop(segment, None)
            return True
        return False

    def _read_acknowledged(self) -> dict[str, int]:
        try:
            with open(f"{self.folder}/acknowledged.json", "rb") as file:
                found = json.loads(file.read())
            self._judged = self._places(found["judged"])
            return self._places(found["acknowledged"])
        except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
            self._judged = {}
            return {}  # none yet, or damaged: then lines are sent again

    def _places(self, found: dict[str, Any]) -> dict[str, int]:
        """Those that are the end of a line; from any other one, lines would be skipped or torn."""
        places = {}
        for segment in self._segments():
            if (end := int(found.get(segment, 0))) > 0:
                with suppress(FileNotFoundError), open(f"{self.folder}/{segment}", "rb") as file:
                    file.seek(end - 1)
                    if file.read(1) == b"\n":
                        places[segment] = end
        return places

    def _write_acknowledged(self) -> None:
        """Renamed into place but not synced: what a power failure takes back, or a full disk has no room for, is only
        sent again. A disk can be full of what is delivered next."""
        path = f"{self.folder}/acknowledged.json"
        with suppress(OSError):
            with open(f"{path}.tmp", "wb", opener=_opener) as file:
                file.write(json.dumps({"acknowledged": self._acknowledged, "judged": self._judged}).encode())
            os.rename(f"{path}.tmp", path)


def may_pass(error: OSError) -> bool:
    """Tell whether a disk that failed so may work again, by itself or after somebody freed some room."""
    return error.errno in _PASSING


def _what_is_wrong(line: bytes) -> str | None:
    try:
        parse_json(line)
    except InvalidSample as error:
        return error.message
    return None


def _opener(path: str, flags: int) -> int:
    return os.open(path, flags, FILE_MODE)


def drain(
    spool: Spool, deliver: Callable[[list[bytes]], list[tuple[int, str]]], lines: int, size: int
) -> Iterator[int]:
    """Delivers what is spooled, oldest first, and yields how many lines each batch had. `deliver` sends a batch and
    returns which lines (from 1) were refused and why; what it raises leaves the batch in the spool."""
    while (spooled := spool.next(lines, size)) is not None:
        for number, error in deliver(spooled.lines):
            spool.set_aside(spooled.lines[number - 1], error)
        spool.acknowledge(spooled)
        yield len(spooled.lines)
