"""Lines on their way: gathered while the last batch is sent, every one accounted for."""

from __future__ import annotations

import json
import os
import queue
from collections.abc import Iterator
from pathlib import Path

import pytest

from netstat_cli.transport.client import Client, PeerRefused, PeerUnavailable, Receipt, Rejected
from netstat_cli.transport.sending import (
    BATCH_BYTES,
    BATCH_LINES,
    WAITING_LINES,
    Gathering,
    Numbered,
    Tally,
    each_sent,
    gather,
)
from tests.transport.test_client import LINES, Peer, Reply


def numbered(count: int, text: bytes = b"x") -> list[Numbered]:
    """So many lines of a file."""
    return [Numbered("day.jsonl", number, text) for number in range(1, count + 1)]


def gathered(lines: list[Numbered]) -> Gathering:
    """Lines that are all there already."""
    gathering = Gathering()
    for line in lines:
        gathering.put(line)
    gathering.end()
    return gathering


def no_wait(seconds: float, error: PeerUnavailable) -> bool:
    """Goes on at once."""
    return True


@pytest.mark.parametrize(
    ("lines", "sizes"),
    [
        ([], []),
        (numbered(1), [1]),
        (numbered(BATCH_LINES), [BATCH_LINES]),
        (numbered(2 * BATCH_LINES + 1), [BATCH_LINES, BATCH_LINES, 1]),
        (numbered(5, b"x" * (BATCH_BYTES // 2)), [2, 2, 1]),
        (numbered(2, b"x" * (2 * BATCH_BYTES)), [1, 1]),
    ],
    ids=["none", "one", "full", "more", "large", "huge"],
)
def test_what_has_gathered_is_a_batch(lines: list[Numbered], sizes: list[int]) -> None:
    """All that is waiting goes into a batch, up to its limits of lines and bytes; none is lost or moved."""
    batches = list(gathered(lines).batches())
    assert sizes == [len(batch) for batch in batches]
    assert lines == [line for batch in batches for line in batch]


def test_a_line_that_comes_alone_is_not_kept_waiting() -> None:
    """A batch is given as soon as there is one line, while the next is not even made."""
    asked: queue.Queue[None] = queue.Queue()

    def slowly() -> Iterator[Numbered]:
        for line in numbered(3):
            yield line
            asked.get(timeout=10)

    seen = []
    for batch in gather(slowly()).batches():
        seen.append([line.number for line in batch])
        asked.put(None)
    assert [[1], [2], [3]] == seen


def test_a_full_gathering_makes_the_maker_wait() -> None:
    """No more than so many lines are held in memory, however fast they come; in the end all are there."""
    made = []

    def fast() -> Iterator[Numbered]:
        for line in numbered(2 * WAITING_LINES):
            made.append(line.number)
            yield line

    batches = gather(fast()).batches()
    first = next(batches)
    assert len(made) <= WAITING_LINES + len(first) + 1
    assert 2 * WAITING_LINES == len(first) + sum(len(batch) for batch in batches)


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    """Lines before a reading error are given, then the error is raised: half a file is never taken for all of it."""

    def broken() -> Iterator[Numbered]:
        yield from numbered(2)
        yield Numbered("folder", 1, os.read(folder, 1))

    folder = os.open(tmp_path, os.O_RDONLY)
    seen: list[Numbered] = []
    with pytest.raises(IsADirectoryError):
        seen.extend(line for batch in gather(broken()).batches() for line in batch)
    os.close(folder)
    assert numbered(2) == seen


def test_a_tally_adds_up() -> None:
    """Every batch's receipt is added."""
    tally = Tally().plus(Receipt(3, 1, [Rejected(1, "bad")])).plus(Receipt(2, 0, []))
    assert Tally(5, 1, 1) == tally


def test_everything_sent_is_accounted_for() -> None:
    """Batches are sent in order; a rejected line is told as the line of the file that it came from."""

    def judge(lines: list[bytes]) -> Reply:
        bad = [{"line": i, "error": "is bad"} for i, line in enumerate(lines, 1) if line == b"bad"]
        return Reply(200, json.dumps({"accepted": len(lines) - len(bad), "duplicates": 0, "rejected": bad}).encode())

    told: list[tuple[Numbered, str]] = []
    lines = numbered(BATCH_LINES + 2)
    lines[3] = Numbered("day.jsonl", 4, b"bad")
    lines[-1] = Numbered("-", 7, b"bad")
    with Peer(Reply(500), judge=judge) as peer:
        sent = each_sent(Client(peer.url), gathered(lines), 2, no_wait, lambda line, error: told.append((line, error)))
        assert [Tally(BATCH_LINES - 1, 0, 1), Tally(BATCH_LINES, 0, 2)] == list(sent)
    assert [(lines[3], "is bad"), (lines[-1], "is bad")] == told
    assert [BATCH_LINES, BATCH_LINES, 2] == [len(one.lines) for one in peer.received]


@pytest.mark.parametrize(("status", "error"), [(500, PeerUnavailable), (401, PeerRefused)])
def test_a_peer_that_takes_nothing_stops_the_sending(status: int, error: type[Exception]) -> None:
    """What cannot be delivered is raised, and nothing after it is sent: no line is skipped."""
    lines = [Numbered("-", 1, LINES[0])] * (BATCH_LINES + 1)
    with Peer(judge=lambda _: Reply(status)) as peer, pytest.raises(error):
        list(each_sent(Client(peer.url), gathered(lines), 2, no_wait, lambda *_: None))
    assert {BATCH_LINES} == {len(one.lines) for one in peer.received}
