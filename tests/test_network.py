"""What networks do: peers that are dead, unreachable, slow, or break off just after they stored everything."""

from __future__ import annotations

import json
import random
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from gzip import decompress
from itertools import accumulate
from pathlib import Path

import pytest

from netstat_cli.line.wire import encode
from netstat_cli.transport.client import Client, Receipt, deliver
from netstat_cli.transport.exchange import Bounds, PeerUnavailable
from tests.collector.conftest import Running
from tests.given import interface, sample
from tests.namespaces import Host, program, two_hosts, two_hosts_that_lose

NETCLI = [sys.executable, "-m", "netstat_cli"]
LINES = [encode(sample(i * 10, interface(rx=i * 1000))) for i in range(20)]
Treatment = Callable[[socket.socket, bytes], None]


@contextmanager
def collector_on(host: Host, data: Path) -> Iterator[None]:
    """A collector on a host of our own, from when it listens."""
    command = [*NETCLI, "serve", "--listen", "10.77.0.2:8477", "--allow-anonymous", "--data", str(data)]
    with program(host.command(*command), stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert "listening on" in process.stderr.readline()
        yield
        process.terminate()
        process.wait(30)


def send(host: Host, spool: Path, lines: list[bytes], *more: str) -> int:
    """What `netcli send --spool` on a host ends with."""
    command = host.command(*NETCLI, "send", "--spool", str(spool), *more, "http://10.77.0.2:8477")
    text = b"\n".join(lines) + b"\n"
    return subprocess.run(command, input=text, stderr=subprocess.PIPE, check=False, timeout=90).returncode


def seen(data: Path) -> list[int]:
    """The counter of every stored line, in the order of the files."""
    texts = [(path.suffix, path.read_bytes()) for path in sorted(data.glob("web1/*.jsonl*"))]
    lines = [line for suffix, text in texts for line in (decompress(text) if suffix == ".gz" else text).splitlines()]
    return [json.loads(line)["network_interfaces"][0]["rx_bytes"] for line in lines]


@pytest.mark.slow
def test_a_dead_peer_and_one_that_cannot_be_reached(tmp_path: Path) -> None:
    """Nobody listens, then packets go nowhere: lines wait in the spool, and all arrive once, in order."""
    with two_hosts() as (sender, receiver):
        assert send(sender, tmp_path / "spool", LINES[:5]) == 75
        with collector_on(receiver, tmp_path / "data"):
            receiver.run("ip", "link", "set", "cable0", "down")
            assert send(sender, tmp_path / "spool", LINES[5:10]) == 75
            receiver.run("ip", "link", "set", "cable0", "up")
            receiver.run("ip", "neigh", "replace", "10.77.0.1", "lladdr", "02:00:00:00:77:01", "dev", "cable0")
            assert send(sender, tmp_path / "spool", LINES[10:], "--wait") == 0
    assert seen(tmp_path / "data") == [i * 1000 for i in range(20)]


@pytest.mark.slow
def test_a_fifth_of_the_packets_is_lost_in_both_directions(tmp_path: Path) -> None:
    """Whatever has to be said again on the way, every line is stored, once, in order."""
    chance = random.Random(7)
    counters = list(accumulate(chance.randrange(1 << 40) for _ in range(600)))
    lines = [encode(sample(i * 10, interface(rx=counter))) for i, counter in enumerate(counters)]
    with two_hosts_that_lose(0.2) as (sender, receiver, cable), collector_on(receiver, tmp_path / "data"):
        for batch in range(0, 600, 60):
            assert 0 == send(sender, tmp_path / "spool", lines[batch : batch + 60], "--wait")
        (carried_there, lost_there), (carried_back, lost_back) = cable.cut()
    assert counters == seen(tmp_path / "data")
    assert 0 < lost_there < carried_there
    assert 0 < lost_back < carried_back


@contextmanager
def treating(upstream: Running, treatments: list[Treatment]) -> Iterator[str]:
    """A way to the collector that does something to each answer in turn, and then lets all through."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        left = list(treatments)
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with suppress(OSError), connection, socket.create_connection(("127.0.0.1", upstream.port)) as inner:
                inner.sendall(_whole(connection))
                treat = left.pop(0) if left else socket.socket.sendall
                treat(connection, _whole(inner))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    listener.close()


def _whole(connection: socket.socket) -> bytes:
    text = b""
    while True:
        more = connection.recv(1 << 16)
        if not more:
            raise ConnectionError("gone")
        text += more
        head, ended, body = text.partition(b"\r\n\r\n")
        if ended:
            sizes = [int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            if len(body) >= sizes[0]:
                return text


def reset_half_way(connection: socket.socket, answer: bytes) -> None:
    """Half of the answer, then a reset."""
    connection.sendall(answer[: len(answer) // 2])
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def too_late(connection: socket.socket, answer: bytes) -> None:
    """The answer, when nobody waits for it any more."""
    time.sleep(0.5)
    connection.sendall(answer)


def drop_by_drop(connection: socket.socket, answer: bytes) -> None:
    """The answer, slowly but steadily."""
    for byte in answer:
        connection.sendall(bytes([byte]))
        time.sleep(0.001)


@pytest.mark.parametrize(
    ("treatments", "receipt"),
    [
        ([reset_half_way], Receipt(0, 20, [])),
        ([too_late], Receipt(0, 20, [])),
        ([lambda connection, _: connection.close()], Receipt(0, 20, [])),
        ([drop_by_drop], Receipt(20, 0, [])),
        ([too_late, reset_half_way, drop_by_drop], Receipt(0, 20, [])),
    ],
    ids=["reset half way", "too late", "closed", "slow", "one after the other"],
)
def test_an_answer_that_does_not_come_through(tmp_path: Path, treatments: list[Treatment], receipt: Receipt) -> None:
    """What was stored although the sender could not know comes again, and is stored once."""
    told: list[PeerUnavailable] = []

    def wait(_: float, error: PeerUnavailable) -> bool:
        told.append(error)
        return True

    with Running(tmp_path / "data") as collector, treating(collector, treatments) as url:
        assert receipt == deliver(Client(url, bounds=Bounds(connect_s=2.0, read_s=0.3)), LINES, None, wait)
    assert len(told) >= sum(one is not drop_by_drop for one in treatments)
