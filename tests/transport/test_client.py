"""One batch to one peer: what is sent, and what each of its answers means."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from netstat_cli import __version__
from netstat_cli.errors import NetcliError, UsageProblem
from netstat_cli.line.wire import encode
from netstat_cli.transport.client import (
    BatchTooLarge,
    Client,
    PeerRefused,
    PeerUnavailable,
    Receipt,
    Rejected,
    delays,
    deliver,
    post_in_parts,
    retry_after,
    samples_url,
)
from tests.collector.conftest import Running
from tests.given import interface, sample

LINES = [encode(sample(i * 10, interface(rx=i * 1000))) for i in range(4)]


class Reply(NamedTuple):
    """One answer of a peer."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


class Received(NamedTuple):
    """One request that a peer got, its body unpacked."""

    path: str
    headers: dict[str, str]
    lines: list[bytes]


def taken(lines: list[bytes]) -> Reply:
    """The answer of a collector that stored every line."""
    return Reply(200, json.dumps({"accepted": len(lines), "duplicates": 0, "rejected": []}).encode())


class Peer:
    """A real HTTP server that answers as it is told: one reply after the other, then as a good collector does; or
    whatever `judge` makes of the lines."""

    def __init__(
        self,
        *replies: Reply,
        judge: Callable[[list[bytes]], Reply] = taken,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.received: list[Received] = []
        waiting = list(replies)
        peer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # an answer in one write: in two, the second waits for an acknowledgement of the first

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                packed = self.headers["Content-Encoding"] == "gzip"
                lines = (gzip.decompress(body) if packed else body).splitlines()
                peer.received.append(Received(self.path, dict(self.headers), lines))
                status, text, headers = waiting.pop(0) if waiting else judge(lines)
                self.send_response(status)
                for name, value in (*headers, ("Content-Length", str(len(text)))):
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def closed_port() -> int:
    """A port on which nobody listens."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.mark.parametrize(
    ("peer", "url"),
    [
        ("web1", "http://web1/api/v1/samples"),
        ("web1:8477", "http://web1:8477/api/v1/samples"),
        ("http://web1:8477", "http://web1:8477/api/v1/samples"),
        ("http://web1:8477/", "http://web1:8477/api/v1/samples"),
        ("https://web1/behind/a/proxy/", "https://web1/behind/a/proxy/api/v1/samples"),
        ("http://web1:8477/api/v1/samples", "http://web1:8477/api/v1/samples"),
        ("[::1]:8477", "http://[::1]:8477/api/v1/samples"),
    ],
)
def test_a_peer_by_its_short_and_its_long_name(peer: str, url: str) -> None:
    """Host and port are enough; the scheme and the path are filled in."""
    assert url == samples_url(peer)


@pytest.mark.parametrize(
    "peer", ["", "http://", "ftp://web1", "http://web1:port", "http://web1:0", "http://web1:70000", "http://[", ":8477"]
)
def test_what_is_no_address(peer: str) -> None:
    """What cannot be a collector's address is wrong usage, with an example."""
    with pytest.raises(UsageProblem) as caught:
        samples_url(peer)
    assert (f"{peer!r} is not the address of a collector", "write for example http://web1:8477") == (
        caught.value.message,
        caught.value.hint,
    )


def test_what_a_batch_looks_like_on_the_wire() -> None:
    """NDJSON, said who sends it; a batch that does not fit into a packet is packed."""
    with Peer() as peer:
        client = Client(peer.url)
        assert Receipt(1, 0, []) == client.post(LINES[:1])
        assert Receipt(40, 0, []) == client.post(LINES * 10)
    small, large = peer.received
    assert (("/api/v1/samples", LINES[:1]), ("/api/v1/samples", LINES * 10)) == (
        (small.path, small.lines),
        (large.path, large.lines),
    )
    assert f"netcli/{__version__}" == small.headers["User-Agent"]
    assert small.headers["Content-Type"] == "application/x-ndjson"
    assert (None, "gzip") == (small.headers.get("Content-Encoding"), large.headers.get("Content-Encoding"))


def test_the_collector_takes_what_the_client_sends(tmp_path: Path) -> None:
    """Against the real collector: stored once however often it is sent, wrong lines named by their place."""
    with Running(tmp_path / "store") as collector:
        client = Client(collector.url)
        assert Receipt(4, 0, []) == client.post(LINES)
        wrong = Rejected(2, "is not JSON: Expecting value: line 1 column 1 (char 0)")
        assert Receipt(0, 1, [wrong]) == client.post([LINES[0], b"not json"])


def answer(accepted: Any, duplicates: Any, rejected: Any) -> bytes:
    """A receipt in JSON."""
    return json.dumps({"accepted": accepted, "duplicates": duplicates, "rejected": rejected}).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>It works!</html>",
        b"\xff\xfe\x00",
        b"null",
        b"7",
        b"[]",
        b"{}",
        b"[" * 100_000,
        answer(1, 0, None),
        answer(1, 0, 7),
        answer(1, 0, "x"),
        answer("many", 0, []),
        answer(None, 0, []),
        answer([], 0, []),
        answer(float("inf"), 0, []),
        answer(0, 0, []),
        answer(2, 0, []),
        answer(3, -2, []),
        answer(0, 0, [{"line": 1}]),
        answer(0, 0, [{"line": None, "error": "x"}]),
        answer(0, 0, [{"line": 0, "error": "x"}]),
        answer(0, 0, [{"line": 99, "error": "x"}]),
    ],
    ids=lambda body: repr(body)[-70:],
)
def test_a_peer_that_answers_garbage(body: bytes) -> None:
    """A 200 that does not account for every line is not a collector's: refused at once, with the address to check."""
    with Peer(Reply(200, body)) as peer, pytest.raises(PeerRefused) as caught:
        Client(peer.url).post(LINES[:1])
    assert f"{peer.url}/api/v1/samples answered 200, but not as a netcli collector does" == caught.value.message
    assert caught.value.hint == "check the address"


