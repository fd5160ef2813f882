"""The plumbing of the collector: sockets, threads, HTTP/1.1 on http.server. What a request means is routes.py's.

http.server's own reading of headers goes through the email package; the few lines here that replace it cost a tenth and
know limits.
"""

from __future__ import annotations

import errno
import gzip
import io
import socket
import ssl
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from netstat_cli import __version__
from netstat_cli.collector.access import Access, is_loopback
from netstat_cli.collector.http import HttpError, Request, Response, invalid
from netstat_cli.collector.routes import Collector, route
from netstat_cli.errors import InvalidSample, NetcliError, StoreFull
from netstat_cli.store.writer import Warn

MAX_BODY = 16 << 20
MAX_LINE = 8 << 10
MAX_HEADERS = 64
MAX_CONNECTIONS = 2000
IDLE_SECONDS = 75.0  # between two requests
HEAD_SECONDS = 10.0  # for a request line and its headers, however they trickle in
BODY_SECONDS = 60.0
CLOSING_SECONDS = 10.0
TELL_SECONDS = 30.0
RETRY_AFTER = (("Retry-After", "5"),)


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


class Server(ThreadingHTTPServer):
    """Listens, and answers each connection in a thread of its own."""

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
        self._connections = threading.BoundedSemaphore(self.limits.connections)
        self._trouble, self._tell_again = "", 0.0
        self.closing = False
        self._busy = 0
        self._idle = threading.Condition()
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
        self.url = address.url(self.server_address[1], "https" if tls else "http")

    def server_bind(self) -> None:
        """Binds without asking the resolver for a name, which http.server would wait for."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        """A thread for the connection, or, when there are too many, an answer that says so."""
        if self._connections.acquire(blocking=False):
            super().process_request(request, client_address)
            return
        response = HttpError(
            HTTPStatus.SERVICE_UNAVAILABLE, "SATURATED", "too many connections", RETRY_AFTER
        ).response()
        with suppress(OSError):
            request.settimeout(1.0)
            if self.tls is None:
                request.sendall(head_of(response, close=True) + response.body)
        self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """One connection from beginning to end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.release()

    def answer(self, request: Request) -> Response:
        """The answer to a request, whatever happens."""
        try:
            return route(self.collector, request)
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

    def finish(self) -> None:
        """Stops listening and waits for the requests that were already taken."""
        self.closing = True
        self.shutdown()
        self.server_close()
        with self._idle:
            self._idle.wait_for(lambda: self._busy == 0, CLOSING_SECONDS)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke is the client's affair; anything else is told."""
        error = sys.exception()
        if not isinstance(error, OSError):
            self.warn(f"a connection failed: {error!r}")


