"""Lines on their way through a spool: on disk first, delivered in the background, in memory where the disk is full.

The main thread adds, a thread of its own delivers. Older lines go first: what an earlier address left behind, then the
spool, then what memory holds because the disk had no room. A line leaves the spool when the peer has it; if the process
ends in between, it is sent again, which does no harm.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable

import click

from netstat_cli.cli.options import data_dir, warn
from netstat_cli.cli.signals import Stop
from netstat_cli.errors import DeliveryError, Undelivered, UsageProblem
from netstat_cli.line.model import Sample
from netstat_cli.line.wire import encode
from netstat_cli.render.units import parse_size
from netstat_cli.transport.client import LONGEST_DELAY, Client, Receipt, Rejected, deliver
from netstat_cli.transport.exchange import PeerRefused, PeerUnavailable
from netstat_cli.transport.sending import BATCH_BYTES, BATCH_LINES, Tally
from netstat_cli.transport.spool import Spool, SpoolFull, SpoolUnwritable, drain, may_pass

SPOOL_MAX = "256MB"
MAX_HELD = 16 << 20  # bytes in memory while the disk is full: a day of one machine at a sample each 10 s
FULL_PAUSE, IDLE_PAUSE, DISK_PAUSE = 0.5, 0.05, 5.0
TELL_SECONDS = 30.0
GRACE_SECONDS = 5.0  # for what is on its way when a signal ends it
HANDOVER_SECONDS = 5.0  # for whoever delivers to another address, and is about to end

Post = Callable[[list[bytes]], list[tuple[int, str]]]


class Delivery:
    """Keeps lines in a spool and delivers them from there, in the background."""

    def __init__(
        self,
        client: Client,
        folder: str,
        most: str,
        drop_oldest: bool,
        wait: bool = False,
        stopped: Stop | None = None,
        goes_on: bool = False,
        left_behind: list[str] | None = None,
    ) -> None:
        """`wait`: the end waits until the peer has everything. `stopped`: once set, nobody waits any more. `goes_on`:
        whoever adds is never kept waiting because of a disk that is full. `left_behind`: spools of earlier addresses,
        delivered first. Raises UsageProblem and DeliveryError."""
        try:
            size = parse_size(most)
        except ValueError as error:
            raise UsageProblem(str(error)) from None
        self.tally = Tally()
        self._client = client
        self._most = size
        self._spool = Spool(folder, size)
        self._drop_oldest = drop_oldest
        self._patient = wait
        self._goes_on = goes_on
        self._left_behind = left_behind or []
        self._stopped = stopped or Stop()
        self._held = Held(MAX_HELD)
        self._told_full = -TELL_SECONDS
        self._disk = Complaint()
        self._ending = threading.Event()
        self._trouble = Trouble()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)

    def __enter__(self) -> Delivery:
        self._await_handover()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._stopped.set()
        self._ending.set()
        self._join(kind)
        self._spool_held()
        waiting = self._waiting()
        self._spool.__exit__()
        self._tell_what_is_missing()
        if kind is not None:
            if issubclass(kind, KeyboardInterrupt):
                warn(f"interrupted: {described(self.tally)} at {self._client.url}; {_rest(waiting)}")
            return
        error = self._error
        if lost := len(self._held):
            why = error.message if isinstance(error, DeliveryError) else "the peer did not take them"
            raise DeliveryError(f"{lost} lines are lost: {why}, and the spool {self._spool.folder} has no room")
        if isinstance(error, PeerUnavailable) or (error is None and waiting):
            said = error.message if isinstance(error, PeerUnavailable) else "another process delivers them"
            hint = "they go out with the next send"
            raise Undelivered(f"{said}; {_rest(waiting or [self._spool.folder])}", hint=hint)
        if isinstance(error, PeerRefused):
            raise PeerRefused(f"{error.message}; the lines are kept in {self._spool.folder}", hint=error.hint)
        if error is not None:
            raise error

    def _tell_what_is_missing(self) -> None:
        """Says how many lines are neither delivered nor in the spool, and why."""
        self._count_corrupt(self._spool)
        if self._spool.dropped:
            warn(f"{self._spool.dropped} lines were dropped because the spool was full")
        if self._held.dropped:
            warn(f"{self._held.dropped} lines were dropped because the disk and the memory for them were full")

    def _count_corrupt(self, spool: Spool) -> None:
        if spool.corrupt:
            self.tally = self.tally._replace(rejected=self.tally.rejected + spool.corrupt)
            warn(f"{spool.corrupt} lines are no JSON; they are set aside in {spool.folder}")

    def put(self, sample: Sample) -> None:
        """Hands over a sample."""
        self.add([encode(sample)])

    def add(self, lines: list[bytes]) -> None:
        """Returns once the lines are on disk, or in memory where that is full; waits while the spool is full, unless
        the oldest are to be dropped. Raises DeliveryError if they cannot be kept, and what ended the sending before its
        time."""
        if len(lines) > 1 and sum(map(len, lines)) > self._most // 4:
            middle = len(lines) // 2
            self.add(lines[:middle])
            self.add(lines[middle:])
            return
        while not self._add(lines):
            self._stopped.wait(FULL_PAUSE)
        if self._error is not None:
            raise self._error

    def _add(self, lines: list[bytes]) -> bool:
        """Keeps the lines; False if there is no room for them now. Raises DeliveryError."""
        try:
            self._keep(lines)
        except SpoolFull as error:
            if self._stopped.is_set() or not self._thread.is_alive():
                raise self._error or error from None
            if time.monotonic() - self._told_full >= TELL_SECONDS:
                self._told_full = time.monotonic()
                warn(f"{error.message}: waiting until the peer takes some")
            return False
        except SpoolUnwritable as error:
            if not error.may_pass:
                raise
            if self._held.has_room(lines) or self._goes_on:
                self._held.add(lines)
                self._disk.tell(f"{error.message}; lines are kept in memory until there is room")
                return True
            if self._stopped.is_set() or not self._thread.is_alive():
                raise self._error or error from None
            return False
        self._disk.over(f"the spool {self._spool.folder} takes lines again")
        return True

    def _keep(self, lines: list[bytes]) -> None:
        """Puts onto the disk what memory holds, and then the lines. Raises SpoolFull and DeliveryError."""
        while held := self._held.take(BATCH_LINES, BATCH_BYTES):
            try:
                self._spool.add(held, self._drop_oldest)
            except DeliveryError:
                self._held.give_back(held)
                raise
        if lines:
            self._spool.add(lines, self._drop_oldest)

    def _spool_held(self) -> None:
        """The last chance for what memory holds."""
        try:
            self._keep([])
        except DeliveryError as error:
            self._disk.tell(error.message)

    def _await_handover(self) -> None:
        """Makes sure that nobody else delivers from this spool to another address, which would get these lines. Raises
        DeliveryError."""
        deadline = time.monotonic() + HANDOVER_SECONDS
        while not self._take_delivery() and (error := self._delivered_elsewhere()) is not None:
            if time.monotonic() > deadline or self._stopped.wait(IDLE_PAUSE):
                raise error

    def _take_delivery(self) -> bool:
        try:
            return self._spool.take_delivery(self._client.url)
        except OSError as error:
            if not may_pass(error):
                raise DeliveryError(f"cannot use the spool {self._spool.folder}: {error.strerror}") from error
            return False

    def _delivered_elsewhere(self) -> DeliveryError | None:
        if self._spool.delivered_to in (None, self._client.url):
            return None
        message = f"another process delivers what is in {self._spool.folder} to {self._spool.delivered_to}"
        return DeliveryError(message, hint="give this one a folder of its own: --spool DIR")

    def _join(self, kind: type[BaseException] | None) -> None:
        """Waits for the sender. Once a signal said so, what is on its way is broken off after a while."""
        deadline = None
        while self._thread.is_alive():
            self._thread.join(IDLE_PAUSE)
            if deadline is None and (kind is not None or self._stopped.is_set()):
                deadline = time.monotonic() + GRACE_SECONDS
            if deadline is not None and time.monotonic() > deadline:
                self._client.cut()

    def _waiting(self) -> list[str]:
        """The folders that hold what the peer does not have."""
        folders = [self._spool.folder] if self._spool.waiting() else []
        return folders + [folder for folder in self._left_behind if _holds_lines(folder)]

    def _run(self) -> None:
        while True:
            try:
                self._deliver()
                return
            except OSError as error:
                if self._ending.is_set() or not may_pass(error):
                    self._error = error
                    return
                self._disk.tell(f"{error.filename or self._spool.folder}: {error.strerror}; trying again")
                self._ending.wait(DISK_PAUSE)
            except Exception as error:  # noqa: BLE001  raised again where the lines come from
                self._error = error
                return

    def _deliver(self) -> None:
        while not self._take_delivery():
            if (error := self._delivered_elsewhere()) is not None:
                raise error
            self._deliver_held()
            if self._ending.is_set() and not (self._patient and self._spool.waiting()):
                return
            time.sleep(IDLE_PAUSE)
        self._deliver_left_behind()
        while True:
            ending = self._ending.is_set()
            self._drain(self._spool)
            self._deliver_held()
            if ending:
                return
            self._ending.wait(IDLE_PAUSE)

    def _drain(self, spool: Spool) -> None:
        progress = Progress(spool.waiting())
        for count in drain(spool, self._posting(spool.folder), BATCH_LINES, BATCH_BYTES):
            progress.advance(count, spool.waiting())
        progress.end()

    def _deliver_left_behind(self) -> None:
        """Delivers what an earlier address left, unless its own process still does."""
        for folder in [*self._left_behind]:
            with Spool(folder, self._most) as spool:
                if not spool.take_delivery(self._client.url):
                    self._left_behind.remove(folder)
                    continue
                if size := spool.waiting():
                    warn(f"{size} bytes wait in {folder} since the address was another; they go to {self._client.url}")
                self._drain(spool)
                self._count_corrupt(spool)
                spool.remove_if_empty()

    def _deliver_held(self) -> None:
        """Delivers what is in memory because the disk has no room for it."""
        while lines := self._held.take(BATCH_LINES, BATCH_BYTES):
            try:
                rejected = self._posting(self._spool.folder)(lines)
            except BaseException:
                self._held.give_back(lines)
                raise
            for number, error in rejected:
                self._spool.set_aside(lines[number - 1], error)

    def _posting(self, folder: str) -> Post:
        """What delivers a batch, and tells which lines the peer refused: these are set aside in the folder."""

        def post(lines: list[bytes]) -> list[tuple[int, str]]:
            while True:
                try:
                    receipt = deliver(self._client, lines, None, self._wait)
                    break
                except PeerRefused as error:
                    if error.is_about_the_lines:
                        return post_halves(lines, error)
                    if not self._wait(LONGEST_DELAY, error):
                        raise
            self._trouble.over()
            self.tally = self.tally.plus(receipt)
            for rejected in receipt.rejected:
                warn(f"rejected, and set aside in {folder}: {rejected.error}")
            return [*receipt.rejected]

        def post_halves(lines: list[bytes], error: PeerRefused) -> list[tuple[int, str]]:
            """Finds the line that the peer does not understand."""
            if len(lines) == 1:
                self.tally = self.tally.plus(Receipt(0, 0, [Rejected(1, error.message)]))
                warn(f"rejected, and set aside in {folder}: {error.message}")
                return [(1, error.message)]
            middle = len(lines) // 2
            return post(lines[:middle]) + [(n + middle, said) for n, said in post(lines[middle:])]

        return post

    def _wait(self, seconds: float, error: DeliveryError) -> bool:
        """Waits before another try; at the end there is none, unless that was asked for."""
        if self._ending.is_set():
            if not self._patient or self._stopped.is_set():
                return False
            self._trouble.tell(seconds, error)
            self._stopped.wait(seconds)
            return True
        self._trouble.tell(seconds, error)
        self._ending.wait(seconds)
        return True


class Held:
    """Lines in memory, oldest first, so many bytes of them at most. Any thread may call it."""

    def __init__(self, most: int) -> None:
        self.dropped = 0
        """Lines that had to go because there was no room."""
        self._most = most
        self._lock = threading.Lock()
        self._lines: deque[bytes] = deque()
        self._size = 0

    def __len__(self) -> int:
        return len(self._lines)

    def has_room(self, lines: list[bytes]) -> bool:
        """Tell whether the lines fit beside those that are there."""
        return self._size + sum(map(len, lines)) <= self._most

    def add(self, lines: list[bytes]) -> None:
        """Keep the lines; the oldest go where there is no room."""
        with self._lock:
            self._lines.extend(lines)
            self._size += sum(map(len, lines))
            while self._size > self._most and len(self._lines) > 1:
                self._size -= len(self._lines.popleft())
                self.dropped += 1

    def take(self, most_lines: int, most_bytes: int) -> list[bytes]:
        """Take the oldest lines out."""
        with self._lock:
            taken: list[bytes] = []
            size = 0
            while self._lines and len(taken) < most_lines and (not taken or size + len(self._lines[0]) <= most_bytes):
                taken.append(self._lines.popleft())
                size += len(taken[-1])
            self._size -= size
            return taken

    def give_back(self, lines: list[bytes]) -> None:
        """Put back what was taken."""
        with self._lock:
            self._lines.extendleft(reversed(lines))
            self._size += sum(map(len, lines))


class Complaint:
    """Something that does not work: told when it begins, and when it is over."""

    def __init__(self) -> None:
        self._is_told = False

    def tell(self, message: str) -> None:
        """It does not work."""
        if not self._is_told:
            self._is_told = True
            warn(message)

    def over(self, message: str) -> None:
        """It works."""
        if self._is_told:
            self._is_told = False
            warn(message)


class Trouble:
    """A peer that takes nothing: told when it begins, every half minute while it lasts, and when it is over."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._told = 0.0

    def tell(self, seconds: float, error: DeliveryError) -> None:
        """Another try failed; the next comes after so many seconds."""
        at = time.monotonic()
        if self._since is None or at - self._told >= TELL_SECONDS:
            self._told = at
            warn(f"{error.message}; trying again, next in {seconds:.0f}s")
        self._since = self._since or at

    def over(self) -> None:
        """A batch got through."""
        if self._since is not None:
            warn(f"the peer is back after {time.monotonic() - self._since:.0f}s")
        self._since = None


