"""The plumbing: HTTP/1.1 as it comes over a socket."""

from __future__ import annotations

import errno
import gzip
import http.client
import json
import shutil
import socket
import threading
from pathlib import Path

import pytest

from netstat_cli.collector.parser import MAX_BODY, MAX_HEAD, MAX_HEADERS, MAX_REQUEST_LINE
from netstat_cli.collector.server import Address, Server
from netstat_cli.errors import NetcliError
from netstat_cli.store.appending import Disk
from tests.collector.conftest import Running
from tests.disks import FailingDisk
from tests.given import interface, line_of, sample

LINE = line_of(sample(0, interface(rx=1000)))
PACKED = gzip.compress(LINE, mtime=0)
TAKEN = {"accepted": 1, "duplicates": 0, "rejected": []}
POST = b"POST /api/v1/samples HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
ALIVE = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


def status_and_code(answer: bytes) -> tuple[int, str]:
    """What a raw answer says: its status and the code of its error."""
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["detail"]["code"]


def test_one_connection_answers_many_requests(collector: Running) -> None:
    """A connection is kept: after an answer, after an error that is the request's alone, and after HEAD."""
    connection = http.client.HTTPConnection("127.0.0.1", collector.port, timeout=10)
    connection.connect()
    opened = connection.sock
    statuses = []
    for method, path, body in (
        ("GET", "/healthz", None),
        ("GET", "/nothing", None),
        ("POST", "/api/v1/samples", LINE),
        ("HEAD", "/api/stats", None),
        ("POST", "/api/v1/samples", b""),
        ("GET", "/healthz", None),
    ):
        connection.request(method, path, body)
        response = connection.getresponse()
        response.read()
        statuses.append(response.status)
    assert statuses == [200, 404, 200, 200, 400, 200]
    assert connection.sock is opened
    connection.close()


def test_requests_sent_at_once_are_answered_in_turn(collector: Running) -> None:
    """A client need not wait for an answer before it sends its next request."""
    last = ALIVE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    answers = collector.raw(ALIVE + ALIVE.replace(b"healthz", b"nothing") + last)
    assert [answer[:3] for answer in answers.split(b"HTTP/1.1 ")[1:]] == [b"200", b"404", b"200"]


@pytest.mark.parametrize(
    ("request_line", "header", "kept"),
    [
        (b"GET /healthz HTTP/1.1", b"", True),
        (b"GET /healthz HTTP/1.1", b"Connection: close\r\n", False),
        (b"GET /healthz HTTP/1.0", b"", False),
        (b"GET /healthz HTTP/1.0", b"Connection: keep-alive\r\n", True),
    ],
)
def test_who_ends_a_connection(collector: Running, request_line: bytes, header: bytes, kept: bool) -> None:
    """HTTP/1.1 keeps it unless told otherwise, HTTP/1.0 ends it unless told otherwise."""
    last = ALIVE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    answers = collector.raw(request_line + b"\r\nHost: x\r\n" + header + b"\r\n" + last).split(b"HTTP/1.1 200 OK")[1:]
    assert (2 if kept else 1) == len(answers)
    assert kept is not (b"Connection: close" in answers[0])
    assert (kept and b"1.0" in request_line) is (b"Connection: keep-alive\r\n" in answers[0])


