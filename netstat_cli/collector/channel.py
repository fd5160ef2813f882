"""One client's connection: its socket, in the clear or with TLS, what came on it and what is still to be sent.

A Channel belongs to the loop and is touched by the loop's thread alone. It never waits: `receive` takes what is there,
`flush` sends what the system takes. So deadlines, limits, refusal and closing are written once, in the loop, for both
kinds of stream.

TLS runs over two memory buffers (ssl.MemoryBIO, as asyncio does it) and not over ssl.SSLSocket: a handshake is then
bytes that come and go like any others, and a client that is slow with it costs no thread.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from typing import Protocol

from netstat_cli.collector.parser import RequestParser

RECEIVE = 1 << 16
RECORD = 1 << 14
"""The most that a TLS record holds (RFC 8446, 5.1)."""


class Stream(Protocol):
    """The bytes of a connection, free of what protects them on their way."""

    is_ready: bool
    """True once requests can be read: at once in the clear, after the handshake with TLS."""

    def receive(self) -> bytes | None:
        """Take what has come: None if there is nothing yet, empty if nothing more will. Raises OSError."""

    def send(self, data: memoryview) -> int:
        """Send as much as the system takes now; the bytes taken. Raises OSError."""

    def flush(self) -> bool:
        """Send what `send` has taken and the system has not; True if nothing of it is left. Raises OSError."""

    def end(self) -> None:
        """Tell the client that nothing more will be sent. Raises OSError."""


class PlainStream:
    """A connection in the clear."""

    is_ready = True

    def __init__(self, opened: socket.socket) -> None:
        self._socket = opened

    def receive(self) -> bytes | None:
        """As Stream has it."""
        try:
            return self._socket.recv(RECEIVE)
        except BlockingIOError:
            return None

    def send(self, data: memoryview) -> int:
        """As Stream has it."""
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0

    def flush(self) -> bool:
        """As Stream has it."""
        return True

    def end(self) -> None:
        """As Stream has it."""
        self._socket.shutdown(socket.SHUT_WR)


class TlsStream:
    """A connection with TLS."""

    def __init__(self, opened: socket.socket, context: ssl.SSLContext) -> None:
        self.is_ready = False
        self._plain = PlainStream(opened)
        self._received, self._protected = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._received, self._protected, server_side=True)
        self._unsent = b""
        """Protected bytes that the system did not take yet."""

    def receive(self) -> bytes | None:
        """As Stream has it. A handshake that fails is an OSError (ssl.SSLError), after the alert that says why."""
        if (data := self._plain.receive()) is None:
            return None
        if data:
            self._received.write(data)
        else:
            self._received.write_eof()
        try:
            if not self.is_ready:
                self._tls.do_handshake()
                self.is_ready = True
            return self._read_all()
        except ssl.SSLWantReadError:
            return None
        finally:
            self.flush()

    def _read_all(self) -> bytes | None:
        """All that has come of the client's own bytes; where that is followed by the end, the next call tells it."""
        pieces: list[bytes] = []
        try:
            while piece := self._tls.read(RECEIVE):
                pieces.append(piece)
        except ssl.SSLWantReadError:
            return b"".join(pieces) or None
        except ssl.SSLEOFError:  # the connection was cut without close_notify, as many clients do it
            pass
        return b"".join(pieces)

    def send(self, data: memoryview) -> int:
        """As Stream has it. What was protected counts as taken: it cannot be taken back."""
        taken = 0
        while self.flush() and taken < len(data):
            taken += self._tls.write(data[taken : taken + RECORD])
        return taken

    def flush(self) -> bool:
        """As Stream has it."""
        self._unsent += self._protected.read()
        while self._unsent and (sent := self._plain.send(memoryview(self._unsent))):
            self._unsent = self._unsent[sent:]
        return not self._unsent

    def end(self) -> None:
        """As Stream has it: close_notify (RFC 8446, 6.1), then the end of the connection."""
        with suppress(ssl.SSLError):
            self._tls.unwrap()
        self.flush()
        self._plain.end()


class Channel:
    """One connection while it is open."""

    def __init__(self, opened: socket.socket, stream: Stream, parser: RequestParser) -> None:
        self.socket = opened
        self.stream = stream
        self.parser = parser
        self.deadline = 0.0
        """When, on the monotonic clock, the time for what it is doing is over."""
        self.watched = 0
        """The events that the selector looks for."""
        self.line: dict[Channel, None] | None = None
        """The line in which it stands, of those that may be closed for the sake of others; None if in none."""
        self.held = 0
        """The bytes that are kept for it, as its table has counted them."""
        self.in_work = 0
        """The bytes of the request that is being answered."""
        self.is_busy = False
        """True while a request of it is being answered: then no further one is begun."""
        self.closes = False
        """True if the connection ends with the answer that is being sent."""
        self.is_draining = False
        """True once it was refused: what it still sends is thrown away, so that it reads why and not a reset."""
        self.is_closed = False
        self._unsent = memoryview(b"")

    @property
    def unsent(self) -> int:
        """The bytes of answers that were not sent yet."""
        return len(self._unsent)

    def queue(self, data: bytes) -> None:
        """Have bytes sent after those that wait already."""
        self._unsent = memoryview(bytes(self._unsent) + data if self._unsent else data)

    def flush(self) -> bool:
        """Send as much as the system takes; True if that was all. Raises OSError."""
        while self._unsent:
            sent = self.stream.send(self._unsent)
            self._unsent = self._unsent[sent:]
            if not sent:
                return False
        return self.stream.flush()

    def refuse(self) -> None:
        """Be done with what the client asks: forget what came of it."""
        self.is_draining = True
        self.parser = RequestParser(_nobody)

    def has_come(self) -> bool:
        """True if something of the client waits to be received, or its end."""
        try:
            self.socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def close(self) -> None:
        """End the connection at once."""
        self.is_closed = True
        self._unsent = memoryview(b"")
        self.socket.close()


def _nobody(_: str, __: Mapping[str, str]) -> None:
    """Nothing is read any more."""
