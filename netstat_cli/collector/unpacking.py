"""Bodies out of their content encoding, in bounded memory and time. Pure; called in workers, for it may take a while.

A packed body is small and what it unpacks to need not be: a megabyte of gzip holds a gigabyte of zeros, or fifty
thousand members that hold nothing and each cost a decompressor. So the output has a limit, the members are counted, and
neither limit is looked at only when it is passed by much.
"""

from __future__ import annotations

import io
import zlib
from http import HTTPStatus

from netstat_cli.collector.http import HttpError, Request
from netstat_cli.collector.parser import MAX_BODY, too_large

MAX_MEMBERS = 1000
"""`gzip -c` of many files has a member each, and no batch is of so many files; empty ones cost some 5 µs."""
SLICE = 1 << 16
_GZIP = 16 + zlib.MAX_WBITS  # zlib.h: windowBits + 16 reads a gzip header and trailer


def unpack(request: Request) -> Request:
    """Give the request with its body free of content encodings. Raises HttpError."""
    encoding = request.headers.get("content-encoding", "").lower()
    if encoding in ("", "identity"):
        return request
    if encoding not in ("gzip", "x-gzip"):
        message = f"the content encoding {encoding[:40]!r} is not known; send gzip or none"
        raise HttpError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_ENCODING", message)
    try:
        return request._replace(body=gunzip(request.body))
    except (ValueError, zlib.error):
        raise HttpError(HTTPStatus.BAD_REQUEST, "BAD_GZIP", "the body is not the gzip that its header says") from None


def gunzip(packed: bytes) -> bytes:
    """Inflate all members (RFC 1952). Raises HttpError for over MAX_BODY, ValueError and zlib.error for no gzip."""
    text = io.BytesIO()
    offset = 0
    for _ in range(MAX_MEMBERS):
        offset = _inflate_member(packed, offset, text)
        if not packed[offset : offset + 1].strip(b"\0") and not packed[offset:].strip(b"\0"):  # padding, as tape has it
            return text.getvalue()
    raise ValueError(f"more than {MAX_MEMBERS} members")


def _inflate_member(packed: bytes, offset: int, text: io.BytesIO) -> int:
    """Inflate one member into `text`; the offset after it."""
    member = zlib.decompressobj(_GZIP)
    while not member.eof:
        if not (piece := member.unconsumed_tail):
            piece = packed[offset : offset + SLICE]
            offset += len(piece)
        if not piece:
            raise ValueError("the last member is cut off")
        text.write(member.decompress(piece, MAX_BODY + 1 - text.tell()))
        if text.tell() > MAX_BODY:
            raise too_large()
    return offset - len(member.unused_data)
