"""Requests out of bytes, however these are cut on their way."""

from __future__ import annotations

import gc
import gzip
import random
import sys
import weakref
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netstat_cli.collector.acceptor import Limits
from netstat_cli.collector.http import HttpError, Request
from netstat_cli.collector.parser import (
    MAX_BODY,
    MAX_CHUNK_LINE,
    MAX_CHUNKS,
    MAX_HEAD,
    MAX_REQUEST_LINE,
    Phase,
    RequestParser,
)
from netstat_cli.collector.unpacking import MAX_MEMBERS, gunzip, unpack

GET = b"GET /api/nodes?a=1&b=%20x HTTP/1.1\r\nHost: x\r\n\r\n"
BODY = b"POST /api/v1/samples HTTP/1.1\r\nhost:x\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
CHUNKS = b"PUT /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKS += b"3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: t\r\n\r\n"
OLD = b"\r\nHEAD / HTTP/1.0\r\nHost: x\r\n\r\n"
EXPECTED = [
    Request("GET", "/api/nodes", {"a": "1", "b": " x"}, {"host": "x"}, b""),
    Request(
        "POST", "/api/v1/samples", {}, {"host": "x", "content-length": "5", "connection": "close"}, b"hello", "close"
    ),
    Request("PUT", "/x", {}, {"host": "x", "transfer-encoding": "chunked"}, b"hello"),
    Request("HEAD", "/", {}, {"host": "x"}, b"", "close"),
]


def welcome(_: str, __: Mapping[str, str]) -> None:
    """Lets everybody in."""


def requests_in(pieces: Iterable[bytes], parser: RequestParser | None = None) -> list[Request]:
    """All requests that are whole after the last piece."""
    parser = parser or RequestParser(welcome)
    found: list[Request] = []
    for piece in pieces:
        parser.feed(piece)
        while (request := parser.next_request()) is not None:
            found.append(request)
    return found


@given(cuts=st.sets(st.integers(0, len(GET + BODY + CHUNKS + OLD))))
def test_where_bytes_are_cut_does_not_matter(cuts: set[int]) -> None:
    """The same requests come out, whether all at once or byte by byte."""
    text = GET + BODY + CHUNKS + OLD
    edges = [0, *sorted(cuts), len(text)]
    assert requests_in(text[begin:end] for begin, end in pairwise(edges)) == EXPECTED


@pytest.mark.parametrize("text", [GET, BODY, CHUNKS, OLD], ids=["get", "body", "chunks", "old"])
def test_a_request_is_there_with_its_last_byte(text: bytes) -> None:
    """And not before; until then nothing of it is handed out."""
    parser = RequestParser(welcome)
    assert [] == requests_in((bytes([byte]) for byte in text[:-1]), parser)
    assert 1 == len(requests_in([text[-1:]], parser))
    assert 0 == parser.buffered


def test_the_phases_of_a_connection() -> None:
    """Idle until something comes, then in the head, then in the body, and idle again; each has a time of its own."""
    parser, phases = RequestParser(welcome), []
    for piece in (b"", b"POST /x HTTP/1.1\r\nHost: x\r\n", b"Content-Length: 2\r\n\r\n", b"h", b"i"):
        parser.feed(piece)
        parser.next_request()
        phases.append(parser.phase)
    assert phases == [Phase.IDLE, Phase.HEAD, Phase.BODY, Phase.BODY, Phase.IDLE]
    assert [1.0, 2.0, 3.0] == [Limits(9, 1.0, 2.0, 3.0).timeout_s(phase) for phase in Phase]


def test_leave_is_asked_once_and_only_of_who_is_welcome() -> None:
    """`Expect: 100-continue` shows when the head is there and its sender was let in."""
    head = BODY[:-5].replace(b"host:x", b"Host: x\r\nExpect: 100-Continue")
    parser = RequestParser(welcome)
    assert [] == requests_in([head], parser)
    assert parser.expects_continue()
    assert 1 == len(requests_in([b"hello"], parser))
    assert not parser.expects_continue()

    def turn_away(path: str, headers: Mapping[str, str]) -> None:
        raise HttpError(HTTPStatus.UNAUTHORIZED, path, headers["expect"])

    parser = RequestParser(turn_away)
    with pytest.raises(HttpError) as caught:
        requests_in([head], parser)
    assert (401, "/api/v1/samples", "100-Continue", False) == (
        caught.value.status,
        caught.value.code,
        caught.value.message,
        parser.expects_continue(),
    )


