"""send --spool and collect --send: a sample that was taken is delivered, or is safe in the spool and somebody was
told."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import PATIENCE, PROGRAM, Run, Serving, text_of
from tests.collector.conftest import Running
from tests.given import interface, sample
from tests.transport.test_client import Peer, Reply, closed_port, detail
from tests.transport.test_spool import rejected, segments

LINES = text_of([sample(i * 10, interface(rx=i * 1000), seq=i) for i in range(3)])
MANY = text_of([sample(i, interface(rx=i * 1000), seq=i) for i in range(300)])


def spooled(folder: Path) -> bytes:
    """What is in the segments of a spool."""
    return b"".join(path.read_bytes() for path in segments(folder))


def at_the_end(stderr: str) -> str:
    """What was said without what was said on the way."""
    return "".join(line for line in stderr.splitlines(True) if "trying again" not in line)


def until(reached: Callable[[], bool]) -> None:
    """Waits for something to come true."""
    deadline = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_peer_that_is_down_costs_nothing(run: Run, tmp_path: Path) -> None:
    """Exit code 75 says that the lines are safe; the next send delivers them before its own, and they are gone."""
    folder = tmp_path / "spool"
    first, *rest = LINES.splitlines(True)
    url = f"http://127.0.0.1:{closed_port()}"
    told = f"netcli: cannot reach {url}/api/v1/samples: Connection refused; what is not delivered is safe in {folder}\n"
    for line in rest:
        result = run("send", "--spool", folder, url, stdin=line)
        assert (75, "", f"{told}  they go out with the next send\n") == (*result[:2], at_the_end(result.stderr))
    assert b"".join(rest) == spooled(folder)
    with Running(tmp_path / "store") as collector:
        result = run("send", "--spool", folder, collector.url, stdin=first)
        assert (0, "", f"netcli: 3 stored at {collector.url}/api/v1/samples\n") == result
        assert [b"", []] == [spooled(folder), rejected(folder)]
        again = run("send", "--spool", folder, collector.url, stdin=LINES)
        assert (0, f"netcli: 0 stored, 3 already there at {collector.url}/api/v1/samples\n") == again[::2]
        stored = b"".join(text.encode() for text in collector.stored("web1").values())
    assert sorted(LINES.splitlines()) == sorted(stored.splitlines())


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_peer_that_refuses_the_sender_keeps_everything(run: Run, tmp_path: Path, status: int) -> None:
    """A wrong token or address is somebody's to mend: the lines stay, the exit code is 1 and what to do is said."""
    folder = tmp_path / "spool"
    with Peer(judge=lambda _: Reply(status, detail("no"))) as peer:
        result = run("send", "--spool", folder, peer.url, stdin=LINES)
    hint = "is that address a netcli collector?" if status == 404 else "give the collector's token (--token-file)"
    said = f"netcli: {peer.url}/api/v1/samples answered {status}: no; the lines are kept in {folder}\n  {hint}\n"
    assert (1, "", LINES) == (*result[:2], spooled(folder))
    assert said == at_the_end(result.stderr)


def test_what_nobody_can_take_is_set_aside(run: Run, tmp_path: Path) -> None:
    """A line that is no JSON and one that the collector refuses are set aside with the reason and said; the rest is
    stored, the exit code tells, and the next send has nothing to do with them."""
    folder = tmp_path / "spool"
    with Running(tmp_path / "store") as collector:
        result = run("send", "--spool", folder, collector.url, stdin=b"oops\n" + LINES + b'{"timestamp":0}\n')
        assert (1, "") == result[:2]
        assert f"netcli: rejected, and set aside in {folder}: server_id: is missing\n" in result.stderr
        assert f"netcli: 1 lines are no JSON; they are set aside in {folder}\n" in result.stderr
        assert f"netcli: 3 stored, 2 rejected at {collector.url}/api/v1/samples\n" in result.stderr
        assert ["oops", '{"timestamp":0}'] == [one["line"] for one in rejected(folder)]
        assert 0 == run("send", "--spool", folder, collector.url).returncode
        assert LINES.decode() == "".join(collector.stored("web1").values())


def test_a_batch_larger_than_the_spool_goes_through(run: Run, tmp_path: Path) -> None:
    """A small --spool-max makes small steps; with a peer that takes everything it never blocks for ever."""
    with Running(tmp_path / "store") as collector:
        result = run("send", "--spool", tmp_path / "spool", "--spool-max", "10kB", collector.url, stdin=MANY)
        assert (0, MANY.decode()) == (result.returncode, "".join(collector.stored("web1").values()))


def test_two_processes_on_one_spool(env: dict[str, str], run: Run, tmp_path: Path) -> None:
    """The second hands its lines to the first, which delivers them; nothing is lost and nothing comes twice."""
    folder = tmp_path / "spool"
    first, *rest = LINES.splitlines(True)
    with Running(tmp_path / "store") as collector:
        command = [*PROGRAM, "send", "--spool", str(folder), collector.url]
        with subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as holder:
            assert holder.stdin is not None
            holder.stdin.write(first)
            holder.stdin.flush()
            until(lambda: collector.stored("web1") != {})
            waiting = run("send", "--wait", "--spool", folder, collector.url, stdin=b"".join(rest))
            assert 0 == waiting.returncode, "with --wait it ends when the first has delivered them"
            holder.stdin.close()
            assert 0 == holder.wait(PATIENCE)
        assert LINES.decode() == "".join(collector.stored("web1").values())
    assert b"" == spooled(folder)


def test_collect_goes_on_while_the_peer_is_down(
    env: dict[str, str], run: Run, serve: Callable[[], Serving], data: Path
) -> None:
    """`collect --send` keeps samples in a spool of its own under the state folder; stopped by SIGTERM it ends with 75,
    and the next `collect --send` delivers them all: no number is missing."""
    sampling = ("collect", "--all", "--server-id", "box", "--interval", "0.02", "--send")
    url = serve().url
    port = closed_port()
    with subprocess.Popen([*PROGRAM, *sampling, f"127.0.0.1:{port}"], env=env, stderr=subprocess.PIPE) as sampler:
        folder = data / ".spool" / f"127.0.0.1-{port}"
        until(lambda: folder.exists() and spooled(folder).count(b"\n") >= 10)
        sampler.terminate()
        assert 75 == sampler.wait(PATIENCE)
    taken = [json.loads(line)["seq"] for line in spooled(folder).splitlines()]
    assert list(range(len(taken))) == taken
    assert 0 == run("send", "--spool", folder, url).returncode
    stored = [json.loads(line)["seq"] for path in (data / "box").glob("*.jsonl") for line in path.open()]
    assert (taken, b"") == (stored, spooled(folder))
    assert "the store is sound\n" == run("store", "verify").stdout
