"""The main job: starting, sampling, and taking heartbeats."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks import load
from tests.benchmarks.table import Row, by_turns, milliseconds, process, ratio

NETCLI = str(Path(sys.executable).with_name("netcli"))
CLICK = process(sys.executable, "-c", "import click")
LOAD_SECONDS = 5.0


def rows() -> Iterator[Row]:
    """All comparisons of the main job."""
    yield from _starting()
    yield from _sampling()
    yield from _memory()
    yield from _heartbeats()


def _starting() -> Iterator[Row]:
    for arguments, asked in ((["--version"], "≤ 1.3x"), (["collect"], "≤ 2.5x")):
        mine, click = by_turns(process(NETCLI, *arguments), CLICK, 21)
        name = "netcli " + " ".join(arguments)
        yield Row(name, milliseconds(mine), "python -c 'import click'", milliseconds(click), ratio(mine, click), asked)


def _sampling() -> Iterator[Row]:
    mine, bare, count = json.loads(_sample_times("bare"))
    yield Row(f"a sample of {count} interfaces", milliseconds(mine), "bare read and split", milliseconds(bare),
              ratio(mine, bare), "≤ 3x at 4")  # fmt: skip
    if os.geteuid() == 0 and shutil.which("ip"):
        script = (
            "for i in $(seq 500); do echo link add a$i type veth peer name b$i; done | ip -batch -;"
            "for i in $(seq 500); do echo link set a$i up; echo link set b$i up; done | ip -batch -;"
            "mount -t sysfs sysfs /sys; exec "
        )
        program = f"{sys.executable} -m tests.benchmarks.main_job operstate"
        mine, files, count = json.loads(_output("unshare", "-nm", "sh", "-c", script + program))
        yield Row(f"a sample of {count} interfaces", milliseconds(mine), "reading their operstate files", milliseconds(files),
                  ratio(mine, files), "≤ 20 ms (files: 17 ms)")  # fmt: skip


def _sample_times(other: str) -> str:
    """The median seconds of a sample with its encoding and of a bare read (or of reading every `operstate`), and the
    number of interfaces, as JSON."""
    from netstat_cli.line.wire import encode
    from netstat_cli.sources import open_source
    from netstat_cli.sources.sampler import Sampler, Selection

    def bare() -> object:
        with open("/proc/net/dev") as file:
            return [line.split() for line in file.read().splitlines()]

    source = open_source("auto", "/proc", "/sys", print)
    sampler = Sampler(source, Selection(loopback=True), "web1", "web1", 1.0)
    count = len(sampler.take().interfaces or ())
    for _ in range(20):
        sampler.take()
    names = os.listdir("/sys/class/net")

    def operstate() -> object:
        states = []
        for name in names:
            with open(f"/sys/class/net/{name}/operstate") as file:
                states.append(file.read())
        return states

    rival = {"bare": bare, "operstate": operstate}[other]
    return json.dumps([*by_turns(lambda: encode(sampler.take()), rival, 2000 if count < 100 else 100), count])


def _memory() -> Iterator[Row]:
    mine, bare = (
        _peak_memory(command) for command in (f"{NETCLI} collect --count 20 --interval 50ms", sys.executable + " -c ''")
    )
    yield Row(
        "memory of netcli collect", f"{mine:.1f} MB", "python -c ''", f"{bare:.1f} MB", ratio(mine, bare), "< 25 MB"
    )


def _peak_memory(command: str) -> float:
    code = (
        "import resource, subprocess, sys;"
        "subprocess.run(sys.argv[1], shell=True, stdout=subprocess.DEVNULL, check=True);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    return int(_output(sys.executable, "-S", "-c", code, f"exec {command}")) * 1024 / 1e6


def _heartbeats() -> Iterator[Row]:
    with collector() as address:
        load.run(address, 32, 1.0, lambda: load.heartbeats(32))
        mine = load.run(address, 32, LOAD_SECONDS, lambda: load.heartbeats(32))
    try:
        with rival() as address:
            load.run(address, 32, 1.0, lambda: load.heartbeats(32))
            other = load.run(address, 32, LOAD_SECONDS, lambda: load.heartbeats(32))
    except ImportError as error:
        yield Row(
            "heartbeats over 32 connections", f"{mine.rate:.0f} /s", f"not measured: {error}", "", "", "≥ 2000 /s"
        )
        return
    assert not mine.bad, mine
    yield Row("heartbeats over 32 connections", f"{mine.rate:.0f} /s", "FastAPI + SQLAlchemy + SQLite",
              f"{other.rate:.0f} /s", ratio(mine.rate, other.rate), "≥ 2000 /s, ≥ 4x")  # fmt: skip


@contextmanager
def collector(*arguments: str) -> Iterator[tuple[str, int]]:
    """A collector on a store of its own."""
    with tempfile.TemporaryDirectory() as data:
        address = ("127.0.0.1", free_port())
        with running(
            NETCLI, "serve", "--data", data, "--listen", f"127.0.0.1:{address[1]}", *arguments, address=address
        ):
            yield address


@contextmanager
def rival() -> Iterator[tuple[str, int]]:
    """The FastAPI endpoint on a database of its own. Raises ImportError if it is not installed."""
    import fastapi  # noqa: F401
    import sqlalchemy  # noqa: F401
    import uvicorn  # noqa: F401

    with tempfile.TemporaryDirectory() as data:
        address = ("127.0.0.1", free_port())
        command = (
            sys.executable,
            "-m",
            "uvicorn",
            "tests.benchmarks.rival:app",
            "--port",
            str(address[1]),
            "--log-level",
            "error",
        )
        with running(*command, address=address, environment={"RIVAL_DATABASE": f"{data}/rival.db"}):
            yield address


@contextmanager
def running(
    *command: str, address: tuple[str, int], environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A server while it runs, from when it answers connections."""
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=os.environ | (environment or {}))
    try:
        for _ in range(200):
            try:
                socket.create_connection(address, 1.0).close()
                break
            except OSError:
                time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _output(*command: str) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


if __name__ == "__main__":
    print(_sample_times(sys.argv[1]))
