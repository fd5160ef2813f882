"""What many connections cost the process: descriptors, memory and CPU, of the real program."""

from __future__ import annotations

import os
import resource
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.cli.conftest import Serving, env, serve  # noqa: F401  the real program

ALIVE = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
BODY = b"POST /api/v1/samples HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n"
MEGABYTE = 1e6


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Where the program keeps its store."""
    return tmp_path / "state" / "netcli"


@pytest.fixture
def serving(serve: Callable[[], Serving]) -> Serving:  # noqa: F811
    """A running `netcli serve`."""
    return serve()


def connect(serving: Serving) -> socket.socket:
    """A connection to it."""
    parts = urlsplit(serving.url)
    return socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10)


def is_alive(connection: socket.socket) -> bool:
    """Whether a question on that connection is answered."""
    try:
        connection.sendall(ALIVE)
        return connection.recv(1 << 16).startswith(b"HTTP/1.1 200 OK\r\n")
    except ConnectionError:
        return False


def descriptors(serving: Serving) -> int:
    """How many it has open."""
    return len(os.listdir(f"/proc/{serving.process.pid}/fd"))


def cpu_s(serving: Serving) -> float:
    """The seconds of CPU that it has used."""
    fields = Path(f"/proc/{serving.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(serving: Serving) -> float:
    """Its bytes of memory."""
    pages = int(Path(f"/proc/{serving.process.pid}/statm").read_text().split()[1])
    return float(pages * resource.getpagesize())


def leave_descriptors(serving: Serving, count: int) -> int:
    """Has the system let it open few more; how many, at least `count`, for there may be holes among their numbers."""
    numbers = [int(name) for name in os.listdir(f"/proc/{serving.process.pid}/fd")]
    most = max(numbers) + 1 + count
    resource.prlimit(serving.process.pid, resource.RLIMIT_NOFILE, (most, most))
    return most - len(numbers)


def until(condition: Callable[[], bool]) -> None:
    """Returns when something is so; fails if it does not come to be."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_no_descriptors_left_and_idle_connections(serving: Serving) -> None:
    """The longest idle connection makes room for the next one: whoever comes is served."""
    leave_descriptors(serving, 5)
    with ExitStack() as stack:
        assert all(is_alive(stack.enter_context(connect(serving))) for _ in range(20))
    assert serving.process.poll() is None


def test_no_descriptors_left_and_none_to_be_had(serving: Serving) -> None:
    """The server goes on without spinning, tells of it, serves those that it has, and takes others when it can."""
    left = leave_descriptors(serving, 5)
    with ExitStack() as stack:
        connections = [stack.enter_context(connect(serving)) for _ in range(left)]
        for connection in connections:
            connection.sendall(BODY)
            assert connection.recv(1 << 16) == b"HTTP/1.1 100 Continue\r\n\r\n"
        waiting = stack.enter_context(connect(serving))
        assert serving.process.stderr is not None
        assert "netcli: cannot take a connection: Too many open files\n" == serving.process.stderr.readline()
        used, begun = cpu_s(serving), time.monotonic()
        while time.monotonic() - begun < 2:
            time.sleep(0.1)  # what is measured is what it does while nothing comes
        assert cpu_s(serving) - used < 0.5
        connections[0].sendall(b"\n" * 9)
        assert connections[0].recv(1 << 16).startswith(b"HTTP/1.1 400 ")
        connections[1].close()
        assert is_alive(waiting)


def test_heads_of_strangers_are_given_back(serving: Serving) -> None:
    """A thousand connections with as much of a head as is taken cost tens of megabytes, and little once they end."""
    lines = [b"A%d: %s\r\n" % (number, b"x" * 8000) for number in range(62)]
    head = b"POST /api/v1/samples HTTP/1.1\r\nHost: x\r\n" + b"".join(lines)
    before = resident(serving)
    with ExitStack() as stack:
        for _ in range(1000):
            stack.enter_context(connect(serving)).sendall(head[:32_000])
        until(lambda: descriptors(serving) > 1000)
        with connect(serving) as other:
            assert is_alive(other)
        assert resident(serving) - before < 100 * MEGABYTE
        refused = stack.enter_context(connect(serving))
        refused.sendall(head)
        assert refused.recv(1 << 16).startswith(b"HTTP/1.1 431 ")
    until(lambda: descriptors(serving) < 100)
    until(lambda: resident(serving) - before < 15 * MEGABYTE)


def test_the_hard_limit_of_open_files_is_used_and_said(serve: Callable[[], Serving]) -> None:  # noqa: F811
    """How many connections there may be is said at the start; the open files of the whole system's limit are for it."""
    (said,) = serve().said
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert said.endswith(f" connections ({hard} open files)\n")
