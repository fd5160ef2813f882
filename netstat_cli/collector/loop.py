"""The one thread that reads from all connections without TLS.

It stores what comes in small requests itself, as many at a time as are there, so that they share one write to the disk
and no thread waits for another; a thousand senders that hold a connection open cost no thread. What takes longer, a
question or a large batch, is answered in a thread of its own.
"""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from http import HTTPStatus

from netstat_cli.collector.answers import RETRY_AFTER, Answers
from netstat_cli.collector.http import HttpError, Later, Request, Response, encoded
from netstat_cli.collector.incoming import RECEIVE, Admit, Incoming, Limits, Phase, too_slow

CLOSING_SECONDS = 10.0
DRAIN_SECONDS = 1.0
LEAVE = b"HTTP/1.1 100 Continue\r\n\r\n"
Secure = Callable[[socket.socket, object], None]
"""Takes over a connection with TLS."""


class Connection:
    """One client's connection, while the one thread reads from it."""

    def __init__(self, opened: socket.socket, incoming: Incoming, until: float) -> None:
        self.socket = opened
        self.incoming = incoming
        self.until = until
        """When the time for what it is doing is over."""
        self.is_refused = False
        """Whether it has had its last answer: what it still sends is taken so that it reads that, and not a reset."""

    def fileno(self) -> int:
        """For the selector."""
        return self.socket.fileno()


