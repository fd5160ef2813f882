"""The one writer: samples in, lines on disk, each once, and nobody answered before they are there."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from msgspec.structs import replace

from netstat_cli.errors import InvalidSample, NetcliError, StoreError, StoreFull, StoreLocked
from netstat_cli.line.model import Sample, Unknown
from netstat_cli.line.wire import decode
from netstat_cli.store.appending import Disk
from netstat_cli.store.history import open_history
from netstat_cli.store.writer import Writer
from netstat_cli.times import DAY
from tests.disks import FailingDisk
from tests.given import T0, completed, interface, line_of, sample


class Store:
    """A store under test: its folder, what its writer warned of, and what it holds."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.warnings: list[str] = []

    def writer(self, disk: Disk | None = None) -> Writer:
        """A writer of this store."""
        return Writer(str(self.path), "netcli test", self.warnings.append, disk)

    def times(self, server: str = "web1") -> list[float]:
        """Seconds after T0 of every stored line of a server."""
        with open_history(str(self.path), server) as history:
            return [(line.timestamp - T0) / 1000 for line in history.lines(0, T0 + 1000 * DAY)]

    def files(self) -> dict[str, list[float]]:
        """The times of the lines of every file of samples."""
        found = {}
        for path in sorted(self.path.glob("*/*")):
            moments = [decode(line).timestamp for line in path.read_bytes().splitlines()]
            found[str(path.relative_to(self.path))] = [(moment - T0) / 1000 for moment in moments]
        return found


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store that is not there yet."""
    return Store(tmp_path / "data")


def at(*seconds: float, server: str = "web1") -> list[Sample]:
    """Samples of a server at these seconds after T0, each with its own counters."""
    return [sample(second, interface(rx=int(second) + 10**7), server=server) for second in seconds]


def is_new(writer: Writer, incoming: list[Sample]) -> list[bool]:
    """For each sample whether it was stored, rather than there already."""
    return [stored.is_new for stored in writer.append(incoming)]


# What is stored, and where.


def test_samples_are_completed_and_stored_by_server_and_day(store: Store) -> None:
    """Each server's day has its file, whose lines are those that their maker would have made."""
    with store.writer() as writer:
        stored = writer.append([*at(0, 10, 86400), *at(5, server="web2")])
    first, second, third, other = [one.sample for one in stored]
    starts = [one.interfaces[0].start for one in (first, second, third, other) if one.interfaces]
    assert starts == [T0, T0, T0, T0 + 5000]
    assert (None, 1.0) == (first.network_rx_bytes_per_sec, second.network_rx_bytes_per_sec)
    assert (store.path / "web1/2026-11-21.jsonl").read_bytes() == line_of(first) + line_of(second)
    assert (store.path / "web1/2026-11-22.jsonl").read_bytes() == line_of(third)
    assert (store.path / "web2/2026-11-21.jsonl").read_bytes() == line_of(other)


def test_a_line_that_can_be_stored_as_it_came_is(store: Store) -> None:
    """The bytes that a sender made are the bytes on disk, unknown keys and their order included."""
    (one,) = completed([sample(0, interface())])
    line = line_of(replace(one, extra=Unknown({"z": 1, "a": 2})))
    with store.writer() as writer:
        writer.append([decode(line)])
    assert line == (store.path / "web1/2026-11-21.jsonl").read_bytes()


def test_folders_and_files_are_for_this_user_only(store: Store) -> None:
    """Folders are 0700 and files 0600, whatever the umask lets through."""
    before = os.umask(0)
    try:
        with store.writer() as writer:
            writer.append(at(10, 0))
            writer.append(at(5))
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in store.path.rglob("*")}
    finally:
        os.umask(before)
    assert (0o700, 0o700) == (stat.S_IMODE(store.path.stat().st_mode), modes.pop("web1"))
    names = {"store.json", "lock", "2026-11-21.jsonl", "2026-11-21.late.jsonl"}
    assert dict.fromkeys(names, 0o600) == {name: mode for name, mode in modes.items() if name in names}


def test_a_duplicate_is_counted_and_not_stored(store: Store) -> None:
    """At-least-once delivery stores exactly once: in the same call, in a later one, and after a restart."""
    with store.writer() as writer:
        assert [True, True, False] == is_new(writer, at(0, 10, 10))
        assert [False, True, False] == is_new(writer, at(0, 20, 10))
    with store.writer() as writer:
        assert [False, False, True, False] == is_new(writer, at(0, 20, 30, 30))
    assert store.files() == {"web1/2026-11-21.jsonl": [0, 10, 20, 30]}


