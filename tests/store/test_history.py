"""One server's lines over all its days, from files as they may lie in a store."""

from __future__ import annotations

import os
import tempfile
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netstat_cli.errors import StoreError
from netstat_cli.line.wire import Line, needle
from netstat_cli.store.history import OPEN_SEGMENTS, History, history_of, open_history, to_stored
from netstat_cli.store.layout import LATE, PLAIN, day_path
from netstat_cli.store.segment import MemorySegment
from netstat_cli.times import DAY, day_of
from tests.given import T0, completed, interface, line_of, sample


def line(at: float, name: str = "eth0") -> Line:
    """The line of a sample `at` seconds after T0."""
    one = sample(at, interface(name, start=T0))
    return Line(one.timestamp, line_of(one)[:-1])


def put(data: str, rows: list[tuple[Line, str]], torn: bytes = b"") -> None:
    """Writes lines into the files of their days, each into the one of its ending."""
    os.makedirs(f"{data}/web1", exist_ok=True)
    for one, ending in rows:
        with open(day_path(data, "web1", day_of(one.timestamp), ending), "ab") as file:
            file.write(one.text + b"\n")
    for name in os.listdir(f"{data}/web1"):
        with open(f"{data}/web1/{name}", "ab") as file:
            file.write(torn)


ROWS = st.lists(
    st.tuples(
        st.sampled_from([0.001, 10, 10, 6 * 3600, 24 * 3600, 5 * 24 * 3600]),
        st.sampled_from(["eth0", "wlan0"]),
        st.sampled_from([PLAIN, PLAIN, PLAIN, LATE]),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(ROWS, st.sampled_from([b"", b'{"timestamp":"20']))
def test_files_answer_as_one_list_would(rows: list[tuple[float, str, str]], torn: bytes) -> None:
    """However the lines are spread over days, plain files and late ones, with days missing and tails torn, every
    look-up gives what one list of all lines gives."""
    moments = list(accumulate(step for step, _, _ in rows))
    samples = completed(sample(at, interface(name)) for at, (_, name, _) in zip(moments, rows, strict=True))
    stored = [(to_stored(one), ending) for one, (_, _, ending) in zip(samples, rows, strict=True)]
    memory = MemorySegment([one for one, _ in stored])
    asked = sorted({one.timestamp + off for one, _ in stored for off in (-1, 0, 1)} | {0, T0, T0 + 200 * DAY})
    asked += [day * DAY - off for day in {moment // DAY for moment in asked} for off in (0, 1)]
    with tempfile.TemporaryDirectory() as data:
        put(data, stored, torn)
        with open_history(data, "web1") as history:
            for moment in asked:
                assert memory.locate(moment) == history.locate(moment)
                assert memory.locate(moment)[0] == history.floor(moment)
                for name in ("eth0", "wlan0"):
                    assert memory.find(needle(name), moment) == history.find(needle(name), moment)
                    assert memory.rfind(needle(name), moment) == history.rfind(needle(name), moment)
            assert list(memory.lines()) == list(history.lines(-1, T0 + 200 * DAY))
            ends = list(memory.lines())[:1] or [None], list(memory.lines())[-1:] or [None]
            assert ends == ([history.first()], [history.last()])


def test_lines_are_after_since_and_not_after_until(tmp_path: Path) -> None:
    """A stretch of lines is (since, until], over the border of a day too."""
    lines = [line(at) for at in (0, 12 * 3600 - 1, 12 * 3600, 12 * 3600 + 1)]
    put(str(tmp_path), [(one, PLAIN) for one in lines])
    with open_history(str(tmp_path), "web1") as history:
        assert lines[1:3] == list(history.lines(lines[0].timestamp, lines[2].timestamp))
    assert sorted(os.listdir(tmp_path / "web1")) == ["2026-11-21.jsonl", "2026-11-22.jsonl"]


def test_a_server_that_the_store_does_not_know_has_no_lines(tmp_path: Path) -> None:
    """Ordinary absence is an empty result."""
    with open_history(str(tmp_path), "nobody") as history:
        assert (None, None) == history.locate(T0)
        assert [None, None, []] == [history.first(), history.last(), list(history.lines(0, T0))]
        assert [None, None] == [history.find(b"{", 0), history.rfind(b"{", T0)]


def test_days_that_hold_nothing_are_passed_over(tmp_path: Path) -> None:
    """An empty file, as a writer leaves it that was cut short, does not hide the days around it."""
    one, other = line(0), line(4 * 86400)
    put(str(tmp_path), [(one, PLAIN), (other, PLAIN)])
    for day in ("2026-11-20", "2026-11-22", "2026-11-24", "2026-11-26"):
        (tmp_path / f"web1/{day}.jsonl").touch()
    with open_history(str(tmp_path), "web1") as history:
        assert (one, other) == history.locate(T0 + 2 * DAY)
        assert [one, other] == [history.first(), history.last()]


def test_a_day_removed_since_the_folder_was_listed_is_empty(tmp_path: Path) -> None:
    """`rm` is a legitimate tool, also while somebody reads."""
    put(str(tmp_path), [(line(0), PLAIN), (line(86400), PLAIN)])
    with open_history(str(tmp_path), "web1") as history:
        (tmp_path / "web1/2026-11-21.jsonl").unlink()
        assert (None, line(86400)) == history.locate(T0)


@pytest.mark.parametrize("ending", [PLAIN, LATE])
@pytest.mark.parametrize("damage", [b"\n", b"hello\n"])
@pytest.mark.parametrize("lead", [0, 1])
def test_a_damaged_line_is_an_error_that_says_whose_history(
    tmp_path: Path, lead: int, ending: str, damage: bytes
) -> None:
    """What an editor or a broken disk did to a file is an error that a user can act on, wherever in the file it is."""
    path = day_path(str(tmp_path), "web1", "2026-11-21", ending)
    (tmp_path / "web1").mkdir()
    Path(path).write_bytes(lead * (line(-9).text + b"\n") + damage + line(0).text + b"\n")
    with (
        pytest.raises(StoreError, match="^the history of web1 is damaged: .*not a sample line"),
        open_history(str(tmp_path), "web1") as history,
    ):
        list(history.lines(0, T0))


def test_a_long_history_keeps_few_files_open(tmp_path: Path) -> None:
    """A day is opened when a look-up comes to it, and only so many stay open."""
    lines = [line(day * 86400) for day in range(3 * OPEN_SEGMENTS)]
    put(str(tmp_path), [(one, PLAIN) for one in lines])
    before = len(os.listdir("/proc/self/fd"))
    with open_history(str(tmp_path), "web1") as history:
        assert lines == [history.floor(one.timestamp) for one in lines]
        assert before + OPEN_SEGMENTS == len(os.listdir("/proc/self/fd"))
    assert before == len(os.listdir("/proc/self/fd"))


def test_samples_make_a_history_in_memory() -> None:
    """Samples from a pipe, over many days and in any order, are looked up as stored ones are."""
    samples = [sample(at, interface(start=T0)) for at in (0, 5 * 86400, 86400)]
    with history_of("web1", samples) as history:
        assert ("web1", T0, T0 + 5 * DAY) == (history.server_id, *_ends(history))
        assert T0 + DAY == (history.floor(T0 + 2 * DAY) or line(-1)).timestamp
    assert (0, 0) == _ends(history_of("web1", []))


def _ends(history: History) -> tuple[int, int]:
    first, last = history.first(), history.last()
    return (first.timestamp, last.timestamp) if first and last else (0, 0)
