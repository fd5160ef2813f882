"""Lines on their way to a peer: taken in as they come, sent in batches of what has gathered meanwhile."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from netstat_cli.transport.client import Client, Receipt, deliver
from netstat_cli.transport.exchange import PeerUnavailable

BATCH_LINES = 500
BATCH_BYTES = 1 << 20
WAITING_LINES = 10_000


class Numbered(NamedTuple):
    """A line, and where it came from: the file's name (`-` for standard input) and its number in it, from 1."""

    origin: str
    number: int
    text: bytes


class Tally(NamedTuple):
    """What became of everything sent."""

    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0

    def plus(self, receipt: Receipt) -> Tally:
        """With one more batch."""
        return Tally(
            self.accepted + receipt.accepted,
            self.duplicates + receipt.duplicates,
            self.rejected + len(receipt.rejected),
        )


class Gathering:
    """Lines handed from whoever makes them to whoever sends them. Full, it makes the maker wait."""

    def __init__(self) -> None:
        self._lines: queue.Queue[Numbered | None] = queue.Queue(WAITING_LINES)
        self._error: Exception | None = None

    def put(self, line: Numbered) -> None:
        """Adds a line."""
        self._lines.put(line)

    def end(self, error: Exception | None = None) -> None:
        """There will be no more; `error` is why there is not."""
        self._error = error
        self._lines.put(None)

    def batches(self) -> Iterator[list[Numbered]]:
        """What has gathered, as soon as there is anything, until the end. Raises what ended it."""
        yield from self._batches()
        if self._error is not None:
            raise self._error

    def _batches(self) -> Iterator[list[Numbered]]:
        while (line := self._lines.get()) is not None:
            batch, size = [line], len(line.text)
            ended = False
            while len(batch) < BATCH_LINES and size < BATCH_BYTES:
                try:
                    following = self._lines.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    ended = True
                    break
                batch.append(following)
                size += len(following.text)
            yield batch
            if ended:
                return


def gather(lines: Iterable[Numbered]) -> Gathering:
    """Reads lines in the background, so that those that come slowly are sent at once and those that come fast in
    large batches."""
    gathering = Gathering()

    def read() -> None:
        try:
            for line in lines:
                gathering.put(line)
        except Exception as error:  # noqa: BLE001  raised again where the batches are taken
            gathering.end(error)
        else:
            gathering.end()

    threading.Thread(target=read, name="reader", daemon=True).start()
    return gathering


def each_sent(
    client: Client,
    gathering: Gathering,
    attempts: int | None,
    wait: Callable[[float, PeerUnavailable], bool],
    on_rejected: Callable[[Numbered, str], None],
) -> Iterator[Tally]:
    """Sends until the gathering ends, and yields after each batch what became of everything so far. Raises
    PeerUnavailable and PeerRefused."""
    tally = Tally()
    for batch in gathering.batches():
        receipt = deliver(client, [line.text for line in batch], attempts, wait)
        for rejected in receipt.rejected:
            on_rejected(batch[rejected.line - 1], rejected.error)
        tally = tally.plus(receipt)
        yield tally
