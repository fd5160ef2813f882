"""HTTP/1.1 requests out of the bytes of a connection (RFC 9112). Pure: whoever has the socket feeds it.

http.server's own reading of headers goes through the email package; the few lines here that replace it cost a tenth,
know limits, and wait for nothing.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Generator, Mapping
from enum import Enum
from functools import lru_cache
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from netstat_cli.collector.http import HttpError, Request

MAX_CONNECTIONS = 2000
IDLE_SECONDS = 75.0  # between two requests
HEAD_SECONDS = 10.0  # for a request line and its headers, however they trickle in
BODY_SECONDS = 60.0
RECEIVE = 1 << 16
MAX_BODY = 16 << 20
MAX_LINE = 8 << 10
MAX_HEADERS = 64

Admit = Callable[[str, Mapping[str, str]], None]
"""Shown a path and headers before any body is taken; raises HttpError for who may not."""
_Needs = Generator[Request | None, None, None]


class Phase(Enum):
    """What a connection is in the middle of."""

    IDLE = "between two requests"
    HEAD = "a request line and its headers"
    BODY = "a body"


class Limits(NamedTuple):
    """How much one client may ask for: connections, and seconds."""

    connections: int = MAX_CONNECTIONS
    idle: float = IDLE_SECONDS
    head: float = HEAD_SECONDS
    body: float = BODY_SECONDS

    def seconds(self, phase: Phase) -> float:
        """How long a connection may be in this phase."""
        return {Phase.IDLE: self.idle, Phase.HEAD: self.head, Phase.BODY: self.body}[phase]


class Incoming:
    """The incoming side of one connection."""

    def __init__(self, admit: Admit) -> None:
        self._reader = _Reader(admit)
        self._requests = self._reader.requests()
        """It knows the reader and not this: so both go with the connection, and not with the next search for cycles."""

    @property
    def phase(self) -> Phase:
        """What the connection is in the middle of."""
        return self._reader.phase

    @property
    def has_more(self) -> bool:
        """Whether something came that belongs to no request yet."""
        return len(self._reader.buffer) > 0

    def feed(self, data: bytes) -> None:
        """Takes what came."""
        self._reader.buffer += data

    def next(self) -> Request | None:
        """The next request, if all of it is there. Raises HttpError, after which the connection is of no use."""
        return next(self._requests)

    def asks_leave(self) -> bool:
        """Whether the client waits for `100 Continue` before it sends its body; said once."""
        asked, self._reader.asks_leave = self._reader.asks_leave, False
        return asked


class _Reader:
    """Reads requests from a buffer, and says in `yield` where it needs more."""

    def __init__(self, admit: Admit) -> None:
        self._admit = admit
        self.buffer = bytearray()
        self.phase = Phase.IDLE
        self.asks_leave = False

    def requests(self) -> _Needs:
        """One request after the other; None where there is not all of it."""
        while True:
            while not self.buffer:
                yield None
            self.phase = Phase.HEAD
            line = yield from self._line()
            if line in (b"\r\n", b"\n"):  # RFC 9112, 2.2: one is to be ignored
                line = yield from self._line()
            method, target, version = _words(line)
            headers = yield from self._headers()
            path, query = split_target(target)
            self._admit(path, headers)
            self.phase = Phase.BODY
            body = yield from self._body(method, headers)
            self.phase = Phase.IDLE
            yield Request(method, path, query, headers, body, _closes(version, headers))

    def _line(self) -> Generator[None, None, bytes]:
        """A line with its end; of one that is too long, as much as shows it."""
        seen = 0
        while (end := self.buffer.find(b"\n", seen, MAX_LINE + 1)) < 0 and (seen := len(self.buffer)) <= MAX_LINE:
            yield
        return self._take(end + 1 if end >= 0 else MAX_LINE + 1)

    def _take(self, length: int) -> bytes:
        taken = bytes(memoryview(self.buffer)[:length])
        del self.buffer[:length]
        return taken

    def _headers(self) -> Generator[None, None, dict[str, str]]:
        headers: dict[str, str] = {}
        for _ in range(MAX_HEADERS + 1):
            line = yield from self._line()
            if line in (b"\r\n", b"\n"):
                return headers
            name, colon, value = line.decode("latin-1").partition(":")
            name = name.lower()
            if len(line) > MAX_LINE:
                raise _too_many_headers()
            if not colon or not name or name != name.strip():
                raise _bad_request("a header line cannot be understood")
            if name in headers and name in ("content-length", "transfer-encoding", "host"):
                raise _bad_request(f"the header {name} comes twice")
            headers[name] = value.strip()
        raise _too_many_headers()

    def _body(self, method: str, headers: Mapping[str, str]) -> Generator[None, None, bytes]:
        encoding, length = headers.get("transfer-encoding"), headers.get("content-length")
        if encoding is not None:
            if encoding.lower() != "chunked" or length is not None:
                raise _bad_request("of transfer encodings only chunked is known")
        elif length is None:
            if method in ("POST", "PUT"):
                raise HttpError(HTTPStatus.LENGTH_REQUIRED, "LENGTH_REQUIRED", "send a Content-Length, or chunks")
            return b""
        elif not length.isdecimal() or len(length) > 18:
            raise _bad_request("the Content-Length is not a number")
        elif int(length) > MAX_BODY:
            raise _too_large()
        self.asks_leave = headers.get("expect", "").lower() == "100-continue"
        body = yield from (self._chunks() if length is None else self._exactly(int(length)))
        self.asks_leave = False
        return body

    def _exactly(self, length: int) -> Generator[None, None, bytes]:
        while len(self.buffer) < length:
            yield
        return self._take(length)

    def _chunks(self) -> Generator[None, None, bytes]:
        body = io.BytesIO()
        while True:
            size = (yield from self._line()).partition(b";")[0].strip()
            if not size or len(size) > 8 or not all(digit in b"0123456789abcdefABCDEF" for digit in size):
                raise _bad_request("the chunks of the body cannot be understood")
            if (length := int(size, 16)) == 0:
                yield from self._headers()  # trailers
                return body.getvalue()
            if body.tell() + length > MAX_BODY:
                raise _too_large()
            body.write((yield from self._exactly(length)))
            yield from self._exactly(2)


def unpacked(request: Request) -> Request:
    """The request with its body free of content encodings. Raises HttpError."""
    encoding = request.headers.get("content-encoding", "").lower()
    if encoding in ("", "identity"):
        return request
    if encoding not in ("gzip", "x-gzip"):
        message = f"the content encoding {encoding[:40]!r} is not known; send gzip or none"
        raise HttpError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_ENCODING", message)
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(request.body)) as file:
            text = file.read(MAX_BODY + 1)
    except (OSError, EOFError, zlib.error):
        raise HttpError(HTTPStatus.BAD_REQUEST, "BAD_GZIP", "the body is not the gzip that its header says") from None
    if len(text) > MAX_BODY:
        raise _too_large()
    return request._replace(body=text)


def _words(line: bytes) -> list[str]:
    """Method, target and version of a request line."""
    if len(line) > MAX_LINE:
        raise HttpError(HTTPStatus.REQUEST_URI_TOO_LONG, "URI_TOO_LONG", f"over {MAX_LINE} bytes in a line")
    words = line.decode("latin-1").split()
    if len(words) != 3 or words[2] not in ("HTTP/1.1", "HTTP/1.0"):
        raise _bad_request("this is an HTTP/1.1 server")
    return words


def _closes(version: str, headers: Mapping[str, str]) -> bool:
    """Whether the client wants the connection to end with this request."""
    connection = headers.get("connection", "").lower()
    return "close" in connection or (version == "HTTP/1.0" and "keep-alive" not in connection)


@lru_cache(maxsize=256)
def split_target(target: str) -> tuple[str, Mapping[str, str]]:
    """The path of a request's target as it came, and the query, unquoted."""
    try:
        parts = urlsplit(target)
    except ValueError:
        raise _bad_request("the address cannot be understood") from None
    return parts.path, dict(parse_qsl(parts.query))


def _bad_request(message: str) -> HttpError:
    return HttpError(HTTPStatus.BAD_REQUEST, "BAD_REQUEST", message)


def _too_large() -> HttpError:
    message = f"a body may have {MAX_BODY >> 20} MiB, also when unpacked; send the lines in smaller batches"
    return HttpError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "BODY_TOO_LARGE", message)


def too_slow() -> HttpError:
    """The answer to a request that trickles in."""
    return HttpError(HTTPStatus.REQUEST_TIMEOUT, "TIMEOUT", "the request came too slowly")


def _too_many_headers() -> HttpError:
    message = f"a request may have {MAX_HEADERS} headers of {MAX_LINE} bytes"
    return HttpError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "HEADERS_TOO_LARGE", message)
