"""A signal ends a command in order: it says what was delivered and where the rest is safe, and its exit code tells."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from netstat_cli.cli.signals import Stop
from tests.cli.conftest import PATIENCE, PROGRAM
from tests.cli.test_delivery import LINES, until
from tests.transport.test_client import Peer, Reply, closed_port, taken
from tests.transport.test_spool import spooled

FIRST = LINES.splitlines(True)[0]
SAMPLING = ("collect", "--all", "--server-id", "box", "--interval", "0.05")


@contextmanager
def started(env: dict[str, str], *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program with its input and messages on pipes, ended with the block."""
    process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def interrupted(process: subprocess.Popen[bytes], number: signal.Signals = signal.SIGINT) -> tuple[int, list[str]]:
    """The exit code after a signal, and what was said of other things than tries."""
    process.send_signal(number)
    return ended(process)


def ended(process: subprocess.Popen[bytes]) -> tuple[int, list[str]]:
    """The exit code, and what was said of other things than tries."""
    assert process.stderr is not None
    said = process.stderr.read().decode().splitlines()
    return process.wait(PATIENCE), [line for line in said if line and "trying again" not in line]


def test_an_interrupted_agent_says_that_all_is_delivered(env: dict[str, str]) -> None:
    """Ctrl-C of `collect --send`: how many samples the peer stored, and that none is left; exit code 130."""
    with Peer() as peer, started(env, *PROGRAM, *SAMPLING, "--send", peer.url) as process:
        until(lambda: len(peer.received) > 1)
        code, said = interrupted(process)
    stored = len({line for one in peer.received for line in one.lines})
    url = f"{peer.url}/api/v1/samples"
    assert (130, [f"netcli: interrupted: {stored} stored at {url}; nothing is left to deliver"]) == (code, said)


@pytest.mark.parametrize("sampling", [True, False], ids=["collect", "send"])
def test_what_an_interruption_leaves_is_safe_in_the_spool(env: dict[str, str], tmp_path: Path, sampling: bool) -> None:
    """The folder is named, and the lines are there."""
    folder, port = tmp_path / "spool", closed_port()
    command = [*SAMPLING, "--send"] if sampling else ["send"]
    with started(env, *PROGRAM, *command, f"127.0.0.1:{port}", "--spool", str(folder)) as process:
        assert process.stdin is not None
        process.stdin.write(FIRST)
        until(lambda: folder.exists() and b"\n" in spooled(folder))
        code, said = interrupted(process)
    url = f"http://127.0.0.1:{port}/api/v1/samples"
    safe = f"netcli: interrupted: 0 stored at {url}; what is not delivered is safe in {folder}"
    assert (130, [safe], True) == (code, said, b"\n" in spooled(folder))


def test_an_interruption_waits_for_no_peer_that_hangs(env: dict[str, str], tmp_path: Path) -> None:
    """What is on its way is broken off after a few seconds, and stays in the spool."""
    folder, release = tmp_path / "spool", threading.Event()

    def hang(lines: list[bytes]) -> Reply:
        release.wait(PATIENCE)
        return taken(lines)

    asked: list[bytes] = []
    with Peer(judge=lambda lines: (asked.extend(lines), hang(lines))[1]) as peer:
        with started(env, *PROGRAM, "send", "--wait", peer.url, "--spool", str(folder)) as process:
            assert process.stdin is not None
            process.stdin.write(FIRST)
            until(lambda: asked != [])
            code, said = interrupted(process)
        release.set()
    url = f"{peer.url}/api/v1/samples"
    safe = f"netcli: interrupted: 0 stored at {url}; what is not delivered is safe in {folder}"
    assert (130, [safe], FIRST) == (code, said, spooled(folder))


def test_an_interrupted_send_says_what_was_stored(env: dict[str, str]) -> None:
    """Without a spool nothing is safe but what the peer has: the rest is to be sent again."""
    with Peer() as peer, started(env, *PROGRAM, "send", peer.url) as process:
        assert process.stdin is not None
        process.stdin.write(FIRST)
        until(lambda: len(peer.received) == 1)
        code, said = interrupted(process)
    told = f"stored at {peer.url}/api/v1/samples; send the rest again, with what is there already"
    assert 130 == code
    assert said in ([f"netcli: interrupted: 1 {told}"], [f"netcli: interrupted: 0 {told}"]), "0: it was not yet told"


