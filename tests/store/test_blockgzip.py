"""A closed day: an ordinary gzip file in which a look-up inflates one member."""

import gzip
import struct
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netstat_cli.line.wire import Line, needle
from netstat_cli.store.blockgzip import SPARE, TEXT_SIZE, GzipSegment, compress
from netstat_cli.store.segment import MemorySegment
from netstat_cli.times import format_timestamp, parse_timestamp
from tests.given import T0

NAMES = ("eth0", "wlan0", 'q"\\:💩0')


def line(at: int, size: int = 0, name: str = "eth0") -> Line:
    head = f'{{"timestamp":"{format_timestamp(T0 + at)}","pad":"{"x" * size}","network_interfaces":['
    return Line(T0 + at, head.encode() + needle(name) + b'"ifindex":2,"is_up":true}]}')


def lines_of(rows: list[tuple[int, int, str]], filler: int = 0) -> list[Line]:
    moments = accumulate(step for step, _, _ in rows)
    first = [line(0, 0, "n" * filler)] if filler else []
    return first + [line(at, size, name) for at, (_, size, name) in zip(moments, rows, strict=True)]


@contextmanager
def closed(lines: list[Line]) -> Iterator[GzipSegment]:
    with tempfile.NamedTemporaryFile() as file:
        file.writelines(compress(lines))
        file.flush()
        with closing(GzipSegment(file.name)) as segment:
            yield segment


def members(data: bytes) -> Iterator[tuple[int, int, bytes, dict[bytes, bytes]]]:
    place = 0
    while place < len(data):
        (length,) = struct.unpack_from("<H", data, place + 10)
        extra, fields = data[place + 12 : place + 12 + length], {}
        while extra:
            size = struct.unpack_from("<H", extra, 2)[0]
            fields[extra[:2]], extra = extra[4 : 4 + size], extra[4 + size :]
        size, start = struct.unpack("<IQ", fields[b"NC"])
        yield place, start, gzip.decompress(data[place : place + size]), fields
        place += size


STEPS, SIZES = st.sampled_from([1, 1000, 10_000, 3_600_000]), st.sampled_from([0, 300, 300, 20_000, TEXT_SIZE])
ROWS = st.lists(st.tuples(STEPS, SIZES, st.sampled_from(NAMES)), max_size=40)
# Names so long together that the table of members finds no room; or that they find none themselves.
FILLERS = st.sampled_from([0, 0, SPARE - 76, SPARE])


@settings(deadline=None, max_examples=40)
@given(ROWS, FILLERS)
def test_a_closed_day_answers_as_memory_does(rows: list[tuple[int, int, str]], filler: int) -> None:
    """Every look-up finds what it finds in memory, whether the first member tells of all others and names or not."""
    lines = lines_of(rows, filler)
    memory = MemorySegment(lines)
    moments = sorted({one.timestamp + off for one in lines for off in (-1, 0, 1)} | {-1, T0, T0 + 10**10})
    with closed(lines) as segment:
        for moment in moments:
            assert memory.locate(moment) == segment.locate(moment)
            for wanted in (*map(needle, NAMES), needle("eth9"), b'"ifindex":2,', b'"ifindex":22,'):
                assert memory.find(wanted, moment) == segment.find(wanted, moment)
                assert memory.rfind(wanted, moment) == segment.rfind(wanted, moment)
        for moment in moments[::5]:
            assert list(memory.lines(moment)) == list(segment.lines(moment))
        segment.check()


@settings(deadline=None, max_examples=30)
@given(ROWS, FILLERS)
def test_members_and_headers_agree(rows: list[tuple[int, int, str]], filler: int) -> None:
    """To gzip it is one text; members of at most 64 KiB or one line say where the next is, the first one of all."""
    lines = MemorySegment(lines_of(rows, filler))
    data = b"".join(compress(lines.lines(), 60_000))
    found = list(members(data))
    text = b"".join(one.text + b"\n" for one in lines.lines())
    assert text == b"".join(member for _, _, member, _ in found) == gzip.decompress(data)
    for _, start, member, _ in found:
        assert len(member) <= TEXT_SIZE or member.count(b"\n") == 1
        assert start == parse_timestamp(member[14:38].decode())
    assert [[b"NC"]] * len(found[1:]) == [list(fields) for _, _, _, fields in found[1:]]
    if found:
        first = found[0][3]
        assert struct.pack("<I", 60_000) == first[b"NS"]
        assert (filler < SPARE) == (b"NN" in first)
        assert (filler != SPARE - 76) == (b"NI" in first) or len(found) < 5
        told = [(fields[b"NC"][:4], struct.pack("<I", start - found[0][1])) for _, start, _, fields in found]
        table = b"".join(size + offset for size, offset in told)
        assert first.get(b"NI", table) == table


LONG = [line(at * 10, 40_000) for at in range(5)]
SOUND = b"".join(compress(LONG))
SECOND = list(members(SOUND))[1][0]


def changed(at: int, to: bytes) -> bytes:
    return SOUND[:at] + to + SOUND[at + len(to) :]


DAMAGED = {
    "cut off": (SOUND[:-1], "at byte 0"),
    "cut off, without table": (SOUND[SECOND:-1], "at byte"),
    "something appended": (SOUND + b"{}\n", "at byte 0"),
    "another program's gzip": (gzip.compress(b"{}\n"), "at byte 0"),
    "a hop out of the file": (changed(16, b"\xff\xff\xff\x7f"), "at byte 0"),
    "a damaged body": (changed(SECOND + 60, b"\0\0\0\0\0\0"), "member 2 cannot be inflated"),
    "a wrong checksum": (changed(len(SOUND) - 8, b"\0"), "member 5 cannot be inflated"),
    "a damaged magic": (changed(SECOND, b"\0"), "member 2 cannot be inflated"),
    "a wrong time in a header": (changed(SECOND + 20, b"\1\2"), "member 2 .*header says otherwise"),
    "a wrong hop in a header": (changed(SECOND + 16, b"\1\2"), "member 2"),
    "a wrong time, without table": (changed(SECOND + 20, b"\1\2")[SECOND:], "member 1 begins at 2026-11-21T12:00"),
}


@pytest.mark.parametrize(("data", "said"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_found_out(tmp_path: Path, data: bytes, said: str) -> None:
    """Members that do not follow each other, cannot be inflated or are not what their headers say raise ValueError."""
    path = tmp_path / "day.jsonl.gz"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=said), closing(GzipSegment(str(path))) as segment:
        segment.check()


def test_an_interface_that_the_day_has_not_is_found_absent_without_inflating(tmp_path: Path) -> None:
    """The first member names all interfaces, so a search for another does not touch the text, damaged as it is."""
    path = tmp_path / "day.jsonl.gz"
    path.write_bytes(SOUND[:200] + b"\0" * (len(SOUND) - 200))
    with closing(GzipSegment(str(path))) as segment:
        assert [None, None] == [segment.find(needle("eth9"), -1), segment.rfind(b'"ifindex":9,', 1 << 62)]
        with pytest.raises(zlib.error):
            segment.find(needle("eth0"), -1)
