"""A disk that fails as it is told."""

from __future__ import annotations

import errno
import os
import threading

from netstat_cli.store.appending import Disk


class FailingDisk(Disk):
    """A disk that can be told to run full after so many bytes, to fail at syncing, or to make its caller wait. It
    remembers which files were synced."""

    def __init__(self) -> None:
        self.room: int | None = None
        self.fault: int | None = None
        self.synced: list[str] = []
        self.busy = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def write(self, fd: int, data: bytes | memoryview) -> int:
        if self.room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = super().write(fd, data if self.room is None else data[: self.room])
        self.room = None if self.room is None else self.room - written
        return written

    def sync(self, fd: int) -> None:
        self.busy.set()
        assert self.go_on.wait(20)
        if self.fault is not None:
            raise OSError(self.fault, os.strerror(self.fault))
        super().sync(fd)
        self.synced.append(os.readlink(f"/proc/self/fd/{fd}"))
