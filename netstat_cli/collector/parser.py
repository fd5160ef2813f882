"""HTTP/1.1 requests out of the bytes of a connection, as RFC 9112 has them. Pure: whoever has the socket feeds it.

A RequestParser belongs to one connection and is called by one thread, the loop. `feed` takes bytes however they were
cut; `next_request` gives the next whole request, None while there is none, or raises HttpError, after which nothing
more can be read from the connection, for nobody knows where the next request would begin.

The rule throughout: what two readers could read in two ways is refused. A proxy in front that finds another end of a
message than this parser does lets one client speak in another one's name (request smuggling, RFC 9112, 11.2). So:

- Lines end with CRLF. A bare LF or CR is refused, in the head and around chunks (2.2, 7.1).
- A header that may come once is refused when it comes twice; others are joined with a comma, as RFC 9110, 5.3 says.
- A line that begins with a blank (obs-fold, 5.2), a blank before the colon (5.1), both Content-Length and
  Transfer-Encoding (6.3), a Transfer-Encoding in HTTP/1.0 (6.1), an HTTP/1.1 request without Host (3.2): refused.

What must never happen: that a client makes the parser keep more than MAX_HEAD bytes before it was let in (`admit`), or
more than MAX_BODY after it, or has it look at the same bytes again and again.

http.server's own reading (BaseHTTPRequestHandler.parse_request) cannot serve here: it waits in `readline` for one
client, so that each needs a thread, reads headers through the email package at ten times the cost, joins folded lines,
takes bare LF, and lets 100 headers of 64 KiB wait for a token.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping
from enum import Enum
from functools import lru_cache
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import parse_qsl

from netstat_cli.collector.http import HttpError, Request

MAX_HEAD = 32 << 10
"""Request line and headers. Apache and nginx take 8 KiB a line and 32 KiB or more in all; agents send 300 bytes."""
SHORT_HEAD = 512
"""So long a head is remembered as read, with some 2 KiB of values."""
MAX_REQUEST_LINE = 8 << 10
"""RFC 9112, 3 recommends 8000 octets at least."""
MAX_HEADERS = 64
MAX_BODY = 16 << 20
MAX_CHUNKS = 1 << 15
"""Each costs some 3 µs in the loop; the lines of a full body of samples, each a chunk of its own, are fewer."""
MAX_CHUNK_LINE = 1 << 10

_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
REQUEST_LINE = re.compile(rf"({_NAME}) ([!-~]+) (HTTP/1\.[0-9])")
"""RFC 9112, 3: method SP request-target SP HTTP-version. `GET /api/nodes?a=1 HTTP/1.1`"""
HEADER = re.compile(rf"({_NAME}):[ \t]*([\t -~\x80-\xff]*)")
"""RFC 9112, 5: field-name ":" OWS field-value OWS, decoded as latin-1. `Host: collector.lan:8477`"""
HOST = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+(?:%25[A-Za-z0-9._~-]+)?\])(?::[0-9]{0,5})?")
"""RFC 9110, 7.2: uri-host [":" port]. `[fe80::1%25eth0]:8477`"""
ABSOLUTE = re.compile(r"https?://([^/?]+)([^?]*)(?:\?(.*))?", re.IGNORECASE)
"""RFC 9112, 3.2.2: absolute-form. `http://collector.lan:8477/api/nodes?a=1`"""
CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[\t -~\x80-\xff]*)?\r\n")
"""RFC 9112, 7.1: chunk-size [chunk-ext] CRLF. `1f4;note=x`"""
_BARE_LF = re.compile(rb"(?<!\r)\n")
_TOKEN_BYTES = frozenset(b"!#$%&'*+.^_`|~-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")

SINGLE_HEADERS = frozenset(
    {
        "authorization", "content-length", "content-type", "expect", "host", "origin", "transfer-encoding",
        "x-agent-token", "x-api-key",
    }
)  # fmt: skip
"""Two of one of these would be two answers to: how long, who, for whom."""

Admit = Callable[[str, Mapping[str, str]], None]
"""Shown a path and headers before any body is taken; raises HttpError for who may not."""
_Needs = Generator[Request | None, None, None]


class Phase(Enum):
    """What a connection is in the middle of."""

    IDLE = "between two requests"
    HEAD = "a request line and its headers"
    BODY = "a body"


class RequestParser:
    """The requests of one connection."""

    def __init__(self, admit: Admit) -> None:
        self._reader = _Reader(admit)
        self._requests = self._reader.requests()
        """It knows the reader and not this: so both go with the connection, and not with the next search for cycles."""

    @property
    def phase(self) -> Phase:
        """What the connection is in the middle of."""
        return self._reader.phase

    @property
    def buffered(self) -> int:
        """The bytes that belong to no whole request yet."""
        return len(self._reader.buffer) + len(self._reader.body)

    def feed(self, data: bytes) -> None:
        """Take what came."""
        self._reader.buffer += data

    def next_request(self) -> Request | None:
        """Give the next request, if all of it is there. Raises HttpError."""
        return next(self._requests)

    def expects_continue(self) -> bool:
        """Tell once if the client waits for `100 Continue` before it sends its body."""
        expected, self._reader.expects_continue = self._reader.expects_continue, False
        return expected


class _Head(NamedTuple):
    """A request line with its headers."""

    method: str
    path: str
    query: Mapping[str, str]
    version: str
    headers: Mapping[str, str]


class _Reader:
    """Reads requests from a buffer, and says in `yield` where it needs more."""

    def __init__(self, admit: Admit) -> None:
        self._admit = admit
        self.buffer = bytearray()
        self.body = bytearray()
        """What came of a body in chunks."""
        self.phase = Phase.IDLE
        self.expects_continue = False

    def requests(self) -> _Needs:
        """One request after the other; None where there is not all of it."""
        while True:
            while not self.buffer:
                yield None
            self.phase = Phase.HEAD
            text = yield from self._head()
            head = _parse_short_head(text) if len(text) <= SHORT_HEAD else parse_head(text)
            self._admit(head.path, head.headers)
            self.phase = Phase.BODY
            body = yield from self._body(head)
            self.phase = Phase.IDLE
            yield Request(head.method, head.path, head.query, head.headers, body, _connection(head))

    def _head(self) -> Generator[None, None, bytes]:
        """The bytes up to the empty line, without it. One empty line before is ignored (RFC 9112, 2.2)."""
        while len(self.buffer) < 2 and self.buffer == b"\r":
            yield
        if self.buffer.startswith(b"\r\n"):
            del self.buffer[:2]
        while not self.buffer:
            yield
        if self.buffer[0] not in _TOKEN_BYTES:
            raise _bad_request("this is an HTTP/1.1 server")
        return (yield from self._until_empty_line(_check_request_line))

    def _until_empty_line(self, check: Callable[[bytearray], None]) -> Generator[None, None, bytes]:
        """The lines up to an empty one; `check` raises as soon as what has come cannot become well."""
        seen = 0
        while (end := self.buffer.find(b"\r\n\r\n", max(0, seen - 3), MAX_HEAD)) < 0:
            check(self.buffer)
            if _BARE_LF.search(self.buffer, max(0, seen - 1), MAX_HEAD):
                raise _bad_request("a line ends without CRLF")
            if (seen := len(self.buffer)) >= MAX_HEAD:
                raise _too_many_headers()
            yield
        lines = self._take(end)
        del self.buffer[:4]
        return lines

    def _take(self, length: int) -> bytes:
        taken = bytes(memoryview(self.buffer)[:length])
        del self.buffer[:length]
        return taken

    def _body(self, head: _Head) -> Generator[None, None, bytes]:
        encoding, length = head.headers.get("transfer-encoding"), head.headers.get("content-length")
        if encoding is not None:
            if encoding.lower() != "chunked" or length is not None or head.version == "HTTP/1.0":
                raise _bad_request("of transfer encodings only chunked is known, without Content-Length, in HTTP/1.1")
        elif length is None:
            if head.method in ("POST", "PUT"):
                raise HttpError(HTTPStatus.LENGTH_REQUIRED, "LENGTH_REQUIRED", "send a Content-Length, or chunks")
            return b""
        elif not (length.isascii() and length.isdecimal()) or len(length) > 18:
            raise _bad_request("the Content-Length is not a number")
        elif int(length) > MAX_BODY:
            raise too_large()
        self.expects_continue = head.version != "HTTP/1.0" and head.headers.get("expect", "").lower() == "100-continue"
        body = yield from (self._chunks() if length is None else self._exactly(int(length)))
        self.expects_continue = False
        return body

    def _exactly(self, length: int) -> Generator[None, None, bytes]:
        while len(self.buffer) < length:
            yield
        return self._take(length)

    def _chunks(self) -> Generator[None, None, bytes]:
        for _ in range(MAX_CHUNKS):
            length = yield from self._chunk_size()
            if length == 0:
                yield from self._trailers()
                body, self.body = bytes(self.body), bytearray()
                return body
            if len(self.body) + length > MAX_BODY:
                raise too_large()
            while len(self.buffer) < length + 2:
                yield
            if self.buffer[length : length + 2] != b"\r\n":
                raise _bad_request("a chunk of the body does not end where its size says")
            with memoryview(self.buffer) as view:
                self.body += view[:length]
            del self.buffer[: length + 2]
        raise _bad_request(f"the body comes in more than {MAX_CHUNKS} chunks; send larger ones")

    def _chunk_size(self) -> Generator[None, None, int]:
        while (end := self.buffer.find(b"\n", 0, MAX_CHUNK_LINE)) < 0 and len(self.buffer) < MAX_CHUNK_LINE:
            yield
        match = CHUNK.fullmatch(self._take(end + 1))
        if match is None:
            raise _bad_request("the chunks of the body cannot be understood")
        return int(match[1], 16)

    def _trailers(self) -> Generator[None, None, None]:
        """What follows the last chunk: held to the rules of headers, and not used."""
        while len(self.buffer) < 2:
            yield
        if self.buffer.startswith(b"\r\n"):
            del self.buffer[:2]
            return
        _headers((yield from self._until_empty_line(lambda _: None)).decode("latin-1").split("\r\n"))


def _check_request_line(begin: bytearray) -> None:
    """Refuse a request line that is too long before all of it has come. Raises HttpError."""
    if len(begin) > MAX_REQUEST_LINE + 1 and begin.find(b"\r\n", 0, MAX_REQUEST_LINE + 2) < 0:
        raise _too_long_line()


@lru_cache(maxsize=512)
def _parse_short_head(text: bytes) -> _Head:
    """As parse_head, for heads that come again: those of agents differ in nothing but the length of the body."""
    return parse_head(text)


def parse_head(text: bytes) -> _Head:
    """A request line and headers as values. Raises HttpError."""
    line, *lines = text.decode("latin-1").split("\r\n")
    if len(line) > MAX_REQUEST_LINE:
        raise _too_long_line()
    if (match := REQUEST_LINE.fullmatch(line)) is None:
        raise _bad_request("this is an HTTP/1.1 server")
    method, target, version = match.groups()
    headers = _headers(lines)
    if "host" not in headers and version != "HTTP/1.0":
        raise _bad_request("the header Host is missing")
    authority, path, query = split_target(target)
    if authority is not None:
        headers["host"] = authority  # RFC 9112, 3.2.2: it counts, and what Host says does not
    if HOST.fullmatch(headers.get("host", "")) is None:
        raise _bad_request("the header Host cannot be understood")
    return _Head(method, path, query, version, headers)


def _headers(lines: list[str]) -> dict[str, str]:
    if len(lines) > MAX_HEADERS:
        raise _too_many_headers()
    headers: dict[str, str] = {}
    for line in lines:
        if (match := HEADER.fullmatch(line)) is None:
            raise _bad_request("a header line cannot be understood")
        name, value = match[1].lower(), match[2].rstrip(" \t")
        if name in headers:
            if name in SINGLE_HEADERS:
                raise _bad_request(f"the header {name} comes twice")
            value = f"{headers[name]}, {value}"
        headers[name] = value
    return headers


def _connection(head: _Head) -> str:
    """What the answer says about the connection (RFC 9112, 9.3): `close`, `keep-alive`, or nothing, which keeps it."""
    asked = head.headers.get("connection", "").lower()
    options = {option.strip() for option in asked.split(",")} if asked else set()
    if "close" in options:
        return "close"
    if head.version != "HTTP/1.0":
        return ""
    return "keep-alive" if "keep-alive" in options else "close"


@lru_cache(maxsize=256)
def split_target(target: str) -> tuple[str | None, str, Mapping[str, str]]:
    """The authority of a request's target (None where it has none), its path as it came, and its query, unquoted.
    Raises HttpError."""
    authority = None
    if "#" in target:
        raise _bad_request("the address cannot be understood")
    if target.startswith("/") or target == "*":
        path, _, query = target.partition("?")
    elif match := ABSOLUTE.fullmatch(target):
        authority, path, query = match[1], match[2] or "/", match[3] or ""
    else:
        raise _bad_request("the address cannot be understood")
    return authority, path, dict(parse_qsl(query))


def _bad_request(message: str) -> HttpError:
    return HttpError(HTTPStatus.BAD_REQUEST, "BAD_REQUEST", message)


def too_large() -> HttpError:
    """The answer to a body that is too large, packed or not."""
    message = f"a body may have {MAX_BODY >> 20} MiB, also when unpacked; send the lines in smaller batches"
    return HttpError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "BODY_TOO_LARGE", message)


def _too_long_line() -> HttpError:
    message = f"a request line may have {MAX_REQUEST_LINE} bytes"
    return HttpError(HTTPStatus.REQUEST_URI_TOO_LONG, "URI_TOO_LONG", message)


def _too_many_headers() -> HttpError:
    message = f"a request may have {MAX_HEADERS} headers, and {MAX_HEAD} bytes before its body"
    return HttpError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "HEADERS_TOO_LARGE", message)
