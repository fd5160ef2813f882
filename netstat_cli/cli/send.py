"""netcli send"""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from typing import IO

import click

from netstat_cli.cli.options import data_dir, warn
from netstat_cli.cli.peer import Credentials, peer_options
from netstat_cli.errors import EXIT_FAILED, DeliveryError, Undelivered, UsageProblem
from netstat_cli.model import Sample
from netstat_cli.render.units import parse_size
from netstat_cli.transport.client import (
    LONGEST_DELAY,
    Client,
    PeerRefused,
    PeerUnavailable,
    Receipt,
    Rejected,
    deliver,
)
from netstat_cli.transport.sending import BATCH_BYTES, BATCH_LINES, Numbered, Tally, gather, send_all
from netstat_cli.transport.spool import Spool, SpoolFull, drain
from netstat_cli.wire import encode

ATTEMPTS = 6  # about half a minute
SPOOL_MAX = "256MB"
FULL_PAUSE, IDLE_PAUSE = 0.5, 0.05
TELL_SECONDS = 30.0


@click.command("send", short_help="Deliver sample lines to a collector.")
@click.argument("url")
@click.argument("files", nargs=-1, type=click.File("rb"), metavar="[FILE|-]...")
@click.option("--spool", "folder", metavar="DIR", help="Keep lines there until the peer has them.")
@click.option("--spool-max", metavar="SIZE", default=SPOOL_MAX, show_default=True, help="How large it may become.")
@click.option("--spool-full", type=click.Choice(["block", "drop-oldest"]), default="block", show_default=True)
@click.option("--wait", is_flag=True, help="With --spool: do not end before the peer has everything.")
@peer_options
@click.option("--quiet", "-q", is_flag=True, help="Say nothing when all went well.")
def command(
    url: str,
    files: tuple[IO[bytes], ...],
    folder: str | None,
    spool_max: str,
    spool_full: str,
    wait: bool,
    credentials: Credentials,
    quiet: bool,
) -> int:
    """Deliver sample lines, from files or standard input, to the collector at URL.

    Lines go out as they come, in batches when they come fast. A peer that is down or busy is tried again, ever less
    often. Sending a line twice does no harm: the collector keeps it once. With --spool, lines are on disk before they
    are sent; if the peer is down at the end, exit code 75 says that they are safe there, and the next send delivers
    them.

    \b
      netcli collect --interval 10s | netcli send http://collector:8477
      netcli send --spool /var/spool/netcli http://collector:8477 < lines
    """
    if not files and sys.stdin.isatty():
        raise click.UsageError("nothing to send: name a file, or pipe `netcli collect` into it")
    client = Client(url, credentials.session())
    lines = _lines(files or (sys.stdin.buffer,))
    if folder is None:
        tally = send_all(client, gather(lines), ATTEMPTS, Trouble().wait, _say_rejected)
    else:
        with Delivery(client, folder, spool_max, spool_full == "drop-oldest", wait) as delivery:
            for batch in gather(lines).batches():
                delivery.add([line.text for line in batch])
        tally = delivery.tally
    if not quiet:
        say_tally(client, tally)
    return EXIT_FAILED if tally.rejected else 0


