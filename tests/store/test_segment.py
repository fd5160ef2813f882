"""Look-ups by time in one day's lines: a file gives what a list in memory gives."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netstat_cli.store.segment import LOOK, SWEEP, Line, MemorySegment, PlainSegment, to_line
from netstat_cli.times import format_timestamp
from tests.given import T0


def line(at: int, size: int = 0, tag: str = "a") -> Line:
    """A line `at` milliseconds after T0, with so many bytes of no meaning."""
    text = f'{{"timestamp":"{format_timestamp(T0 + at)}","tag":"<{tag}>","pad":"{"x" * size}"}}'
    return Line(T0 + at, text.encode())


@contextmanager
def stored(lines: list[Line], torn: bytes = b"") -> Iterator[PlainSegment]:
    """A file of these lines, open."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"".join(one.text + b"\n" for one in lines) + torn)
        file.flush()
        segment = PlainSegment(file.name)
        yield segment
        segment.close()


STEPS = st.sampled_from([1, 1000, 10_000, 10_000, 10_000, 3_600_000])
SIZES = st.sampled_from([0, 300, 300, 300, LOOK, 3 * LOOK])
ROWS = st.lists(st.tuples(STEPS, SIZES, st.sampled_from("abc")), max_size=80)


def lines_of(rows: list[tuple[int, int, str]]) -> list[Line]:
    """Lines with these steps of time between them."""
    moments = accumulate(step for step, _, _ in rows)
    return [line(at, size, tag) for at, (_, size, tag) in zip(moments, rows, strict=True)]


@settings(deadline=None)
@given(ROWS, st.sampled_from([b"", b"{", line(10**9, 20).text, b"x" * 2 * LOOK]))
def test_a_file_answers_as_memory_does(rows: list[tuple[int, int, str]], torn: bytes) -> None:
    """Whatever the lines' lengths and distances, every look-up in the file finds what it finds in memory; bytes after
    the last newline are not there yet."""
    lines = lines_of(rows)
    memory = MemorySegment(lines[::-1])
    moments = sorted({one.timestamp + off for one in lines for off in (-1, 0, 1)} | {-1, T0, T0 + 10**10})
    with stored(lines, torn) as plain:
        for moment in moments:
            assert memory.locate(moment) == plain.locate(moment)
            for needle in (b"<a>", b"<c>", b'{"timestamp"', b"<none>"):
                assert memory.find(needle, moment) == plain.find(needle, moment)
                assert memory.rfind(needle, moment) == plain.rfind(needle, moment)
        for moment in moments[::7]:
            assert list(memory.lines(moment)) == list(plain.lines(moment))
        assert lines == list(plain.lines())


ONE, TWO, THREE = line(0), line(10, 5000), line(20)


@pytest.mark.parametrize(
    ("moment", "found"),
    [
        (T0 - 1, (None, ONE)),
        (T0, (ONE, TWO)),
        (T0 + 9, (ONE, TWO)),
        (T0 + 10, (TWO, THREE)),
        (T0 + 20, (THREE, None)),
        (T0 + 99, (THREE, None)),
    ],
)
def test_locate(moment: int, found: tuple[Line | None, Line | None]) -> None:
    """A look-up gives the last line at or before the moment and the first one after it."""
    with stored([ONE, TWO, THREE]) as plain:
        assert [found, found] == [plain.locate(moment), MemorySegment([THREE, ONE, TWO]).locate(moment)]


def test_of_two_lines_of_one_time_the_first_is_kept() -> None:
    """In memory a time stands once."""
    assert [ONE] == list(MemorySegment([ONE, line(0, 7)]).lines())


@pytest.mark.parametrize("content", [b"", b"{", b"x" * 3 * LOOK])
def test_a_file_without_a_whole_line_is_empty(content: bytes) -> None:
    """A file that was only just created, or torn in its first line, holds nothing."""
    with stored([], content) as plain:
        assert (None, None) == plain.locate(T0)
        assert [[], None, None] == [list(plain.lines()), plain.find(b"x", -1), plain.rfind(b"x", 1 << 62)]


@pytest.mark.parametrize("offset", [-9, -8, -7, -1, 0, 1, 200])
def test_what_lies_across_two_sweeps_is_found(offset: int) -> None:
    """A needle that is cut by the border between two readings of a search is found, forward and back."""
    hidden = line(10, tag="needle")
    lead = len(line(0).text) + 1 + hidden.text.index(b"<needle>")
    forward = [line(0, SWEEP + offset - lead), hidden, line(20)]
    trail = len(hidden.text) - hidden.text.index(b"<needle>") + 1 + len(line(20).text) + 1
    back = [line(0), hidden, line(20, SWEEP - offset - trail)]
    for lines in (forward, back):
        with stored(lines) as plain:
            assert hidden == plain.find(b"<needle>", -1) == plain.rfind(b"<needle>", 1 << 62)


def test_a_line_appended_later_is_not_seen_before_the_file_is_opened_again(tmp_path: Path) -> None:
    """A reader sees the file as it was when it was opened, and so gives the same answer all the time."""
    path = tmp_path / "day.jsonl"
    path.write_bytes(ONE.text + b"\n")
    plain = PlainSegment(str(path))
    with path.open("ab") as file:
        file.write(TWO.text + b"\n")
    assert ([ONE], (ONE, None)) == (list(plain.lines()), plain.locate(T0 + 50))
    plain.close()
    again = PlainSegment(str(path))
    assert [ONE, TWO] == list(again.lines())
    again.close()


def test_a_file_cut_back_under_its_reader_ends_there(tmp_path: Path) -> None:
    """A search in a file that a failed append cut back finds nothing where nothing is, and does not hang."""
    path = tmp_path / "day.jsonl"
    path.write_bytes(b"".join(one.text + b"\n" for one in (ONE, TWO, THREE)))
    plain = PlainSegment(str(path))
    os.truncate(path, len(ONE.text) + 1)
    assert ([ONE], None) == (list(plain.lines()), plain.find(b"<b>", -1))
    plain.close()


@pytest.mark.parametrize("text", [b"", b"hello", b'{"server_id":"web1"}', b'{"timestamp":"tomorrow"}'])
def test_what_is_no_sample_line_is_refused(text: bytes) -> None:
    """A line that does not begin with a timestamp has no place in time."""
    with pytest.raises(ValueError, match="not a sample line|should be an RFC 3339 time"):
        to_line(text)
