"""netcli serve in trouble: it goes on, or it ends with a word and a code; it never only seems to run."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.cli.conftest import PATIENCE, PROGRAM, text_of
from tests.given import interface, sample


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def serving(data: Path, env: Mapping[str, str], stderr: int) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A `netcli serve` with that stderr, once it answers; its address and process."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = [*PROGRAM, "serve", "--listen", f"127.0.0.1:{port}", "--data", str(data)]
    with subprocess.Popen(command, stderr=stderr, env=env) as process:
        try:
            deadline = time.monotonic() + PATIENCE
            while time.monotonic() < deadline:
                try:
                    requests.get(f"{url}/healthz", timeout=5)
                    break
                except requests.ConnectionError:
                    time.sleep(0.01)
            yield url, process
        finally:
            process.kill()


def goes_on(url: str, data: Path, process: subprocess.Popen[bytes]) -> None:
    """Has the collector tell of many troubles, after which it answers, stores, and ends in order."""
    first, second = (text_of([sample(at, interface(rx=1000))]) for at in (0, 10))
    assert 1 == requests.post(f"{url}/api/v1/samples", first, timeout=5).json()["accepted"]
    path = data / "web1" / "2026-11-21.jsonl"
    good = path.read_bytes()
    for number in range(200):
        path.write_text(f"spoiled {number}\n")
        assert requests.get(f"{url}/api/v1/servers/web1", timeout=5).status_code in (500, 503)
    path.write_bytes(good)
    assert 200 == requests.get(f"{url}/healthz", timeout=5).status_code
    assert 1 == requests.post(f"{url}/api/v1/samples", second, timeout=5).json()["accepted"]
    process.send_signal(signal.SIGTERM)
    assert 0 == process.wait(PATIENCE)


def test_a_stderr_whose_reader_has_gone(data: Path, env: dict[str, str]) -> None:
    """`netcli serve 2>&1 | head -1`: what there is to tell is lost, and nothing else."""
    reader, writer = os.pipe()
    os.close(reader)
    with serving(data, env, writer) as (url, process):
        os.close(writer)
        goes_on(url, data, process)


def test_a_stderr_that_nobody_reads(data: Path, env: dict[str, str]) -> None:
    """A pipe that is full, as of a log shipper that hangs, is not waited for."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"x")
    except BlockingIOError:
        os.set_blocking(writer, True)
    with serving(data, env, writer) as (url, process):
        goes_on(url, data, process)
    os.close(reader)
    os.close(writer)


def test_a_log_on_a_full_disk(data: Path, env: dict[str, str]) -> None:
    """ENOSPC of stderr is no error of the collector."""
    with open("/dev/full", "wb") as full, serving(data, env, full.fileno()) as (url, process):
        goes_on(url, data, process)


def ended(env: Mapping[str, str], data: Path, broken: str) -> tuple[int, str]:
    """How a `netcli serve` ends in which something is broken from the start: its code, and its last line."""
    code = f"from netstat_cli.cli import main, serve\nfrom netstat_cli.collector.loop import Loop\n{broken}\nmain()"
    command = [sys.executable, "-c", code, "serve", "--listen", "127.0.0.1:0", "--data", str(data)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=PATIENCE, check=False)
    return done.returncode, done.stderr.splitlines()[-1]


BROKEN = "def broken(*_):\n    raise RuntimeError('broken')\n"


@pytest.mark.parametrize(
    "broken",
    ["Loop._round = broken", "Loop._end_overdue = broken", "serve.MAINTENANCE_S = 0.01\nserve.plan = broken"],
    ids=["the loop", "its deadlines", "maintenance"],
)
def test_what_cannot_go_on_ends(data: Path, env: dict[str, str], broken: str) -> None:
    """A collector whose loop or maintenance has ended ends, with a message and a code, so that it is started again."""
    said = "netcli: the collector ended because it cannot go on: RuntimeError('broken')"
    assert (1, said) == ended(env, data, BROKEN + broken)


def test_maintenance_tries_again(data: Path, env: dict[str, str]) -> None:
    """What goes wrong with the store is told and tried again at the next round, and ends nothing."""
    broken = """\
calls = []
def broken(*_):
    calls.append(1)
    raise OSError(5, 'broken') if len(calls) < 3 else RuntimeError('third')
serve.MAINTENANCE_S, serve.plan = 0.01, broken
"""
    assert (1, "netcli: the collector ended because it cannot go on: RuntimeError('third')") == ended(env, data, broken)