def test_a_late_sample_has_its_own_file(store: Store) -> None:
    """What comes out of order does not disturb the order of the day's file, and is read in its place."""
    with store.writer() as writer:
        assert [True] * 5 == is_new(writer, at(0, 10)) + is_new(writer, at(30)) + is_new(writer, at(20, 5))
        assert [False, False, True] == is_new(writer, at(5, 30, 40))
    assert store.files() == {"web1/2026-11-21.jsonl": [0, 10, 30, 40], "web1/2026-11-21.late.jsonl": [5, 20]}
    assert [0, 5, 10, 20, 30, 40] == store.times()


def test_samples_that_overtake_each_other_in_one_group_are_put_in_order(store: Store) -> None:
    """The samples of one commit are stored in time order, whatever order they came in; answers keep their places."""
    with store.writer() as writer:
        stored = writer.append(at(20, 0, 10))
        assert [20, 0, 10] == [(one.sample.timestamp - T0) / 1000 for one in stored]
        assert T0 + 20_000 == writer.latest["web1"].timestamp
    assert store.files() == {"web1/2026-11-21.jsonl": [0, 10, 20]}


def test_a_late_sample_begins_a_run_of_its_own(store: Store) -> None:
    """A late sample does not take part in the runs around it; where counters are integrated they go on from those
    before it."""
    rates = {"network_rx_bytes_per_sec": 3.0, "network_tx_bytes_per_sec": 0.0}
    total = interface("total", kind="integrated", ifindex=None)
    with store.writer() as writer:
        writer.append([*at(0, 20), *[sample(second, total, server="rates", **rates) for second in (0, 20)]])
        late = [sample(15, total, server="rates", **rates), sample(10, interface(rx=10**7))]
        found = [one.sample.interfaces for one in writer.append(late)]
    assert [[(45, T0)], [(10**7, T0 + 10_000)]] == [[(one.rx_bytes, one.start) for one in it or ()] for it in found]


def test_a_sample_of_which_no_line_can_be_made_is_refused_alone(store: Store) -> None:
    """The others of the same call are stored; the answer names what is wrong with the one."""
    broken = sample(5, interface("\ud83d"))
    with store.writer() as writer:
        stored = writer.append([*at(0), broken, *at(10)])
    assert [True, False, True] == [one.is_new for one in stored]
    assert [type(None), InvalidSample, type(None)] == [type(one.error) for one in stored]
    assert [0, 10] == store.times()


def test_the_newest_sample_of_every_server_is_known(store: Store) -> None:
    """`latest` is the newest sample, not the last to arrive, and is there again after a restart."""
    with store.writer() as writer:
        writer.append(at(0, 20) + at(7, server="web2"))
        writer.append(at(10))
        latest = writer.latest
    with store.writer() as writer:
        assert latest == writer.latest
    assert {"web1": T0 + 20_000, "web2": T0 + 7000} == {name: one.timestamp for name, one in latest.items()}


# One writer at a time.


def test_a_second_writer_is_told_who_holds_the_store(store: Store) -> None:
    """The lock names its holder; when that lets go, the next one can have it."""
    with store.writer():
        with pytest.raises(StoreLocked) as caught:
            store.writer()
        assert caught.value.message == f"the store {store.path} is in use by netcli test (pid {os.getpid()})"
        assert "--data" in (caught.value.hint or "")
    store.writer().close()


def test_a_writer_that_cannot_begin_lets_go_of_the_lock(store: Store) -> None:
    """Once what kept it from beginning is repaired, the same process can try again."""
    with store.writer() as writer:
        writer.append(at(0))
    path = store.path / "web1/2026-11-21.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b"hello\n")
    with pytest.raises(StoreError, match="its last line is damaged"):
        store.writer()
    path.write_bytes(whole)
    store.writer().close()


@pytest.mark.parametrize("ending", ["", ".late"])
def test_a_torn_last_line_is_cut_off_and_said_so(store: Store, ending: str) -> None:
    """What a crash left after the last newline is cut off before anything is written behind it."""
    with store.writer() as writer:
        writer.append(at(0, 20))
        writer.append(at(10))
    path = store.path / f"web1/2026-11-21{ending}.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"timestamp":"2026')
    with store.writer() as writer:
        assert whole == path.read_bytes()
        writer.append(at(30, 15))
    assert store.warnings == [f"{path}: cut off a last line torn by a crash (18 bytes, never acknowledged)"]
    assert [0, 10, 15, 20, 30] == store.times()


def test_a_closed_writer_takes_no_more(store: Store) -> None:
    """Closing writes what is waiting; who comes after is told to send it again."""
    writer = store.writer()
    writer.append(at(0))
    writer.close()
    with pytest.raises(StoreError, match="^the store is being closed$"):
        writer.append(at(10))
    assert [0] == store.times()


# Group commit.


def until(condition: Callable[[], bool]) -> None:
    """Waits for something that another thread is about to do."""
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.001)
    assert condition()