class Handler(BaseHTTPRequestHandler):
    """One connection: requests one after the other until either side has enough."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def setup(self) -> None:
        """Begins TLS if there is any, and reads through a clock."""
        if self.server.tls is not None:
            self.request.settimeout(self.server.limits.head)
            self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        super().setup()
        self.clock = TimedReader(self.connection)
        self.rfile = self.buffered = io.BufferedReader(self.clock, 1 << 16)

    def handle_one_request(self) -> None:
        """Reads a request, answers it, and decides whether another may follow."""
        self.close_connection = True
        limits = self.server.limits
        try:
            self.clock.allow(limits.idle)
            self.buffered.peek(1)
            self.clock.allow(limits.head)
            try:
                line = self.rfile.readline(MAX_LINE + 1)
                if line in (b"\r\n", b"\n"):  # RFC 9112, 2.2: one is to be ignored
                    line = self.rfile.readline(MAX_LINE + 1)
                if not line.strip():
                    return
                request = self._read_request(line)
            except TimeoutError:
                error = HttpError(HTTPStatus.REQUEST_TIMEOUT, "TIMEOUT", "the request came too slowly")
                self.connection.settimeout(limits.head)
                self._send(error.response(), "GET")
                return
            except HttpError as error:
                self._send(error.response(), "GET")
                self._drain()
                return
            with self.server.busy():
                response = self.server.answer(request)
                self.close_connection |= self.server.closing
                self.connection.settimeout(limits.body)
                self._send(response, request.method)
        except (TimeoutError, ConnectionError, ssl.SSLError):
            self.close_connection = True

    def _read_request(self, line: bytes) -> Request:
        if len(line) > MAX_LINE:
            raise HttpError(HTTPStatus.REQUEST_URI_TOO_LONG, "URI_TOO_LONG", f"over {MAX_LINE} bytes in a line")
        words = line.decode("latin-1").split()
        if len(words) != 3 or words[2] not in ("HTTP/1.1", "HTTP/1.0"):
            raise HttpError(HTTPStatus.BAD_REQUEST, "BAD_REQUEST", "this is an HTTP/1.1 server")
        self.command, target, version = words
        headers = self._read_headers()
        connection = headers.get("connection", "").lower()
        self.close_connection = "close" in connection or (version == "HTTP/1.0" and "keep-alive" not in connection)
        path, query = split_target(target)
        self.server.access.check(path, headers)
        self.clock.allow(self.server.limits.body)
        body = unpack(self._read_body(headers), headers.get("content-encoding", ""))
        return Request(self.command, path, query, headers, body)

    def _read_headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        for _ in range(MAX_HEADERS + 1):
            line = self.rfile.readline(MAX_LINE + 1)
            if line in (b"\r\n", b"\n"):
                return headers
            name, colon, value = line.decode("latin-1").partition(":")
            name = name.lower()
            if len(line) > MAX_LINE:
                raise _too_many_headers()
            if not colon or not name or name != name.strip():
                raise HttpError(HTTPStatus.BAD_REQUEST, "BAD_REQUEST", "a header line cannot be understood")
            if name in headers and name in ("content-length", "transfer-encoding", "host"):
                raise HttpError(HTTPStatus.BAD_REQUEST, "BAD_REQUEST", f"the header {name} comes twice")
            headers[name] = value.strip()
        raise _too_many_headers()

    def _read_body(self, headers: dict[str, str]) -> bytes:
        encoding = headers.get("transfer-encoding")
        length = headers.get("content-length")
        if encoding is not None:
            if encoding.lower() != "chunked" or length is not None:
                raise HttpError(HTTPStatus.BAD_REQUEST, "BAD_REQUEST", "of transfer encodings only chunked is known")
            self._invite(headers)
            return self._read_chunks()
        if length is None:
            if self.command in ("POST", "PUT"):
                raise HttpError(HTTPStatus.LENGTH_REQUIRED, "LENGTH_REQUIRED", "send a Content-Length, or chunks")
            return b""
        if not length.isdecimal() or len(length) > 18:
            raise HttpError(HTTPStatus.BAD_REQUEST, "BAD_REQUEST", "the Content-Length is not a number")
        if int(length) > MAX_BODY:
            raise too_large()
        self._invite(headers)
        return self._read_exactly(int(length))

    def _invite(self, headers: Mapping[str, str]) -> None:
        """Tells a client that asked first that its body is welcome."""
        if headers.get("expect", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _read_chunks(self) -> bytes:
        body = io.BytesIO()
        while True:
            line = self.rfile.readline(MAX_LINE)
            size = line.partition(b";")[0].strip()
            if not size or len(size) > 8 or not all(digit in b"0123456789abcdefABCDEF" for digit in size):
                raise HttpError(HTTPStatus.BAD_REQUEST, "BAD_REQUEST", "the chunks of the body cannot be understood")
            if (length := int(size, 16)) == 0:
                self._read_headers()  # trailers
                return body.getvalue()
            if body.tell() + length > MAX_BODY:
                raise too_large()
            body.write(self._read_exactly(length))
            self._read_exactly(2)

    def _read_exactly(self, length: int) -> bytes:
        body = self.rfile.read(length)
        if len(body) < length:
            raise ConnectionError("the client went away in the middle of a body")
        return body

    def _send(self, response: Response, method: str) -> None:
        head = head_of(response, self.close_connection)
        self.wfile.write(head if method == "HEAD" else head + response.body)

    def _drain(self) -> None:
        """Takes what the client is still sending, so that it reads the answer instead of a reset."""
        self.connection.shutdown(socket.SHUT_WR)
        self.clock.allow(1.0)
        for _ in range(256):
            if not self.rfile.read1(1 << 16):
                return


class TimedReader(io.RawIOBase):
    """What comes from a socket, until a time is over, however it trickles in."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._until = 0.0

    def allow(self, seconds: float) -> None:
        """What is read from now on must be there within so many seconds."""
        self._until = time.monotonic() + seconds

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Raises TimeoutError when the time is over."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)


def head_of(response: Response, close: bool) -> bytes:
    """Status line and headers of an answer."""
    status = HTTPStatus(response.status)
    head = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Server: netcli/{__version__}",
        f"Date: {http_date(int(time.time()))}",
        f"Content-Type: {response.content_type}",
        f"Content-Length: {len(response.body)}",
        "X-Content-Type-Options: nosniff",
        *[f"{name}: {value}" for name, value in response.headers],
    ]
    if close:
        head.append("Connection: close")
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n"


@lru_cache(maxsize=256)
def split_target(target: str) -> tuple[str, Mapping[str, str]]:
    """The path and the query of a request's target, unquoted."""
    try:
        parts = urlsplit(target)
    except ValueError:
        raise HttpError(HTTPStatus.BAD_REQUEST, "BAD_REQUEST", "the address cannot be understood") from None
    return unquote(parts.path), dict(parse_qsl(parts.query))


@lru_cache(maxsize=1)
def http_date(second: int) -> str:
    """The Date header of all answers in the same second."""
    return formatdate(second, usegmt=True)


def unpack(body: bytes, encoding: str) -> bytes:
    """A body without its content encoding. Raises HttpError."""
    if encoding.lower() in ("", "identity"):
        return body
    if encoding.lower() not in ("gzip", "x-gzip"):
        message = f"the content encoding {encoding[:40]!r} is not known; send gzip or none"
        raise HttpError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_ENCODING", message)
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(body)) as file:
            text = file.read(MAX_BODY + 1)
    except (OSError, EOFError, zlib.error):
        raise HttpError(HTTPStatus.BAD_REQUEST, "BAD_GZIP", "the body is not the gzip that its header says") from None
    if len(text) > MAX_BODY:
        raise too_large()
    return text


def too_large() -> HttpError:
    """The answer to a body over the limit."""
    message = f"a body may have {MAX_BODY >> 20} MiB, also when unpacked; send the lines in smaller batches"
    return HttpError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "BODY_TOO_LARGE", message)


def _too_many_headers() -> HttpError:
    message = f"a request may have {MAX_HEADERS} headers of {MAX_LINE} bytes"
    return HttpError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "HEADERS_TOO_LARGE", message)


def serve_in_thread(server: Server) -> Callable[[], None]:
    """Starts answering in the background; returns what ends it."""
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="accept", daemon=True)
    thread.start()

    def finish() -> None:
        server.finish()
        thread.join()

    return finish
