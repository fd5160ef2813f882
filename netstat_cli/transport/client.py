"""Sample lines to a collector over HTTP, and what its answers mean."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import urlsplit

import requests

from netstat_cli import __version__
from netstat_cli.errors import DeliveryError, UsageProblem

SAMPLES_PATH = "/api/v1/samples"
CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 30.0
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


class PeerUnavailable(DeliveryError):
    """The peer cannot take the lines now but may later; `retry_after` are the seconds that it asked for."""

    def __init__(self, message: str, *, retry_after: float | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class PeerRefused(DeliveryError):
    """The peer will not take the lines however often they are sent, until somebody mends something."""

    is_about_the_lines = False
    """Whether it is the lines that are wrong, not the sender's address, token or peer."""


class BatchTooLarge(PeerRefused):
    """The peer takes no body of this size; it may take half of it."""

    is_about_the_lines = True


class LinesRefused(PeerRefused):
    """The peer does not understand the body."""

    is_about_the_lines = True


def peer_url(peer: str) -> str:
    """The address of a collector: `web1:8477` means `http://web1:8477`. Raises UsageProblem."""
    url = peer if "://" in peer else f"http://{peer}"
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        valid = False
    if not valid:
        raise UsageProblem(f"{peer!r} is not the address of a collector", hint="write for example http://web1:8477")
    return url


def samples_url(peer: str) -> str:
    """Where a peer takes samples; its whole address is taken too."""
    url = peer_url(peer).rstrip("/")
    return url if url.endswith(SAMPLES_PATH) else url + SAMPLES_PATH


class Client:
    """A collector to send to. Keeps its connection between batches."""

    def __init__(
        self,
        peer: str,
        session: requests.Session | None = None,
        timeouts: tuple[float, float] = (CONNECT_TIMEOUT, READ_TIMEOUT),
    ) -> None:
        """`timeouts`: seconds to wait for a connection, and for an answer. Raises UsageProblem."""
        self.url = samples_url(peer)
        self._timeouts = timeouts
        self._session = session or requests.Session()
        self._session.headers.update(
            {
                "User-Agent": f"netcli/{__version__}",
                "Content-Type": "application/x-ndjson",
                "Accept": "application/json",
            }
        )

    def post(self, lines: list[bytes]) -> Receipt:
        """Sends lines (each without its newline) and returns once the peer has them on disk. Raises PeerUnavailable
        or PeerRefused; then the peer may or may not have them, and sending them again does no harm."""
        body = b"\n".join(lines) + b"\n"
        headers = {}
        if len(body) >= COMPRESS_FROM:
            body = gzip.compress(body, 5, mtime=0)
            headers["Content-Encoding"] = "gzip"
        try:
            response = self._session.post(
                self.url, data=body, headers=headers, timeout=self._timeouts, allow_redirects=False
            )
        except requests.Timeout as error:
            raise PeerUnavailable(f"{self.url} did not answer in time") from error
        except requests.exceptions.SSLError as error:
            raise PeerRefused(f"{self.url}: no secure connection: {reason(error)}") from error
        except ValueError as error:  # InvalidURL, and what the libraries below let through
            raise PeerRefused(f"{self.url} is not an address that can be reached: {error}") from error
        except requests.RequestException as error:
            message = f"cannot reach {self.url}: {reason(error)}"
            raise PeerUnavailable(message, hint="is `netcli serve` running there?") from error
        return _receipt(self.url, response, len(lines))


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


def _receipt(url: str, response: requests.Response, sent: int) -> Receipt:
    status = response.status_code
    if status in RETRIED or status >= 500:
        raise PeerUnavailable(f"{url} answered {status}: {said(response)}", retry_after=retry_after(response.headers))
    if status in (401, 403):
        raise PeerRefused(
            f"{url} answered {status}: {said(response)}", hint="give the collector's token (--token-file)"
        )
    if status == 413:
        raise BatchTooLarge(f"{url} answered 413: {said(response)}")
    if status == 422:
        raise LinesRefused(f"{url} answered {status}: {said(response)}", hint="is that address a netcli collector?")
    if status != 200:
        raise PeerRefused(f"{url} answered {status}: {said(response)}", hint="is that address a netcli collector?")
    try:
        answer = response.json()
        rejected = [Rejected(int(item["line"]), str(item["error"])) for item in answer["rejected"]]
        receipt = Receipt(int(answer["accepted"]), int(answer["duplicates"]), rejected)
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


def said(response: requests.Response) -> str:
    """What the peer said of an error, made fit for one line of a terminal."""
    try:
        detail = response.json()["detail"]
        text = detail["message"] if isinstance(detail, dict) else "; ".join(str(item["msg"]) for item in detail)
    except NOT_AN_ANSWER:
        text = response.reason or "without a word"
    return json.dumps(text, ensure_ascii=False)[1:-1][:500]


def reason(error: Exception) -> str:
    """The innermost cause, without the layers that the libraries wrap around it."""
    cause: BaseException = error
    while (inner := getattr(cause, "reason", None) or cause.__cause__ or cause.__context__) and isinstance(
        inner, BaseException
    ):
        cause = inner
    return getattr(cause, "strerror", None) or str(cause)
