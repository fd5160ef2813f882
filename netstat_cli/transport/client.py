"""Sample lines to a collector over HTTP, and what its answers mean."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

import requests

from netstat_cli.transport.exchange import (
    DELIVERY,
    Answer,
    Bounds,
    PeerRefused,
    PeerUnavailable,
    ask,
    cut,
    new_session,
    shown,
    url_below,
)

SAMPLES_PATH = "/api/v1/samples"
COMPRESS_FROM = 1400  # bytes; less fits into one packet as it is
FIRST_DELAY, LONGEST_DELAY = 1.0, 60.0
LONGEST_ASKED = 3600.0
NOT_AN_ANSWER = (ValueError, TypeError, LookupError, OverflowError, RecursionError)
"""What reading the JSON of somebody who is no collector may raise."""
RETRIED = frozenset({408, 425, 429})  # and every 5xx


class Rejected(NamedTuple):
    """A line that the peer will never take: its place in the batch, from 1, and why."""

    line: int
    error: str


class Receipt(NamedTuple):
    """What the peer did with a batch of lines. Nothing else may have happened to any of them."""

    accepted: int
    duplicates: int
    rejected: list[Rejected]


class BatchTooLarge(PeerRefused):
    """The peer takes no body of this size; it may take half of it."""

    is_about_the_lines = True


class LinesRefused(PeerRefused):
    """The peer does not understand the body."""

    is_about_the_lines = True


def samples_url(peer: str) -> str:
    """Where a peer takes samples; its whole address is taken too."""
    return url_below(peer, SAMPLES_PATH)


class Client:
    """A collector to send to. Keeps its connection between batches."""

    def __init__(self, peer: str, session: requests.Session | None = None, bounds: Bounds = DELIVERY) -> None:
        """`bounds`: how large an answer may be, and how long it may take. Raises UsageProblem."""
        self._url = samples_url(peer)
        self.url = shown(self._url)
        """Its address, as it is told."""
        self._bounds = bounds
        self._session = session or new_session()
        self._session.headers["Content-Type"] = "application/x-ndjson"

    def post(self, lines: list[bytes]) -> Receipt:
        """Sends lines (each without its newline) and returns once the peer has them on disk. Raises PeerUnavailable
        or PeerRefused; then the peer may or may not have them, and sending them again does no harm."""
        body = b"\n".join(lines) + b"\n"
        headers = {}
        if len(body) >= COMPRESS_FROM:
            body = gzip.compress(body, 5, mtime=0)
            headers["Content-Encoding"] = "gzip"
        return _receipt(
            self.url, ask(self._session, "POST", self._url, self._bounds, data=body, headers=headers), len(lines)
        )

    def cut(self) -> None:
        """Break off what `post` waits for, which then raises PeerUnavailable. Any thread may."""
        cut(self._session)


def post_in_parts(client: Client, lines: list[bytes]) -> Receipt:
    """Sends a batch, in halves where the peer takes no body that large."""
    try:
        return client.post(lines)
    except BatchTooLarge:
        if len(lines) == 1:
            raise
    middle = len(lines) // 2
    first, second = post_in_parts(client, lines[:middle]), post_in_parts(client, lines[middle:])
    moved = [Rejected(line + middle, error) for line, error in second.rejected]
    return Receipt(first.accepted + second.accepted, first.duplicates + second.duplicates, first.rejected + moved)


def deliver(
    client: Client, lines: list[bytes], attempts: int | None, wait: Callable[[float, PeerUnavailable], bool]
) -> Receipt:
    """Sends a batch until the peer has it, at most so many times (None: for ever). Between tries `wait` is told the
    seconds and the reason; it says whether to go on. Raises PeerUnavailable when given up, PeerRefused at once."""
    pauses = delays()
    tries = 0
    while True:
        try:
            return post_in_parts(client, lines)
        except PeerUnavailable as error:
            tries += 1
            pause = max(next(pauses), error.retry_after or 0.0)
            if (attempts is not None and tries >= attempts) or not wait(pause, error):
                raise


def delays(jitter: Callable[[float, float], float] = random.uniform) -> Iterator[float]:
    """Seconds to wait before each further try: doubling from 1 to 60, each spread over its upper half, so that a
    thousand senders do not come back at once."""
    longest = FIRST_DELAY
    while True:
        yield jitter(longest / 2, longest)
        longest = min(longest * 2, LONGEST_DELAY)


def _receipt(url: str, answer: Answer, sent: int) -> Receipt:
    status = answer.status
    if status in RETRIED or status >= 500:
        raise PeerUnavailable(f"{url} answered {status}: {said(answer)}", retry_after=retry_after(answer.headers))
    if status in (401, 403):
        raise PeerRefused(f"{url} answered {status}: {said(answer)}", hint="give the collector's token (--token-file)")
    if status == 413:
        raise BatchTooLarge(f"{url} answered 413: {said(answer)}")
    if status == 422:
        raise LinesRefused(f"{url} answered {status}: {said(answer)}", hint="is that address a netcli collector?")
    if status != 200:
        raise PeerRefused(f"{url} answered {status}: {said(answer)}", hint="is that address a netcli collector?")
    try:
        found = answer.json()
        rejected = [Rejected(int(item["line"]), str(item["error"])) for item in found["rejected"]]
        receipt = Receipt(int(found["accepted"]), int(found["duplicates"]), rejected)
        whole = (
            min(receipt.accepted, receipt.duplicates) >= 0
            and receipt.accepted + receipt.duplicates + len(rejected) == sent
            and all(1 <= line <= sent for line, _ in rejected)
        )
    except NOT_AN_ANSWER:
        whole = False
    if not whole:
        raise PeerRefused(f"{url} answered 200, but not as a netcli collector does", hint="check the address")
    return receipt


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that a peer asks for: said as a number, or as a time by its own clock (RFC 9110, 10.2.3)."""
    text = headers.get("Retry-After", "")
    if text.isdecimal():
        return min(float(text), LONGEST_ASKED)
    try:
        at = parsedate_to_datetime(headers["Date"]) if "Date" in headers else datetime.now(UTC)
        seconds = (parsedate_to_datetime(text) - at).total_seconds()
    except (ValueError, TypeError):  # no date, or one without a zone
        return None
    return min(max(seconds, 0.0), LONGEST_ASKED)


def said(answer: Answer) -> str:
    """What the peer said of an error, made fit for one line of a terminal."""
    try:
        detail = answer.json()["detail"]
        text = detail["message"] if isinstance(detail, dict) else "; ".join(str(item["msg"]) for item in detail)
    except NOT_AN_ANSWER:
        text = answer.reason or "without a word"
    return json.dumps(text, ensure_ascii=False)[1:-1][:500]
