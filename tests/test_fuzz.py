"""Whatever comes over the socket, the collector answers it or closes, tells nobody of an error, and keeps nothing."""

from __future__ import annotations

import json
import os
import random
import socket
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netstat_cli.collector.routes import ROUTES
from tests.collector.conftest import Running
from tests.given import interface, line_of, sample

MODERATE = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
VALID = json.loads(line_of(sample(0, interface(rx=1000), seq=1)))
PATHS = [pattern.pattern.replace("(?P<server_id>[^/]+)", "web1").replace("\\", "") for pattern, _ in ROUTES]
PIECES = [
    b"GET ",
    b"POST ",
    b"/healthz",
    b"/api/v1/samples",
    b" HTTP/1.1\r\n",
    b"Host: x\r\n",
    b"\r\n",
    b"Content-Length: ",
]
PIECES += [
    b"Transfer-Encoding: chunked\r\n",
    b"5\r\n",
    b"0\r\n\r\n",
    b"Content-Encoding: gzip\r\n",
    b"\x1f\x8b\x08",
    b"%2e%",
]


@pytest.fixture
def tidy(tmp_path: Path) -> Iterator[Running]:
    """A collector that must end with as many threads and sockets as it began with, and without a warning."""
    with Running(tmp_path / "store") as running:
        assert {"status": "ok"} == running.get("/healthz")  # with it all threads of the collector are there
        while len(running.server._loop._channels):
            time.sleep(0.01)
        before = open_things()
        running.samples(line_of(sample(0, interface(rx=1000))))
        yield running
        deadline = time.monotonic() + 10
        while open_things() != before and time.monotonic() < deadline:
            time.sleep(0.01)
        assert (before, []) == (open_things(), running.warnings)
        assert {"status": "ok"} == running.get("/healthz")


def open_things() -> tuple[int, int]:
    """How many threads and sockets this process has; of files, the store keeps a bounded number open."""
    return threading.active_count(), sum(stat.S_ISSOCK(mode_of(int(fd))) for fd in os.listdir("/proc/self/fd"))


def mode_of(fd: int) -> int:
    """What a descriptor is; 0 where it is closed by now."""
    try:
        return os.fstat(fd).st_mode
    except OSError:
        return 0


def exchange(port: int, text: bytes) -> bytes:
    """What comes back for all that a client has to say; a client that is cut off has its answer in what came."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        answer = b""
        try:
            connection.sendall(text)
            connection.shutdown(socket.SHUT_WR)
            while chunk := connection.recv(1 << 16):
                answer += chunk
        except (ConnectionError, BrokenPipeError):
            pass
        return answer


@MODERATE
@given(text=st.one_of(st.binary(max_size=300), st.lists(st.sampled_from(PIECES) | st.binary(max_size=9)).map(b"".join)))
def test_bytes(tidy: Running, text: bytes) -> None:
    """Any bytes get an answer that is no server error, or a closed connection, within the time of a request."""
    answer = exchange(tidy.port, text)
    assert answer == b"" or answer.startswith((b"HTTP/1.1 2", b"HTTP/1.1 4", b"HTTP/1.1 100"))
    assert b"HTTP/1.1 5" not in answer


LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["web1", "eth0"])
)
KEYS = st.sampled_from([*VALID, *VALID["network_interfaces"][0], "edges", "interface", "server_guid"]) | st.text(
    max_size=5
)
VALUES = st.recursive(LEAVES, lambda deeper: st.lists(deeper, max_size=4) | st.dictionaries(KEYS, deeper, max_size=5))
SPOILED = st.dictionaries(st.sampled_from([*VALID, "name", "edges", "server_guid"]), VALUES, max_size=3)


@MODERATE
@given(path=st.sampled_from(PATHS), value=VALUES | SPOILED.map(lambda more: VALID | more), query=st.text(max_size=9))
def test_bodies(tidy: Running, path: str, value: object, query: str) -> None:
    """Whatever JSON is posted to whichever page, nearly right or not at all, the client is told what is wrong."""
    body = json.dumps(value).encode(errors="replace")
    quoted = "".join(f"%{byte:02x}" for byte in query.encode(errors="replace"))
    for method in ("POST", "GET"):
        head = f"{method} {path}?period={quoted}&interface={quoted}&points={quoted}&since={quoted} HTTP/1.1\r\n"
        head += f"Host: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        answer = exchange(tidy.port, head.encode() + body)
        assert answer[9:12] in (b"200", b"400", b"404", b"405", b"415", b"422")
        json.loads(answer.partition(b"\r\n\r\n")[2])


@pytest.mark.slow
def test_a_hundred_thousand_bad_requests(tidy: Running) -> None:
    """Each is answered, none with a server error, and in the end the collector is as it was."""
    chance = random.Random(6)
    good = json.dumps(VALID).encode()
    for _ in range(10_000):
        text = b""
        for _ in range(9):
            at = chance.randrange(len(good))
            body = good[:at] + chance.randbytes(chance.randint(1, 3)) + good[at + chance.randint(0, 3) :]
            head = f"POST {chance.choice(PATHS)} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            text += head.encode() + body
        answer = exchange(
            tidy.port, text + chance.choice([b"\x16\x03 x y z\r\n", b"GET / HTTP/3\r\n\r\n", b"G\r\n\r\n"])
        )
        assert (10, False) == (answer.count(b"\r\nServer: netcli/"), b"HTTP/1.1 5" in answer)