class Progress:
    """A line on a terminal while a backlog drains."""

    def __init__(self, waiting: int) -> None:
        self._whole = waiting
        self._lines = 0
        self._shown = False

    def advance(self, lines: int, waiting: int) -> None:
        """So many lines more are delivered, so many bytes still wait."""
        self._lines += lines
        if self._lines > BATCH_LINES and sys.stderr.isatty():
            share = 1 - waiting / max(self._whole, waiting, 1)
            click.echo(f"\rnetcli: backlog: {self._lines} lines delivered, {share:.0%}", err=True, nl=False)
            self._shown = True

    def end(self) -> None:
        """The backlog is gone."""
        if self._shown:
            click.echo(err=True)


def described(tally: Tally) -> str:
    """What became of the lines, in a few words."""
    known = f", {tally.duplicates} already there" if tally.duplicates else ""
    refused = f", {tally.rejected} rejected" if tally.rejected else ""
    return f"{tally.accepted} stored{known}{refused}"


def _rest(waiting: list[str]) -> str:
    return f"what is not delivered is safe in {' and '.join(waiting)}" if waiting else "nothing is left to deliver"


def spool_folder() -> str:
    """Where `collect --send` keeps what its peer does not have yet: one folder, whatever the peer's address, so that
    nothing stays behind when that is corrected."""
    return f"{data_dir(None, '--spool')}/.spool/collect"


def spools_left_behind(folder: str) -> list[str]:
    """The folders beside a spool that hold lines: earlier versions had a spool for each address."""
    try:
        beside = sorted(entry.path for entry in os.scandir(os.path.dirname(folder)) if entry.is_dir())
    except OSError:
        return []
    return [other for other in beside if other != folder and _holds_lines(other)]


def _holds_lines(folder: str) -> bool:
    try:
        return any(name.endswith(".jsonl") and name != "rejected.jsonl" for name in os.listdir(folder))
    except OSError:
        return False
