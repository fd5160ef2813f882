"""The spool: lines are on disk until the peer has them, whatever happens to the processes that use it."""

from __future__ import annotations

import json
from pathlib import Path

from netstat_cli.transport.spool import SEGMENTS, Spool, drain

MOST = 1 << 20


def numbered(begin: int, end: int) -> list[bytes]:
    """Lines of nine bytes with their newline."""
    return [b'"%06d"' % number for number in range(begin, end)]


def take(spool: Spool, lines: int = 500) -> list[list[bytes]]:
    """Everything that is waiting, batch by batch, delivered."""
    batches: list[list[bytes]] = []

    def deliver(batch: list[bytes]) -> list[tuple[int, str]]:
        batches.append(batch)
        return []

    assert sum(drain(spool, deliver, lines, MOST)) == sum(map(len, batches))
    return batches


def segments(folder: Path) -> list[Path]:
    """The segments, oldest first."""
    return [path for path in sorted(folder.glob("*.jsonl")) if path.name != "rejected.jsonl"]


def rejected(folder: Path) -> list[dict[str, str]]:
    """What was set aside."""
    path = folder / "rejected.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_what_is_no_json_is_set_aside_and_the_rest_goes_on(tmp_path: Path) -> None:
    """A corrupt line is kept in rejected.jsonl with the reason, and counted; lines around it are delivered."""
    with Spool(str(tmp_path), MOST) as spool:
        spool.add([*numbered(0, 1), b"\xff\x00half", b'{"torn":', *numbered(1, 2)], False)
        assert [numbered(0, 2)] == take(spool)
        assert 2 == spool.corrupt
    assert [
        {"error": "is not UTF-8 (byte 0)", "line": "\\xff\x00half"},
        {"error": "is not JSON: Expecting value: line 1 column 9 (char 8)", "line": '{"torn":'},
    ] == rejected(tmp_path)


def test_any_number_of_corrupt_lines_is_skipped(tmp_path: Path) -> None:
    """Thousands of batches without one sound line do not stop what comes after them."""
    with Spool(str(tmp_path), MOST) as spool:
        spool.add([b"x"] * 1500 + numbered(0, 1), False)
        assert [numbered(0, 1)] == take(spool, 1)


def test_a_corrupt_line_is_set_aside_once(tmp_path: Path) -> None:
    """However often the batch that it is in is tried while the peer is down."""
    for _ in range(3):
        with Spool(str(tmp_path), MOST) as spool:
            if not segments(tmp_path):
                spool.add([b"x", *numbered(0, 1)], False)
            assert spool.next(500, MOST) is not None
    assert 1 == len(rejected(tmp_path))


def test_dropping_the_oldest_is_counted(tmp_path: Path) -> None:
    """With leave to drop, old segments go, and what is left and what is counted add up to what was given."""
    with Spool(str(tmp_path), 9 * SEGMENTS) as spool:
        for number in range(99):
            spool.add(numbered(number, number + 1), True)
            assert 9 * SEGMENTS >= spool.size()
        left = [line for batch in take(spool) for line in batch]
        assert numbered(spool.dropped, 99) == left
        assert spool.dropped < 99


def test_dropping_spares_what_another_process_writes_next(tmp_path: Path) -> None:
    """A segment that another process still adds to may lose its lines, but not those that are added afterwards."""
    with Spool(str(tmp_path), 160) as one, Spool(str(tmp_path), 160) as other:
        other.add(numbered(0, 1), True)
        one.add(numbered(1, 18), True)
        other.add(numbered(18, 19), True)
        left = [line for batch in take(one) for line in batch]
        assert numbered(18, 19) == left[-1:]
        assert 19 == len(left) + one.dropped + other.dropped
