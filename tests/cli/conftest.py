"""The real program in a process of its own, with a home of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from netstat_cli.line.model import Sample
from netstat_cli.store.writer import Writer
from tests.given import completed, line_of
from tests.zones import shown_clock

PROGRAM = (sys.executable, "-m", "netstat_cli")
PATIENCE = 20


class Result(NamedTuple):
    """How a program ended and what it said."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Result]


class Serving:
    """A running `netcli serve`."""

    def __init__(self, data: Path, env: Mapping[str, str]) -> None:
        self.data = data
        command = [*PROGRAM, "serve", "--listen", "127.0.0.1:0", "--data", str(data)]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, env=env, text=True)
        assert self.process.stderr is not None
        self.said = [self.process.stderr.readline()]
        while self.said[-1] and "listening on" not in self.said[-1]:
            self.said.append(self.process.stderr.readline())
        self.url = self.said[-1].removeprefix("netcli: listening on ").partition(",")[0]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Sends a signal; gives the exit code and what was said since the start."""
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, said


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """An environment without anybody's settings; whatever the program keeps it keeps under tmp_path."""
    kept = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}
    kept |= shown_clock()
    return {**kept, "LC_ALL": "C.UTF-8", "TZ": "UTC", "TERM": "xterm"}


@pytest.fixture
def run(env: dict[str, str]) -> Run:
    """Runs `netcli` with arguments, and with text or bytes on its standard input."""

    def run_netcli(*arguments: str | Path, stdin: str | bytes = b"", **more: str) -> Result:
        text = stdin.encode() if isinstance(stdin, str) else stdin
        command = [*PROGRAM, *map(str, arguments)]
        done = subprocess.run(command, input=text, capture_output=True, env=env | more, timeout=PATIENCE, check=False)
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run_netcli


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Where the program keeps its store when nobody says otherwise."""
    return tmp_path / "state" / "netcli"


@pytest.fixture
def serve(data: Path, env: dict[str, str]) -> Iterator[Callable[[], Serving]]:
    """Starts `netcli serve` on a free port over the default store; it is stopped at the end."""
    started: list[Serving] = []

    def start() -> Serving:
        started.append(Serving(data, env))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.communicate()


def store(data: Path, *histories: list[Sample]) -> None:
    """Puts histories (samples of one server each) into the store."""
    with Writer(str(data), "the tests", lambda _: None) as writer:
        for samples in histories:
            writer.append([*completed(samples)])


def text_of(samples: list[Sample]) -> bytes:
    """The lines of samples."""
    return b"".join(line_of(one) for one in completed(samples))
