"""The promise under load: a thousand agents, and a collector that knows ten thousand nodes."""

from __future__ import annotations

import gzip
import itertools
import json
import resource
import selectors
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from netstat_cli.traffic.series import MAX_EDGES
from tests.benchmarks import load
from tests.benchmarks.main_job import NETCLI, free_port, running

AGENTS = 1000
SECONDS = 60
MANY, EVERY_S, MANY_SECONDS = 10_000, 10.0, 120.0


def stored(data: Path) -> list[tuple[str, str]]:
    """Server and timestamp of every line in the store."""
    lines = (line for path in data.glob("*/*.jsonl") for line in path.read_bytes().splitlines())
    return sorted((one["server_id"], one["timestamp"]) for one in map(json.loads, lines))


class Agent:
    """Sends a heartbeat each second on a connection of its own."""

    def __init__(self, number: int, address: tuple[str, int], begun: float) -> None:
        self.number = number
        self.due = begun + number / AGENTS
        self.connection = load._Connection(address)
        self.latencies: list[float] = []

    def send(self) -> None:
        """The heartbeat that is due."""
        body = load.heartbeat(self.number, time.time(), len(self.latencies), 5)
        self.connection.send(load.post("/api/v1/agents/heartbeat", body))
        self.due += 1.0


@pytest.mark.slow
def test_a_thousand_agents_for_a_minute(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every heartbeat of a thousand agents at one a second is answered with 200 and stored once."""
    address = ("127.0.0.1", free_port())
    data = tmp_path / "data"
    command = (NETCLI, "serve", "--listen", f"127.0.0.1:{address[1]}", "--data", str(data))
    with running(*command, address=address), selectors.DefaultSelector() as selector:
        begun = time.monotonic()
        agents = [Agent(number, address, begun) for number in range(AGENTS)]
        for agent in agents:
            selector.register(agent.connection.socket, selectors.EVENT_READ, agent)
        statuses: list[int] = []
        idle, sent = set(range(AGENTS)), 0
        while len(statuses) < AGENTS * SECONDS:
            at = time.monotonic()
            for number in [n for n in idle if agents[n].due <= at and len(agents[n].latencies) < SECONDS]:
                agents[number].send()
                idle.discard(number)
                sent += 1
            for key, _ in selector.select(0.005):
                agent = key.data
                if (status := agent.connection.read()) is not None:
                    agent.latencies.append(time.perf_counter() - agent.connection.sent)
                    statuses.append(status)
                    idle.add(agent.number)
        seconds = time.monotonic() - begun
    latencies = sorted(itertools.chain.from_iterable(agent.latencies for agent in agents))
    with capsys.disabled():
        p99 = latencies[int(len(latencies) * 0.99)] * 1000
        print(f"\n{AGENTS} agents: {len(statuses)} heartbeats in {seconds:.0f} s, p99 {p99:.0f} ms")
    assert {200} == set(statuses)
    found = stored(data)
    assert sent == len(found) == len(set(found)) == AGENTS * SECONDS


@pytest.mark.slow
def test_ten_thousand_agents_on_as_many_connections(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ten thousand agents, each on a connection of its own, with a heartbeat each ten seconds for two minutes: each is
    answered with 200 and stored once, none is cut off, and memory stays under 400 MB."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    address = ("127.0.0.1", free_port())
    data = tmp_path / "data"
    command = (NETCLI, "serve", "--listen", f"127.0.0.1:{address[1]}", "--data", str(data))
    with running(*command, address=address) as process, selectors.DefaultSelector() as selector:
        agents = [load._Connection(address) for _ in range(MANY)]
        for number, agent in enumerate(agents):
            selector.register(agent.socket, selectors.EVENT_READ, number)
        begun = time.monotonic()
        due = deque((begun + number * EVERY_S / MANY, number) for number in range(MANY))
        statuses, latencies = Counter[int](), list[float]()
        under_way = 0
        while under_way or due:
            while due and due[0][0] <= time.monotonic():
                at, number = due.popleft()
                body = load.heartbeat(number, time.time(), round(at), 5)
                agents[number].send(load.post("/api/v1/agents/heartbeat", body))
                under_way += 1
                if at + EVERY_S < begun + MANY_SECONDS:
                    due.append((at + EVERY_S, number))
            for key, _ in selector.select(0.002):
                if (status := agents[key.data].read()) is not None:
                    latencies.append(time.perf_counter() - agents[key.data].sent)
                    statuses[status] += 1
                    under_way -= 1
        peak = memory_of(process.pid, "VmHWM")
        for agent in agents:
            agent.socket.close()
    latencies.sort()
    p99 = latencies[int(len(latencies) * 0.99)] * 1000
    with capsys.disabled():
        print(f"\n{MANY} agents: {statuses} in {MANY_SECONDS:.0f} s, p99 {p99:.0f} ms, {peak:.0f} MB at most")
    found = stored(data)
    expected = MANY * round(MANY_SECONDS / EVERY_S)
    assert ({200: expected}, expected, expected) == (statuses, len(found), len(set(found)))
    assert peak < 400


def wide() -> list[bytes]:
    """16 samples of 10,000 interfaces."""
    values = '"rx_bytes":1,"tx_bytes":1,"rx_packets":1,"tx_packets":1,"is_up":true'
    listed = ",".join(f'{{"name":"v{number}",{values}}}' for number in range(10_000))
    head = f'"server_id":"wide","network_interfaces":[{listed}]'
    lines = [f'{{"timestamp":{time.time() + second},{head}}}'.encode() for second in range(16)]
    return [load.post("/api/v1/samples", b"\n".join(lines), "application/x-ndjson")]


def long() -> list[bytes]:
    """20,000 lines of one server."""
    lines = [load.heartbeat(7, time.time() - 20_000 + number, number, 1) for number in range(20_000)]
    return [load.post("/api/v1/samples", b"\n".join(lines), "application/x-ndjson")]


def new_servers() -> list[bytes]:
    """A line each of 9,000 servers."""
    lines = [load.heartbeat(number, time.time(), number, 1) for number in range(9000)]
    return [load.post("/api/v1/samples", b"\n".join(lines), "application/x-ndjson")]


def nested() -> list[bytes]:
    """14 kB of gzip that are 14 MB of brackets."""
    return [packed(gzip.compress(b"[" * (7 << 20) + b"]" * (7 << 20), mtime=0))]


def empty_members() -> list[bytes]:
    """14 MB of gzip members that hold nothing."""
    return [packed(gzip.compress(b"", mtime=0) * 700_000)]


def hundred_years() -> list[bytes]:
    """The longest sparkline, ten times, of a server with many lines."""
    path = b"/api/v1/metrics/sparkline/server-7/network?period=100y&points=1000"
    return [*long(), *[b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n"] * 10]


def most_edges() -> list[bytes]:
    """The series with most edges, of a server with many lines."""
    now_ms = round(time.time() * 1000)
    edges = list(range(now_ms - 20_000_000, now_ms, 20_000_000 // (MAX_EDGES - 1) + 1))
    return [*long(), load.post("/api/v1/servers/server-7/series", json.dumps({"edges": edges}).encode())]


def packed(body: bytes) -> bytes:
    """A batch that is gzip."""
    head = b"POST /api/v1/samples HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
    return head % len(body) + body


ONE_GROUP = pytest.mark.xfail(reason="the store completes and writes a group in one go, and others wait for that")


@pytest.mark.slow
@pytest.mark.parametrize(
    "costly",
    [
        pytest.param(wide, marks=ONE_GROUP),
        pytest.param(long, marks=ONE_GROUP),
        pytest.param(new_servers, marks=ONE_GROUP),
        nested,
        empty_members,
        hundred_years,
        most_edges,
    ],
)
def test_a_bystander_of_a_costly_request(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], costly: Callable[[], list[bytes]]
) -> None:
    """Beside it an agent that sends a hundred heartbeats a second has its answers within 250 ms, in 99 of 100 cases,
    and the collector stays under 200 MB."""
    address = ("127.0.0.1", free_port())
    command = (NETCLI, "serve", "--listen", f"127.0.0.1:{address[1]}", "--data", str(tmp_path / "data"))
    with running(*command, address=address) as process:
        agent, asker, count = load._Connection(address), load._Connection(address), itertools.count()
        *before, last = costly()
        ask(asker, before)
        latencies: list[float] = []
        sender = threading.Thread(target=ask, args=(asker, [last]))
        sender.start()
        while sender.is_alive() or len(latencies) < 100:
            agent.send(load.post("/api/v1/agents/heartbeat", load.heartbeat(1, time.time(), next(count), 5)))
            while agent.read() is None:
                pass
            latencies.append(time.perf_counter() - agent.sent)
            time.sleep(0.01)  # a hundred a second
        peak = memory_of(process.pid, "VmHWM")
    p99 = sorted(latencies)[int(len(latencies) * 0.99)] * 1000
    with capsys.disabled():
        print(f"\n{costly.__name__}: p99 of a bystander {p99:.0f} ms of {len(latencies)}, {peak:.0f} MB at most")
    assert p99 < 250
    assert peak < 200


def ask(connection: load._Connection, requests_: list[bytes]) -> None:
    """Sends requests one after the other and waits for their answers."""
    connection.socket.settimeout(60)
    for request in requests_:
        connection.send(request)
        while connection.read() is None:
            pass


def nodes(count: int) -> Iterator[bytes]:
    """Batches of one sample of each of so many nodes with five interfaces."""
    at = time.time()
    numbers = iter(range(count))
    while batch := list(itertools.islice(numbers, 500)):
        body = b"\n".join(load.heartbeat(number, at, number, 5) for number in batch)
        yield load.post("/api/v1/samples", body, "application/x-ndjson")


@pytest.mark.slow
def test_ten_thousand_nodes_in_the_live_view(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All of them are there, are asked for at once, and take a bounded number of files and of memory."""
    address = ("127.0.0.1", free_port())
    command = (NETCLI, "serve", "--listen", f"127.0.0.1:{address[1]}", "--data", str(tmp_path / "data"))
    with running(*command, address=address) as process:
        connection = load._Connection(address)
        for request in itertools.chain.from_iterable(nodes(10_000) for _ in range(4)):
            connection.send(request)
            while (status := connection.read()) is None:
                pass
            assert status == 200
        resident = memory_of(process.pid, "VmRSS")
        files = len(list(Path(f"/proc/{process.pid}/fd").iterdir()))
        url = f"http://127.0.0.1:{address[1]}"
        answers = [
            requests.get(url + path, timeout=30).json() for path in ("/api/v1/servers", "/api/nodes", "/api/stats")
        ]
        peak = memory_of(process.pid, "VmHWM")
    with capsys.disabled():
        print(f"\n10000 nodes: {resident:.0f} MB resident, {peak:.0f} MB when asked for all, {files} files open")
    assert [10_000, 10_000, 10_000] == [len(answers[0]), len(answers[1]), answers[2]["online_nodes"]]
    assert files < 5000
    assert resident < 150


def memory_of(pid: int, key: str) -> float:
    """Megabytes, as /proc/PID/status tells them."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 1000
