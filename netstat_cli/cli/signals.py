"""How a signal reaches a program that is in the middle of something."""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress


class Stop:
    """Whether to come to an end, as a signal said. Any thread may ask and wait.

    It is a pipe and no threading.Event: a handler runs between any two steps of the main thread, and would wait for
    ever for a lock that the main thread holds just then. The byte is never read, so it wakes all who wait."""

    def __init__(self) -> None:
        self._is_set = False
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._writing, False)

    def set(self, *_: object) -> None:
        """Say that it is time to end; fit to be the handler of a signal."""
        self._is_set = True
        with suppress(BlockingIOError):
            os.write(self._writing, b"!")

    def is_set(self) -> bool:
        """Tell whether it is time to end."""
        return self._is_set

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the end, at most so many seconds; tell whether it has come."""
        if not self._is_set:
            select.select([self._reading], [], [], seconds)
        return self._is_set


def stop_when_terminated() -> Stop:
    """Return what SIGTERM sets: the orderly end, after which whatever was taken is still brought to safety. A process 1
    (a container's) gets the signal only because there is a handler."""
    stop = Stop()
    signal.signal(signal.SIGTERM, stop.set)
    return stop
