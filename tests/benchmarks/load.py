"""A load of HTTP requests over keep-alive connections, made by one thread that waits on all of them at once."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple


class Outcome(NamedTuple):
    """What came of a load: answers with status 200, others, seconds, and the seconds that each answer took."""

    good: int
    bad: int
    seconds: float
    latencies: list[float]

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return self.good / self.seconds

    def percentile(self, share: float) -> float:
        """The latency that this share of the answers stayed below."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class _Connection:
    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sent = 0.0
        self.received = b""

    def send(self, request: bytes) -> None:
        self.sent, self.received = time.perf_counter(), b""
        self.socket.sendall(request)

    def read(self) -> int | None:
        """The status, once the answer is whole."""
        self.received += self.socket.recv(65536)
        head, ended, body = self.received.partition(b"\r\n\r\n")
        if not ended:
            return None
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        return int(head[9:12]) if len(body) >= length else None


def run(address: tuple[str, int], connections: int, seconds: float, requests: Callable[[], Iterator[bytes]]) -> Outcome:
    """Sends one request after the other on each connection until the time is over, then waits for what is under way."""
    source = requests()
    with selectors.DefaultSelector() as selector:
        opened = [_Connection(address) for _ in range(connections)]
        begun = time.perf_counter()
        for connection in opened:
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            connection.send(next(source))
        good, bad, under_way, latencies = 0, 0, connections, []
        while under_way:
            for key, _ in selector.select():
                connection = key.data
                if (status := connection.read()) is None:
                    continue
                at = time.perf_counter()
                latencies.append(at - connection.sent)
                good, bad = (good + 1, bad) if status == 200 else (good, bad + 1)
                if at - begun < seconds:
                    connection.send(next(source))
                else:
                    under_way -= 1
        elapsed = time.perf_counter() - begun
        for connection in opened:
            connection.socket.close()
    return Outcome(good, bad, elapsed, latencies)


def post(path: str, body: bytes, content_type: str = "application/json") -> bytes:
    """A POST request as bytes."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\n"
    head += f"Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def heartbeats(servers: int, interfaces: int = 5) -> Iterator[bytes]:
    """Heartbeats of so many servers in turn, as the agents of the homelab dashboard send them."""
    number = 0
    base = time.time()
    while True:
        yield post(
            "/api/v1/agents/heartbeat", heartbeat(number % servers, base + number // servers * 0.01, number, interfaces)
        )
        number += 1


def heartbeat(server: int, at: float, count: int, interfaces: int) -> bytes:
    """The body of one heartbeat."""
    from datetime import UTC, datetime

    entries = ",".join(
        f'{{"name":"eth{i}","rx_bytes":{count * 1000 + i},"tx_bytes":{count * 500},"rx_packets":{count},'
        f'"tx_packets":{count},"is_up":true}}'
        for i in range(interfaces)
    )
    when = datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds")
    return (
        f'{{"server_guid":"550e8400-e29b-41d4-a716-446655440001","server_id":"server-{server}","hostname":"server-{server}'
        f'.local","timestamp":"{when}","agent_version":"1.0.0","metrics":{{"cpu_percent":25.5}},'
        f'"network_interfaces":[{entries}]}}'
    ).encode()