def test_what_was_begun_goes_with_its_connection() -> None:
    """It leaves nothing to the garbage collector, which would end it in the midst of something else."""
    parser = RequestParser(welcome)
    assert [] == requests_in([BODY[:-1]], parser)
    gc.collect()
    gc.disable()
    try:
        reader = weakref.ref(parser._reader)
        assert reader() is not None
        del parser
        assert reader() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("begin", "most"),
    [
        (b"", MAX_REQUEST_LINE + 1),
        (b"GET / HTTP/1.1\r\n", MAX_HEAD - 17),
        (CHUNKS[: CHUNKS.index(b"3;")], MAX_CHUNK_LINE - 1),
        (CHUNKS[: CHUNKS.index(b"Trailer")], MAX_HEAD - 1),
    ],
    ids=["line", "headers", "chunk", "trailers"],
)
def test_a_line_without_end_is_refused_at_its_limit(begin: bytes, most: int) -> None:
    """Not one byte more is taken than shows that a line, or all of a head, is too long."""
    parser = RequestParser(welcome)
    assert [] == requests_in([begin, b"x" * most], parser)
    with pytest.raises(HttpError):
        requests_in([b"x"], parser)


def head(*lines: bytes, method: bytes = b"GET", target: bytes = b"/x", version: bytes = b"HTTP/1.1") -> bytes:
    """A request without a body."""
    return b"\r\n".join([b"%s %s %s" % (method, target, version), *lines, b"", b""])


HOST = b"Host: x"


