"""The collector's server, on http.server: where it listens, and how it ends. What a request means is routes.py's.

What is said in the clear is read by one thread (loop.py); a connection with TLS has a thread of its own.
"""

from __future__ import annotations

import errno
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, NamedTuple

from netstat_cli.collector.access import Access, is_loopback
from netstat_cli.collector.answers import Answers
from netstat_cli.collector.http import HttpError, Request, encoded
from netstat_cli.collector.incoming import RECEIVE, Incoming, Limits, Phase, too_slow
from netstat_cli.collector.loop import DRAIN_SECONDS, LEAVE, Loop
from netstat_cli.collector.routes import Collector
from netstat_cli.errors import NetcliError
from netstat_cli.store.writer import Warn


class Address(NamedTuple):
    """Where to listen."""

    host: str
    port: int

    def url(self, port: int, scheme: str) -> str:
        """The address as a client writes it."""
        return f"{scheme}://[{self.host}]:{port}" if ":" in self.host else f"{scheme}://{self.host}:{port}"


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
        self.answers = Answers(collector, warn)
        self.admit = (access or Access(None, is_loopback(address.host))).check
        self.tls = tls
        self.limits = limits or Limits()
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
        self.loop = Loop(self.socket, self.answers, self.admit, self.limits, self.process_request if tls else None)
        self.url = address.url(self.server_address[1], "https" if tls else "http")

    def server_bind(self) -> None:
        """Binds without asking the resolver for a name, which http.server would wait for."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def serve_forever(self, poll_interval: float = 0.2) -> None:
        """Answers until `finish`."""
        self.loop.run(poll_interval)
        self.server_close()
        self.loop.close()

    def finish(self) -> None:
        """Has the server stop listening, answer what it has taken, and end."""
        self.loop.end()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """One connection with TLS from beginning to end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.loop.room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke is the client's affair; anything else is told."""
        error = sys.exception()
        if not isinstance(error, OSError):
            self.answers.warn(f"a connection failed: {error!r}")


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
        incoming = Incoming(self.server.admit)
        close = False
        while not close:
            try:
                request = self._next_request(incoming)
            except HttpError as error:
                self._refuse(error)
                return
            if request is None:
                return
            with self.server.answers.busy():
                response, close = self.server.answers.whole(request)
                close |= self.server.loop.closing
                self.request.sendall(encoded(response, close, request.method != "HEAD"))

    def finish(self) -> None:
        """Nothing is left to send."""

    def _next_request(self, incoming: Incoming) -> Request | None:
        """None where the client has gone or has nothing more to ask."""
        phase: Phase | None = None
        until = 0.0
        while (request := incoming.next()) is None:
            if incoming.phase is not phase:
                phase = incoming.phase
                until = time.monotonic() + self.server.limits.seconds(phase)
            if incoming.asks_leave():
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

    def _refuse(self, error: HttpError) -> None:
        """The last answer on the connection; what the client still sends is taken so that it reads it."""
        self.request.sendall(encoded(error.response(), close=True))
        until = time.monotonic() + DRAIN_SECONDS
        with suppress(OSError):
            while (left := until - time.monotonic()) > 0:
                self.request.settimeout(left)
                if not self.request.recv(RECEIVE):
                    return


def serve_in_thread(server: Server) -> Callable[[], None]:
    """Starts answering in the background; returns what ends it."""
    thread = threading.Thread(target=server.serve_forever, name="collector", daemon=True)
    thread.start()

    def finish() -> None:
        server.finish()
        thread.join()

    return finish
