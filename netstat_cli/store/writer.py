"""The one writer of a store: samples in, lines on disk, each once.

Whoever comes to write takes all that is waiting along, file by file, and syncs it once (group commit). So a hundred
senders cost one sync, and nobody is answered before its samples are durable.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import NamedTuple

from netstat_cli.errors import InvalidSample, NetcliError, Problem, StoreError, StoreLocked
from netstat_cli.line.model import RATE_DERIVED, Sample
from netstat_cli.line.wire import decode, encode, to_line
from netstat_cli.store.appending import AppendFiles, Disk, store_error
from netstat_cli.store.history import open_history
from netstat_cli.store.journal import Journal
from netstat_cli.store.layout import AHEAD, CLOSED, FILE_MODE, LATE, PLAIN, RESERVED, create, day_path, days, servers
from netstat_cli.times import DAY, LAST_MOMENT, MINUTE, day_of, day_start, now
from netstat_cli.traffic.increase import fell
from netstat_cli.traffic.tracker import RunTracker

REMEMBERED_MOMENTS = 500_000
"""Of days that take late lines, so many moments are kept in memory: some 50 MB."""
MAX_OLDER = 256
"""So many days that are not the newest of their server take lines in order at a time: from spools, or by import."""
Warn = Callable[[str], None]


MAX_AHEAD = 10 * MINUTE
"""A sample that is further ahead of this machine's clock is of a wrong clock."""


class Stored(NamedTuple):
    """What became of a sample: as it was stored, or not because the store had one of that server and time already."""

    sample: Sample
    is_new: bool
    error: InvalidSample | None = None
    """Why no line can be made of it."""
    ahead: int = 0
    """Milliseconds by which it is ahead of this machine's clock, if that is too far: it was set aside."""


class Ticket:
    """Samples on their way to the disk, for whoever handed them in."""

    def __init__(self, writer: Writer, samples: Sequence[Sample]) -> None:
        self.samples = samples
        self.outcome: list[Stored] = [Stored(samples[0], False)] * len(samples) if samples else []
        self.error: NetcliError | None = None
        self.done = False
        self._writer = writer

    def wait(self) -> list[Stored]:
        """Returns once all of them are on disk. Raises StoreError if any is not; those that are then count as
        duplicates when they come again."""
        self._writer.reach(self)
        if self.error is not None:
            raise self.error
        return self.outcome


class _Place(NamedTuple):
    """A day of a server: when it begins, its name, and the files for what comes in order and what comes late."""

    begin: int
    day: str
    path: str
    late: str


NOWHERE = _Place(LAST_MOMENT + 1, "", "", "")


class _Batch:
    """Lines waiting for one file, in order, and who waits for them."""

    __slots__ = ("before", "last_timestamp", "lines", "moments", "tickets")

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.moments: list[int] = []
        self.last_timestamp = -1
        self.before = (0, -1)
        """Size and last timestamp of the file before these lines."""
        self.tickets: list[Ticket] = []