@pytest.mark.parametrize(
    "text",
    [
        head(),
        head(HOST, HOST),
        head(b"Host: a b"),
        head(b"Host: a/b"),
        head(b"Host: user@a"),
        head(b"Host: a:b"),
        head(b"Host: [::1"),
        head(HOST, b"Authorization: Bearer a", b"authorization: Bearer b"),
        head(HOST, b"X-API-Key: a", b"X-API-Key: a"),
        head(HOST, b"Origin: http://a", b"Origin: http://x"),
        head(HOST, b"Content-Length: 0", b"Content-Length: 0"),
        head(HOST, b"Content-Length: 0, 0"),
        head(HOST, b"Content-Length: +1"),
        head(HOST, "Content-Length: \u00b2".encode("latin-1")),
        head(HOST, b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
        head(HOST, b"Transfer-Encoding: gzip, chunked"),
        head(HOST, b"Transfer-Encoding: chunked", b"Content-Length: 0"),
        head(HOST, b"Transfer-Encoding: chunked", version=b"HTTP/1.0"),
        head(HOST, b"A: b", b" folded: c"),
        head(HOST, b"A: b", b"\tfolded"),
        head(b" Host: x"),
        head(b"Host : x"),
        head(HOST, b"A\x00: b"),
        head(HOST, b"A: b\x00"),
        head(HOST, b"A: b\rB: c"),
        head(HOST, b"A: b\nB: c"),
        head(HOST).replace(b"\r\n", b"\n"),
        b"GET /x HTTP/1.1\nHost: x\r\n",
        head(HOST, target=b"x"),
        head(HOST, target=b"/x#y"),
        head(HOST, target=b"/\xe9"),
        head(HOST, target=b"x.example:443", method=b"CONNECT"),
        head(HOST, target=b"http://"),
        head(HOST, target=b"http:///x"),
        head(HOST, target=b"http://user@x/"),
        head(HOST, target=b"ftp://x/"),
        head(HOST, method=b"G(T"),
        head(HOST, version=b"HTTP/2.0"),
        head(HOST, version=b"http/1.1"),
        head(HOST, target=b" /x"),
        b"\x16\x03\x01",
        b" ",
        b"\r\n\r\n",
    ],
    ids=repr,
)
def test_what_two_readers_could_read_in_two_ways_is_refused(text: bytes) -> None:
    """RFC 9112: as soon as it shows, with 400, and nothing of it is handed out."""
    with pytest.raises(HttpError) as caught:
        requests_in([text])
    assert 400 == caught.value.status


@pytest.mark.parametrize(
    "body",
    [b"3\r\nhelX2\r\nlo\r\n0\r\n\r\n", b"3\nhel\r\n0\r\n\r\n", b"3\r\nhel\n0\r\n\r\n", b"3 x\r\nhel", b" 3\r\nhel",
     b"0x3\r\nhel", b"+3\r\nhel", b"\r\n", b"3;a\rb\r\nhel", b"123456789\r\n", b"0\r\nA b\r\n\r\n", b"0\r\nA: b\n\r\n",
     b"1\r\nx\r\n" * (MAX_CHUNKS + 1)],
    ids=lambda body: repr(body[:30]),
)  # fmt: skip
def test_chunks_that_do_not_end_where_they_say_are_refused(body: bytes) -> None:
    """RFC 9112, 7.1: size, CRLF, as many bytes, CRLF; and not in pieces without number."""
    with pytest.raises(HttpError) as caught:
        requests_in([CHUNKS[: CHUNKS.index(b"3;")] + body])
    assert 400 == caught.value.status


@pytest.mark.parametrize(
    ("target", "path", "host"),
    [
        (b"//x/api/stats", "//x/api/stats", "x"),
        (b"http://collector:8477/api/stats?a=1", "/api/stats", "collector:8477"),
        (b"HTTPS://collector?a=1", "/", "collector"),
        (b"/?a=1", "/", "x"),
        (b"/a/../b%2fc?a=1", "/a/../b%2fc", "x"),
    ],
)
def test_the_path_of_a_target(target: bytes, path: str, host: str) -> None:
    """RFC 9112, 3.2: a path is what it is, also with two slashes; an address in the target counts and not Host."""
    (request,) = requests_in([head(HOST, target=target)])
    query = {"a": "1"} if b"?" in target else {}
    assert (path, query, host) == (request.path, request.query, request.headers["host"])


def test_headers_that_come_twice_are_joined() -> None:
    """RFC 9110, 5.3: where a list may stand, two are one with a comma; blanks around a value are not its own."""
    (request,) = requests_in([head(HOST, b"Accept:a", b"accept: \t b c \t")])
    assert {"host": "x", "accept": "a, b c"} == request.headers


@pytest.mark.parametrize(
    ("version", "headers", "connection"),
    [
        (b"HTTP/1.1", [HOST], ""),
        (b"HTTP/1.7", [HOST], ""),
        (b"HTTP/1.1", [HOST, b"Connection: closed"], ""),
        (b"HTTP/1.1", [HOST, b"Connection: te, Close"], "close"),
        (b"HTTP/1.0", [], "close"),
        (b"HTTP/1.0", [b"Connection: Keep-Alive"], "keep-alive"),
        (b"HTTP/1.0", [b"Connection: keep-alive, close"], "close"),
    ],
)
def test_what_becomes_of_the_connection(version: bytes, headers: list[bytes], connection: str) -> None:
    """RFC 9112, 9.3: HTTP/1.1 keeps it unless told otherwise, HTTP/1.0 the other way round."""
    (request,) = requests_in([head(*headers, version=version)])
    assert connection == request.connection


def test_http_1_0_expects_nothing() -> None:
    """RFC 9110, 10.1.1: a client of HTTP/1.0 is not told to continue."""
    parser = RequestParser(welcome)
    text = head(b"Expect: 100-continue", b"Content-Length: 1", method=b"POST", version=b"HTTP/1.0")
    assert [] == requests_in([text], parser)
    assert not parser.expects_continue()


def test_what_is_kept_is_given_back() -> None:
    """After a large body a connection keeps no more than before it."""
    parser = RequestParser(welcome)
    body = b"x" * (MAX_BODY // 2)
    text = b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    assert 1 == len(requests_in([text, body], parser))
    assert (0, True) == (parser.buffered, sys.getsizeof(parser._reader.buffer) < 1000)


@pytest.mark.parametrize("encoding", ["gzip", "X-GZIP"])
def test_unpacking(encoding: str) -> None:
    """A packed body is unpacked, a plain one stays as it is."""
    request = Request("POST", "/", {}, {"content-encoding": encoding}, gzip.compress(b"hello"))
    assert request._replace(body=b"hello") == unpack(request)
    assert EXPECTED[1] is unpack(EXPECTED[1])


@pytest.mark.parametrize(
    ("packed", "text"),
    [
        (gzip.compress(b"a") + gzip.compress(b"b"), b"ab"),
        (gzip.compress(b"a") + b"\0" * 1000, b"a"),
        (gzip.compress(b"x" * MAX_BODY), b"x" * MAX_BODY),
        (gzip.compress(random.Random(1).randbytes(300_000)) * 2, random.Random(1).randbytes(300_000) * 2),
    ],
    ids=["members", "padded", "most", "many slices"],
)
def test_gunzip(packed: bytes, text: bytes) -> None:
    """All members, as RFC 1952 has them, up to the largest body."""
    assert text == gunzip(packed)


@pytest.mark.parametrize(
    "packed",
    [b"", b"hello", gzip.compress(b"hello")[:-1], gzip.compress(b"a") + b"b", gzip.compress(b"") * (MAX_MEMBERS + 1)],
    ids=["nothing", "no gzip", "cut off", "followed", "empty members"],
)
def test_what_is_no_gzip(packed: bytes) -> None:
    """It is refused as such, and so are members without number, of which each costs time and none says anything."""
    with pytest.raises(HttpError) as caught:
        unpack(Request("POST", "/", {}, {"content-encoding": "gzip"}, packed))
    assert (400, "BAD_GZIP") == (caught.value.status, caught.value.code)