def test_head_is_get_without_the_body(collector: Running) -> None:
    """HEAD has the status and headers of GET, Content-Length included, and nothing after them."""
    got = collector.raw(ALIVE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    head = collector.raw(ALIVE.replace(b"GET", b"HEAD").replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert (
        b'\r\nContent-Length: 15\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n{"status":"ok"}' in got
    )
    assert head.partition(b"Date:")[0] == got.partition(b"Date:")[0]
    assert head.endswith(b"\r\nContent-Length: 15\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (b"Content-Length: %d\r\n" % len(LINE), LINE),
        (b"content-length:%d\r\n" % len(LINE), LINE),
        (b"Content-Length: %d\r\nContent-Encoding: gzip\r\n" % len(PACKED), PACKED),
        (b"Content-Length: %d\r\nContent-Encoding: identity\r\n" % len(LINE), LINE),
        (b"Transfer-Encoding: chunked\r\n", b"1\r\n{\r\n%X;note=x\r\n" % len(LINE[1:]) + LINE[1:] + b"\r\n0\r\n\r\n"),
        (b"Transfer-Encoding: Chunked\r\n", b"%x\r\n" % len(LINE) + LINE + b"\r\n0\r\nTrailer: x\r\n\r\n"),
    ],
    ids=["length", "lower case", "gzip", "identity", "chunks", "trailer"],
)  # fmt: skip
def test_a_body_in_each_of_its_forms(collector: Running, headers: bytes, body: bytes) -> None:
    """By its length or in chunks, plain or gzip: what is stored is the same."""
    answer = collector.raw(POST + headers + b"\r\n" + body)
    assert json.loads(answer.partition(b"\r\n\r\n")[2]) == TAKEN
    assert list(collector.stored("web1")) == ["2026-11-21.jsonl"]


def test_a_client_that_waits_for_leave_gets_it(collector: Running) -> None:
    """`Expect: 100-continue` is answered before the body comes, as curl wants it for large ones."""
    with socket.create_connection(("127.0.0.1", collector.port), timeout=10) as connection:
        connection.sendall(POST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(LINE))
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(LINE)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_client_that_asks_leave_for_too_much_is_refused_at_once(collector: Running) -> None:
    """Who asks whether to send a body over the limit is not told to go on."""
    answer = collector.raw(POST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY + 1))
    assert status_and_code(answer) == (413, "BODY_TOO_LARGE")


BOMB = gzip.compress(b"\n" * (MAX_BODY + 1))


