"""The spool: lines are on disk until the peer has them, whatever happens to the processes that use it."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import signal
import threading
from pathlib import Path

import pytest

from netstat_cli.errors import DeliveryError
from netstat_cli.transport.spool import SEGMENTS, Spool, SpoolFull, SpoolUnwritable, drain
from tests.disks import FailingDisk

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


def spooled(folder: Path) -> bytes:
    """What is in the segments of a spool."""
    return b"".join(path.read_bytes() for path in segments(folder))


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


def test_dropping_counts_only_what_nobody_has(tmp_path: Path) -> None:
    """What another process delivered meanwhile is not counted as dropped."""
    with Spool(str(tmp_path), 9 * SEGMENTS) as one, Spool(str(tmp_path), 9 * SEGMENTS) as other:
        one.add(numbered(0, 10), True)
        assert other.take_delivery()
        first = other.next(4, MOST)
        assert first is not None
        other.acknowledge(first)
        one.add(numbered(10, 20), True)
        assert (6, [numbered(10, 20)]) == (one.dropped, take(other))


def test_dropping_while_another_process_delivers(tmp_path: Path) -> None:
    """However the two meet, both go on, and every line was delivered or is counted."""
    delivered: list[bytes] = []
    ended = threading.Event()

    def keep_delivering(spool: Spool) -> None:
        while not ended.is_set():
            delivered.extend(line for batch in take(spool, 1) for line in batch)

    with Spool(str(tmp_path), 18) as one, Spool(str(tmp_path), 18) as other:
        assert other.take_delivery()
        thread = threading.Thread(target=keep_delivering, args=(other,))
        thread.start()
        try:
            for number in range(400):
                one.add(numbered(number, number + 1), True)
                assert thread.is_alive()
        finally:
            ended.set()
            thread.join()
        delivered += [line for batch in take(other) for line in batch]
        assert sorted(set(delivered)) == delivered, "in order, none twice"
        assert 400 <= len(delivered) + one.dropped


def test_a_full_spool_takes_no_more_until_it_is_emptied(tmp_path: Path) -> None:
    """Without leave to drop, what does not fit is refused whole, and what is there stays; an empty spool takes a batch
    of any size, so that nothing waits for ever."""
    with Spool(str(tmp_path), 90) as spool:
        spool.add(numbered(0, 11), False)
        with pytest.raises(SpoolFull, match=rf"^the spool {tmp_path} is full$"):
            spool.add(numbered(11, 12), False)
        assert (0, [numbered(0, 11)]) == (spool.dropped, take(spool))
        spool.add(numbered(11, 12), False)
        assert [numbered(11, 12)] == take(spool)


def test_a_write_that_fails_at_any_byte_takes_nothing_with_it(tmp_path: Path) -> None:
    """Wherever in the lines the disk runs full, the adder is told, the spool is as it was, and it goes on."""
    disk = FailingDisk()
    more = numbered(2, 5)
    with Spool(str(tmp_path), MOST, disk) as spool:
        spool.add(numbered(0, 2), False)
        before = spooled(tmp_path)
        for room in range(9 * len(more)):
            disk.room = room
            with pytest.raises(DeliveryError) as caught:
                spool.add(more, False)
            assert f"cannot write to the spool {tmp_path}: No space left on device" == caught.value.message
            assert before == spooled(tmp_path)
        disk.room = None
        spool.add(more, False)
        assert numbered(0, 5) == [line for batch in take(spool) for line in batch]
    assert ([], []) == (segments(tmp_path), rejected(tmp_path))


def test_a_sync_that_fails_takes_its_lines_back(tmp_path: Path) -> None:
    """What could not be made durable is not in the spool, and what was stays there."""
    disk = FailingDisk()
    with Spool(str(tmp_path), MOST, disk) as spool:
        spool.add(numbered(0, 1), False)
        disk.fault = errno.EIO
        with pytest.raises(DeliveryError, match="Input/output error$"):
            spool.add(numbered(1, 2), False)
        assert b"\n".join([*numbered(0, 1), b""]) == spooled(tmp_path)
        disk.fault = None
        spool.add(numbered(2, 3), False)
        assert [*numbered(0, 1), *numbered(2, 3)] == [line for batch in take(spool) for line in batch]


def test_lines_taken_back_do_not_hide_those_that_follow(tmp_path: Path) -> None:
    """Another process may deliver lines of a write that then fails; what is added next is delivered all the same."""
    with Spool(str(tmp_path), MOST) as other:
        assert other.take_delivery()

        class SharedDisk(FailingDisk):
            def write(self, fd: int, data: bytes | memoryview) -> int:
                if self.room == 0:
                    assert [numbered(0, 2)] == take(other)
                return super().write(fd, data)

        disk = SharedDisk()
        with Spool(str(tmp_path), MOST, disk) as spool:
            disk.room = 9 * 2
            with pytest.raises(DeliveryError):
                spool.add(numbered(0, 3), False)
            disk.room = None
            spool.add(numbered(3, 4), False)
            assert (9, [numbered(3, 4)]) == (other.waiting(), take(other))


def test_a_new_segment_is_in_its_folder_for_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a line counts as safe, the folder is synced while the segment is in it (fsync(2)); rejected.jsonl too."""
    listed: list[set[str]] = []

    def fsync(fd: int) -> None:  # power cannot be cut here, so the calls that brave it are watched
        if os.path.samestat(os.fstat(fd), os.stat(tmp_path)):
            listed.append(set(os.listdir(tmp_path)))

    monkeypatch.setattr(os, "fsync", fsync)
    with Spool(str(tmp_path), MOST) as spool:
        spool.add(numbered(0, 1), False)
        assert {path.name for path in segments(tmp_path)} <= listed[-1]
        spool.set_aside(b"x", "is bad")
        assert "rejected.jsonl" in listed[-1]


