"""netcli send"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from typing import IO

import click

from netstat_cli.cli.options import warn
from netstat_cli.errors import EXIT_FAILED
from netstat_cli.model import Sample
from netstat_cli.transport.client import Client, PeerUnavailable
from netstat_cli.transport.sending import Gathering, Numbered, Tally, gather, send_all
from netstat_cli.wire import encode

ATTEMPTS = 6  # about half a minute


@click.command("send", short_help="Deliver sample lines to a collector.")
@click.argument("url")
@click.argument("files", nargs=-1, type=click.File("rb"), metavar="[FILE|-]...")
@click.option("--quiet", "-q", is_flag=True, help="Say nothing when all went well.")
def command(url: str, files: tuple[IO[bytes], ...], quiet: bool) -> int:
    """Deliver sample lines, from files or standard input, to the collector at URL.

    Lines go out as they come, in batches when they come fast. A peer that is down or busy is tried again, ever less
    often. Sending a line twice does no harm: the collector keeps it once.

    \b
      netcli collect --interval 10s | netcli send http://collector:8477
      netcli send http://collector:8477 2026-11-20.jsonl
    """
    if not files and sys.stdin.isatty():
        raise click.UsageError("nothing to send: name a file, or pipe `netcli collect` into it")
    client = Client(url)
    gathering = gather(_lines(files or (sys.stdin.buffer,)))
    tally = send_all(client, gathering, ATTEMPTS, _wait, _say_rejected)
    if not quiet:
        say_tally(client, tally)
    return EXIT_FAILED if tally.rejected else 0


class Delivery:
    """Sends samples while more are being taken."""

    def __init__(self, url: str) -> None:
        self._client = Client(url)
        self._gathering = Gathering()
        self._taken = 0
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)

    def __enter__(self) -> Delivery:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._gathering.end()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def put(self, sample: Sample) -> None:
        """Hands over a sample. Raises DeliveryError if an earlier one could not be delivered."""
        if self._error is not None:
            raise self._error
        self._taken += 1
        self._gathering.put(Numbered("sample", self._taken, encode(sample)[:-1]))

    def _run(self) -> None:
        try:
            send_all(self._client, self._gathering, ATTEMPTS, _wait, _say_rejected)
        except Exception as error:  # noqa: BLE001  raised again where the samples come from
            self._error = error


def say_tally(client: Client, tally: Tally) -> None:
    """One line on what became of the lines."""
    known = f", {tally.duplicates} already there" if tally.duplicates else ""
    refused = f", {tally.rejected} rejected" if tally.rejected else ""
    warn(f"{tally.accepted} stored{known}{refused} at {client.url}")


def _lines(files: tuple[IO[bytes], ...]) -> Iterator[Numbered]:
    for file in files:
        origin = "-" if file is sys.stdin.buffer else getattr(file, "name", "-")
        for number, line in enumerate(file, 1):
            if text := line.strip():
                yield Numbered(origin, number, text)


def _say_rejected(line: Numbered, error: str) -> None:
    warn(f"{line.origin}:{line.number}: rejected: {error}")


def _wait(seconds: float, error: PeerUnavailable) -> bool:
    warn(f"{error.message}; trying again in {seconds:.0f}s")
    time.sleep(seconds)
    return True
