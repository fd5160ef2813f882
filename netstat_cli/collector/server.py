"""The collector's server: sockets and threads on http.server. What a request means is routes.py's.

One thread reads from all connections. It stores what comes in small requests itself, as many at a time as are there,
so that they share one write to the disk and no thread waits for another; a thousand senders that hold a connection open
cost no thread. What takes longer, a question or a large batch, is answered in a thread of its own, and so is everything
on a connection with TLS.
"""

from __future__ import annotations

import errno
import selectors
import socket
import ssl
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, NamedTuple, TypeVar

from netstat_cli.collector.access import Access, is_loopback
from netstat_cli.collector.http import HttpError, Later, Request, Response, encoded, invalid
from netstat_cli.collector.incoming import Incoming, Phase, unpacked
from netstat_cli.collector.routes import Collector, is_quick, route
from netstat_cli.errors import InvalidSample, NetcliError, StoreFull
from netstat_cli.store.writer import Warn

MAX_CONNECTIONS = 2000
IDLE_SECONDS = 75.0  # between two requests
HEAD_SECONDS = 10.0  # for a request line and its headers, however they trickle in
BODY_SECONDS = 60.0
CLOSING_SECONDS = 10.0
DRAIN_SECONDS = 1.0
TELL_SECONDS = 30.0
RECEIVE = 1 << 16
LEAVE = b"HTTP/1.1 100 Continue\r\n\r\n"
RETRY_AFTER = (("Retry-After", "5"),)
T = TypeVar("T")


class Address(NamedTuple):
    """Where to listen."""

    host: str
    port: int

    def url(self, port: int, scheme: str) -> str:
        """The address as a client writes it."""
        return f"{scheme}://[{self.host}]:{port}" if ":" in self.host else f"{scheme}://{self.host}:{port}"


class Limits(NamedTuple):
    """How much one client may ask for: connections, and seconds."""

    connections: int = MAX_CONNECTIONS
    idle: float = IDLE_SECONDS
    head: float = HEAD_SECONDS
    body: float = BODY_SECONDS

    def seconds(self, phase: Phase) -> float:
        """How long a connection may be in this phase."""
        return {Phase.IDLE: self.idle, Phase.HEAD: self.head, Phase.BODY: self.body}[phase]


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