def test_a_segment_cut_at_any_byte(tmp_path: Path) -> None:
    """After a crash, whole lines are there once and a torn one is set aside; what is acknowledged is not sent again."""
    with Spool(str(tmp_path / "whole"), MOST) as spool:
        spool.add(numbered(0, 4), False)
        first = spool.next(1, MOST)
        assert first is not None
        spool.acknowledge(first)
    (segment,) = segments(tmp_path / "whole")
    text = segment.read_bytes()
    for cut in range(first.end, len(text) + 1):
        folder = tmp_path / str(cut)
        folder.mkdir()
        (folder / segment.name).write_bytes(text[:cut])
        (folder / "acknowledged.json").write_bytes((tmp_path / "whole" / "acknowledged.json").read_bytes())
        with Spool(str(folder), MOST) as spool:
            spool.add(numbered(9, 10), False)
            assert [*numbered(1, cut // 9), *numbered(9, 10)] == [line for batch in take(spool) for line in batch]
        torn = text[cut - cut % 9 : cut].decode()
        assert [{"error": "torn by a crash while it was written", "line": torn}][: len(torn)] == rejected(folder)
        assert [] == segments(folder)


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"\0" * 60,
        b'{"acknowledged": {"SEG',
        b"\xff\xfe",
        b"[]",
        b"[" * 100_000,
        b'{"acknowledged": 7, "judged": {}}',
        b'{"acknowledged": {"SEGMENT": "x"}, "judged": {}}',
        b'{"acknowledged": {"SEGMENT": null}, "judged": {}}',
        b'{"acknowledged": {"SEGMENT": Infinity}, "judged": {}}',
        b'{"acknowledged": {"SEGMENT": -9}, "judged": {}}',
        b'{"acknowledged": {"SEGMENT": 13}, "judged": {"SEGMENT": 999}}',
        b'{"acknowledged": {"SEGMENT": 9999}, "judged": {"SEGMENT": 28}}',
        b'{"acknowledged": {"SEGMENT": 1%s}, "judged": {}}' % (b"0" * 30),
    ],
    ids=lambda content: repr(content)[:50],
)
def test_how_far_it_is_delivered_lost_or_damaged(tmp_path: Path, content: bytes | None) -> None:
    """Then everything is sent again, which does no harm, and nothing is skipped."""
    with Spool(str(tmp_path), MOST) as spool:
        spool.add([*numbered(0, 3), b"x"], False)
        first = spool.next(1, MOST)
        assert first is not None
        spool.acknowledge(first)
    path, (segment,) = tmp_path / "acknowledged.json", segments(tmp_path)
    path.unlink()
    if content is not None:
        path.write_bytes(content.replace(b"SEGMENT", segment.name.encode()))
    with Spool(str(tmp_path), MOST) as spool:
        assert 9 * 3 + 2 == spool.waiting()
        assert spool.take_delivery()
        assert [numbered(0, 3)] == take(spool)
    assert ["x"] == [one["line"] for one in rejected(tmp_path)]


