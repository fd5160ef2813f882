"""The spool: lines are on disk until the peer has them, whatever happens to the processes that use it."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from netstat_cli.errors import DeliveryError
from netstat_cli.store.appending import Disk
from netstat_cli.transport.spool import SEGMENTS, Spool, SpoolFull, drain

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


def test_lines_go_out_oldest_first_and_then_the_spool_is_empty(tmp_path: Path) -> None:
    """Lines leave in the order in which they came, over batches and over processes; what is delivered takes no room."""
    with Spool(str(tmp_path), MOST) as first:
        first.add(numbered(0, 3), False)
    with Spool(str(tmp_path), MOST) as second:
        second.add(numbered(3, 5), False)
        assert second.take_delivery()
        assert (45, 45) == (second.size(), second.waiting())
        assert [numbered(0, 2), numbered(2, 3), numbered(3, 5)] == take(second, 2)
        assert (0, 0, []) == (second.size(), second.waiting(), segments(tmp_path))


def test_what_is_not_acknowledged_comes_again(tmp_path: Path) -> None:
    """A delivery that fails leaves its batch first in the spool, for this process and the next; what was acknowledged
    before does not come again."""
    with Spool(str(tmp_path), MOST) as spool:
        spool.add(numbered(0, 4), False)
        batch = spool.next(2, MOST)
        assert batch is not None
        spool.acknowledge(batch)

        def fail(batch: list[bytes]) -> list[tuple[int, str]]:
            raise DeliveryError("down")

        with pytest.raises(DeliveryError):
            list(drain(spool, fail, 2, MOST))
        assert 18 == spool.waiting()
    with Spool(str(tmp_path), MOST) as spool:
        assert [numbered(2, 4)] == take(spool)


def test_a_lost_or_torn_position_sends_again_and_loses_nothing(tmp_path: Path) -> None:
    """acknowledged.json may be gone, empty or garbage after a power failure: then lines come twice."""
    for content in (None, b"", b'{"x', b"[]", b'{"segment":null}'):
        with Spool(str(tmp_path), MOST) as spool:
            spool.add(numbered(0, 4), False)
            batch = spool.next(2, MOST)
            assert batch is not None
            spool.acknowledge(batch)
        path = tmp_path / "acknowledged.json"
        path.unlink() if content is None else path.write_bytes(content)
        with Spool(str(tmp_path), MOST) as spool:
            assert [numbered(0, 4)] == take(spool)


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


def test_what_the_peer_refuses_is_set_aside_with_its_reason(tmp_path: Path) -> None:
    """A refused line is no longer in the way, and not lost either."""
    with Spool(str(tmp_path), MOST) as spool:
        spool.add(numbered(0, 3), False)
        assert [3] == list(drain(spool, lambda _: [(2, "server_id: is missing")], 500, MOST))
        assert 0 == spool.waiting()
    assert [{"error": "server_id: is missing", "line": '"000001"'}] == rejected(tmp_path)


@pytest.mark.parametrize("cut", range(1, 10))
def test_a_segment_cut_at_any_byte(tmp_path: Path, cut: int) -> None:
    """A line torn by kill -9 was never promised: it is set aside, whole lines before it are delivered."""
    with Spool(str(tmp_path), MOST) as spool:
        spool.add(numbered(0, 2), False)
    (path,) = segments(tmp_path)
    os.truncate(path, 18 - cut)
    with Spool(str(tmp_path), MOST) as spool:
        assert [numbered(0, 1)] == take(spool)
    torn = [{"error": "torn by a crash while it was written", "line": '"000001"'[: 9 - cut]}] if cut < 9 else []
    assert (torn, []) == (rejected(tmp_path), segments(tmp_path))


def test_a_full_spool_says_so(tmp_path: Path) -> None:
    """Without leave to drop, nothing is taken beyond the limit; when the peer took some there is room again."""
    with Spool(str(tmp_path), 27) as spool:
        spool.add(numbered(0, 3), False)
        with pytest.raises(SpoolFull):
            spool.add(numbered(3, 4), False)
        assert [numbered(0, 3)] == take(spool)
        spool.add(numbered(3, 4), False)
        assert (0, [numbered(3, 4)]) == (spool.dropped, take(spool))


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
    with Spool(str(tmp_path), 100) as one, Spool(str(tmp_path), 100) as other:
        other.add(numbered(0, 2), True)
        one.add(numbered(2, 12), True)
        other.add(numbered(12, 13), True)
        left = [line for batch in take(one) for line in batch]
        assert numbered(12, 13) == left[-1:]
        assert 13 == len(left) + one.dropped + other.dropped


def test_one_process_delivers(tmp_path: Path) -> None:
    """Of two that share a spool the second may add but not deliver, until the first is gone, however it went."""
    hold = "import sys; from netstat_cli.transport.spool import Spool; s = Spool(sys.argv[1], 100); s.take_delivery()"
    command = [sys.executable, "-c", f"{hold}; print(flush=True); input()", str(tmp_path)]
    with Spool(str(tmp_path), MOST) as spool:
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
            assert holder.stdout is not None
            holder.stdout.readline()
            assert not spool.take_delivery()
            spool.add(numbered(0, 1), False)
            holder.kill()
        assert spool.take_delivery()
        assert [numbered(0, 1)] == take(spool)


class BadDisk(Disk):
    """A disk that has room for some bytes, and whose sync may fail."""

    room = 1 << 30
    broken = False

    def write(self, fd: int, data: bytes | memoryview) -> int:
        if self.room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = super().write(fd, data[: self.room])
        self.room -= written
        return written

    def sync(self, fd: int) -> None:
        if self.broken:
            raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_write_that_fails_at_any_byte_is_told_and_leaves_whole_lines(tmp_path: Path) -> None:
    """Whoever adds hears that the lines are not kept; those before are, and the spool goes on when there is room."""
    disk = BadDisk()
    with Spool(str(tmp_path), MOST, disk) as spool:
        spool.add(numbered(0, 1), False)
        for room in range(18):
            disk.room = room
            with pytest.raises(DeliveryError, match="No space left on device"):
                spool.add(numbered(1, 3), False)
        disk.room, disk.broken = MOST, True
        with pytest.raises(DeliveryError, match="Input/output error"):
            spool.add(numbered(3, 4), False)
        disk.broken = False
        spool.add(numbered(4, 5), False)
        left = [line for batch in take(spool) for line in batch]
    assert [*numbered(0, 1), *numbered(4, 5)] == [line for line in left if line not in numbered(3, 4)]
    assert [] == rejected(tmp_path)
