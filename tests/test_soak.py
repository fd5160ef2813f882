"""The promise under load: a thousand agents, and a collector that knows ten thousand nodes."""

from __future__ import annotations

import itertools
import json
import selectors
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.benchmarks import load
from tests.benchmarks.main_job import NETCLI, free_port, running

AGENTS = 1000
SECONDS = 60


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