def test_a_full_disk_can_be_drained(tmp_path: Path) -> None:
    """Where not even the acknowledged place can be written, lines are delivered all the same, which frees room."""
    (tmp_path / "acknowledged.json.tmp").symlink_to("/dev/full")
    with Spool(str(tmp_path), MOST) as spool:
        spool.add(numbered(0, 3), False)
        assert [[line] for line in numbered(0, 3)] == take(spool, 1)
    assert [] == segments(tmp_path)


@pytest.mark.parametrize("replaced", [False, True])
def test_a_segment_that_somebody_removed(tmp_path: Path, replaced: bool) -> None:
    """rm or rsync on a spool in use: what is added next is in a file that is there, and is delivered."""
    with Spool(str(tmp_path), MOST) as spool:
        spool.add(numbered(0, 1), False)
        (segment,) = segments(tmp_path)
        segment.unlink()
        if replaced:
            segment.write_bytes(b'"other"\n')
        spool.add(numbered(1, 2), False)
        assert numbered(1, 2) == [line for batch in take(spool) for line in batch if line != b'"other"']


def test_a_spool_that_somebody_removed(tmp_path: Path) -> None:
    """The folder is made again, and what is added next is in it."""
    folder = tmp_path / "spool"
    with Spool(str(folder), MOST) as spool:
        spool.add(numbered(0, 1), False)
        shutil.rmtree(folder)
        assert (0, 0, None) == (spool.size(), spool.waiting(), spool.next(500, MOST))
        spool.add(numbered(1, 2), False)
        assert [numbered(1, 2)] == take(spool)


@pytest.mark.parametrize(
    ("fault", "may_pass"), [(errno.ENOSPC, True), (errno.EIO, True), (errno.EROFS, True), (errno.EACCES, False)]
)
def test_whether_a_disk_may_take_more_later(tmp_path: Path, fault: int, may_pass: bool) -> None:
    """Room can be freed and a disk can come back; a folder that belongs to somebody else is to be mended."""
    disk = FailingDisk()
    with Spool(str(tmp_path), MOST, disk) as spool:
        disk.fault = fault
        with pytest.raises(SpoolUnwritable) as caught:
            spool.add(numbered(0, 1), False)
        assert (may_pass, []) == (caught.value.may_pass, segments(tmp_path))


def test_a_full_disk_is_not_littered(tmp_path: Path) -> None:
    """However often adding is tried in vain, no empty segment stays."""
    disk = FailingDisk()
    with Spool(str(tmp_path), MOST, disk) as spool:
        for _ in range(9):
            disk.room = 0
            with pytest.raises(SpoolUnwritable):
                spool.add(numbered(0, 1), False)
    assert [] == os.listdir(tmp_path)


def test_who_delivers_says_where_to(tmp_path: Path) -> None:
    """Another process learns it from the lock; the one that holds it keeps it, however often it asks."""
    with Spool(str(tmp_path), MOST) as one, Spool(str(tmp_path), MOST) as other:
        assert [True, True] == [one.take_delivery("http://web1/"), one.take_delivery("http://web1/")]
        assert (False, "http://web1/") == (other.take_delivery("http://web2/"), other.delivered_to)
    with Spool(str(tmp_path), MOST) as other:
        assert (True, None) == (other.take_delivery("http://web2/"), other.delivered_to)
    assert "http://web2/" == (tmp_path / "lock").read_text()


def test_an_empty_spool_can_go(tmp_path: Path) -> None:
    """Its folder goes once all is delivered, and not while a line or what was set aside is in it, nor before this
    process delivers from it."""
    folder = tmp_path / "spool"
    with Spool(str(folder), MOST) as spool:
        spool.add(numbered(0, 2), False)
        spool.remove_if_empty()
        assert spool.take_delivery()
        spool.remove_if_empty()
        assert [numbered(0, 2)] == take(spool)
        spool.remove_if_empty()
        assert not folder.exists()
    with Spool(str(folder), MOST) as spool:
        assert spool.take_delivery()
        spool.set_aside(b"x", "is bad")
        spool.remove_if_empty()
    assert ["x"] == [one["line"] for one in rejected(folder)]


def test_setting_aside_on_a_full_disk_leaves_no_half_line(tmp_path: Path) -> None:
    """What did not fit is taken back, so that what is set aside next stands on a line of its own."""
    with Spool(str(tmp_path), MOST) as spool:
        spool.set_aside(b"x", "is bad")
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50, limits[1]))
        try:
            with pytest.raises(OSError, match="File too large"):
                spool.set_aside(b"y" * 99, "is bad")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, ignored)
        spool.set_aside(b"z", "is bad")
    assert ["x", "z"] == [one["line"] for one in rejected(tmp_path)]