def detail(message: object) -> bytes:
    """An error body of a collector."""
    return json.dumps({"detail": {"code": "X", "message": message}}).encode()


FIELDS = [{"loc": ["body", "a"], "msg": "is missing", "type": "missing"}, {"msg": "is wrong"}]
TOKEN, NOT_A_COLLECTOR = "give the collector's token (--token-file)", "is that address a netcli collector?"


@pytest.mark.parametrize(
    ("reply", "error", "said", "hint", "retry_after"),
    [
        (Reply(500, detail("an error")), PeerUnavailable, "500: an error", None, None),
        (Reply(502, b"<html>"), PeerUnavailable, "502: Bad Gateway", None, None),
        (Reply(503, detail("busy"), (("Retry-After", "5"),)), PeerUnavailable, "503: busy", None, 5.0),
        (Reply(503, b"", (("Retry-After", "soon"),)), PeerUnavailable, "503: Service Unavailable", None, None),
        (Reply(429, b"", (("Retry-After", "999999"),)), PeerUnavailable, "429: Too Many Requests", None, 3600.0),
        (Reply(507, detail("disk full")), PeerUnavailable, "507: disk full", None, None),
        (Reply(408), PeerUnavailable, "408: Request Timeout", None, None),
        (Reply(425, b"", (("Retry-After", "0"),)), PeerUnavailable, "425: Too Early", None, 0.0),
        (Reply(401, detail("who are you")), PeerRefused, "401: who are you", TOKEN, None),
        (Reply(403), PeerRefused, "403: Forbidden", TOKEN, None),
        (Reply(404, b"{}"), PeerRefused, "404: Not Found", NOT_A_COLLECTOR, None),
        (Reply(302, b"", (("Location", "http://127.0.0.1:1/"),)), PeerRefused, "302: Found", NOT_A_COLLECTOR, None),
        (Reply(204), PeerRefused, "204: No Content", NOT_A_COLLECTOR, None),
        (
            Reply(422, json.dumps({"detail": FIELDS}).encode()),
            PeerRefused,
            "422: is missing; is wrong",
            NOT_A_COLLECTOR,
            None,
        ),
        (Reply(413, detail("too large")), BatchTooLarge, "413: too large", None, None),
        (Reply(400, detail("a\nb\x1b[31m")), PeerRefused, "400: a\\nb\\u001b[31m", NOT_A_COLLECTOR, None),
        (Reply(400, detail("x" * 9999)), PeerRefused, f"400: {'x' * 500}", NOT_A_COLLECTOR, None),
        (Reply(400, b'{"detail":"text"}'), PeerRefused, "400: Bad Request", NOT_A_COLLECTOR, None),
        (Reply(400, b'{"detail":[7]}'), PeerRefused, "400: Bad Request", NOT_A_COLLECTOR, None),
        (Reply(400, b"[" * 100_000), PeerRefused, "400: Bad Request", NOT_A_COLLECTOR, None),
    ],
    ids=lambda value: repr(value)[:50],
)
def test_what_an_error_means(
    reply: Reply, error: type[PeerRefused | PeerUnavailable], said: str, hint: str | None, retry_after: float | None
) -> None:
    """5xx, 408, 425 and 429 may pass; everything else stays until somebody mends it; a redirect is not followed. What
    the peer said of it is told in one line."""
    with Peer(reply) as peer, pytest.raises((PeerRefused, PeerUnavailable)) as caught:
        Client(peer.url).post(LINES[:1])
    assert isinstance(caught.value, error)
    assert (f"{peer.url}/api/v1/samples answered {said}", hint) == (caught.value.message, caught.value.hint)
    assert retry_after == getattr(caught.value, "retry_after", None)
    assert len(peer.received) == 1


