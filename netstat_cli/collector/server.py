"""The collector's server: where it listens, what it is made of, and how it ends. What a request means is routes.py's.

It stands on http.server for the half that takes connections: HTTPServer binds the address, listens, accepts (the loop
calls `get_request`) and closes. The other half of http.server, a handler that reads requests from one connection in a
thread of its own and waits for each line, is not used: with it a thousand agents are a thousand threads, a client that
sends a byte a second holds one for ever, and no two samples share a write to the disk. In its place stand

    loop.py      one thread for all connections; acceptor.py takes new ones, channels.py is the table of them
    channel.py   a connection's bytes, in the clear or with TLS
    parser.py    bytes to requests (and why http.server's own reading of headers cannot serve)
    answers.py   requests to answers, by way of routes.py
    work.py      what is done in the loop, and what by which of the few workers (tasks.py)

`serve_forever` is called by one thread, which is the loop's; `finish` by any other.
"""

from __future__ import annotations

import errno
import logging
import socket
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import TCPServer
from typing import NamedTuple

from netstat_cli.collector.acceptor import Limits
from netstat_cli.collector.access import Access, is_loopback
from netstat_cli.collector.answers import Answers
from netstat_cli.collector.loop import Loop
from netstat_cli.collector.routes import Collector
from netstat_cli.errors import NetcliError

LOG = logging.getLogger(__name__)
Failed = Callable[[BaseException], None]
"""Hears why a thread cannot go on."""


class Address(NamedTuple):
    """Where to listen."""

    host: str
    port: int

    def url(self, port: int, scheme: str) -> str:
        """Write the address as a client does."""
        return f"{scheme}://[{self.host}]:{port}" if ":" in self.host else f"{scheme}://{self.host}:{port}"


class Listener(HTTPServer):
    """The listening socket, with room for all agents that come back at once after a restart."""

    request_queue_size = 4096

    def __init__(self, address: Address) -> None:
        """Raises OSError."""
        self.address_family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        super().__init__(address, BaseHTTPRequestHandler)  # which is never made: the loop reads what comes

    def server_bind(self) -> None:
        """Bind without asking the resolver for this machine's name, for which HTTPServer would wait."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]


class Server:
    """Listens and answers until it is finished."""

    def __init__(
        self,
        address: Address,
        collector: Collector,
        access: Access | None = None,
        tls: ssl.SSLContext | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Raises NetcliError if the address cannot be listened on."""
        self.answers = Answers(collector)
        admit = (access or Access(None, is_loopback(address.host))).check
        self._listener = _listen(address)
        self.server_port: int = self._listener.server_port
        self.url = address.url(self.server_port, "https" if tls else "http")
        self._loop = Loop(self._listener, self.answers, admit, limits or Limits(), tls)

    def fileno(self) -> int:
        """Give the descriptor of the listening socket; -1 when it is closed."""
        return self._listener.fileno()

    def serve_forever(self, interval_s: float = 0.2) -> None:
        """Answer until `finish`. Raises what keeps the server from going on."""
        self._loop.run(interval_s)

    def finish(self) -> None:
        """Have the server stop listening, answer what it has taken, and end."""
        self._loop.end()


def _listen(address: Address) -> Listener:
    try:
        return Listener(address)
    except OSError as error:
        is_taken = error.errno == errno.EADDRINUSE
        hint = "another program listens there; choose another with --listen HOST:PORT" if is_taken else None
        message = f"cannot listen on {address.host}:{address.port}: {error.strerror or error}"
        raise NetcliError(message, hint=hint) from error


def serve_in_thread(server: Server, failed: Failed | None = None) -> Callable[[], None]:
    """Start answering in the background; return what ends it. `failed` is called if it ends by itself."""

    def serve() -> None:
        try:
            server.serve_forever()
        except BaseException as error:  # noqa: BLE001  a thread has nobody else to raise it to
            LOG.critical("the collector cannot go on: %r", error)
            if failed is not None:
                failed(error)

    thread = threading.Thread(target=serve, name="collector", daemon=True)
    thread.start()

    def finish() -> None:
        server.finish()
        thread.join()

    return finish
