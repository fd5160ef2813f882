"""kill -9, power failure and full disks at any moment: what was acknowledged is stored, once."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from netstat_cli.line.model import Sample
from netstat_cli.line.wire import decode, encode
from netstat_cli.store.appending import Disk
from netstat_cli.store.history import open_history
from netstat_cli.store.layout import servers
from netstat_cli.store.writer import Writer
from tests.cli.conftest import Run, env, run  # noqa: F401
from tests.cli.test_delivery import until
from tests.collector.conftest import Running
from tests.given import interface, sample
from tests.namespaces import MUST_RUN
from tests.test_end_to_end import NETCLI
from tests.transport.test_client import closed_port
from tests.transport.test_spool import segments

KILLS = 150


def line(number: int, server: str) -> bytes:
    """A line without its newline; `number` is its seq."""
    return encode(sample(number / 100, interface(rx=number * 1000), server=server, seq=number))


def stored(data: Path) -> dict[str, list[int]]:
    """The seq of every line that a reader of the store sees, per server."""
    found: dict[str, list[int]] = {}
    for server in servers(str(data)):
        with open_history(str(data), server) as history:
            found[server] = [json.loads(one.text)["seq"] for one in history.lines(-1, 1 << 62)]
    return found


@contextmanager
def serving(data: Path, port: int = 0) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A `netcli serve`; its address and process, killed at the end if it still runs."""
    command = [*NETCLI, "serve", "--listen", f"127.0.0.1:{port}", "--data", str(data)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            while "listening on" not in (said := process.stderr.readline()):
                assert said, "it ended"
            yield said.partition("listening on ")[2].partition(",")[0], process
        finally:
            process.kill()


class Agent(threading.Thread):
    """Sends batches, one after the other, each until it is acknowledged; to three servers each, or to one."""

    def __init__(self, number: int, port: int) -> None:
        super().__init__(daemon=True)
        self.servers = [f"s{number}-{i}" for i in range(3 if number % 2 else 1)]
        self.acknowledged = 0
        self.stop = threading.Event()
        self.faults: list[str] = []
        self._url = f"http://127.0.0.1:{port}/api/v1/samples"

    def run(self) -> None:
        with requests.Session() as session:
            while not self.stop.is_set():
                numbers = range(self.acknowledged, self.acknowledged + 5)
                body = b"\n".join(line(number, server) for server in self.servers for number in numbers)
                try:
                    answer = session.post(self._url, body, timeout=10)
                except requests.RequestException:
                    self.stop.wait(0.01)
                    continue
                if answer.status_code != 200 or answer.json()["rejected"]:
                    self.faults.append(answer.text)
                self.acknowledged += 5


@pytest.mark.slow
def test_a_collector_killed_under_load(tmp_path: Path, run: Run) -> None:  # noqa: F811
    """kill -9 at 150 random moments while agents send: everything acknowledged is stored, nothing twice, no fault."""
    port, data, chance = closed_port(), tmp_path / "data", random.Random(4)
    agents = [Agent(number, port) for number in range(4)]
    for agent in agents:
        agent.start()
    for _ in range(KILLS):
        with serving(data, port):
            time.sleep(chance.uniform(0, 0.4))  # the moment is the point
    for agent in agents:
        agent.stop.set()
        agent.join(20)
        assert [] == agent.faults
    with serving(data, port):
        pass
    found = stored(data)
    for agent in agents:
        assert agent.acknowledged > 0
        for server in agent.servers:
            assert list(range(agent.acknowledged)) == found[server][: agent.acknowledged]
            assert len(found[server]) == len(set(found[server]))
    assert (0, "the store is sound\n", "") == run("store", "verify", "--data", data)


@pytest.mark.slow
def test_a_sender_killed_under_load(tmp_path: Path, run: Run) -> None:  # noqa: F811
    """kill -9 at 150 random moments: every line that was in the spool is stored, in order without a hole, once."""
    folder, chance, spooled = tmp_path / "spool", random.Random(5), {}
    with Running(tmp_path / "data") as collector:
        command = [*NETCLI, "send", "--spool", str(folder), "--spool-max", "1MB", collector.url]
        for number in range(KILLS):
            server = f"run{number}"
            with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0) as sender:
                feeder = threading.Thread(target=feed, args=(sender, server), daemon=True)
                feeder.start()
                until((tmp_path / "data" / server).exists)
                time.sleep(chance.uniform(0, 0.2))  # the moment is the point
                sender.kill()
                feeder.join(20)
            texts = [text for path in segments(folder) for text in path.read_bytes().split(b"\n")[:-1]]
            spooled[server] = [one["seq"] for one in map(json.loads, texts) if one["server_id"] == server]
        assert 0 == run("send", "--wait", "--spool", folder, collector.url).returncode
        found = stored(tmp_path / "data")
    for server, numbers in spooled.items():
        assert list(range(len(found[server]))) == found[server]
        assert not numbers or numbers[-1] == found[server][-1]
    assert [] == segments(folder)
    assert (0, "the store is sound\n", "") == run("store", "verify", "--data", tmp_path / "data")


