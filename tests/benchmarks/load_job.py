"""Load: batches, and many servers, against an endpoint that stores the same rows and a database that does not wait."""

from __future__ import annotations

import itertools
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator

from msgspec.structs import replace

from netstat_cli.line.model import Interface, Moment, Sample
from netstat_cli.line.wire import encode
from netstat_cli.times import SECOND
from tests.benchmarks import load
from tests.benchmarks.main_job import collector, free_port, rival, running
from tests.benchmarks.table import Row, ratio

SECONDS = 5.0
BATCH, BATCHES, RELAYS = 200, 400, 4
Line = Callable[[int, float, int, int], bytes]
"""The line of a server at a time, the so-manieth, with so many interfaces."""


def rows() -> Iterator[Row]:
    """All comparisons under load."""
    with collector() as address:
        batched = sum_of_batches(address, load.heartbeat)
    with collector() as address:
        own = sum_of_batches(address, sample_line)
    with collector() as address:
        load.run(address, 32, 2.0, lambda: load.heartbeats(1000))  # every server has its file now
        many = load.run(address, 32, SECONDS, lambda: load.heartbeats(1000))
    assert not many.bad, many
    try:
        with rival() as address:
            load.run(address, 32, 1.0, lambda: load.heartbeats(1000))
            other = load.run(address, 32, SECONDS, lambda: load.heartbeats(1000))
    except ImportError:
        return
    against = "FastAPI + SQLAlchemy + SQLite, single heartbeats"
    yield Row("heartbeats in batches of 200", f"{batched:.0f} /s", against, f"{other.rate:.0f} /s",
              ratio(batched, other.rate), "≥ 20000 /s")  # fmt: skip
    yield Row("lines of netcli collect in batches of 200", f"{own:.0f} /s", against, f"{other.rate:.0f} /s",
              ratio(own, other.rate), "none")  # fmt: skip
    yield Row("single heartbeats of 1000 servers", f"{many.rate:.0f} /s", against, f"{other.rate:.0f} /s",
              ratio(many.rate, other.rate), "≥ 2000 /s")  # fmt: skip
    yield from _victoria(batched)


def sample_line(server: int, at: float, count: int, interfaces: int) -> bytes:
    """The same readings as a line with all that netcli itself says of an interface."""
    four = dict.fromkeys(("rx_bytes", "tx_bytes", "rx_packets", "tx_packets"), count)
    faults = dict.fromkeys(("rx_errors", "tx_errors", "rx_dropped", "tx_dropped"), 0)
    start = Moment(round(at - count) * SECOND)
    kept = Interface(name="-", kind="physical", is_up=True, speed_mbps=1000, start=start, **four, **faults)
    listed = [replace(kept, name=f"eth{i}", ifindex=i, rx_bytes=count * 1000 + i) for i in range(interfaces)]
    name = f"server-{server}"
    return encode(
        Sample(
            timestamp=Moment(round(at * SECOND)),
            server_id=name,
            hostname=name,
            boot_id="boot",
            seq=count,
            interval=10.0,
            network_rx_bytes_per_sec=0.5 + count,
            network_tx_bytes_per_sec=0.0,
            network_start=start,
            **{f"network_{key}": 5 * value for key, value in four.items()},
            network_interfaces=tuple(listed),
        )
    )


def sum_of_batches(address: tuple[str, int], line: Line) -> float:
    """Lines a second in batches, from relays that each speak for servers of their own."""
    batches = [list(_batches(relay, line)) for relay in range(RELAYS)]
    connections = [load._Connection(address) for _ in range(RELAYS)]
    begun = time.perf_counter()
    for turn in range(BATCHES // RELAYS):
        for relay, connection in enumerate(connections):
            connection.send(batches[relay][turn])
        for connection in connections:
            while (status := connection.read()) is None:
                pass
            assert status == 200, connection.received
    return BATCHES * BATCH / (time.perf_counter() - begun)


def _batches(relay: int, line: Line) -> Iterator[bytes]:
    base = time.time()
    for turn in range(BATCHES // RELAYS):
        lines = (line(relay * BATCH + i, base + turn, turn, 5) for i in range(BATCH))
        yield load.post("/api/v1/samples", b"\n".join(lines), "application/x-ndjson")


def _victoria(batched: float) -> Iterator[Row]:
    """The same readings as Influx lines; VictoriaMetrics answers before they are on disk."""
    if shutil.which("victoria-metrics") is None:
        return
    with tempfile.TemporaryDirectory() as data:
        address = ("127.0.0.1", free_port())
        command = ("victoria-metrics", f"-storageDataPath={data}", f"-httpListenAddr=:{address[1]}")
        with running(*command, address=address):
            connection = load._Connection(address)
            requests = [load.post("/write", b"\n".join(_influx(turn)), "text/plain") for turn in range(100)]
            begun = time.perf_counter()
            for request in requests:
                connection.send(request)
                _until_answered(connection)
            rate = 100 * BATCH / (time.perf_counter() - begun)
    yield Row("heartbeats in batches of 200", f"{batched:.0f} /s", "VictoriaMetrics, not waiting for the disk",
              f"{rate:.0f} /s", ratio(batched, rate), "none")  # fmt: skip


def _influx(turn: int) -> Iterator[bytes]:
    at = (int(time.time()) + turn) * 10**9
    for server, interface in itertools.product(range(BATCH), range(5)):
        values = f"bytes_recv={turn * 1000}i,bytes_sent={turn * 500}i,packets_recv={turn}i,packets_sent={turn}i"
        yield f"net,host=server-{server},interface=eth{interface} {values} {at}".encode()


def _until_answered(connection: load._Connection) -> None:
    while b"\r\n\r\n" not in connection.received:
        connection.received += connection.socket.recv(1 << 16)