@pytest.mark.parametrize(
    ("request_text", "status", "code"),
    [
        (b"nonsense\r\n\r\n", 400, "BAD_REQUEST"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "BAD_REQUEST"),
        (b"GET /healthz\r\n\r\n", 400, "BAD_REQUEST"),
        (b"GET /healthz HTTP/2.0\r\n\r\n", 400, "BAD_REQUEST"),
        (b"GET / healthz HTTP/1.1\r\n\r\n", 400, "BAD_REQUEST"),
        (b"GET //[ HTTP/1.1\r\n\r\n", 400, "BAD_REQUEST"),
        (b"GET /" + b"x" * MAX_REQUEST_LINE + b" HTTP/1.1\r\n\r\n", 414, "URI_TOO_LONG"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400, "BAD_REQUEST"),
        (b"GET / HTTP/1.1\r\nName : x\r\n\r\n", 400, "BAD_REQUEST"),
        (b"GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n", 400, "BAD_REQUEST"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "BAD_REQUEST"),
        (b"GET / HTTP/1.1\r\nA: " + b"x" * MAX_HEAD + b"\r\n\r\n", 431, "HEADERS_TOO_LARGE"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: %s\r\n" % (b"x" * 7000) * 5 + b"\r\n", 431, "HEADERS_TOO_LARGE"),
        (b"GET //x/api/stats HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404, "NOT_FOUND"),
        (b"GET /healthz HTTP/1.1\r\n\r\n", 400, "BAD_REQUEST"),
        (b"GET /healthz HTTP/1.1\nHost: x\n\n", 400, "BAD_REQUEST"),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * (MAX_HEADERS + 1) + b"\r\n", 431, "HEADERS_TOO_LARGE"),
        (POST + b"\r\n", 411, "LENGTH_REQUIRED"),
        (POST + b"Content-Length: -1\r\n\r\n", 400, "BAD_REQUEST"),
        (POST + b"Content-Length: many\r\n\r\n", 400, "BAD_REQUEST"),
        (POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "BAD_REQUEST"),
        (POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "BAD_REQUEST"),
        (POST + b"Transfer-Encoding: gzip\r\n\r\n", 400, "BAD_REQUEST"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nno size\r\n", 400, "BAD_REQUEST"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n-5\r\n", 400, "BAD_REQUEST"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nfffffff\r\n", 413, "BODY_TOO_LARGE"),
        (POST + b"Content-Length: %d\r\n\r\n" % (MAX_BODY + 1), 413, "BODY_TOO_LARGE"),
        (POST + b"Content-Length: %s\r\n\r\n" % (b"9" * 30), 400, "BAD_REQUEST"),
        (POST + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB, 413, "BODY_TOO_LARGE"),
        (POST + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnone", 400, "BAD_GZIP"),
        (POST + b"Content-Encoding: gzip\r\nContent-Length: 20\r\n\r\n" + BOMB[:20], 400, "BAD_GZIP"),
        (POST + b"Content-Encoding: br\r\nContent-Length: 4\r\n\r\nnone", 415, "UNSUPPORTED_ENCODING"),
    ],
    ids=lambda value: repr(value[:90]) if isinstance(value, bytes) else str(value),
)
def test_a_request_that_cannot_be_taken(collector: Running, request_text: bytes, status: int, code: str) -> None:
    """Each is answered with its status and a code, the connection is closed, and the collector goes on, silent."""
    assert (status, code) == status_and_code(collector.raw(request_text))
    assert collector.get("/healthz") == {"status": "ok"}
    assert collector.warnings == []


@pytest.mark.parametrize(
    "text",
    [b"", b"\r\n", b"GET", POST + b"Content-Length: 500\r\n\r\n" + LINE],
    ids=["nothing", "blank", "word", "half"],
)
def test_a_client_that_goes_away_is_its_own_affair(collector: Running, text: bytes) -> None:
    """A connection that ends in the middle of a request stores nothing, and nobody is told."""
    with socket.create_connection(("127.0.0.1", collector.port), timeout=10) as connection:
        connection.sendall(text)
    with socket.create_connection(("127.0.0.1", collector.port), timeout=10) as connection:
        connection.sendall(text)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1 << 16):
            pass
    assert collector.get("/healthz") == {"status": "ok"}
    assert (collector.stored("web1"), collector.warnings) == ({}, [])


def test_a_client_that_sends_too_much_still_reads_why(collector: Running) -> None:
    """The answer to a body over the limit arrives though the client is still sending."""
    answer = collector.request("POST", "/api/v1/samples", b"\n" * (MAX_BODY + 1))
    message = "a body may have 16 MiB, also when unpacked; send the lines in smaller batches"
    assert (413, {"detail": {"code": "BODY_TOO_LARGE", "message": message}}) == (answer.status, answer.json)


def test_an_error_within_is_answered_and_told(collector: Running) -> None:
    """When the collector itself is broken, the client gets 500 and the operator the reason."""
    collector.server.answers.collector = collector.server.answers.collector._replace(live=None)  # type: ignore[arg-type]
    answer = collector.request("GET", "/api/nodes")
    detail = {"code": "INTERNAL", "message": "an error in the collector"}
    assert (500, {"detail": detail}) == (answer.status, answer.json)
    assert [
        "GET '/api/nodes' failed: AttributeError(\"'NoneType' object has no attribute 'nodes'\")"
    ] == collector.warnings


@pytest.mark.parametrize("spoiled", ["spoiled\n", '{"timestamp":"2026-11-21T12:00:00.000Z",spoiled\n'])
def test_a_file_spoiled_behind_the_collectors_back(collector: Running, spoiled: str) -> None:
    """A damaged line in the store is the collector's trouble and not the asker's mistake: 5xx."""
    collector.samples(LINE)
    (collector.data / "web1" / "2026-11-21.jsonl").write_text(spoiled)
    assert collector.request("GET", "/api/v1/metrics/sparkline/web1/network?period=99y").status in (500, 503)


@pytest.mark.parametrize("trouble", ["full", "broken", "closed", "spoiled", "gone"])
def test_no_error_tells_a_path_of_the_machine(tmp_path: Path, trouble: str) -> None:
    """The client reads what it can do, the operator reads where it happened."""
    disk = FailingDisk()
    with Running(tmp_path / "store", disk=disk) as collector:
        collector.samples(LINE)
        later = line_of(sample(10, interface(rx=2000)))
        if trouble in ("full", "broken"):
            disk.fault = errno.ENOSPC if trouble == "full" else errno.EIO
        elif trouble == "closed":
            collector.writer.close()
            collector.writer.close = lambda: None  # type: ignore[method-assign]
        elif trouble == "spoiled":
            (collector.data / "web1" / "2026-11-21.jsonl").write_text("spoiled\n")
        else:
            shutil.rmtree(collector.data / "web1")
            (collector.data / "web1").write_text("a file")
        answers = [
            collector.request("POST", "/api/v1/samples", later),
            collector.request("POST", "/api/v1/agents/heartbeat", later),
            collector.request("POST", "/api/v1/samples", later + line_of(sample(20, server="web2"))),
            collector.request("GET", "/api/v1/servers/web1"),
            collector.request("GET", "/api/v1/metrics/sparkline/web1/network?period=99y"),
            collector.request("GET", "/api/v1/servers/web1/interfaces?since=0&until=9999999999999"),
            collector.post("/api/v1/servers/web1/series", {"edges": [0, 9999999999999]}),
        ]
        texts = [json.dumps([answer.json, *answer.headers.items()]) for answer in answers]
        assert [] == [text for text in texts if str(tmp_path) in text or "jsonl" in text or "/store" in text]
        assert any(answer.status >= 500 for answer in answers)


def test_a_closed_store_answers_503(collector: Running) -> None:
    """While the collector closes, samples are refused with a time to come back."""
    collector.writer.close()
    answer = collector.request("POST", "/api/v1/samples", LINE)
    assert (answer.status, answer.json["detail"]["code"], answer.headers["Retry-After"]) == (503, "UNAVAILABLE", "5")
    collector.writer.close = lambda: None  # type: ignore[method-assign]  # it cannot be closed twice


def test_a_port_in_use(collector: Running) -> None:
    """A second server on a port says so and how to choose another."""
    with pytest.raises(NetcliError) as caught:
        Server(Address("127.0.0.1", collector.port), collector.server.answers.collector)
    assert f"cannot listen on 127.0.0.1:{collector.port}: Address already in use" == caught.value.message
    assert caught.value.hint == "another program listens there; choose another with --listen HOST:PORT"


@pytest.mark.parametrize(
    ("address", "url"),
    [(Address("127.0.0.1", 0), "http://127.0.0.1:8477"), (Address("::1", 0), "http://[::1]:8477")],
)
def test_the_url_of_an_address(address: Address, url: str) -> None:
    """An IPv6 address stands in brackets."""
    assert url == address.url(8477, "http")


class SlowDisk(Disk):
    """A disk that syncs when it is allowed to."""

    def __init__(self) -> None:
        self.reached, self.allowed = threading.Event(), threading.Event()

    def sync(self, fd: int) -> None:
        self.reached.set()
        assert self.allowed.wait(10)
        super().sync(fd)


def test_finishing_answers_what_was_taken(tmp_path: Path) -> None:
    """A request that was taken before the end is stored and answered, while new connections are refused; then the
    connection is closed. (A packed one is unpacked in a thread of its own, so that the server can go on to its end.)"""
    disk = SlowDisk()
    with Running(tmp_path / "store", disk=disk) as collector:
        connection = http.client.HTTPConnection("127.0.0.1", collector.port, timeout=10)
        connection.request("POST", "/api/v1/samples", PACKED, {"Content-Encoding": "gzip"})
        assert disk.reached.wait(10)
        finishing = threading.Thread(target=collector.finish)
        finishing.start()
        while collector.server.fileno() != -1:
            pass
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", collector.port), timeout=10)
        assert finishing.is_alive()
        disk.allowed.set()
        response = connection.getresponse()
        assert (response.status, response.headers["Connection"], json.loads(response.read())) == (200, "close", TAKEN)
        finishing.join(10)
        assert list(collector.stored("web1")) == ["2026-11-21.jsonl"]
