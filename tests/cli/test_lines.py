"""The lines of a file, whatever is around them: what can be read is, what cannot is told."""

from __future__ import annotations

import gzip
import os
import random
import threading
import zlib
from pathlib import Path

import pytest

from netstat_cli.cli.lines import CHUNK, MAX_LINE, Lines

TEXT = b"".join(b'{"number":%d}\n' % number for number in range(20_000))
EXPECTED = list(enumerate(TEXT.splitlines(), 1))


def read(path: Path, text: bytes) -> tuple[list[tuple[int, bytes]], list[str], bool]:
    """The lines of a file of this text, what was told, and whether that was all of it."""
    path.write_bytes(text)
    told: list[str] = []
    with path.open("rb") as file:
        lines = Lines(file.fileno(), "day", told.append)
        return list(lines), told, lines.is_whole


@pytest.mark.parametrize("packed", [False, True])
def test_long_texts_are_read_whole(tmp_path: Path, packed: bool) -> None:
    """However the text falls into chunks."""
    assert len(TEXT) > 4 * CHUNK
    text = gzip.compress(TEXT) if packed else TEXT
    assert (EXPECTED, [], True) == read(tmp_path / "day", text)


def test_text_that_packs_well_is_unpacked_in_steps(tmp_path: Path) -> None:
    """A small file that holds a large text: all of it is there."""
    line = b"x" * 999
    lines, told, is_whole = read(tmp_path / "day", gzip.compress((line + b"\n") * 10_000))
    assert ({line}, 10_000, [], True) == ({text for _, text in lines}, len(lines), told, is_whole)


@pytest.mark.parametrize("size", [1, 7, 100, CHUNK - 1, CHUNK, CHUNK + 1])
def test_members_may_begin_anywhere(tmp_path: Path, size: int) -> None:
    """Many members, with NULs between them as tapes leave them, are one text."""
    parts = [TEXT[begin : begin + 9000] for begin in range(0, len(TEXT), 9000)]
    packed = b"".join(gzip.compress(part) + bytes(size) for part in parts)
    assert (EXPECTED, [], True) == read(tmp_path / "day", packed)


def test_nulls_take_no_memory_and_are_told_once(tmp_path: Path) -> None:
    """A crash leaves them in front, between and behind; every line between them is there."""
    text = bytes(3 * CHUNK) + b"a\n" + bytes(3 * CHUNK) + b"b" + bytes(9) + b"\n\n" + bytes(2)
    told = [f"day: {6 * CHUNK + 11} NUL bytes are left out"]
    assert ([(1, b"a"), (2, b"b")], told, True) == read(tmp_path / "day", text)


def test_a_line_without_end_takes_no_memory(tmp_path: Path) -> None:
    """What no collector would take is left out and told; the lines around it are there."""
    text = b"a\n" + b"x" * (MAX_LINE + CHUNK) + b"\nb\n" + b"y" * (MAX_LINE + CHUNK)
    told = [f"day: line {number} is longer than {MAX_LINE} bytes and left out" for number in (2, 4)]
    assert ([(1, b"a"), (3, b"b")], told, False) == read(tmp_path / "day", text)


def test_damage_costs_what_follows_it(tmp_path: Path) -> None:
    """Up to the byte that is wrong, every line is there."""
    rng = random.Random(7)
    text = b"".join(b"%032x\n" % rng.getrandbits(128) for _ in range(5000))
    packed = bytearray(gzip.compress(text))
    decoder = zlib.decompressobj(31)
    middle = len(packed) // 2
    before = decoder.decompress(packed[:middle]).count(b"\n")
    packed[middle : middle + 64] = bytes(64)
    lines, told, is_whole = read(tmp_path / "day", bytes(packed))
    assert text.splitlines()[: before - 1] == [line for _, line in lines][: before - 1]
    assert (1, True, False) == (len(told), told[0].startswith("day: the gzip data is damaged ("), is_whole)


def test_every_way_to_cut_a_packed_file(tmp_path: Path) -> None:
    """Wherever it breaks off, the lines that are whole before that are there, and it is told."""
    packed = gzip.compress(b"first\nsecond\n")
    for cut in range(1, len(packed)):
        lines, told, is_whole = read(tmp_path / "day", packed[:cut])
        assert (["day: the gzip data breaks off"], False) == (told, is_whole)
        assert lines in ([], [(1, b"first"), (2, b"second")]) or b"first\nsecond".startswith(
            b"\n".join(line for _, line in lines)
        )


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """The reason is told, with the file's name."""
    told: list[str] = []
    folder = os.open(tmp_path, os.O_RDONLY)
    lines = Lines(folder, "day", told.append)
    assert ([], ["cannot read day: Is a directory"], False) == (list(lines), told, lines.is_whole)
    os.close(folder)


@pytest.mark.parametrize("packed", [False, True])
def test_a_line_that_comes_alone_is_there_at_once(packed: bool) -> None:
    """Over a pipe, packed or not, while the next one is not even made."""
    reading, writing = os.pipe()
    asked = threading.Semaphore(1)
    packer = zlib.compressobj(wbits=31)

    def write() -> None:
        for number in range(3):
            assert asked.acquire(timeout=20)
            line = b"%d\n" % number
            os.write(writing, packer.compress(line) + packer.flush(zlib.Z_SYNC_FLUSH) if packed else line)
        os.write(writing, packer.flush() if packed else b"")
        os.close(writing)

    threading.Thread(target=write, daemon=True).start()
    seen = []
    for line in Lines(reading, "-", lambda _: None):
        seen.append(line)
        asked.release()
    os.close(reading)
    assert [(1, b"0"), (2, b"1"), (3, b"2")] == seen
