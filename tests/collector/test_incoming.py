"""Requests out of bytes, however these are cut on their way."""

from __future__ import annotations

import gc
import gzip
import weakref
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netstat_cli.collector.http import HttpError, Request
from netstat_cli.collector.incoming import MAX_LINE, Incoming, Limits, Phase, unpacked

GET = b"GET /api/nodes?a=1&b=%20x HTTP/1.1\r\nHost: x\r\n\r\n"
BODY = b"POST /api/v1/samples HTTP/1.1\r\nhost:x\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
CHUNKS = b"PUT /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: t\r\n\r\n"
OLD = b"\r\nHEAD / HTTP/1.0\nHost: x\n\n"
EXPECTED = [
    Request("GET", "/api/nodes", {"a": "1", "b": " x"}, {"host": "x"}, b""),
    Request("POST", "/api/v1/samples", {}, {"host": "x", "content-length": "5", "connection": "close"}, b"hello", True),
    Request("PUT", "/x", {}, {"transfer-encoding": "chunked"}, b"hello"),
    Request("HEAD", "/", {}, {"host": "x"}, b"", True),
]


def welcome(_: str, __: Mapping[str, str]) -> None:
    """Lets everybody in."""


def requests_in(pieces: Iterable[bytes], incoming: Incoming | None = None) -> list[Request]:
    """All requests that are whole after the last piece."""
    incoming = incoming or Incoming(welcome)
    found: list[Request] = []
    for piece in pieces:
        incoming.feed(piece)
        while (request := incoming.next()) is not None:
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
    incoming = Incoming(welcome)
    assert [] == requests_in((bytes([byte]) for byte in text[:-1]), incoming)
    assert 1 == len(requests_in([text[-1:]], incoming))
    assert not incoming.has_more


def test_the_phases_of_a_connection() -> None:
    """Idle until something comes, then in the head, then in the body, and idle again; each has a time of its own."""
    incoming, phases = Incoming(welcome), []
    for piece in (b"", b"POST /x HTTP/1.1\r\n", b"Content-Length: 2\r\n\r\n", b"h", b"i"):
        incoming.feed(piece)
        incoming.next()
        phases.append(incoming.phase)
    assert phases == [Phase.IDLE, Phase.HEAD, Phase.BODY, Phase.BODY, Phase.IDLE]
    assert [1.0, 2.0, 3.0] == [Limits(9, 1.0, 2.0, 3.0).seconds(phase) for phase in Phase]


def test_leave_is_asked_once_and_only_of_who_is_welcome() -> None:
    """`Expect: 100-continue` shows when the head is there and its sender was let in."""
    head = BODY[:-5].replace(b"host:x", b"Expect: 100-Continue")
    incoming = Incoming(welcome)
    assert [] == requests_in([head], incoming)
    assert incoming.asks_leave()
    assert 1 == len(requests_in([b"hello"], incoming))
    assert not incoming.asks_leave()

    def turn_away(path: str, headers: Mapping[str, str]) -> None:
        raise HttpError(HTTPStatus.UNAUTHORIZED, path, headers["expect"])

    incoming = Incoming(turn_away)
    with pytest.raises(HttpError) as caught:
        requests_in([head], incoming)
    assert (401, "/api/v1/samples", "100-Continue", False) == (
        caught.value.status,
        caught.value.code,
        caught.value.message,
        incoming.asks_leave(),
    )


def test_what_was_begun_goes_with_its_connection() -> None:
    """It leaves nothing to the garbage collector, which would end it in the midst of something else."""
    incoming = Incoming(welcome)
    assert [] == requests_in([BODY[:-1]], incoming)
    gc.collect()
    gc.disable()
    try:
        reader = weakref.ref(incoming._reader)
        assert reader() is not None
        del incoming
        assert reader() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "begin", [b"", b"GET / HTTP/1.1\r\n", CHUNKS[: CHUNKS.index(b"3;")]], ids=["line", "header", "chunk"]
)
def test_a_line_without_end_is_refused_at_its_limit(begin: bytes) -> None:
    """Not one byte more is taken than shows that a line is too long."""
    incoming = Incoming(welcome)
    assert [] == requests_in([begin, b"x" * MAX_LINE], incoming)
    with pytest.raises(HttpError):
        requests_in([b"x"], incoming)


@pytest.mark.parametrize("encoding", ["gzip", "X-GZIP"])
def test_unpacking(encoding: str) -> None:
    """A packed body is unpacked, a plain one stays as it is."""
    request = Request("POST", "/", {}, {"content-encoding": encoding}, gzip.compress(b"hello"))
    assert request._replace(body=b"hello") == unpacked(request)
    assert EXPECTED[1] is unpacked(EXPECTED[1])
