"""Lines of many files made durable by one sync.

A sync costs the disk a fraction of a millisecond, whatever it holds. So a group of lines for many servers is written to
their files, and, once more, to this one file, which alone is synced before anybody is answered. When it has grown, the
files are synced at leisure, and then it is removed. After a power failure the next writer puts back what they lack.

    <data>/.journal        lines whose files may not be on disk yet
    <data>/.journal.old    the same, of files that are being synced now
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable

from netstat_cli.store.appending import AppendFile, Disk
from netstat_cli.store.layout import sync_folder

LIMIT = 32 << 20
MANY = 32
"""From so many files on, one sync of the whole file system costs less than one of each."""


class Journal:
    """The journal of a store, for its one writer."""

    def __init__(self, data: str, disk: Disk, warn: Callable[[str], None]) -> None:
        self._path = f"{data}/.journal"
        self._old = f"{data}/.journal.old"
        self._disk = disk
        self._warn = warn
        self._file: AppendFile | None = None
        self._dirty: set[str] = set()
        self._settling: threading.Thread | None = None

    def left_behind(self) -> list[bytes]:
        """The lines that a writer which was cut short had acknowledged, oldest first."""
        lines = []
        for path in (self._old, self._path):
            if os.path.exists(path):
                with open(path, "rb") as file:
                    lines += file.read().split(b"\n")[:-1]
        return lines

    def append(self, lines: bytes, paths: Iterable[str]) -> None:
        """Makes lines durable that were written to the files at `paths`. Raises OSError."""
        if self._file is None:
            self._file = AppendFile(self._path, self._disk)
        size = self._file.size
        self._file.append(lines, -1)
        try:
            self._file.sync()
        except OSError:
            self._file.cut(size, -1)
            raise
        self._dirty.update(paths)
        if self._file.size > LIMIT and (self._settling is None or not self._settling.is_alive()):
            self._rotate()

    def settle(self, paths: Iterable[str]) -> None:
        """Syncs these files and all that were appended, and removes the journal."""
        self._dirty.update(paths)
        if self._settle(self._dirty, self._path) and os.path.exists(self._old):
            os.unlink(self._old)
        if self._file is not None:
            self._file.close()
            self._file = None
        self._dirty = set()

    def close(self) -> None:
        """Syncs every file and removes the journal."""
        if self._settling is not None:
            self._settling.join()
        self.settle(())

    def _rotate(self) -> None:
        """Begins a new journal, and settles the old one in the background."""
        if os.path.exists(self._old):
            return  # its files could not be synced
        if self._file is not None:
            self._file.close()
        os.rename(self._path, self._old)
        self._file = None
        dirty, self._dirty = self._dirty, set()
        self._settling = threading.Thread(target=self._settle, args=(dirty, self._old), name="journal", daemon=True)
        self._settling.start()

    def _settle(self, paths: set[str], journal: str) -> bool:
        """Syncs the files and removes their journal; whether it could."""
        try:
            if len(paths) < MANY or not self._disk.sync_all(os.path.dirname(journal)):
                for path in paths:
                    self._sync(path)
                for folder in {os.path.dirname(path) for path in paths}:
                    sync_folder(folder)
            sync_folder(os.path.dirname(journal))
            if os.path.exists(journal):
                os.unlink(journal)
        except OSError as error:
            self._warn(f"cannot sync the files of {journal}: {error}; the journal is kept until the next start")
            self._dirty |= paths
            return False
        return True

    def _sync(self, path: str) -> None:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return  # merged, closed or deleted since, which is durable in itself
        try:
            self._disk.sync(fd)
        finally:
            os.close(fd)
