"""A real collector on a free loopback port, and a client that shows its answers as they come."""

from __future__ import annotations

import http.client
import json
import logging
import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from netstat_cli.collector.live import Live, Thresholds
from netstat_cli.collector.routes import Collector
from netstat_cli.collector.server import Address, Server
from netstat_cli.store.appending import Disk
from netstat_cli.store.writer import Writer
from netstat_cli.times import now

JSON = {"Content-Type": "application/json"}


class Answer(NamedTuple):
    """What came back: the body read as JSON, None where it is empty."""

    status: int
    json: Any
    headers: Mapping[str, str]


class Listening(logging.Handler):
    """Keep what the collector logs as warnings, until closed."""

    def __init__(self, messages: list[str]) -> None:
        super().__init__(logging.WARNING)
        self.messages = messages
        logging.getLogger("netstat_cli.collector").addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Take a message."""
        self.messages.append(record.getMessage())

    def close(self) -> None:
        """Listen no more."""
        logging.getLogger("netstat_cli.collector").removeHandler(self)
        super().close()


class Running:
    """A collector on 127.0.0.1:0 over its own store, until closed."""

    def __init__(self, data: Path, thresholds: Thresholds | None = None, disk: Disk | None = None) -> None:
        self.data = data
        self.warnings: list[str] = []
        self.writer = Writer(str(data), "the tests", self.warnings.append, disk)
        self.live = Live(self.writer.latest, now())
        collector = Collector(str(data), self.writer, self.live, thresholds or Thresholds())
        self.log = Listening(self.warnings)
        self.server = Server(Address("127.0.0.1", 0), collector)
        self.url, self.port = self.server.url, self.server.server_port
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()
        self.writer.close()
        self.log.close()

    def finish(self) -> None:
        """Stops answering; the store stays open."""
        if self._thread.is_alive():
            self.server.finish()
            self._thread.join()

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            text = response.read()
            return Answer(response.status, json.loads(text) if text else None, response.headers)
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        """The JSON that a page answers with."""
        return self.request("GET", path).json

    def post(self, path: str, value: object) -> Answer:
        """Sends JSON."""
        return self.request("POST", path, json.dumps(value).encode(), JSON)

    def samples(self, *lines: bytes | str) -> Any:
        """What becomes of sample lines."""
        text = b"\n".join(line.encode() if isinstance(line, str) else line.rstrip(b"\n") for line in lines)
        return self.request("POST", "/api/v1/samples", text, {"Content-Type": "application/x-ndjson"}).json

    def raw(self, text: bytes) -> bytes:
        """What comes back for bytes on a socket, until the collector closes it."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(text)
            return b"".join(iter(lambda: connection.recv(1 << 16), b""))

    def stored(self, server_id: str) -> dict[str, str]:
        """The text of every file that the store has of a server."""
        folder = self.data / server_id
        return {path.name: path.read_text() for path in sorted(folder.glob("*"))} if folder.exists() else {}


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Running]:
    """A collector with an empty store."""
    with Running(tmp_path / "store") as running:
        yield running