@contextmanager
def as_process_one(env: dict[str, str], *command: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A program that is process 1 of a namespace, as in a container, and its number out here."""
    with started(env, "unshare", "--pid", "--fork", "--kill-child", *command) as outer:
        children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
        until(lambda: children.read_text() != "")
        yield outer, int(children.read_text())


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a process 1")


@needs_root
def test_process_one_ends_in_order_when_it_is_told_to(env: dict[str, str], tmp_path: Path) -> None:
    """SIGTERM ends the reading, though standard input stays open: what was read is delivered, exit code 0."""
    spool = ("--spool", str(tmp_path / "spool"))
    for more in ((), spool, (*spool, "--wait")):
        with Peer() as peer, as_process_one(env, *PROGRAM, "send", peer.url, *more) as (process, number):
            assert process.stdin is not None
            process.stdin.write(LINES)
            until(lambda peer=peer: sum(len(one.lines) for one in peer.received) == 3)
            os.kill(number, signal.SIGTERM)
            assert (0, [f"netcli: 3 stored at {peer.url}/api/v1/samples"]) == ended(process)


@needs_root
@pytest.mark.parametrize("more", [(), ("--wait",)])
def test_process_one_leaves_what_it_read_in_the_spool(
    env: dict[str, str], tmp_path: Path, more: tuple[str, ...]
) -> None:
    """SIGTERM while the peer is down: exit code 75 says that the lines are safe, with --wait too."""
    folder, port = tmp_path / "spool", closed_port()
    command = (*PROGRAM, "send", f"127.0.0.1:{port}", "--spool", str(folder), *more)
    with as_process_one(env, *command) as (process, number):
        assert process.stdin is not None
        process.stdin.write(LINES)
        until(lambda: folder.exists() and spooled(folder) == LINES)
        os.kill(number, signal.SIGTERM)
        code, (said, hint) = ended(process)
    cause = f"cannot reach http://127.0.0.1:{port}/api/v1/samples: Connection refused"
    assert (75, f"netcli: {cause}; what is not delivered is safe in {folder}") == (code, said)
    assert ("  they go out with the next send", LINES) == (hint, spooled(folder))


@needs_root
def test_process_one_without_a_spool_says_what_is_not_delivered(env: dict[str, str]) -> None:
    """SIGTERM while the peer is down ends the tries: exit code 1, with the reason."""
    port = closed_port()
    with as_process_one(env, *PROGRAM, "send", f"127.0.0.1:{port}") as (process, number):
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(LINES)
        assert b"trying again" in process.stderr.readline()
        os.kill(number, signal.SIGTERM)
        cause = f"netcli: cannot reach http://127.0.0.1:{port}/api/v1/samples: Connection refused"
        assert (1, [cause, "  is `netcli serve` running there?"]) == ended(process)


@needs_root
def test_any_command_ends_as_process_one(env: dict[str, str], tmp_path: Path) -> None:
    """A command that has nothing to bring to safety ends at once, with 128 + 15; the kernel would have it go on."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with as_process_one(env, *PROGRAM, "spark", str(pipe)) as (process, number), pipe.open("wb"):
        os.kill(number, signal.SIGTERM)
        assert (143, []) == ended(process)


def test_what_waits_for_the_end_wakes_up() -> None:
    """Every thread that waits, however often the end is said."""
    stop = Stop()
    woken: list[bool] = []
    threads = [threading.Thread(target=lambda: woken.append(stop.wait(PATIENCE))) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert (False, False) == (stop.is_set(), stop.wait(0.0))
    for _ in range(100_000):
        stop.set()
    for thread in threads:
        thread.join()
    assert ([True] * 3, True, True) == (woken, stop.is_set(), stop.wait())