class Writer:
    """Holds the store's lock until closed."""

    def __init__(
        self, data: str, who: str, warn: Warn, disk: Disk | None = None, clock: Callable[[], int] = now
    ) -> None:
        """Makes the store if there is none; `who` is told to those who find it locked. Raises StoreError."""
        create(data)
        self._data = data
        self._lock = _lock(data, who)
        self._waiting: list[Ticket] = []
        self._queue = threading.Lock()
        self._turn = threading.Lock()
        self._closed = False
        disk = disk or Disk()
        self._files = AppendFiles(disk)
        self._journal = Journal(data, disk, warn)
        self._known: OrderedDict[tuple[str, str], set[int]] = OrderedDict()
        self._places: dict[str, _Place] = {}
        self._clock = clock
        self._now = 0
        """When the group that is being placed was begun."""
        self._trackers: dict[str, RunTracker] = {}
        self._older: dict[str, RunTracker] = {}
        self.latest: dict[str, Sample] = {}
        """The newest sample of every server: its next one is completed from it, and the live view begins with it."""
        try:
            self._recover(warn)
        except BaseException:
            self._files.close()
            os.close(self._lock)
            raise

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, samples: Sequence[Sample]) -> list[Stored]:
        """Hands samples in and waits for them. Raises StoreError."""
        return self.submit(samples).wait()

    def submit(self, samples: Sequence[Sample]) -> Ticket:
        """Hands samples in, to be written with the next group. Raises StoreError."""
        ticket = Ticket(self, samples)
        with self._queue:
            if self._closed:
                raise StoreError("the store is being closed", hint="send the samples again in a moment")
            self._waiting.append(ticket)
        return ticket

    def reach(self, ticket: Ticket) -> None:
        """Returns once the ticket is done: with a group that somebody else has written, or with this one."""
        with self._turn:
            if not ticket.done:
                self._write_waiting()

    def exclusively(self, server_id: str, paths: list[str], task: Callable[[], bool]) -> bool:
        """Runs a task that replaces files of a server while nothing is written; what it returns and raises."""
        with self._turn:
            if self._closed:
                return False
            for path in paths:
                self._files.forget(path)
            for key in [key for key in self._known if key[0] == server_id]:
                del self._known[key]
            done = task()
            self._reload(server_id)
            return done

    def close(self) -> None:
        """Writes what is waiting, then lets go of the store."""
        with self._turn:
            with self._queue:
                self._closed = True
            self._write_waiting()
            self._journal.close()
            self._files.close()
            os.close(self._lock)

    def _recover(self, warn: Warn) -> None:
        for server_id in servers(self._data):
            listed = days(self._data, server_id)
            growing = [day.late for day in listed if day.late] + [day.plain for day in listed[-1:] if day.plain]
            for path in growing:
                try:
                    torn = self._files.get(path).torn
                except OSError as error:
                    raise store_error(path, error) from error
                if torn:
                    warn(f"{path}: cut off a last line torn by a crash ({torn} bytes, never acknowledged)")
            try:
                self._reload(server_id)
            except StoreError as error:
                warn(f"{error.message}; what is new is stored all the same")
        self._replay()

    def _replay(self) -> None:
        """Puts back what a crash of the machine took from the files but not from the journal."""
        samples = [decode(line) for line in self._journal.left_behind()]
        if samples:
            self.append(samples)
            days_of = {(sample.server_id, day_of(sample.timestamp)) for sample in samples}
            self._journal.settle({day_path(self._data, *day, ending) for day in days_of for ending in (PLAIN, LATE)})

    def _write_waiting(self) -> None:
        with self._queue:
            tickets, self._waiting = self._waiting, []
        try:
            self._commit(tickets)
        except Exception as error:  # noqa: BLE001  whoever waits must hear of it
            for ticket in tickets:
                ticket.error = StoreError(f"cannot store samples: {error!r}")
        for ticket in tickets:
            ticket.done = True

    def _plan(self, tickets: list[Ticket]) -> dict[str, _Batch]:
        """Which lines go into which file. Samples are taken in time order: senders overtake each other on their way."""
        batches: dict[str, _Batch] = {}
        self._now = self._clock()
        waiting = [(sample.timestamp, ticket, i) for ticket in tickets for i, sample in enumerate(ticket.samples)]
        for _, ticket, i in sorted(waiting, key=itemgetter(0)):
            try:
                ticket.outcome[i] = self._place(ticket.samples[i], ticket, batches)
            except InvalidSample as error:
                ticket.outcome[i] = Stored(ticket.samples[i], False, error)
            except NetcliError as error:
                ticket.error = error
            except OSError as error:
                ticket.error = store_error(f"{self._data}/lock", error)
        return batches

    def _commit(self, tickets: list[Ticket]) -> None:
        batches = self._plan(tickets)
        failed: set[str] = set()
        written = [(path, batch) for path, batch in batches.items() if self._write(path, batch, failed)]
        try:
            if len(written) == 1:
                self._files.get(written[0][0]).sync()
            elif written:
                lines = b"".join([line for _, batch in written for line in batch.lines])
                self._journal.append(lines, [path for path, _ in written])
        except OSError as error:
            for path, batch in written:
                self._files.get(path).cut(*batch.before)
                self._undo(path, batch, error, failed)
        for server_id in failed:
            self._forget_plans(server_id)

    def _write(self, path: str, batch: _Batch, failed: set[str]) -> bool:
        """Adds the lines to their file; whether that went well."""
        try:
            file = self._files.get(path)
            batch.before = (file.size, file.last_timestamp)
            file.append(b"".join(batch.lines), batch.last_timestamp)
        except OSError as error:
            self._undo(path, batch, error, failed)
            return False
        return True

    def _undo(self, path: str, batch: _Batch, error: OSError, failed: set[str]) -> None:
        """Tells who waited for lines that did not reach the disk."""
        self._files.forget(path)
        failed.add(os.path.basename(os.path.dirname(path)))
        for ticket in batch.tickets:
            ticket.error = store_error(path, error)

    def _forget_plans(self, server_id: str) -> None:
        """Goes back to what is stored of a server, because something planned on top of it is not."""
        for key in [key for key in self._known if key[0] == server_id]:
            del self._known[key]
        self._reload(server_id)

    def _reload(self, server_id: str) -> None:
        """Take a server's newest sample from the disk, and forget what was known of its other days."""
        for path in [path for path in self._older if path.startswith(f"{self._data}/{server_id}/")]:
            del self._older[path]
        with open_history(self._data, server_id, self._clock() + MAX_AHEAD) as history:
            last = history.last()
        if last is None:
            self.latest.pop(server_id, None)
            self._trackers.pop(server_id, None)
        else:
            self.latest[server_id] = decode(last.text)
            self._trackers[server_id] = RunTracker(self.latest[server_id])

    def _place(self, sample: Sample, ticket: Ticket, batches: dict[str, _Batch]) -> Stored:
        """Finds the file for a sample and puts its line there, unless the store has it."""
        server_id, moment = sample.server_id, sample.timestamp
        if server_id in RESERVED:
            message = "is a name that the store uses itself"
            raise InvalidSample([Problem(("server_id",), message, "value_error.server_id")])
        if (ahead := moment - self._now) > MAX_AHEAD:
            return self._set_aside(sample, ahead, ticket, batches)
        begin, day, path, late = self._places.get(server_id) or NOWHERE
        if not begin <= moment < begin + DAY:
            begin, day, path, late = self._find_place(server_id, moment)
        batch = batches.get(path)
        if moment > (batch.last_timestamp if batch is not None else self._last_in(path)):
            known = self._known.get((server_id, day))
        else:
            known = self._known_times(server_id, day, batches)
            if moment in known:
                for planned in filter(None, (batch, batches.get(late))):
                    planned.tickets.append(ticket)  # it may be a duplicate of one that has to reach the disk first
                return Stored(sample, False)
            path, batch = late, batches.get(late)
        sample = self._complete(sample, path)
        line = encode(sample) + b"\n"
        if known is not None:
            known.add(moment)
        self._add(batches, path, line, moment, ticket)
        latest = self.latest.get(server_id)
        if latest is None or latest.timestamp < moment:
            self.latest[server_id] = sample
        else:
            self._look_into_later_days(sample, latest, day, begins_in_order=batch is None and path != late)
        return Stored(sample, True)

    def _look_into_later_days(self, sample: Sample, latest: Sample, day: str, begins_in_order: bool) -> None:
        """Have days looked into that a sample older than the newest concerns: an empty late file does it.

        Where it stands in order in a day that is older than others, the day after it may hold runs that reach back over
        it; and where its counters are newer than those of a later day, the clock was set back over midnight."""
        if begins_in_order:
            later = [files.day for files in days(self._data, sample.server_id) if files.day > day][:1]
        else:
            newest = day_of(latest.timestamp)
            later = [newest] if newest != day and _is_older(latest, sample) else []
        for one in later:
            self._files.get(day_path(self._data, sample.server_id, one, LATE))

    def _add(self, batches: dict[str, _Batch], path: str, line: bytes, moment: int, ticket: Ticket) -> None:
        batch = batches.get(path)
        if batch is None:
            batch = batches[path] = _Batch()
        batch.lines.append(line)
        batch.moments.append(moment)
        batch.last_timestamp = moment
        batch.tickets.append(ticket)

    def _complete(self, sample: Sample, path: str) -> Sample:
        """A sample as it is stored: completed from the one before it. One that goes into a late file begins runs of its
        own, which is harmless; but counters that are made from rates go on from those that were stored before it."""
        server_id = sample.server_id
        latest = self.latest.get(server_id)
        if latest is None or latest.timestamp < sample.timestamp:
            tracker = self._trackers.get(server_id)
            if tracker is None:
                tracker = self._trackers[server_id] = RunTracker()
            return tracker.complete(sample)
        if path.endswith(LATE):
            is_made = any(interface.kind == RATE_DERIVED for interface in sample.interfaces)
            return RunTracker(self._stored_before(sample) if is_made else None).complete(sample)
        if path not in self._older:
            while len(self._older) >= MAX_OLDER:
                del self._older[next(iter(self._older))]
            self._older[path] = RunTracker(self._stored_before(sample))
        return self._older[path].complete(sample)

    def _stored_before(self, sample: Sample) -> Sample | None:
        with open_history(self._data, sample.server_id) as history:
            line = history.floor(sample.timestamp - 1)
        return None if line is None else decode(line.text)

    def _set_aside(self, sample: Sample, ahead: int, ticket: Ticket, batches: dict[str, _Batch]) -> Stored:
        """Keep a sample of a clock that is far ahead where nothing is answered from it."""
        server_id, day = sample.server_id, day_of(self._clock())
        path = day_path(self._data, server_id, day, AHEAD)
        key = (server_id, day + AHEAD)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = _moments_in(path)
        if sample.timestamp in known:
            return Stored(sample, False, ahead=ahead)
        known.add(sample.timestamp)
        self._add(batches, path, encode(sample) + b"\n", sample.timestamp, ticket)
        return Stored(sample, True, ahead=ahead)

    def _find_place(self, server_id: str, moment: int) -> _Place:
        day = day_of(moment)
        paths = (day_path(self._data, server_id, day, ending) for ending in (PLAIN, LATE))
        place = self._places[server_id] = _Place(day_start(day), day, *paths)
        return place

    def _last_in(self, path: str) -> int:
        """The moment after which samples come in order in a day's file. A closed day takes no more."""
        file = self._files.opened(path)
        if file is None:
            if os.path.exists(path.removesuffix(PLAIN) + CLOSED):
                return LAST_MOMENT
            file = self._files.get(path)
        return file.last_timestamp

    def _known_times(self, server_id: str, day: str, batches: dict[str, _Batch]) -> set[int]:
        """Every moment of a day that is stored or about to be."""
        key = (server_id, day)
        times = self._known.get(key)
        if times is None:
            begin = day_start(day)
            with open_history(self._data, server_id) as history:
                times = {line.timestamp for line in history.lines(begin - 1, begin + DAY - 1)}
            for ending in (PLAIN, LATE):
                batch = batches.get(day_path(self._data, server_id, day, ending))
                times.update(batch.moments if batch else ())
            self._known[key] = times
            while len(self._known) > 1 and sum(map(len, self._known.values())) > REMEMBERED_MOMENTS:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return times