@pytest.mark.parametrize(
    ("asked", "date", "seconds"),
    [
        ("120", None, 120.0),
        ("Sun, 22 Nov 2026 10:00:40 GMT", "Sun, 22 Nov 2026 10:00:00 GMT", 40.0),
        ("Sunday, 22-Nov-26 10:00:40 GMT", "Sun, 22 Nov 2026 10:00:00 GMT", 40.0),
        ("Sun, 22 Nov 2026 09:59:59 GMT", "Sun, 22 Nov 2026 10:00:00 GMT", 0.0),
        ("Mon, 23 Nov 2026 10:00:00 GMT", "Sun, 22 Nov 2026 10:00:00 GMT", 3600.0),
        ("Fri, 01 Jan 2100 00:00:00 GMT", None, 3600.0),
        ("Sun, 22 Nov 2026 10:00:40 GMT", "today", None),
        ("Sun, 22 Nov 2026 10:00:40", "Sun, 22 Nov 2026 10:00:00 GMT", None),
        ("soon", None, None),
        ("-5", None, None),
        ("", None, None),
    ],
)
def test_how_long_a_peer_asks_to_wait(asked: str, date: str | None, seconds: float | None) -> None:
    """Seconds, or a time, which is compared with the peer's own clock: at most an hour, and nothing where it cannot be
    understood."""
    assert seconds == retry_after({"Retry-After": asked} | ({} if date is None else {"Date": date}))


def test_a_peer_that_is_down() -> None:
    """Nobody listens: it may come back, and the message says what to look for."""
    url = f"http://127.0.0.1:{closed_port()}"
    with pytest.raises(PeerUnavailable) as caught:
        Client(url).post(LINES)
    assert f"cannot reach {url}/api/v1/samples: Connection refused" == caught.value.message
    assert caught.value.hint == "is `netcli serve` running there?"