class Loop:
    """Takes connections from a listening socket and answers on them until it is ended."""

    def __init__(
        self, listener: socket.socket, answers: Answers, admit: Admit, limits: Limits, secure: Secure | None
    ) -> None:
        self._listener = listener
        self._answers = answers
        self._admit = admit
        self._limits = limits
        self._secure = secure
        self.closing = False
        self.room = threading.BoundedSemaphore(limits.connections)
        self._kept: set[Connection] = set()
        self._given_back: deque[Connection] = deque()
        self._more: list[Connection] = []
        """Those that were answered and have sent more already."""
        self._bell, self._ringer = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ)
        self._selector.register(self._bell, selectors.EVENT_READ)

    def run(self, interval: float) -> None:
        """Until the end; times are looked after at every interval."""
        look = time.monotonic() + interval
        while not self.closing:
            self._try(lambda: self._round(interval))
            if (at := time.monotonic()) >= look:
                look = at + interval
                self._try(lambda: self._end_overdue(time.monotonic()))
        self._try(lambda: self._round(0.0))
        while self._more:
            self._try(lambda: self._round(0.0))
        self._selector.close()

    def _try(self, step: Callable[[], None]) -> None:
        """One connection must not end the others, nor keep the server from its end."""
        try:
            step()
        except Exception as error:  # noqa: BLE001  whatever it is, the operator hears of it
            self._answers.tell_once(f"a connection failed: {error!r}")

    def end(self) -> None:
        """Has the loop answer what it has taken, and return."""
        self.closing = True
        self._ring()

    def close(self) -> None:
        """Waits for what is answered in threads, and closes all connections."""
        self._answers.wait_until_idle(CLOSING_SECONDS)
        for connection in [*self._kept, *self._given_back]:
            connection.socket.close()
        self._bell.close()
        self._ringer.close()

    def _ring(self) -> None:
        """Wakes the thread that waits for connections."""
        with suppress(OSError):
            self._ringer.send(b".")

    def _round(self, seconds: float) -> None:
        """Waits for something to come, and answers it."""
        ready, self._more = dict.fromkeys(self._more), []
        for key, _ in self._selector.select(0.0 if ready else seconds):
            if isinstance(key.fileobj, Connection):
                if key.fileobj not in ready:  # otherwise it has sent enough for now
                    self._receive(key.fileobj)
                    ready[key.fileobj] = None
            elif key.fileobj is self._listener:
                self._accept()
            else:
                self._bell.recv(RECEIVE)
        while self._given_back:
            self._keep(connection := self._given_back.popleft())
            ready[connection] = None
        self._more = self._answer(ready)

    def _accept(self) -> None:
        """Takes new connections; when there are too many, with an answer that says so."""
        while True:
            try:
                opened, address = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                self._answers.tell_once(f"cannot take a connection: {error.strerror}")
                time.sleep(0.01)
                return
            if not self.room.acquire(blocking=False):
                self._turn_away(opened)
            elif self._secure is not None:
                self._secure(opened, address)
            else:
                opened.setblocking(False)
                with suppress(OSError):  # the client may have gone again
                    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                incoming = Incoming(self._admit)
                self._keep(Connection(opened, incoming, time.monotonic() + self._limits.idle))

    def _turn_away(self, opened: socket.socket) -> None:
        full = HttpError(HTTPStatus.SERVICE_UNAVAILABLE, "SATURATED", "too many connections", RETRY_AFTER)
        with suppress(OSError):
            opened.settimeout(0.0)
            if self._secure is None:
                opened.send(encoded(full.response(), close=True))
        shut(opened)

    def _keep(self, connection: Connection) -> None:
        self._kept.add(connection)
        self._selector.register(connection, selectors.EVENT_READ)

    def _let_go(self, connection: Connection) -> None:
        self._kept.remove(connection)
        self._selector.unregister(connection)

    def _drop(self, connection: Connection) -> None:
        """The end of a connection."""
        if connection not in self._kept:
            return
        self._let_go(connection)
        shut(connection.socket)
        self.room.release()

    def _receive(self, connection: Connection) -> None:
        """Takes what came on a connection."""
        try:
            data = connection.socket.recv(RECEIVE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(connection)
        elif not connection.is_refused:
            connection.incoming.feed(data)

    def _answer(self, connections: Iterable[Connection]) -> list[Connection]:
        """Answers one request of each, if it is there; which connections have sent more."""
        taken = [(one, request) for one in connections if (request := self._next_request(one)) is not None]
        begun = [(*one, self._begin(*one)) for one in taken]
        answered = [one for one, request, part in begun if part is not None and self._end(one, request, part)]
        return [one for one in answered if one.incoming.has_more]

    def _next_request(self, connection: Connection) -> Request | None:
        if connection not in self._kept or connection.is_refused:
            return None
        incoming, phase = connection.incoming, connection.incoming.phase
        try:
            request = incoming.next()
        except HttpError as error:
            self._refuse(connection, error)
            return None
        if incoming.phase is not phase or request is not None:
            connection.until = time.monotonic() + self._limits.seconds(incoming.phase)
        if incoming.asks_leave():
            self._send(connection, LEAVE, close=False)
        return request

    def _begin(self, connection: Connection, request: Request) -> Response | Later | None:
        """Hands what is to be stored to the store; what takes longer to a thread, and then there is nothing here."""
        part = self._answers.begin(request)
        if part is None:

            def answer() -> tuple[bytes, bool]:
                response, close = self._answers.whole(request)
                close |= self.closing
                return encoded(response, close, request.method != "HEAD"), close

            self._in_thread(connection, answer)
        return part

    def _end(self, connection: Connection, request: Request, part: Response | Later) -> bool:
        """Sends the answer; whether another request may follow."""
        response = self._answers.end(request, part)
        close = request.closes or self.closing
        if not self._send(connection, encoded(response, close, request.method != "HEAD"), close):
            return False
        if close:
            self._drop(connection)
        return not close

    def _send(self, connection: Connection, data: bytes, close: bool) -> bool:
        """Sends as much as the system takes at once, and the rest in a thread; whether that was all."""
        try:
            sent = connection.socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._drop(connection)
            return False
        if sent < len(data):
            self._in_thread(connection, lambda: (data[sent:], close))
        return sent == len(data)

    def _refuse(self, connection: Connection, error: HttpError) -> None:
        """The last answer on a connection."""
        connection.is_refused = True
        connection.until = time.monotonic() + DRAIN_SECONDS
        if self._send(connection, encoded(error.response(), close=True), close=True):
            with suppress(OSError):
                connection.socket.shutdown(socket.SHUT_WR)

    def _end_overdue(self, now: float) -> None:
        for connection in [one for one in self._kept if one.until < now]:
            if connection.is_refused or connection.incoming.phase is Phase.IDLE:
                self._drop(connection)
            else:
                self._refuse(connection, too_slow())

    def _in_thread(self, connection: Connection, make: Callable[[], tuple[bytes, bool]]) -> None:
        """Makes and sends what the client is to have, in a thread, and goes on with the connection or closes it."""
        self._let_go(connection)
        threading.Thread(target=self._send_slowly, args=(connection, make), daemon=True).start()

    def _send_slowly(self, connection: Connection, make: Callable[[], tuple[bytes, bool]]) -> None:
        with self._answers.busy():
            try:
                data, close = make()
                connection.socket.settimeout(self._limits.body)
                connection.socket.sendall(data)
                connection.socket.setblocking(False)
            except OSError:
                close = True
            if close:
                shut(connection.socket)
                self.room.release()
            else:
                connection.until = time.monotonic() + self._limits.idle
                self._given_back.append(connection)
                self._ring()


def shut(connection: socket.socket) -> None:
    """Closes a connection after what was sent on it."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
    connection.close()