class Server(ThreadingHTTPServer):
    """Listens and answers until it is finished."""

    daemon_threads = True
    request_queue_size = 512

    def __init__(
        self,
        address: Address,
        collector: Collector,
        warn: Warn,
        access: Access | None = None,
        tls: ssl.SSLContext | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Raises NetcliError if the address cannot be listened on."""
        self.collector = collector
        self.warn = warn
        self.access = access or Access(None, is_loopback(address.host))
        self.tls = tls
        self.limits = limits or Limits()
        self.closing = False
        self._trouble, self._tell_again = "", 0.0
        self._room = threading.BoundedSemaphore(self.limits.connections)
        self._busy = 0
        self._idle = threading.Condition()
        self._selector = selectors.DefaultSelector()
        self._kept: set[Connection] = set()
        self._given_back: deque[Connection] = deque()
        self._more: list[Connection] = []
        """Those that were answered and have sent more already."""
        self._bell, self._ringer = socket.socketpair()
        self.address_family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        try:
            super().__init__(address, Handler)
        except OSError as error:
            hint = (
                "another program listens there; choose another with --listen HOST:PORT"
                if error.errno == errno.EADDRINUSE
                else None
            )
            message = f"cannot listen on {address.host}:{address.port}: {error.strerror or error}"
            raise NetcliError(message, hint=hint) from error
        self.socket.setblocking(False)
        self._selector.register(self.socket, selectors.EVENT_READ)
        self._selector.register(self._bell, selectors.EVENT_READ)
        self.url = address.url(self.server_address[1], "https" if tls else "http")

    def server_bind(self) -> None:
        """Binds without asking the resolver for a name, which http.server would wait for."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def serve_forever(self, poll_interval: float = 0.2) -> None:
        """Reads from all connections and answers, until `finish`. Times are looked after at every interval."""
        look = time.monotonic() + poll_interval
        while not self.closing:
            try:
                self._round(poll_interval)
                if (at := time.monotonic()) >= look:
                    look = at + poll_interval
                    self._end_overdue(at)
            except Exception as error:  # noqa: BLE001  one connection must not end the others
                self._tell_once(f"a connection failed: {error!r}")
        self._round(0.0)
        while self._more:
            self._round(0.0)
        self._selector.close()
        self.server_close()
        with self._idle:
            self._idle.wait_for(lambda: self._busy == 0, CLOSING_SECONDS)
        for connection in [*self._kept, *self._given_back]:
            connection.socket.close()
        self._bell.close()
        self._ringer.close()

    def finish(self) -> None:
        """Has the server stop listening, answer what it has taken, and end."""
        self.closing = True
        self._ring()

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
            elif key.fileobj is self.socket:
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
                opened, address = self.socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                self._tell_once(f"cannot take a connection: {error.strerror}")
                time.sleep(0.01)
                return
            if not self._room.acquire(blocking=False):
                self._turn_away(opened)
            elif self.tls is not None:
                self.process_request(opened, address)
            else:
                opened.setblocking(False)
                with suppress(OSError):  # the client may have gone again
                    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                incoming = Incoming(self.access.check)
                self._keep(Connection(opened, incoming, time.monotonic() + self.limits.idle))

    def _turn_away(self, opened: socket.socket) -> None:
        full = HttpError(HTTPStatus.SERVICE_UNAVAILABLE, "SATURATED", "too many connections", RETRY_AFTER)
        with suppress(OSError):
            opened.settimeout(0.0)
            if self.tls is None:
                opened.send(encoded(full.response(), close=True))
        self.shutdown_request(opened)

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
        self.shutdown_request(connection.socket)
        self._room.release()

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
            connection.until = time.monotonic() + self.limits.seconds(incoming.phase)
        if incoming.asks_leave:
            incoming.asks_leave = False
            self._send(connection, LEAVE)
        return request

    def _begin(self, connection: Connection, request: Request) -> Response | Later | None:
        """Hands what is to be stored to the store; what takes longer to a thread, and then there is nothing here."""
        if is_quick(request):
            return self._attempt(request, lambda: route(self.collector, request))
        self._let_go(connection)
        threading.Thread(target=self._answer_slowly, args=(connection, request), daemon=True).start()
        return None

    def _end(self, connection: Connection, request: Request, part: Response | Later) -> bool:
        """Sends the answer; whether another request may follow."""
        response = self._attempt(request, part) if callable(part) else part
        close = request.closes or self.closing
        self._send(connection, encoded(response, close, request.method != "HEAD"))
        if close:
            self._drop(connection)
        return not close

    def _send(self, connection: Connection, data: bytes) -> None:
        """Sends without waiting. Who does not read its answers to the point that the system keeps no more of them has
        broken off."""
        try:
            sent = connection.socket.send(data)
        except OSError:
            sent = 0
        if sent < len(data):
            self._drop(connection)

    def _refuse(self, connection: Connection, error: HttpError) -> None:
        """The last answer on a connection."""
        connection.is_refused = True
        connection.until = time.monotonic() + DRAIN_SECONDS
        self._send(connection, encoded(error.response(), close=True))
        with suppress(OSError):
            connection.socket.shutdown(socket.SHUT_WR)

    def _end_overdue(self, now: float) -> None:
        for connection in [one for one in self._kept if one.until < now]:
            if connection.is_refused or connection.incoming.phase is Phase.IDLE:
                self._drop(connection)
            else:
                self._refuse(connection, too_slow())

    def _answer_slowly(self, connection: Connection, request: Request) -> None:
        """Answers in a thread, and gives the connection back."""
        with self.busy():
            try:
                connection.socket.settimeout(self.limits.body)
                close = self.converse(connection.socket, request)
                connection.socket.setblocking(False)
            except OSError:
                close = True
            if close:
                self.shutdown_request(connection.socket)
                self._room.release()
            else:
                connection.until = time.monotonic() + self.limits.idle
                self._given_back.append(connection)
                self._ring()

    def converse(self, client: socket.socket, request: Request) -> bool:
        """Answers a request, whatever happens; whether the connection ends with that. Raises OSError."""
        try:
            whole = unpacked(request)
        except HttpError as error:
            client.sendall(encoded(error.response(), close=True))
            return True
        part = self._attempt(whole, lambda: route(self.collector, whole))
        response = self._attempt(whole, part) if callable(part) else part
        close = request.closes or self.closing
        client.sendall(encoded(response, close, request.method != "HEAD"))
        return close

    def _attempt(self, request: Request, task: Callable[[], T]) -> T | Response:
        """What the task comes to, or the answer that says what went wrong."""
        try:
            return task()
        except HttpError as error:
            return error.response()
        except InvalidSample as error:
            return invalid(error)
        except StoreFull as error:
            self._tell_once(error.message)
            return HttpError(HTTPStatus.INSUFFICIENT_STORAGE, "STORE_FULL", error.message, RETRY_AFTER).response()
        except NetcliError as error:
            self._tell_once(error.message)
            return HttpError(HTTPStatus.SERVICE_UNAVAILABLE, "UNAVAILABLE", error.message, RETRY_AFTER).response()
        except Exception as error:  # noqa: BLE001  the client must get an answer and the operator a word
            self.warn(f"{request.method} {request.path!r} failed: {error!r}")
            return HttpError(HTTPStatus.INTERNAL_SERVER_ERROR, "INTERNAL", "an error in the collector").response()

    def _tell_once(self, trouble: str) -> None:
        """The operator hears of a trouble when it begins, and then every half minute while it lasts."""
        now = time.monotonic()
        if trouble != self._trouble or now >= self._tell_again:
            self._trouble, self._tell_again = trouble, now + TELL_SECONDS
            self.warn(trouble)

    @contextmanager
    def busy(self) -> Iterator[None]:
        """While a request is answered; the end waits for it."""
        with self._idle:
            self._busy += 1
        try:
            yield
        finally:
            with self._idle:
                self._busy -= 1
                self._idle.notify_all()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """One connection with TLS from beginning to end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke is the client's affair; anything else is told."""
        error = sys.exception()
        if not isinstance(error, OSError):
            self.warn(f"a connection failed: {error!r}")


class Handler(BaseHTTPRequestHandler):
    """One connection with TLS: requests one after the other until either side has enough."""

    server: Server
    request: socket.socket

    def setup(self) -> None:
        """The handshake. Raises OSError."""
        self.request.settimeout(self.server.limits.head)
        if self.server.tls is not None:
            self.request = self.server.tls.wrap_socket(self.request, server_side=True)

    def handle(self) -> None:
        """Answers until the connection ends."""
        incoming = Incoming(self.server.access.check)
        close = False
        while not close:
            try:
                request = self._next_request(incoming)
            except HttpError as error:
                self.request.sendall(encoded(error.response(), close=True))
                return
            if request is None:
                return
            with self.server.busy():
                close = self.server.converse(self.request, request)

    def finish(self) -> None:
        """Nothing is left to send."""

    def _next_request(self, incoming: Incoming) -> Request | None:
        """None where the client has gone or has nothing more to ask."""
        phase, until = Phase.BODY, 0.0
        while (request := incoming.next()) is None:
            if incoming.phase is not phase:
                phase = incoming.phase
                until = time.monotonic() + self.server.limits.seconds(phase)
            if incoming.asks_leave:
                incoming.asks_leave = False
                self.request.sendall(LEAVE)
            try:
                self.request.settimeout(max(0.001, until - time.monotonic()))
                data = self.request.recv(RECEIVE)
            except TimeoutError:
                if phase is Phase.IDLE:
                    return None
                raise too_slow() from None
            if not data:
                return None
            incoming.feed(data)
        self.request.settimeout(self.server.limits.body)
        return request


def too_slow() -> HttpError:
    """The answer to a request that trickles in."""
    return HttpError(HTTPStatus.REQUEST_TIMEOUT, "TIMEOUT", "the request came too slowly")


def serve_in_thread(server: Server) -> Callable[[], None]:
    """Starts answering in the background; returns what ends it."""
    thread = threading.Thread(target=server.serve_forever, name="collector", daemon=True)
    thread.start()

    def finish() -> None:
        server.finish()
        thread.join()

    return finish