@pytest.mark.slow
def test_both_ends_killed_at_once(tmp_path: Path, run: Run) -> None:  # noqa: F811
    """kill -9 of the collector and of the sender in one moment, a hundred times: what the spool or the store had is in
    the store in the end, in order without a hole, once."""
    port, data, folder, chance = closed_port(), tmp_path / "data", tmp_path / "spool", random.Random(6)
    command = [*NETCLI, "send", "--wait", "--spool", str(folder), "--spool-max", "256KB", f"http://127.0.0.1:{port}"]
    had: dict[str, int] = {}
    for number in range(100):
        server = f"run{number}"
        with (
            serving(data, port),
            subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0) as sender,
        ):
            feeder = threading.Thread(target=feed, args=(sender, server), daemon=True)
            feeder.start()
            until((data / server).exists)
            time.sleep(chance.uniform(0, 0.1))  # the moment is the point
            sender.kill()
        feeder.join(20)
        texts = [text for path in segments(folder) for text in path.read_bytes().split(b"\n")[:-1]]
        spooled = [one["seq"] for one in map(json.loads, texts) if one["server_id"] == server]
        with open_history(str(data), server) as history:
            had[server] = max([*spooled, *[json.loads(one.text)["seq"] for one in history.lines(-1, 1 << 62)]])
    with serving(data, port) as (url, _):
        assert 0 == run("send", "--wait", "--spool", folder, url).returncode
    assert {server: list(range(last + 1)) for server, last in had.items()} == stored(data)
    assert [] == segments(folder)
    assert (0, "the store is sound\n", "") == run("store", "verify", "--data", data)


def feed(sender: subprocess.Popen[bytes], server: str) -> None:
    """Writes lines until the sender is gone."""
    assert sender.stdin is not None
    try:
        for number in range(100_000):
            sender.stdin.write(line(number, server) + b"\n")
    except (OSError, ValueError):
        return


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    path = tmp_path / "disk"
    path.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M", "none", path], check=False).returncode:
        reason = "a small file system takes root and mount"
        if os.environ.get(MUST_RUN):
            pytest.fail(f"{reason}, and ${MUST_RUN} is set")
        pytest.skip(reason)
    yield path
    subprocess.run(["umount", path], check=True)


@pytest.mark.parametrize("count", [1, 2])
def test_a_disk_that_fills_up_and_is_freed(tmp_path: Path, small_disk: Path, run: Run, count: int) -> None:  # noqa: F811
    """507 and files of whole lines while it is full, readers are answered, the sender keeps its lines; with room again
    all of them are delivered."""
    ballast, folder, data = small_disk / "ballast", tmp_path / "spool", small_disk / "data"
    ballast.write_bytes(bytes(800_000))
    lines = [line(number, f"web{number % count}") for number in range(600)]
    with serving(data) as (url, process):
        result = run("send", "--spool", folder, url, stdin=b"\n".join(lines))
        assert (75, "answered 507: no space left to store samples" in result.stderr) == (result.returncode, True)
        refused = requests.post(f"{url}/api/v1/samples", b"\n".join(lines[::-1]), timeout=10)
        assert (507, "5") == (refused.status_code, refused.headers["Retry-After"])
        assert "STORE_FULL" == refused.json()["detail"]["code"]
        assert 200 == requests.get(f"{url}/api/nodes", timeout=10).status_code
        assert sum(map(len, stored(data).values())) < 600
        assert {True} >= {path.read_bytes()[-1:] in (b"", b"\n") for path in data.glob("*/*.jsonl")}
        assert 0 == run("store", "verify", "--data", data).returncode
        ballast.unlink()
        assert 0 == run("send", "--spool", folder, url).returncode
        process.terminate()
        assert 0 == process.wait(20)
    assert {f"web{i}": list(range(i, 600, count)) for i in range(count)} == stored(data)
    assert (0, []) == (run("store", "verify", "--data", data).returncode, segments(folder))


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory where there is one, so that thousands of stores cost no disk its time."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        yield Path(folder)


