"""netcli send"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Iterator
from typing import IO

import click

from netstat_cli.cli.delivery import SPOOL_MAX, Delivery, Trouble, described
from netstat_cli.cli.lines import Lines
from netstat_cli.cli.options import absolute, warn
from netstat_cli.cli.peer import Credentials, peer_options
from netstat_cli.cli.signals import Stop, stop_when_terminated
from netstat_cli.errors import EXIT_FAILED, DeliveryError
from netstat_cli.transport.client import Client
from netstat_cli.transport.exchange import PeerUnavailable
from netstat_cli.transport.sending import Gathering, Numbered, Tally, each_sent, gather

ATTEMPTS = 6  # about half a minute


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
    """Deliver sample lines, from files (plain or gzip) or standard input, to the collector at URL.

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
    client = Client(url, credentials.session(url))
    stopped = stop_when_terminated()
    reading = Files(files or (sys.stdin.buffer,))
    gathering = gather(reading)
    threading.Thread(target=_end_when, args=(stopped, gathering), name="terminator", daemon=True).start()
    if folder is None:
        tally = _send(client, gathering, stopped)
    else:
        with Delivery(client, absolute(folder), spool_max, spool_full == "drop-oldest", wait, stopped) as delivery:
            for batch in gathering.batches():
                delivery.add([line.text for line in batch])
        tally = delivery.tally
    if not quiet:
        warn(f"{described(tally)} at {client.url}")
    return EXIT_FAILED if tally.rejected or not reading.are_whole else 0


def _end_when(stopped: Stop, gathering: Gathering) -> None:
    """Ends the reading, not the sending, once that is said."""
    stopped.wait()
    gathering.end()


def _send(client: Client, gathering: Gathering, stopped: Stop) -> Tally:
    """Sends what is gathered, straight to the peer. Raises PeerUnavailable and PeerRefused."""
    tally = Tally()
    trouble = Trouble()

    def wait(seconds: float, error: PeerUnavailable) -> bool:
        if stopped.is_set():
            return False
        trouble.tell(seconds, error)
        return not stopped.wait(seconds)

    try:
        for so_far in each_sent(client, gathering, ATTEMPTS, wait, _say_rejected):
            tally = so_far
    except KeyboardInterrupt:
        warn(f"interrupted: {described(tally)} at {client.url}; send the rest again, with what is there already")
        raise
    except DeliveryError:
        if tally != Tally():
            warn(f"{described(tally)} at {client.url}; the rest is not delivered")
        raise
    return tally


class Files:
    """The lines of several files, one file after the other; what of them cannot be read is told."""

    def __init__(self, files: Iterable[IO[bytes]]) -> None:
        self.are_whole = True
        """Whether everything could be read, so far."""
        self._files = files

    def __iter__(self) -> Iterator[Numbered]:
        for file in self._files:
            is_stdin = file is sys.stdin.buffer
            origin = "-" if is_stdin else getattr(file, "name", "-")
            lines = Lines(file.fileno(), "standard input" if is_stdin else origin, warn)
            for number, text in lines:
                yield Numbered(origin, number, text)
            self.are_whole &= lines.is_whole


def _say_rejected(line: Numbered, error: str) -> None:
    warn(f"{line.origin}:{line.number}: rejected: {error}")
