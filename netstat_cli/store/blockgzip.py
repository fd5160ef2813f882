"""A closed day: gzip of many members, so that a look-up inflates one of them and not the day.

To `zcat`, `jq` and DuckDB it is an ordinary .gz (RFC 1952: members follow one another). Each member holds whole lines,
at most 64 KiB of text unless one line is longer, and says in its header's extra field what a reader needs to hop on:

    "NC"  u32 size of the member in the file, u64 timestamp of its first line       (every member)
    "NS"  u32 the step in milliseconds that the day was thinned to, 0 if it was not    (the first member)
    "NN"  what any interface of the day begins with in its line, and every ifindex     (the first member, if it fits)
    "NI"  per member u32 size, u32 milliseconds from the first line of the day         (the first member, if it fits)

Numbers are little-endian. By "NN" a search for an interface passes over a day without it at the cost of one read; by
"NI" a day is opened in one read, without hopping.
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate

from netstat_cli.line.wire import Line, names_in, to_line
from netstat_cli.store.segment import stamp, stamp_of
from netstat_cli.times import format_timestamp

TEXT_SIZE = 1 << 16
LEVEL = 6
SPARE = 60_000  # of the 65,535 bytes that an extra field may have

_FIXED = struct.Struct("<4sIBBH")  # magic, method and flags; mtime; extra flags; system; length of the extra field
_MAGIC = b"\x1f\x8b\x08\x04"
_SUBFIELD = struct.Struct("<2sH")
_HOP = struct.Struct("<IQ")
_STEP = struct.Struct("<I")
_ENTRY = struct.Struct("<II")
_TRAILER = struct.Struct("<II")
_TOKENS = re.compile(rb'\{"name":"(?:[^"\\]|\\.)*",|"ifindex":\d+,')
_HEAD_LOOK = 64


def compress(lines: Iterable[Line], step: int = 0) -> Iterator[bytes]:
    """The members that hold the lines, in order. `step`: what the day was thinned to, in milliseconds."""
    blocks = list(_blocks(lines))
    tokens = sorted({token for block in blocks for line in block for token in _TOKENS.findall(line.text)})
    extra = _subfield(b"NS", _STEP.pack(step))
    if sum(map(len, tokens)) <= SPARE:
        extra += _subfield(b"NN", b"".join(tokens))
    bodies = [_deflate(block) for block in blocks]
    plain = _FIXED.size + _SUBFIELD.size + _HOP.size
    room = SPARE - len(extra)
    if 8 * len(blocks) <= room:
        sizes = [plain + len(body) for body in bodies]
        sizes[:1] = [size + len(extra) + _SUBFIELD.size + 8 * len(blocks) for size in sizes[:1]]
        offsets = [block[0].timestamp - blocks[0][0].timestamp for block in blocks]
        extra += _subfield(b"NI", b"".join(map(_ENTRY.pack, sizes, offsets)))
    for block, body in zip(blocks, bodies, strict=True):
        hop = _HOP.pack(plain + len(extra) + len(body), block[0].timestamp)
        header = _FIXED.pack(_MAGIC, 0, 0, 255, plain - _FIXED.size + len(extra))
        yield header + _subfield(b"NC", hop) + extra + body
        extra = b""


def _blocks(lines: Iterable[Line]) -> Iterator[list[Line]]:
    block: list[Line] = []
    size = 0
    for line in lines:
        if block and size + len(line.text) + 1 > TEXT_SIZE:
            yield block
            block, size = [], 0
        block.append(line)
        size += len(line.text) + 1
    if block:
        yield block


def _deflate(block: list[Line]) -> bytes:
    text = b"".join([line.text + b"\n" for line in block])
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS, 9)
    return packer.compress(text) + packer.flush() + _TRAILER.pack(zlib.crc32(text), len(text))


def _subfield(name: bytes, content: bytes) -> bytes:
    return _SUBFIELD.pack(name, len(content)) + content


def _subfields(extra: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at < len(extra):
        name, length = _SUBFIELD.unpack_from(extra, at)
        yield name, extra[at + _SUBFIELD.size : at + _SUBFIELD.size + length]
        at += _SUBFIELD.size + length


class GzipSegment:
    """A closed day. The places of its members are read when it is opened, a member when a look-up comes to it."""

    def __init__(self, path: str) -> None:
        """Raises OSError, and ValueError if the headers do not hop to the end of the file."""
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._path = path
        size = os.fstat(self._fd).st_size
        self._starts: list[int] = []
        self._places: list[int] = []
        self._inflated: tuple[int, list[bytes]] = (-1, [])
        self._tokens: bytes | None = None
        self.step = 0
        """Milliseconds between the samples that thinning left; 0 where all are there."""
        place = 0
        try:
            while place < size:
                place = self._hop(place, size)
        except (ValueError, struct.error):
            os.close(self._fd)
            raise ValueError(f"its gzip members do not follow each other at byte {place}") from None

    def close(self) -> None:
        os.close(self._fd)

    def locate(self, moment: int) -> tuple[Line | None, Line | None]:
        index = bisect_right(self._starts, moment) - 1
        if index < 0:
            return None, to_line(self._texts(0)[0]) if self._starts else None
        texts = self._texts(index)
        at = bisect_right(texts, stamp_of(moment), key=stamp)
        higher = texts[at] if at < len(texts) else self._texts(index + 1)[0] if index + 1 < len(self._starts) else None
        return to_line(texts[at - 1]), to_line(higher) if higher else None

    def lines(self, after: int = -1) -> Iterator[Line]:
        for index in range(max(0, bisect_right(self._starts, after) - 1), len(self._starts)):
            yield from (line for line in map(to_line, self._texts(index)) if line.timestamp > after)

    def find(self, needle: bytes, after: int) -> Line | None:
        if self._tokens is not None and needle not in self._tokens:
            return None
        return next((line for line in self.lines(after) if needle in line.text), None)

    def rfind(self, needle: bytes, until: int) -> Line | None:
        if self._tokens is not None and needle not in self._tokens:
            return None
        for index in range(bisect_right(self._starts, until) - 1, -1, -1):
            texts = self._texts(index)
            for text in reversed(texts[: bisect_right(texts, stamp_of(until), key=stamp)]):
                if needle in text:
                    return to_line(text)
        return None

    def names(self) -> frozenset[str]:
        if self._tokens is not None:
            return frozenset(names_in(self._tokens))
        return frozenset().union(*(names_in(b"\n".join(self._texts(index))) for index in range(len(self._starts))))

    def check(self) -> None:
        """Reads everything. Raises ValueError where the members and their headers do not agree."""
        for index, start in enumerate(self._starts):
            try:
                first = to_line(self._texts(index)[0]).timestamp
            except (zlib.error, IndexError, struct.error) as error:
                raise ValueError(f"member {index + 1} cannot be inflated: {error}") from None
            head = os.pread(self._fd, _HEAD_LOOK, self._places[index])
            hop, said = _HOP.unpack_from(head, _FIXED.size + _SUBFIELD.size)
            ends = [*self._places[1:], os.fstat(self._fd).st_size]
            if hop != ends[index] - self._places[index]:
                raise ValueError(f"member {index + 1} is not as long as its header says")
            if first != start or first != said:
                raise ValueError(f"member {index + 1} begins at {format_timestamp(first)}, its header says otherwise")

    def _hop(self, place: int, size: int) -> int:
        """Reads the header at `place`; where the next one is, or the end where the first told of all."""
        head = os.pread(self._fd, _HEAD_LOOK if place else 1 << 16, place)
        magic, _, _, _, length = _FIXED.unpack_from(head)
        name, _ = _SUBFIELD.unpack_from(head, _FIXED.size)
        hop, start = _HOP.unpack_from(head, _FIXED.size + _SUBFIELD.size)
        if magic != _MAGIC or name != b"NC" or not 0 < hop <= size - place:
            raise ValueError(place)
        if place == 0:
            fields = dict(_subfields(head[_FIXED.size : _FIXED.size + length]))
            (self.step,) = _STEP.unpack(fields.get(b"NS", b"\0\0\0\0"))
            self._tokens = fields.get(b"NN")
            if table := fields.get(b"NI"):
                numbers = struct.unpack(f"<{len(table) // 4}I", table)
                self._starts = [start + offset for offset in numbers[1::2]]
                *self._places, end = accumulate(numbers[::2], initial=0)
                if end != size:
                    raise ValueError(end)
                return size
        self._places.append(place)
        self._starts.append(start)
        return int(place + hop)

    def _texts(self, index: int) -> list[bytes]:
        """The lines of a member, without their newlines. Raises zlib.error."""
        if self._inflated[0] != index:
            begin = self._places[index]
            end = self._places[index + 1] if index + 1 < len(self._places) else None
            length = (end - begin) if end is not None else os.fstat(self._fd).st_size - begin
            text = zlib.decompress(os.pread(self._fd, length, begin), zlib.MAX_WBITS | 16)
            self._inflated = (index, text.split(b"\n")[:-1])
        return self._inflated[1]
