"""The lines of files and pipes as they are found in the field: plain or gzip, with a byte order mark, with the NULs
that a crash left, cut off, damaged. What cannot be read is told; what can be is used.

A gzip file is known by its first byte, not by its name: a line of JSON never begins with it (RFC 1952: ID1 = 31).
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterable, Iterator

CHUNK = 1 << 16
MAX_LINE = 16 << 20  # what a collector takes at once
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
GZIP_ID1 = b"\x1f"
GZIP_MEMBER = 31  # zlib.decompressobj's wbits: a gzip header and trailer, and the largest window


class Lines:
    """The lines of one file, each with its number, from 1; blank ones are left out. Reads as it goes, so that a line
    that comes alone over a pipe is there at once."""

    def __init__(self, descriptor: int, name: str, tell: Callable[[str], None]) -> None:
        """`name`: what the file is called in what is told."""
        self.is_whole = True
        """Whether everything could be read, so far."""
        self._descriptor = descriptor
        self._name = name
        self._tell = tell
        self._nulls = 0

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        for number, line in enumerate(self._split(self._text()), 1):
            if line is None:
                self._miss(f"line {number} is longer than {MAX_LINE} bytes and left out")
                continue
            text = line.strip(b"\0")
            self._nulls += len(line) - len(text)
            if text := text.removeprefix(BYTE_ORDER_MARK).strip():
                yield number, text
        if self._nulls:
            self._tell(f"{self._name}: {self._nulls} NUL bytes are left out")

    def _split(self, chunks: Iterable[bytes]) -> Iterator[bytes | None]:
        """Cut chunks into lines; None stands for one that is too long. NULs in front of a line take no memory."""
        begun = bytearray()
        is_long = False
        for chunk in chunks:
            *ends, rest = chunk.split(b"\n")
            for end in ends:
                yield None if is_long else bytes(begun) + end
                begun.clear()
                is_long = False
            if not begun:
                self._nulls += len(rest) - len(rest := rest.lstrip(b"\0"))
            begun += rest
            if len(begun) > MAX_LINE:
                begun.clear()
                is_long = True
        if begun or is_long:
            yield None if is_long else bytes(begun)

    def _text(self) -> Iterator[bytes]:
        """The text in chunks, unpacked if it is packed."""
        chunks = self._chunks()
        for chunk in chunks:
            text = chunk.lstrip(b"\0")
            self._nulls += len(chunk) - len(text)
            if text.startswith(GZIP_ID1):
                yield from self._unpack(text, chunks)
                return
            if text:
                yield text
                yield from chunks

    def _chunks(self) -> Iterator[bytes]:
        """What the file holds. Not by a buffered reader: one that a thread still waits in would hold up the end."""
        try:
            while chunk := os.read(self._descriptor, CHUNK):
                yield chunk
        except OSError as error:
            self.is_whole = False
            self._tell(f"cannot read {self._name}: {error.strerror}")

    def _unpack(self, packed: bytes, more: Iterator[bytes]) -> Iterator[bytes]:
        """Unpack the members of a gzip file, one after the other. What follows the last one is no text."""
        while packed:
            if not packed.startswith(GZIP_ID1):
                self._miss(f"{len(packed) + _skip(more)} bytes after the gzip data are left out")
                return
            member = zlib.decompressobj(GZIP_MEMBER)
            text = b""
            while not member.eof:
                if len(text) < CHUNK and not packed and not (packed := next(more, b"")):
                    self._miss("the gzip data breaks off")
                    return
                before = member.copy()
                try:
                    text = member.decompress(packed, CHUNK)
                except zlib.error as error:
                    yield _as_far_as_it_goes(before, packed)
                    self._miss(f"the gzip data is damaged ({error})")
                    _skip(more)
                    return
                packed = member.unconsumed_tail
                yield text
            packed = member.unused_data.lstrip(b"\0")
            while not packed and (chunk := next(more, b"")):
                packed = chunk.lstrip(b"\0")

    def _miss(self, what: str) -> None:
        self.is_whole = False
        self._tell(f"{self._name}: {what}")


def _skip(chunks: Iterable[bytes]) -> int:
    """Read to the end, and tell how many bytes that were."""
    return sum(map(len, chunks))


def _as_far_as_it_goes(member: zlib._Decompress, packed: bytes) -> bytes:
    """Unpack byte by byte up to the one that is wrong."""
    text = b""
    try:
        for begin in range(len(packed)):
            text += member.decompress(packed[begin : begin + 1])
    except zlib.error:
        pass
    return text