class Power(Disk):
    """A disk that knows what would be left of its files if the power failed."""

    def __init__(self) -> None:
        self.synced: dict[int, bytes] = {}

    def sync(self, fd: int) -> None:
        self.synced[os.fstat(fd).st_ino] = os.pread(fd, os.fstat(fd).st_size, 0)

    def fail(self, data: Path, left: Path, chance: random.Random) -> None:
        """Makes the folder as it may be found: what was synced, and of the rest as much as chance wants."""
        for path in data.rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                kept = content if path.name == "store.json" else self.synced.get(path.stat().st_ino, b"")
                assert path.name == "lock" or content.startswith(kept)
                rest = content[len(kept) :]
                (left / path.relative_to(data)).parent.mkdir(parents=True, exist_ok=True)
                (left / path.relative_to(data)).write_bytes(
                    kept + rest[: chance.choice([0, 0, chance.randint(0, len(rest))])]
                )


@pytest.mark.parametrize("seed", [0, 1, *[pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 20)]])
def test_a_power_failure_takes_nothing_acknowledged(memory: Path, seed: int) -> None:
    """After each of forty batches, for one server or several, in order or late, the folder that a power failure would
    leave holds every sample acknowledged so far, once."""
    chance, power, known = random.Random(seed), Power(), set()
    with Writer(str(memory / "data"), "the tests", lambda _: None, power) as writer:
        for step in range(40):
            batch: list[Sample] = []
            for server in chance.sample(range(4), chance.randint(1, 4)):
                first = step * 10 - chance.choice([0, 0, 0, 25, 5])
                batch += [decode(line(max(0, first + i), f"s{server}")) for i in range(chance.randint(1, 4))]
            assert {None} == {one.error for one in writer.append(batch)}
            known |= {(one.server_id, one.seq) for one in batch}
            left = memory / f"left{step}"
            power.fail(memory / "data", left, chance)
            with Writer(str(left), "the tests", lambda _: None):
                pass
            assert known == {(server, number) for server, numbers in stored(left).items() for number in numbers}
            assert len(known) == sum(map(len, stored(left).values()))
            shutil.rmtree(left)


@pytest.mark.parametrize("what", ["web0/2026-11-21.jsonl", "web0/2026-11-21.late.jsonl", ".journal"])
def test_a_file_cut_at_every_byte(memory: Path, what: str) -> None:
    """A day, its late lines and a journal open again however short they were cut, with every whole line of theirs."""
    numbers = {"web0/2026-11-21.late.jsonl": (5, 3)}.get(what, (3, 4))
    with Writer(str(memory / "data"), "the tests", lambda _: None) as writer:
        for number in numbers:
            writer.append([decode(line(number, f"web{i}")) for i in range(2)])
        shutil.copytree(memory / "data", memory / "live")
    journal = what.startswith(".")
    whole = (memory / ("live" if journal else "data") / (".journal" if journal else what)).read_bytes()
    for cut in range(len(whole) + 1):
        left = memory / "left"
        shutil.copytree(memory / "data", left)
        if journal:
            shutil.rmtree(left / "web0")
            shutil.rmtree(left / "web1")
        (left / what).write_bytes(whole[:cut])
        with Writer(str(left), "the tests", lambda _: None) as writer:
            writer.append([decode(line(9, "web0"))])
        expected = {decode(text).seq for text in whole[:cut].split(b"\n")[:-1] if b'"web0"' in text} | {9}
        expected |= {numbers[0]} if "late" in what else set()
        assert sorted(expected) == stored(left)["web0"]
        shutil.rmtree(left)
