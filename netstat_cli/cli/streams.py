"""The three standard streams, whatever the program was started with.

Python's own are not enough for data that somebody may rely on: unbuffered ($PYTHONUNBUFFERED) they take a short write
for a whole one, on a descriptor that does not block (O_NONBLOCK, which another program on the same terminal or pipe may
have set) they give up in the middle of a line, and a stream that is closed is None, its number taken by the next file
that is opened. Here a write to stdout takes all or fails; a message to stderr never stops anything, because a reader of
messages that has gone must not end the sampling; and a closed stream keeps its number and fails when it is used.
"""

from __future__ import annotations

import io
import os
import select
import sys
from typing import Any, TextIO

from netstat_cli.errors import NetcliError

STDIN, STDOUT, STDERR = range(3)


class CannotWrite(NetcliError):
    """Standard output takes no more."""


class WholeWrites(io.RawIOBase):
    """A descriptor that takes all of what is written, however little at a time. One that is `silent` takes what fails
    for written; any other raises CannotWrite, or BrokenPipeError where the reader has gone."""

    def __init__(self, descriptor: int, silent: bool) -> None:
        self.name = "<stderr>" if silent else "<stdout>"
        self._descriptor = descriptor
        self._silent = silent

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        """It is there to be written to."""
        return True

    def write(self, data: Any) -> int:
        """Write all of it. Waits where the descriptor does not."""
        left = memoryview(data).cast("B")
        size = len(left)
        while left:
            try:
                left = left[os.write(self._descriptor, left) :]
            except BlockingIOError:
                _wait_for_room(self._descriptor)
            except OSError as error:
                if self._silent:
                    break
                if isinstance(error, BrokenPipeError):
                    raise
                raise CannotWrite(f"cannot write to standard output: {error.strerror}") from error
        return size


def take_over() -> None:
    """Put streams that keep these promises in the place of Python's."""
    occupy_closed()
    if sys.stdin is None:
        raw = io.FileIO(STDIN, closefd=False)
        raw.name = "<stdin>"  # as Python names it
        sys.stdin = io.TextIOWrapper(io.BufferedReader(raw), "utf-8")
    sys.stdout = _text(STDOUT, sys.stdout, silent=False)
    sys.stderr = _text(STDERR, sys.stderr, silent=True)


def occupy_closed() -> None:
    """Give each closed standard descriptor a file that fails as it would, so that no other file gets its number."""
    for descriptor, unusable in ((STDIN, os.O_WRONLY), (STDOUT, os.O_RDONLY), (STDERR, os.O_RDONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, unusable)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)


def abandon_stdout() -> None:
    """Forget what is still to be written: it would fail again when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT)


def _text(descriptor: int, before: TextIO | None, silent: bool) -> io.TextIOWrapper:
    """A text stream in the encoding of the one before. What that cannot say is spelled out: \\u2581."""
    raw = WholeWrites(descriptor, silent)
    by_line = silent or raw.isatty()
    encoding = before.encoding if before is not None else "utf-8"
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, "backslashreplace", line_buffering=by_line)


def _wait_for_room(descriptor: int) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    poll.poll()
