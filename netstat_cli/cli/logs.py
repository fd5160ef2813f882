"""Messages on stderr: how a long-running command tells its operator, and why telling never stops what it does.

Whoever has something to say logs it with `logging.getLogger(__name__)`, from any thread; the handler here writes it.

- A stderr that cannot be written (its reader has gone, the disk under a log is full, it was closed) costs messages and
  nothing else: no error leaves `emit`.
- A stderr that takes nothing for now (a pipe that nobody reads, a terminal that was stopped) is not waited for. What is
  lost meanwhile is counted, and the count is said with the next message that goes through.
- What repeats is said when it begins, at most every REPEAT_S seconds, and once more when it has ended.
"""

from __future__ import annotations

import logging
import os
import select
import sys
import time
from collections.abc import Callable

from netstat_cli.render.text import printable

REPEAT_S = 30.0
MAX_REPEATS = 256
"""So many messages are remembered as possibly repeating; past that the oldest is new again when it comes."""


class Repeats:
    """Decide which messages are said: of those that repeat the first, one each REPEAT_S seconds, and the end. Pure."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[float, float, int]] = {}
        """Of each message: when it was said and when it came last, and how often it came since it was said."""

    def lines(self, message: str, now_s: float) -> list[str]:
        """The lines to write for a message that comes now."""
        ended = self.ended(now_s)
        if message not in self._open:
            if len(self._open) >= MAX_REPEATS:
                del self._open[next(iter(self._open))]
            self._open[message] = (now_s, now_s, 0)
            return [*ended, message]
        said, _, more = self._open[message]
        if now_s - said < REPEAT_S:
            self._open[message] = (said, now_s, more + 1)
            return ended
        self._open[message] = (now_s, now_s, 0)
        return [*ended, f"{message} (and {more} times more before)" if more else message]

    def ended(self, now_s: float) -> list[str]:
        """The lines that say of repeating messages that they came no more."""
        over = [(message, more) for message, (_, last, more) in self._open.items() if now_s - last >= REPEAT_S]
        for message, _ in over:
            del self._open[message]
        return [f"{message} (ended after {more} times more)" for message, more in over if more]


class StderrHandler(logging.Handler):
    """Write records to a file descriptor without ever raising or waiting."""

    def __init__(self, fd: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        """`fd`: None where there is no stderr."""
        super().__init__()
        self._fd = fd
        self._clock = clock
        self._repeats = Repeats()
        self._lost = 0
        self._is_torn = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, unless it repeats what was said a moment ago."""
        try:
            self._write(self._repeats.lines(record.getMessage(), self._clock()))
        except Exception:  # noqa: BLE001  a message that cannot be made or written is lost, and nothing more
            self._lost += 1

    def flush(self) -> None:
        """Say what has ended since. To be called now and then."""
        self.acquire()
        try:
            self._write(self._repeats.ended(self._clock()))
        except Exception:  # noqa: BLE001  as in emit
            self._lost += 1
        finally:
            self.release()

    def _write(self, lines: list[str]) -> None:
        for line in lines:
            if self._fd is None or not _has_room(self._fd):
                self._lost += 1
                continue
            lost = f"netcli: messages that could not be written: {self._lost}\n" if self._lost else ""
            text = ("\n" if self._is_torn else "") + lost + f"netcli: {printable(line)}\n"
            raw = text.encode(errors="backslashreplace")
            if len(raw) > select.PIPE_BUF:
                raw = raw[: select.PIPE_BUF - 1] + b"\n"
            self._is_torn = os.write(self._fd, raw) < len(raw)
            self._lost = 0


def _has_room(fd: int) -> bool:
    """True if a write of PIPE_BUF bytes returns at once, which poll(2) promises of a pipe that it calls writable."""
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return bool(poll.poll(0))


def to_stderr() -> StderrHandler:
    """Have everything that the package logs, from INFO on, written to stderr."""
    try:
        fd = sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):  # closed by whoever started this
        fd = None
    handler = StderrHandler(fd)
    logger = logging.getLogger("netstat_cli")
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.INFO)
    return handler