def test_many_senders_at_once_lose_nothing(store: Store) -> None:
    """Samples appended by many threads are all there, once each, in files that stay in order."""
    with store.writer() as writer:

        def send(lane: int) -> None:
            for step in range(12):
                writer.append(at(step * 8 + lane) + at(step, 100 + step * 8 + lane, server="shared"))

        threads = [threading.Thread(target=send, args=(lane,)) for lane in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert list(range(96)) == store.times()
    assert [*range(12), *range(100, 196)] == store.times("shared")
    plain = [times for name, times in store.files().items() if "late" not in name]
    assert [sorted(set(times)) for times in plain] == plain
    assert 96 + 108 == sum(len(times) for times in store.files().values())


def together(disk: FailingDisk, writer: Writer, parts: list[list[Sample]]) -> list[object]:
    """Appends so that all but the first wait for the same commit, each in a thread of its own; gives what those got:
    how many were new, or the kind of error. A disk that is to run full does so once the first is stored."""
    disk.go_on.clear()
    disk.busy.clear()
    results: list[object] = [None] * len(parts)

    def send(index: int) -> None:
        try:
            results[index] = sum(is_new(writer, parts[index]))
        except NetcliError as error:
            results[index] = type(error)

    threads = [threading.Thread(target=send, args=(index,)) for index in range(len(parts))]
    threads[0].start()
    assert disk.busy.wait(20)
    for thread in threads[1:]:
        thread.start()
    until(lambda: len(writer._waiting) == len(parts) - 1)
    disk.room = disk.room and 0
    disk.go_on.set()
    for thread in threads:
        thread.join()
    return results[1:]


def test_all_who_wait_share_one_sync(store: Store) -> None:
    """While one commit is on its way to the disk the others gather, and the next one takes them all with one sync."""
    disk = FailingDisk()
    with store.writer(disk) as writer:
        assert [1] * 10 == together(disk, writer, [at(second) for second in range(11)])
        assert 2 == len(disk.synced)
        assert [1] * 10 == together(disk, writer, [at(0, server=f"node{number}") for number in range(11)])
        assert 4 == len(disk.synced)
    assert list(range(11)) == store.times()


def test_a_duplicate_of_what_fails_fails_too(store: Store) -> None:
    """Nobody is told that a sample is stored already while it only waits to be: a sender that tries again because the
    disk is slow would forget a sample that nobody has."""
    disk = FailingDisk()
    disk.room = 1 << 20
    with store.writer(disk) as writer:
        assert [StoreFull, StoreFull] == together(disk, writer, [at(0), at(10), at(10)])
        disk.room = None
        assert [True] == is_new(writer, at(10))
    assert [0, 10] == store.times()


@pytest.mark.parametrize("name", ["lock", "store.json", "journal", "journal.old"])
def test_no_server_name_can_break_the_store(store: Store, name: str) -> None:
    """A server that bears the name of one of the store's own files does not keep the others from being stored."""
    with store.writer() as writer:
        with suppress(NetcliError):
            writer.append(at(0, server=name))
        assert [True, True] == is_new(writer, at(0) + at(0, server="web2"))
    store.writer().close()
    assert [[0], [0], []] == [store.times(), store.times("web2"), store.warnings]


def test_a_task_that_fails_does_not_end_the_writer(store: Store) -> None:
    """Whatever goes wrong in a task between two groups is told to who wanted it, and writing goes on."""

    def fail() -> bool:
        raise ValueError("not a sample line")

    writer = store.writer()
    with pytest.raises((ValueError, NetcliError), match="not a sample line"):
        writer.exclusively("web1", [], fail)
    appending = threading.Thread(target=writer.append, args=(at(0),), daemon=True)
    appending.start()
    appending.join(20)
    writer.close()
    assert [0] == store.times()


# What fails is not acknowledged, and is taken when it comes again.


def test_a_disk_that_runs_full_at_any_byte_keeps_what_was_acknowledged(store: Store) -> None:
    """Wherever the write fails, the file ends with its last acknowledged line, and the samples count as new when they
    come again."""
    disk = FailingDisk()
    path = store.path / "web1/2026-11-21.jsonl"
    more = at(10, 20)
    with store.writer(disk) as writer:
        writer.append(at(0))
        before = path.read_bytes()
        length = 2 * len(line_of(writer.latest["web1"]))
        for room in range(length):
            disk.room = room
            with pytest.raises(StoreFull, match=f"^no space left to store samples in {store.path}/web1$"):
                writer.append(more)
            assert before == path.read_bytes()
        assert T0 == writer.latest["web1"].timestamp
        disk.room = None
        assert [True, True] == is_new(writer, more)
    assert store.files() == {"web1/2026-11-21.jsonl": [0, 10, 20]}


@pytest.mark.parametrize("more", [at(10), at(10) + at(10, server="web2"), at(-5)], ids=["one", "many", "late"])
def test_a_sync_that_fails_takes_back_what_was_written(store: Store, more: list[Sample]) -> None:
    """Lines that could not be made durable are not in the files, and no answer says that they are."""
    disk = FailingDisk()
    with store.writer(disk) as writer:
        writer.append(at(0))
        disk.fault = errno.EIO
        with pytest.raises(StoreError, match="cannot store samples in .*: Input/output error"):
            writer.append(more)
        assert [0] == store.times()
        disk.fault = None
        assert all(is_new(writer, more))
    assert sorted([0, (more[0].timestamp - T0) / 1000]) == store.times()


def test_a_failure_of_one_file_does_not_reach_the_others(store: Store) -> None:
    """Of a call for several days or servers what could be stored is stored, and then counts as a duplicate."""
    disk = FailingDisk()
    with store.writer(disk) as writer:
        writer.append(at(0))
        disk.room = 2 * len(line_of(writer.latest["web1"]))  # the first line and half of the second
        with pytest.raises(StoreFull):
            writer.append(at(5) + at(10, server="web2"))
        disk.room = None
        assert [False, True] == is_new(writer, at(5) + at(10, server="web2"))
    assert [[0, 5], [10]] == [store.times(), store.times("web2")]


class FailingOnce(Disk):
    """A disk of which the next write fails."""

    def __init__(self) -> None:
        self.fails = False

    def write(self, fd: int, data: bytes | memoryview) -> int:
        if self.fails:
            self.fails = False
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(fd, data)


def test_the_latest_sample_is_one_that_is_stored(store: Store) -> None:
    """When one day's lines fail and the next day's are stored, the newest stored sample is the latest, so that the
    samples after it go on from it."""
    disk = FailingOnce()
    with store.writer(disk) as writer:
        writer.append(at(0))
        disk.fails = True
        with pytest.raises(StoreFull):
            writer.append(at(10, 86400))
        assert ([0, 86400], T0 + DAY) == (store.times(), writer.latest["web1"].timestamp)


def test_what_an_unforeseen_failure_kept_from_being_stored_is_no_duplicate(store: Store) -> None:
    """A server whose file is damaged does not make the store forget another one's sample of the same group."""
    with store.writer() as writer:
        writer.append(at(0, 20) + at(0, 20, server="web2"))
    path = store.path / "web2/2026-11-21.jsonl"
    path.write_bytes(path.read_bytes().replace(b"}\n", b"}\n\n", 1))
    with store.writer() as writer:
        with pytest.raises(StoreError):
            writer.append(at(10) + at(15, server="web2"))
        writer.append(at(10))
    assert [0, 10, 20] == store.times()


# A crash of the machine.


def crashed(store: Store, to: Path) -> Store:
    """The store as it lies on disk while its writer still lives."""
    shutil.copytree(store.path, to)
    return Store(to)


def test_what_a_group_stored_outlives_the_machine(store: Store, tmp_path: Path) -> None:
    """Lines of many files are durable by one sync of the journal: whatever the files lack after a crash is put back."""
    with store.writer() as writer:
        writer.append(at(0) + at(0, server="web2"))
        writer.append(at(10, 20) + at(10, server="web2"))
        writer.append(at(30) + at(5, server="web2"))
        for kept in ("nothing", "torn", "all"):
            copy = crashed(store, tmp_path / kept)
            for path in copy.path.glob("*/*.jsonl"):
                if kept == "nothing":
                    path.unlink()
                elif kept == "torn":
                    os.truncate(path, path.stat().st_size - 7)
            with copy.writer() as second:
                assert T0 + 30_000 == second.latest["web1"].timestamp
            assert [[0, 10, 20, 30], [0, 5, 10]] == [copy.times(), copy.times("web2")]
            assert not list(copy.path.glob(".journal*"))


def test_the_journal_goes_only_when_the_files_are_durable(store: Store, tmp_path: Path) -> None:
    """After a crash of nothing but the program the files have their lines, though perhaps not yet on disk: they are
    synced before the journal is removed."""
    with store.writer() as writer:
        writer.append(at(0) + at(0, server="web2"))
        copy = crashed(store, tmp_path / "copy")
    disk = FailingDisk()
    copy.writer(disk).close()
    files = {f"{copy.path}/{server}/2026-11-21.jsonl" for server in ("web1", "web2")}
    assert not list(copy.path.glob(".journal*"))
    assert files <= set(disk.synced)


def test_closing_leaves_no_journal(store: Store) -> None:
    """A writer that ends in peace leaves nothing but days, its lock and the format."""
    with store.writer() as writer:
        writer.append(at(0) + at(0, server="web2"))
    assert sorted(os.listdir(store.path)) == ["lock", "store.json", "web1", "web2"]


def test_appending_nothing_is_nothing(store: Store) -> None:
    """An empty call is answered as any other."""
    with store.writer() as writer:
        assert writer.append([]) == []
    assert {} == store.files()