@pytest.mark.parametrize("text", [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"])
def test_a_peer_that_does_not_speak_http(text: bytes) -> None:
    """A connection that breaks, or another protocol's words, is a peer that cannot take the lines now."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def talk() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(text)

        threading.Thread(target=talk, daemon=True).start()
        with pytest.raises(PeerUnavailable, match=r"^cannot reach http://127\.0\.0\.1:\d+/api/v1/samples: ."):
            Client(f"127.0.0.1:{server.getsockname()[1]}").post(LINES)


def test_a_host_name_that_cannot_be_one() -> None:
    """A name that no resolver takes (a label over 63 characters) is told as an error of netcli's, with the name."""
    host = "x" * 64
    with pytest.raises(NetcliError, match=host):
        Client(host).post(LINES)


def test_a_batch_too_large_is_sent_in_halves() -> None:
    """413 halves the batch until it fits; the places of rejected lines are those in the whole batch."""

    def at_most_two(lines: list[bytes]) -> Reply:
        if len(lines) > 2:
            return Reply(413, detail("too large"))
        bad = [{"line": i, "error": "bad"} for i, line in enumerate(lines, 1) if line == b"bad"]
        return Reply(200, answer(len(lines) - len(bad), 0, bad))

    with Peer(judge=at_most_two) as peer:
        lines = [LINES[0], b"bad", LINES[1], LINES[2], b"bad", LINES[3], b"bad"]
        receipt = post_in_parts(Client(peer.url), lines)
    assert Receipt(4, 0, [Rejected(2, "bad"), Rejected(5, "bad"), Rejected(7, "bad")]) == receipt
    assert [7, 3, 1, 2, 4, 2, 2] == [len(one.lines) for one in peer.received]


def test_one_line_too_large_is_refused() -> None:
    """A single line that the peer does not take is not cut any further."""
    with Peer(judge=lambda _: Reply(413)) as peer, pytest.raises(BatchTooLarge):
        post_in_parts(Client(peer.url), LINES[:1])


BUSY, ASKED = Reply(500), Reply(503, b"", (("Retry-After", "100"),))


class Waits:
    """Remembers what it was told to wait for, and does not."""

    def __init__(self, patience: int = 99) -> None:
        self.told: list[tuple[float, str]] = []
        self.patience = patience

    def __call__(self, seconds: float, error: PeerUnavailable) -> bool:
        self.told.append((seconds, error.message.partition("answered ")[2]))
        return len(self.told) <= self.patience


def test_a_peer_that_recovers_gets_the_same_lines() -> None:
    """Between tries the pause grows, is told with its reason, and is never shorter than the peer asked for."""
    waits = Waits()
    with Peer(BUSY, BUSY, ASKED) as peer:
        assert Receipt(4, 0, []) == deliver(Client(peer.url), LINES, None, waits)
    assert [LINES] * 4 == [one.lines for one in peer.received]
    said = ["500: Internal Server Error"] * 2 + ["503: Service Unavailable"]
    assert said == [reason for _, reason in waits.told]
    first, second, third = (seconds for seconds, _ in waits.told)
    assert (True, True, 100.0) == (0.5 <= first <= 1, 1 <= second <= 2, third)


@pytest.mark.parametrize(
    ("attempts", "patience", "requests", "pauses"), [(3, 99, 3, 2), (1, 99, 1, 0), (None, 2, 3, 3), (9, 0, 1, 1)]
)
def test_giving_up(attempts: int | None, patience: int, requests: int, pauses: int) -> None:
    """After so many tries, or when `wait` has enough, the last reason is raised."""
    waits = Waits(patience)
    with Peer(judge=lambda _: BUSY) as peer, pytest.raises(PeerUnavailable):
        deliver(Client(peer.url), LINES, attempts, waits)
    assert (requests, pauses) == (len(peer.received), len(waits.told))


def test_what_will_not_change_is_not_tried_again() -> None:
    """A peer that refuses is asked once."""
    waits = Waits()
    with Peer(Reply(401)) as peer, pytest.raises(PeerRefused):
        deliver(Client(peer.url), LINES, None, waits)
    assert (1, []) == (len(peer.received), waits.told)


@pytest.mark.parametrize(
    ("jitter", "expected"),
    [
        (lambda low, high: high, [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]),
        (lambda low, high: low, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]),
    ],
)
def test_pauses_double_up_to_a_minute(jitter: Callable[[float, float], float], expected: list[float]) -> None:
    """Each pause is spread over the upper half of its length, so that a thousand senders do not come back at once."""

    def first(pauses: Iterator[float]) -> list[float]:
        return list(islice(pauses, len(expected)))

    assert expected == first(delays(jitter))
    assert len({tuple(first(delays())) for _ in range(5)}) == 5