class Delivery:
    """Keeps lines in a spool and delivers them from there, in the background."""

    def __init__(
        self,
        client: Client,
        folder: str,
        most: str,
        drop_oldest: bool,
        wait: bool,
        stopped: threading.Event | None = None,
    ) -> None:
        """`wait`: the end waits until the peer has everything. `stopped`: once set, nobody waits for room any more.
        Raises UsageProblem and DeliveryError."""
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
        self._stopped = stopped or threading.Event()
        self._told_full = -TELL_SECONDS
        self._ending = threading.Event()
        self._trouble = Trouble()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)

    def __enter__(self) -> Delivery:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._ending.set()
        self._thread.join()
        waiting, dropped = self._spool.waiting(), self._spool.dropped
        self._spool.__exit__()
        if self._spool.corrupt:
            self.tally = self.tally._replace(rejected=self.tally.rejected + self._spool.corrupt)
            warn(f"{self._spool.corrupt} lines are no JSON; they are set aside in {self._spool.folder}")
        if dropped:
            warn(f"{dropped} lines were dropped because the spool was full")
        if kind is not None:
            return
        if isinstance(self._error, PeerUnavailable) or (self._error is None and waiting):
            said = self._error.message if isinstance(self._error, PeerUnavailable) else "another process delivers them"
            hint = "they go out with the next send"
            raise Undelivered(f"{said}; what is not delivered is safe in {self._spool.folder}", hint=hint)
        if isinstance(self._error, PeerRefused):
            message = f"{self._error.message}; the lines are kept in {self._spool.folder}"
            raise PeerRefused(message, hint=self._error.hint)
        if self._error is not None:
            raise self._error

    def put(self, sample: Sample) -> None:
        """Hands over a sample."""
        self.add([encode(sample)[:-1]])

    def add(self, lines: list[bytes]) -> None:
        """Returns once the lines are on disk; waits while the spool is full, unless the oldest are to be dropped.
        Raises DeliveryError if they cannot be kept, and what ended the sending before its time."""
        if len(lines) > 1 and sum(map(len, lines)) > self._most // 4:
            middle = len(lines) // 2
            self.add(lines[:middle])
            self.add(lines[middle:])
            return
        while True:
            try:
                self._spool.add(lines, self._drop_oldest)
                break
            except SpoolFull as error:
                if self._stopped.is_set() or not self._thread.is_alive():
                    raise self._error or error from None
                if time.monotonic() - self._told_full >= TELL_SECONDS:
                    self._told_full = time.monotonic()
                    warn(f"{error.message}: waiting until the peer takes some")
                self._stopped.wait(FULL_PAUSE)
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            while not self._spool.take_delivery():
                if self._ending.is_set() and not (self._patient and self._spool.waiting()):
                    return
                time.sleep(IDLE_PAUSE)
            while True:
                ending = self._ending.is_set()
                self._drain()
                if ending:
                    return
                self._ending.wait(IDLE_PAUSE)
        except Exception as error:  # noqa: BLE001  raised again where the lines come from
            self._error = error

    def _drain(self) -> None:
        progress = Progress(self._spool.waiting())
        for count in drain(self._spool, self._post, BATCH_LINES, BATCH_BYTES):
            progress.advance(count, self._spool.waiting())
        progress.end()

    def _post(self, lines: list[bytes]) -> list[tuple[int, str]]:
        """Sends a batch until the peer has it; the lines that it refused."""
        while True:
            try:
                receipt = deliver(self._client, lines, None, self._wait)
                break
            except PeerRefused as error:
                if error.is_about_the_lines:
                    return self._post_halves(lines, error)
                if not self._wait(LONGEST_DELAY, error):
                    raise
        self._trouble.over()
        self.tally = self.tally.plus(receipt)
        for rejected in receipt.rejected:
            warn(f"rejected, and set aside in {self._spool.folder}: {rejected.error}")
        return [*receipt.rejected]

    def _post_halves(self, lines: list[bytes], error: PeerRefused) -> list[tuple[int, str]]:
        """Finds the line that the peer does not understand."""
        if len(lines) == 1:
            self.tally = self.tally.plus(Receipt(0, 0, [Rejected(1, error.message)]))
            warn(f"rejected, and set aside in {self._spool.folder}: {error.message}")
            return [(1, error.message)]
        middle = len(lines) // 2
        return self._post(lines[:middle]) + [(n + middle, said) for n, said in self._post(lines[middle:])]

    def _wait(self, seconds: float, error: DeliveryError) -> bool:
        """Waits before another try; at the end there is none, unless that was asked for."""
        if self._ending.is_set():
            if not self._patient:
                return False
            self._trouble.tell(seconds, error)
            time.sleep(seconds)
            return True
        self._trouble.tell(seconds, error)
        self._ending.wait(seconds)
        return True


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

    def wait(self, seconds: float, error: DeliveryError) -> bool:
        """Tells and waits."""
        self.tell(seconds, error)
        time.sleep(seconds)
        return True

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


def spool_folder(peer: str) -> str:
    """Where `collect --send` keeps what a peer does not have yet."""
    return f"{data_dir(None)}/.spool/{re.sub('[^A-Za-z0-9.-]+', '-', peer).strip('-')[:100]}"


def say_tally(client: Client, tally: Tally) -> None:
    """One line on what became of the lines."""
    known = f", {tally.duplicates} already there" if tally.duplicates else ""
    refused = f", {tally.rejected} rejected" if tally.rejected else ""
    warn(f"{tally.accepted} stored{known}{refused} at {client.url}")


def _lines(files: Iterable[IO[bytes]]) -> Iterator[Numbered]:
    for file in files:
        origin = "-" if file is sys.stdin.buffer else getattr(file, "name", "-")
        # Read in a thread that may still wait for a line when the program ends, which must not wait for `file`'s lock.
        with open(file.fileno(), "rb", closefd=False) as own:
            for number, line in enumerate(own, 1):
                if text := line.strip():
                    yield Numbered(origin, number, text)


def _say_rejected(line: Numbered, error: str) -> None:
    warn(f"{line.origin}:{line.number}: rejected: {error}")
