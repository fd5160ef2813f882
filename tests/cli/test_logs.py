"""Messages on stderr: said when something begins, now and then while it lasts, and never at the price of stopping."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import suppress

import pytest

from netstat_cli.cli.logs import MAX_REPEATS, REPEAT_S, Repeats, StderrHandler

PIPE_SIZE = 1 << 16


class Time:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe's ends, to read from and to write to, closed in the end if they are not by then."""
    ends = os.pipe()
    yield ends
    for fd in ends:
        with suppress(OSError):
            os.close(fd)


def logged(handler: StderrHandler, *messages: str) -> None:
    """Has a handler take messages."""
    for message in messages:
        handler.handle(logging.LogRecord("x", logging.WARNING, __file__, 1, "%s", (message,), None))


def test_a_message_is_a_line_with_the_programs_name(pipe: tuple[int, int]) -> None:
    """Whatever it holds: what is not visible is spelled out, so that nobody forges a line."""
    logged(StderrHandler(pipe[1]), "disk full", "a\nnetcli: forged\x1b[2J")
    assert b"netcli: disk full\nnetcli: a\\nnetcli: forged\\x1b[2J\n" == os.read(pipe[0], 1000)


def test_what_repeats_is_said_when_it_begins_now_and_then_and_when_it_ends() -> None:
    """The first time, then once in REPEAT_S with how often it came, and that it ended when it comes no more."""
    repeats = Repeats()
    said = [repeats.lines("full", float(second)) for second in range(int(REPEAT_S) + 2)]
    assert [["full"], [["full (and 29 times more before)"], []]] == [said[0], said[-2:]]
    assert [] == [line for lines in said[1:-2] for line in lines]
    assert [] == repeats.ended(2 * REPEAT_S)
    assert ["full (ended after 1 times more)"] == repeats.ended(2 * REPEAT_S + 1)
    assert [] == repeats.ended(9 * REPEAT_S)


def test_messages_do_not_wait_for_each_other() -> None:
    """Another message is said at once, also that something else has ended; one that comes back after a while is new."""
    repeats = Repeats()
    assert [["a"], ["b"], []] == [repeats.lines("a", 0.0), repeats.lines("b", 1.0), repeats.lines("a", 2.0)]
    assert ["a (ended after 1 times more)", "c"] == repeats.lines("c", 50.0)
    assert ["a"] == repeats.lines("a", 51.0)


def test_messages_without_number_are_not_remembered_without_bound() -> None:
    """Past MAX_REPEATS the oldest is new again."""
    repeats = Repeats()
    for number in range(MAX_REPEATS + 1):
        repeats.lines(str(number), 0.0)
    assert [["0"], []] == [repeats.lines("0", 0.0), repeats.lines(str(MAX_REPEATS), 0.0)]


def test_a_reader_that_has_gone_stops_nothing(pipe: tuple[int, int]) -> None:
    """A message that cannot be written is lost, without an error."""
    handler = StderrHandler(pipe[1])
    os.close(pipe[0])
    logged(handler, "a", "b")
    handler.flush()


def test_no_stderr_stops_nothing() -> None:
    """Nor one that was closed before the start."""
    logged(StderrHandler(None), "a", "b")


def test_a_message_that_cannot_be_made_stops_nothing(pipe: tuple[int, int]) -> None:
    """A wrong format is lost like a message that cannot be written; the next one says that one was."""
    handler = StderrHandler(pipe[1])
    handler.handle(logging.LogRecord("x", logging.WARNING, __file__, 1, "%d", ("a",), None))
    logged(handler, "b")
    assert b"netcli: messages that could not be written: 1\nnetcli: b\n" == os.read(pipe[0], 1000)


def test_a_reader_that_does_not_read_is_not_waited_for(pipe: tuple[int, int]) -> None:
    """What does not fit into the pipe is lost; when there is room again, the next message says how much."""
    handler = StderrHandler(pipe[1])
    logged(handler, *[f"{number} {'x' * 1000}" for number in range(100)])
    taken = os.read(pipe[0], 2 * PIPE_SIZE)
    lost = 100 - taken.count(b"\n")
    assert 0 < lost < 100
    logged(handler, "again")
    assert f"netcli: messages that could not be written: {lost}\nnetcli: again\n".encode() == os.read(pipe[0], 1000)


def test_a_long_message_is_cut() -> None:
    """To what a pipe takes without waiting, with a line's end."""
    reader, writer = os.pipe()
    logged(StderrHandler(writer), "x" * 10_000)
    raw = os.read(reader, PIPE_SIZE)
    assert (4096, b"x\n") == (len(raw), raw[-2:])
    os.close(reader)
    os.close(writer)


def test_flush_says_what_has_ended(pipe: tuple[int, int]) -> None:
    """Also where nothing else is logged."""
    clock = Time()
    handler = StderrHandler(pipe[1], clock)
    logged(handler, "a", "a", "a")
    clock.now_s = REPEAT_S
    handler.flush()
    assert b"netcli: a\nnetcli: a (ended after 2 times more)\n" == os.read(pipe[0], 1000)
