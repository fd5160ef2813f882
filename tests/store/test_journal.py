"""The journal: lines of many files made durable by one sync."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from netstat_cli.store.appending import Disk
from netstat_cli.store.journal import LIMIT, Journal
from tests.disks import FailingDisk
from tests.given import line_of, sample

ONE, TWO, THREE = [line_of(sample(at)) for at in (0, 10, 30)]


def journal_of(folder: Path, disk: Disk | None = None) -> Journal:
    """A journal of which nothing may be warned."""
    return Journal(str(folder), disk or Disk(), pytest.fail)


def test_lines_are_synced_and_kept_until_the_end(tmp_path: Path) -> None:
    """One sync for all the lines of a group; a writer that ends in peace leaves nothing."""
    disk = FailingDisk()
    journal = journal_of(tmp_path, disk)
    for number in range(3):
        journal.append(b"%d\na\n" % number, [])
    assert [f"{tmp_path}/.journal"] * 3 == disk.synced
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
    disk = FailingDisk()
    journal = journal_of(tmp_path, disk)
    journal.append(ONE, [])
    disk.room, disk.fault = room, errno.EIO if room is None else None
    with pytest.raises(OSError, match="No space left|Input/output"):
        journal.append(TWO, [])
    assert ONE == (tmp_path / ".journal").read_bytes()
    disk.room = disk.fault = None
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
