"""The journal: lines of many files made durable by one sync."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from netstat_cli.store.appending import Disk
from netstat_cli.store.journal import LIMIT, Journal
from netstat_cli.wire import encode
from tests.given import sample

ONE, TWO, THREE = [encode(sample(at)) for at in (0, 10, 30)]


class Faulty(Disk):
    """A disk that takes so many bytes more, and whose sync may fail. It knows how long files were when synced."""

    def __init__(self) -> None:
        self.room: int | None = None
        self.fails = False
        self.lengths: list[int] = []

    def write(self, fd: int, data: bytes | memoryview) -> int:
        if self.room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = super().write(fd, data if self.room is None else data[: self.room])
        self.room = None if self.room is None else self.room - written
        return written

    def sync(self, fd: int) -> None:
        if self.fails:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        super().sync(fd)
        self.lengths.append(os.fstat(fd).st_size)


def journal_of(folder: Path, disk: Disk | None = None) -> Journal:
    """A journal of which nothing may be warned."""
    return Journal(str(folder), disk or Disk(), pytest.fail)


def test_lines_are_synced_and_kept_until_the_end(tmp_path: Path) -> None:
    """One sync for all the lines of a group; a writer that ends in peace leaves nothing."""
    disk = Faulty()
    journal = journal_of(tmp_path, disk)
    for number in range(3):
        journal.append(b"%d\na\n" % number, [])
    assert [4, 8, 12] == disk.lengths
    assert [b"0", b"a", b"1", b"a", b"2", b"a"] == journal.left_behind()
    journal.close()
    assert [] == os.listdir(tmp_path)


@pytest.mark.parametrize("torn", [b"", b'{"timest', TWO[:-1]], ids=["whole", "begun", "all but its end"])
def test_what_was_left_behind_is_gone_on_from(tmp_path: Path, torn: bytes) -> None:
    """Whole lines stay, in the order of both files; a torn one does not."""
    (tmp_path / ".journal.old").write_bytes(ONE + torn)
    (tmp_path / ".journal").write_bytes(TWO + torn)
    journal = journal_of(tmp_path)
    assert [ONE[:-1], TWO[:-1]] == journal.left_behind()
    journal.append(THREE, [])
    assert [ONE[:-1], TWO[:-1], THREE[:-1]] == journal.left_behind()


@pytest.mark.parametrize("room", [0, 1, 5, None])
def test_what_fails_leaves_no_trace(tmp_path: Path, room: int | None) -> None:
    """Wherever a write fails, or the sync after it, the journal has the lines that it had, and takes more."""
    disk = Faulty()
    journal = journal_of(tmp_path, disk)
    journal.append(ONE, [])
    disk.room, disk.fails = room, room is None
    with pytest.raises(OSError, match="No space left|Input/output"):
        journal.append(TWO, [])
    assert ONE == (tmp_path / ".journal").read_bytes()
    disk.room, disk.fails = None, False
    journal.append(THREE, [])
    assert [ONE[:-1], THREE[:-1]] == journal.left_behind()


def test_a_journal_that_has_grown_is_settled(tmp_path: Path) -> None:
    """From 32 MiB on the files are synced, a new journal is begun, and the old one goes."""
    day = tmp_path / "day"
    day.write_bytes(b"")
    journal = journal_of(tmp_path)
    journal.append(b"x" * LIMIT + b"\n", [str(day)])
    journal.append(ONE, [str(day)])
    journal.close()
    assert ["day"] == os.listdir(tmp_path)
