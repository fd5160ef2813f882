"""Files that only grow: what has been acknowledged is never lost, and never followed by half a line."""

from __future__ import annotations

import errno
import importlib
import os
import re
import resource
from collections import OrderedDict

from netstat_cli.errors import StoreError, StoreFull
from netstat_cli.line.wire import to_line
from netstat_cli.store.layout import FILE_MODE, FOLDER_MODE, sync_folder
from netstat_cli.store.segment import LOOK

OPEN_FILES = 4096


class Disk:
    """The calls that can fail, in one place, so that their failing can be tried."""

    def write(self, fd: int, data: bytes | memoryview) -> int:
        """write(2): how many bytes it took."""
        return os.write(fd, data)

    def sync(self, fd: int) -> None:
        """fdatasync(2)."""
        os.fdatasync(fd)

    def sync_all(self, folder: str) -> bool:
        """syncfs(2) of the file system that a folder is on; False where there is none that tells of errors. Raises
        OSError."""
        ctypes = importlib.import_module("ctypes")
        libc = ctypes.CDLL(None, use_errno=True)
        if _kernel() < (5, 8) or not hasattr(libc, "syncfs"):
            return False
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if libc.syncfs(fd) < 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        finally:
            os.close(fd)
        return True


class AppendFile:
    """One file open for appending. `last_timestamp` is that of its last whole line, -1 where it has none."""

    __slots__ = ("_disk", "_fd", "_is_new", "last_timestamp", "path", "size", "torn")

    def __init__(self, path: str, disk: Disk) -> None:
        """Opens or creates it, and cuts off a torn last line. Raises OSError."""
        self.path = path
        self.torn = 0
        """Bytes of a torn last line that were cut off when it was opened."""
        self._disk = disk
        self._fd, self._is_new = _open_or_create(path)
        length = os.fstat(self._fd).st_size
        self.size, self.last_timestamp = _end_of(self._fd, length)
        if self.size < length:
            self.torn = length - self.size
            os.ftruncate(self._fd, self.size)

    def append(self, lines: bytes, last_timestamp: int) -> None:
        """Adds whole lines, not yet durable. Raises OSError, and then the file is as it was before."""
        try:
            written = self._disk.write(self._fd, lines)
            while written < len(lines):
                written += self._disk.write(self._fd, memoryview(lines)[written:])
        except OSError:
            os.ftruncate(self._fd, self.size)
            raise
        self.size += len(lines)
        self.last_timestamp = last_timestamp

    def cut(self, size: int, last_timestamp: int) -> None:
        """Goes back to what the file was."""
        os.ftruncate(self._fd, size)
        self.size, self.last_timestamp = size, last_timestamp

    def sync(self) -> None:
        """Returns once all of it is on disk. Raises OSError."""
        self._disk.sync(self._fd)
        if self._is_new:
            folder = os.path.dirname(self.path)
            sync_folder(folder)
            sync_folder(os.path.dirname(folder))
            self._is_new = False

    def close(self) -> None:
        """Gives the file back."""
        os.close(self._fd)


class AppendFiles:
    """The append files in use. A bounded number of them is open: half of what the system lets this process have at
    most, because connections are files too."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._most = min(OPEN_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)
        self._open: OrderedDict[str, AppendFile] = OrderedDict()

    def opened(self, path: str) -> AppendFile | None:
        """The file at that path, if it is open."""
        return self._open.get(path)

    def get(self, path: str) -> AppendFile:
        """The file at that path, opened if need be. Raises OSError."""
        file = self._open.get(path)
        if file is None:
            file = self._open[path] = AppendFile(path, self._disk)
            if len(self._open) > self._most:
                self._open.popitem(last=False)[1].close()
        self._open.move_to_end(path)
        return file

    def forget(self, path: str) -> None:
        """Closes a file, because it failed or is about to be replaced."""
        if (file := self._open.pop(path, None)) is not None:
            file.close()

    def close(self) -> None:
        """Closes all of them."""
        for path in list(self._open):
            self.forget(path)


def store_error(path: str, error: OSError) -> StoreError:
    """What a failed write means to whoever wanted the samples stored."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        hint = "free some space; senders keep what was not acknowledged and send it again"
        return StoreFull(f"no space left to store samples in {os.path.dirname(path)}", hint=hint)
    return StoreError(f"cannot store samples in {path}: {error.strerror}", hint="nothing of it was acknowledged")


def _kernel() -> tuple[int, ...]:
    """The kernel's version; before Linux 5.8 syncfs told of no errors (man 2 syncfs)."""
    return tuple([int(number) for number in re.findall(r"\d+", os.uname().release)[:2]])


def _open_or_create(path: str) -> tuple[int, bool]:
    flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC
    try:
        return os.open(path, flags), False
    except FileNotFoundError:
        folder = os.path.dirname(path)
        if not os.path.isdir(folder):
            os.mkdir(folder, FOLDER_MODE)
        return os.open(path, flags | os.O_CREAT, FILE_MODE), True


def _end_of(fd: int, size: int) -> tuple[int, int]:
    """Where the last whole line ends, and its timestamp."""
    look = LOOK
    while True:
        start = max(0, size - look)
        text = os.pread(fd, size - start, start)
        end = text.rfind(b"\n")
        begin = text.rfind(b"\n", 0, max(end, 0))
        if end >= 0 and (begin >= 0 or start == 0):
            try:
                return start + end + 1, to_line(text[begin + 1 : end]).timestamp
            except ValueError as error:
                raise OSError(errno.EINVAL, f"its last line is damaged ({error})") from error
        if start == 0:
            return 0, -1
        look *= 8
