"""What wakes the loop from `select` when a worker has something for it.

A socket to itself is the only thing on which `select` also returns (waitress calls the same a trigger). One byte wakes
once, however much there is to do, so a flag spares the further bytes. The order in `take` counts: were the flag cleared
before the byte is taken, a wake in between would set it, lose its byte, and be the last one; and the flag is cleared
before the loop looks at what there is to do, or what comes in between would lie there until the next wake.
"""

from __future__ import annotations

import socket
from contextlib import suppress


class Wake:
    """A byte that waits for the loop, or none."""

    def __init__(self) -> None:
        self.receiver, self._sender = socket.socketpair()
        self.receiver.setblocking(False)
        self._sender.setblocking(False)
        self._is_sent = False

    def send(self) -> None:
        """Have `select` return. Called from any thread, after what there is to do lies ready."""
        if not self._is_sent:
            self._is_sent = True
            with suppress(OSError):  # the loop has ended
                self._sender.send(b".")

    def take(self) -> None:
        """Take note of it. Called by the loop, before it looks at what there is to do."""
        with suppress(BlockingIOError):
            self.receiver.recv(64)
        self._is_sent = False

    def close(self) -> None:
        """Wake nobody any more."""
        self.receiver.close()
        self._sender.close()
