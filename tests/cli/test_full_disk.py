"""A disk that is full while samples are taken: the sampling goes on, and what can still be brought to safety is."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from netstat_cli.cli.collect import KeepSampling
from netstat_cli.cli.delivery import Complaint, Held
from netstat_cli.errors import StoreFull
from netstat_cli.line.model import Sample
from tests.cli.conftest import PATIENCE, PROGRAM
from tests.cli.test_delivery import LINES, until
from tests.given import interface, sample
from tests.transport.test_client import Peer, Reply, closed_port, taken
from tests.transport.test_spool import spooled

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")


class OnSmallDisk:
    """The program with a disk of its own of so many bytes (a tmpfs in a mount namespace), seen from outside."""

    def __init__(self, disk: Path, env: dict[str, str], *arguments: str, size: str = "256k") -> None:
        disk.mkdir()
        script = f'mount -t tmpfs -o size={size} none "$0" && echo mounted >&2 && read -r _ && exec "$@"'
        command = ["unshare", "--mount", "bash", "-c", script, str(disk), *PROGRAM, *arguments]
        pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.process = subprocess.Popen(command, env=env, text=True, **pipes)  # type: ignore[call-overload]
        self.disk = Path(f"/proc/{self.process.pid}/root{disk}")
        self.wait_for("mounted")

    def begin(self, stdin: str = "") -> None:
        """Let the program start."""
        self.process.stdin.write(f"\n{stdin}")
        self.process.stdin.close()

    def fill(self) -> None:
        """Leave no room."""
        with (self.disk / "filler").open("ab", buffering=0) as file:
            while True:
                try:
                    file.write(b"x" * 512)
                except OSError:
                    return

    def free(self) -> None:
        """Leave room again."""
        (self.disk / "filler").unlink()

    def wait_for(self, said: str) -> str:
        """The next message that holds these words; those before are forgotten."""
        while said not in (line := self.process.stderr.readline()):
            assert line, f"it ended with {self.process.wait(PATIENCE)} before it said: {said}"
        return str(line)

    def terminate(self) -> tuple[int, str]:
        """The exit code, and what was said since."""
        self.process.terminate()
        said = self.process.stderr.read()
        return self.process.wait(PATIENCE), said


@contextmanager
def on_small_disk(disk: Path, env: dict[str, str], *arguments: str) -> Iterator[OnSmallDisk]:
    """The program on its small disk, ended with the block."""
    one = OnSmallDisk(disk, env, *arguments)
    try:
        yield one
    finally:
        one.process.kill()
        one.process.wait(PATIENCE)
        one.process.stderr.close()


SAMPLING = ("collect", "--all", "--server-id", "box", "--interval", "0.05")


def numbers(peer: Peer) -> list[int]:
    """The `seq` of every line that a peer got, each once, as they came."""
    return list(dict.fromkeys(json.loads(line)["seq"] for one in peer.received for line in one.lines))


@needs_root
def test_an_agent_delivers_from_memory_while_its_disk_is_full(env: dict[str, str], tmp_path: Path) -> None:
    """The peer is down and the spool's disk runs full: that is told once, and when the peer is back it gets every
    sample, those on disk and those that had no room there."""
    back = threading.Event()
    disk = tmp_path / "disk"
    with Peer(judge=lambda lines: taken(lines) if back.is_set() else Reply(503)) as peer:
        with on_small_disk(disk, env, *SAMPLING, "--send", peer.url, "--spool", f"{disk}/spool") as agent:
            agent.begin()
            until(lambda: spooled(agent.disk / "spool").count(b"\n") > 2)
            agent.fill()
            told = agent.wait_for("cannot write to the spool")
            full = f"netcli: cannot write to the spool {disk}/spool: No space left on device; lines are kept in memory"
            assert f"{full} until there is room\n" == told
            tries = len(peer.received)
            until(lambda: len(peer.received) > tries + 1)
            back.set()
            on_disk = spooled(agent.disk / "spool").count(b"\n")
            until(lambda: len(numbers(peer)) > on_disk + 10)
            code, _ = agent.terminate()
        assert (0, list(range(len(numbers(peer))))) == (code, numbers(peer))


@needs_root
def test_a_disk_that_has_room_again_takes_what_memory_held(env: dict[str, str], tmp_path: Path) -> None:
    """Once there is room everything is in the spool, safe for the next start, which exit code 75 says."""
    disk = tmp_path / "disk"
    peer = f"127.0.0.1:{closed_port()}"
    with on_small_disk(disk, env, *SAMPLING, "--send", peer, "--spool", f"{disk}/spool") as agent:
        agent.fill()
        agent.begin()
        agent.wait_for("lines are kept in memory until there is room")
        agent.free()
        assert f"netcli: the spool {disk}/spool takes lines again\n" == agent.wait_for("takes lines again")
        kept = agent.disk / "spool"
        until(lambda: spooled(kept).count(b"\n") > 5)
        folder = os.open(kept, os.O_RDONLY)  # it outlives the process's namespace
        code, said = agent.terminate()
    names = sorted(name for name in os.listdir(folder) if name.endswith(".jsonl"))
    texts = [os.read(os.open(name, os.O_RDONLY, dir_fd=folder), 1 << 20) for name in names]
    seqs = sorted(json.loads(line)["seq"] for line in b"".join(texts).splitlines())
    assert (75, list(range(len(seqs)))) == (code, seqs)
    assert f"what is not delivered is safe in {disk}/spool\n" in said


@needs_root
def test_what_neither_peer_nor_disk_took_is_told(env: dict[str, str], tmp_path: Path) -> None:
    """The end comes while the disk is full and the peer is down: how many lines are lost is said, with exit code 1."""
    disk, port = tmp_path / "disk", closed_port()
    arguments = (*SAMPLING, "--send", f"127.0.0.1:{port}", "--spool", f"{disk}/spool")
    with on_small_disk(disk, env, *arguments) as agent:
        agent.fill()
        agent.begin()
        agent.wait_for("lines are kept in memory until there is room")
        agent.wait_for("Connection refused; trying again")
        code, said = agent.terminate()
    cause = f"cannot reach http://127.0.0.1:{port}/api/v1/samples: Connection refused"
    assert (1, True) == (code, f" lines are lost: {cause}, and the spool {disk}/spool has no room\n" in said)


@needs_root
def test_one_machine_goes_on_sampling_while_its_disk_is_full(env: dict[str, str], tmp_path: Path) -> None:
    """`collect --store` tells once that it cannot store, and once that it can again; the samples in between are missing
    and their traffic is not, because counters are what is kept."""
    disk = tmp_path / "disk"
    with on_small_disk(disk, env, *SAMPLING, "--store", "--data", f"{disk}/store") as agent:
        agent.begin()
        until(lambda: len(list((agent.disk / "store").glob("box/*.jsonl"))) == 1)
        agent.fill()
        told = agent.wait_for("no space left to store samples")
        assert told.endswith("; sampling goes on, and the next sample that can be stored bridges the hole\n")
        agent.free()
        again = agent.wait_for("samples are stored again")
        assert again.endswith(" are missing, their traffic is not\n")
        (path,) = (agent.disk / "store").glob("box/*.jsonl")
        until(lambda: path.read_bytes().endswith(b"\n"))
        with path.open() as file:
            code, said = agent.terminate()
            seqs = [json.loads(line)["seq"] for line in file]
    missing = int(again.removeprefix("netcli: samples are stored again; ").partition(" ")[0])
    assert (0, "", missing) == (code, said, seqs[-1] + 1 - len(seqs))


@needs_root
def test_a_file_that_is_sent_while_the_disk_is_full(env: dict[str, str], tmp_path: Path) -> None:
    """`send --spool` delivers from memory too: the peer has everything, and nothing is lost in silence."""
    disk = tmp_path / "disk"
    with Peer() as peer, on_small_disk(disk, env, "send", "--spool", f"{disk}/spool", peer.url) as sender:
        sender.fill()
        sender.begin(LINES.decode())
        sender.wait_for("lines are kept in memory")
        assert f"netcli: 3 stored at {peer.url}/api/v1/samples\n" == sender.wait_for("stored")
        assert 0 == sender.process.wait(PATIENCE)
    assert LINES.splitlines() == [line for one in peer.received for line in one.lines]


def test_memory_is_bounded() -> None:
    """The oldest lines go when newer ones have no room beside them, and are counted; what is given back is the oldest
    again."""
    held = Held(10)
    held.add([b"aaaa", b"bbbb"])
    assert (False, True) == (held.has_room([b"ccc"]), held.has_room([b"cc"]))
    held.add([b"cccc"])
    assert (1, 2) == (held.dropped, len(held))
    taken_out = held.take(1, 100)
    held.give_back(taken_out)
    assert ([b"bbbb"], [b"bbbb", b"cccc"], []) == (taken_out, held.take(9, 100), held.take(9, 100))


def test_a_line_larger_than_all_memory_is_held_alone() -> None:
    """It is the newest, and there is nothing better to keep."""
    held = Held(3)
    held.add([b"a", b"bbbbbb"])
    assert (1, [b"bbbbbb"]) == (held.dropped, held.take(9, 1))


def test_a_complaint_is_made_once(capsys: pytest.CaptureFixture[str]) -> None:
    """When it begins and when it is over, however often it is seen."""
    complaint = Complaint()
    complaint.over("fine")
    for _ in range(3):
        complaint.tell("broken")
    complaint.over("mended")
    complaint.over("mended")
    complaint.tell("broken")
    assert "netcli: broken\nnetcli: mended\nnetcli: broken\n" == capsys.readouterr().err


def test_what_kept_the_last_sample_from_being_stored_is_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    """A series that ends in the middle of the trouble ends with its error; one that ends after it does not."""
    faults: list[Exception | None] = [StoreFull("full"), None, StoreFull("full again")]

    def store(_: Sample) -> None:
        fault = faults.pop(0)
        if fault is not None:
            raise fault

    sink = KeepSampling(store)
    sink(sample(0, interface()))
    sink(sample(1, interface()))
    sink.end()
    sink(sample(2, interface()))
    with pytest.raises(StoreFull, match="^full again$"):
        sink.end()
    goes_on = "sampling goes on, and the next sample that can be stored bridges the hole"
    told = [
        f"full; {goes_on}",
        "samples are stored again; 1 are missing, their traffic is not",
        f"full again; {goes_on}",
    ]
    assert [f"netcli: {one}" for one in told] == capsys.readouterr().err.splitlines()


def test_one_sample_that_cannot_be_stored_is_an_error(env: dict[str, str], tmp_path: Path) -> None:
    """Without a next sample nothing bridges the hole: exit code 1."""
    script = 'trap "" XFSZ; ulimit -f 1; exec "$@"'
    proc = tmp_path / "proc" / "net"
    proc.mkdir(parents=True)
    rows = "".join(f"  interface{number}: 1 1 0 0 0 0 0 0 20 2 0 0 0 0 0 0\n" for number in range(99))
    (proc / "dev").write_text("|\n|\n" + rows)
    command = ["bash", "-c", script, "bash", *PROGRAM, "collect", "--store", "--procfs", str(proc.parent)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (1, "", True) == (done.returncode, done.stdout, "File too large" in done.stderr)
