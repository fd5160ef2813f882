"""Files that only grow: what is acknowledged stays, and nothing half written follows it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from netstat_cli.errors import StoreError, StoreFull
from netstat_cli.store.appending import OPEN_FILES, AppendFile, AppendFiles, Disk, store_error
from netstat_cli.store.segment import LOOK
from tests.disks import FailingDisk
from tests.given import T0, interface, line_of, sample


def line(at: int, pad: int = 0) -> bytes:
    """The line of a sample `at` seconds after T0."""
    return line_of(sample(at, interface(start=T0, extra={"pad": "x" * pad} if pad else None)))


def reopened(path: str) -> tuple[int, int, int]:
    """How many bytes a file keeps when it is opened, how many were torn, and its last timestamp after T0."""
    file = AppendFile(path, Disk())
    file.close()
    return os.path.getsize(path), file.torn, file.last_timestamp - T0 if file.last_timestamp >= 0 else -1


def test_lines_are_added_in_order(tmp_path: Path) -> None:
    """A file is made with its folder on first use, and remembers the time of its last line."""
    path = f"{tmp_path}/web1/day.jsonl"
    file = AppendFile(path, Disk())
    assert (-1, 0) == (file.last_timestamp, file.torn)
    for at in (0, 10):
        file.append(line(at), T0 + at * 1000)
        file.sync()
    file.close()
    assert line(0) + line(10) == Path(path).read_bytes()
    assert (2 * len(line(0)), 0, 10_000) == reopened(path)


@pytest.mark.parametrize("kept", [0, 1, 3])
@pytest.mark.parametrize("pad", [0, 2 * LOOK])
@pytest.mark.parametrize("torn", [0, 1, 100, -1])
def test_a_torn_last_line_is_cut_off(tmp_path: Path, kept: int, pad: int, torn: int) -> None:
    """What a crash left after the last newline was never acknowledged, however long lines are."""
    path = f"{tmp_path}/day.jsonl"
    whole = b"".join(line(at, pad) for at in range(kept))
    rest = line(kept, pad)[:torn]
    Path(path).write_bytes(whole + rest)
    assert (len(whole), len(rest), (kept - 1) * 1000 if kept else -1) == reopened(path)
    assert (len(whole), 0) == reopened(path)[:2]


@pytest.mark.parametrize("content", [b"\n", b"hello\n", line(0) + b"\n", line(0) + b"hello\n"])
def test_a_damaged_last_line_is_not_written_after(tmp_path: Path, content: bytes) -> None:
    """A whole last line that is no sample is nobody's torn write: it is left for somebody to look at."""
    path = tmp_path / "day.jsonl"
    path.write_bytes(content)
    with pytest.raises(OSError, match="its last line is damaged"):
        AppendFile(str(path), Disk())
    assert content == path.read_bytes()


def test_a_write_that_fails_at_any_byte_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    """Wherever in the lines the disk runs full, the file ends with its last acknowledged byte and can go on."""
    disk = FailingDisk()
    path = tmp_path / "day.jsonl"
    file = AppendFile(str(path), disk)
    file.append(line(0), T0)
    more = line(10) + line(20)
    for room in range(len(more)):
        disk.room = room
        with pytest.raises(OSError, match="No space left"):
            file.append(more, T0 + 20_000)
        assert (line(0), T0) == (path.read_bytes(), file.last_timestamp)
    disk.room = len(more)
    file.append(more, T0 + 20_000)
    file.close()
    assert line(0) + more == path.read_bytes()


def test_a_sync_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    """What could not be made durable is taken back."""
    disk = FailingDisk()
    path = tmp_path / "day.jsonl"
    file = AppendFile(str(path), disk)
    file.append(line(0), T0)
    file.sync()
    disk.fault = errno.EIO
    before = (file.size, file.last_timestamp)
    file.append(line(10), T0 + 10_000)
    with pytest.raises(OSError, match="Input/output error"):
        file.sync()
    file.cut(*before)
    file.close()
    assert (line(0), T0) == (path.read_bytes(), file.last_timestamp)


def test_a_bounded_number_of_files_stays_open(tmp_path: Path) -> None:
    """The file used longest ago is closed, and opened again when it is needed."""
    files = AppendFiles(Disk())
    before = len(os.listdir("/proc/self/fd"))
    paths = [f"{tmp_path}/{number}.jsonl" for number in range(OPEN_FILES + 1)]
    for path in paths:
        files.get(path).append(line(0), T0)
        assert T0 == files.get(paths[0]).last_timestamp
    assert [True, False] == [files.opened(path) is not None for path in paths[:2]]
    assert before + OPEN_FILES == len(os.listdir("/proc/self/fd"))
    assert T0 == files.get(paths[1]).last_timestamp
    files.forget(paths[1])
    assert files.opened(paths[1]) is None
    files.close()
    assert before == len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        (errno.ENOSPC, StoreFull, "no space left to store samples in /data/web1"),
        (errno.EDQUOT, StoreFull, "no space left to store samples in /data/web1"),
        (errno.EIO, StoreError, "cannot store samples in /data/web1/day.jsonl: Input/output error"),
    ],
)
def test_a_failed_write_is_told_as_what_it_means(code: int, kind: type[StoreError], message: str) -> None:
    """A full disk or quota is its own error, which the collector answers with 507; all others name the file."""
    error = store_error("/data/web1/day.jsonl", OSError(code, os.strerror(code)))
    assert (kind, message) == (type(error), error.message)
    assert error.hint