def _moments_in(path: str) -> set[int]:
    """The moments of the lines in a file that is in no order."""
    try:
        with open(path, "rb") as file:
            return {to_line(line).timestamp for line in file.read().split(b"\n")[:-1]}
    except FileNotFoundError:
        return set()


def _is_older(one: Sample, other: Sample) -> bool:
    """Whether a sample was taken before another one, as their counters tell, whatever their timestamps."""
    before = {(interface.name, interface.ifindex): interface for interface in one.interfaces}
    pairs = [(before.get((interface.name, interface.ifindex)), interface) for interface in other.interfaces]
    return one.boot_id == other.boot_id and any(earlier is not None and fell(now, earlier) for earlier, now in pairs)


def _lock(data: str, who: str) -> int:
    """Takes the writer's lock, or raises StoreLocked with what its holder wrote into it."""
    try:
        fd = os.open(f"{data}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    except OSError as error:
        hint = "make it writable for this user, or name another folder with --data"
        raise StoreError(f"cannot write to the store {data}: {error.strerror}", hint=hint) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.read(fd, 200).decode(errors="replace").strip() or "another process"
        os.close(fd)
        hint = "send to it (netcli collect --send http://…), or name another folder with --data"
        raise StoreLocked(f"the store {data} is in use by {holder}", hint=hint) from None
    os.ftruncate(fd, 0)
    os.write(fd, f"{who} (pid {os.getpid()})\n".encode())
    return fd
