"""send --spool and collect --send: a sample that was taken is delivered, or is safe in the spool and somebody was
told."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from netstat_cli.collector.parser import MAX_BODY
from netstat_cli.collector.routes import MOST_LINES
from netstat_cli.transport.spool import Spool
from tests.cli.conftest import PATIENCE, PROGRAM, Run, Serving, text_of
from tests.collector.conftest import Running
from tests.given import interface, sample
from tests.transport.test_client import Peer, Reply, closed_port, detail, taken
from tests.transport.test_spool import rejected, spooled

LINES = text_of([sample(i * 10, interface(rx=i * 1000), seq=i) for i in range(3)])
MANY = text_of([sample(i, interface(rx=i * 1000), seq=i) for i in range(300)])


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


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_peer_that_refuses_the_sender_keeps_everything(run: Run, tmp_path: Path, status: int) -> None:
    """A wrong token or address is somebody's to mend: the lines stay, the exit code is 1 and what to do is said."""
    folder = tmp_path / "spool"
    with Peer(judge=lambda _: Reply(status, detail("no"))) as peer:
        result = run("send", "--spool", folder, peer.url, stdin=LINES)
    hint = (
        "is that address a netcli collector?" if status in (400, 404) else "give the collector's token (--token-file)"
    )
    said = f"netcli: {peer.url}/api/v1/samples answered {status}: no; the lines are kept in {folder}\n  {hint}\n"
    assert (1, "", LINES) == (*result[:2], spooled(folder))
    assert said == at_the_end(result.stderr)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 507])
def test_a_peer_that_cannot_take_them_now(run: Run, tmp_path: Path, status: int) -> None:
    """What may pass is tried again, and at the end every line is safe, which exit code 75 says."""
    folder = tmp_path / "spool"
    with Peer(judge=lambda _: Reply(status, detail("later"))) as peer:
        result = run("send", "--spool", folder, peer.url, stdin=LINES)
        assert {LINES} == {b"".join(line + b"\n" for line in one.lines) for one in peer.received}
    said = f"netcli: {peer.url}/api/v1/samples answered {status}: later; what is not delivered is safe in {folder}\n"
    assert (75, "", LINES) == (*result[:2], spooled(folder))
    assert f"{said}  they go out with the next send\n" == at_the_end(result.stderr)


def test_waiting_for_a_busy_peer(run: Run, tmp_path: Path) -> None:
    """With --wait a peer that asks to come back later, though it stored the lines, has each of them once in the end."""
    busy = [Reply(503, detail("busy"), (("Retry-After", "1"),))] * 2
    with Running(tmp_path / "store") as collector:

        def judge(lines: list[bytes]) -> Reply:
            stored = Reply(200, json.dumps(collector.samples(*lines)).encode())
            return busy.pop() if busy else stored

        with Peer(judge=judge) as peer:
            result = run("send", "--wait", "--spool", tmp_path / "spool", peer.url, stdin=LINES)
            assert (0, [LINES.splitlines()] * 3) == (result.returncode, [one.lines for one in peer.received])
        again, back, done = result.stderr.splitlines()
        assert again.startswith(f"netcli: {peer.url}/api/v1/samples answered 503: busy; trying again, next in 1s")
        assert back.startswith("netcli: the peer is back after ")
        assert f"netcli: 0 stored, 3 already there at {peer.url}/api/v1/samples" == done
        assert (b"", LINES.decode()) == (spooled(tmp_path / "spool"), "".join(collector.stored("web1").values()))


@pytest.mark.parametrize("status", [413, 422])
def test_lines_that_a_peer_refuses_with_all_around_them(run: Run, tmp_path: Path, status: int) -> None:
    """A batch refused whole is narrowed down to the lines at fault, which are set aside with the reason; every other
    line is delivered, in order."""
    folder, lines = tmp_path / "spool", MANY.splitlines()
    bad = {lines[0], lines[7], lines[-1]}
    received: list[bytes] = []

    def judge(batch: list[bytes]) -> Reply:
        if bad & {*batch}:
            return Reply(status, detail("cannot take it"))
        received.extend(batch)
        return taken(batch)

    with Peer(judge=judge) as peer:
        result = run("send", "--spool", folder, peer.url, stdin=MANY)
    reason = f"{peer.url}/api/v1/samples answered {status}: cannot take it"
    assert [{"error": reason, "line": line.decode()} for line in lines if line in bad] == rejected(folder)
    assert [line for line in lines if line not in bad] == list(dict.fromkeys(received))
    assert (1, b"") == (result.returncode, spooled(folder))
    assert 3 == result.stderr.count(f"netcli: rejected, and set aside in {folder}: {reason}\n")


def test_dropping_the_oldest_is_said(run: Run, tmp_path: Path) -> None:
    """With --spool-full drop-oldest a full spool keeps the newest lines; how many went is said, and no other went."""
    folder, keeping = tmp_path / "spool", ("--spool-max", "20kB", "--spool-full", "drop-oldest")
    result = run("send", "--spool", folder, *keeping, f"127.0.0.1:{closed_port()}", stdin=MANY)
    kept = spooled(folder)
    dropped = 300 - kept.count(b"\n")
    assert (75, True) == (result.returncode, 0 < dropped < 300)
    assert f"netcli: {dropped} lines were dropped because the spool was full\n" in result.stderr
    assert (True, True) == (MANY.endswith(kept), len(kept) <= 20_000)
    with Running(tmp_path / "store") as collector:
        assert 0 == run("send", "--spool", folder, collector.url).returncode
        assert kept.decode() == "".join(collector.stored("web1").values())


def test_a_full_spool_blocks_until_the_peer_takes_some(env: dict[str, str], tmp_path: Path) -> None:
    """That it waits is said once; when the peer is back every line goes out, in order."""
    back = threading.Event()
    with Peer(judge=lambda lines: taken(lines) if back.is_set() else Reply(503)) as peer:
        command = [*PROGRAM, "send", "--spool", str(tmp_path), "--spool-max", "60kB", "--wait", peer.url]
        with subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdin is not None
            assert process.stderr is not None
            process.stdin.write(MANY)
            process.stdin.close()
            full = f"netcli: the spool {tmp_path} is full: waiting until the peer takes some\n".encode()
            said = [process.stderr.readline()]
            while full not in said:
                assert said[-1]
                said.append(process.stderr.readline())
            assert len(spooled(tmp_path)) <= 60_000
            back.set()
            assert 0 == process.wait(PATIENCE)
            assert full not in process.stderr.read()
        lines = [line for one in peer.received for line in one.lines]
    assert MANY.splitlines() == list(dict.fromkeys(lines))


def test_collect_ends_though_its_spool_is_full(env: dict[str, str], tmp_path: Path) -> None:
    """SIGTERM ends a `collect --send` that waits for room: what is spooled stays, and the reason is told."""
    folder = tmp_path / "spool"
    command = [*PROGRAM, "collect", "--all", "--interval", "0.01", "--send", f"127.0.0.1:{closed_port()}"]
    command += ["--spool", str(folder), "--spool-max", "5kB"]
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) as sampler:
        assert sampler.stderr is not None
        while "is full: waiting" not in (said := sampler.stderr.readline()):
            assert said
        before = spooled(folder)
        sampler.terminate()
        try:
            assert 1 == sampler.wait(PATIENCE)
        finally:
            sampler.kill()
        assert f"netcli: the spool {folder} is full\n" in sampler.stderr.read()
    assert before == spooled(folder)


def test_a_sender_that_fails_is_told_at_once(env: dict[str, str], tmp_path: Path) -> None:
    """Whoever adds lines that nobody can deliver any more is told so, not first when there is no end of them."""
    (tmp_path / "rejected.jsonl").mkdir()
    with Peer() as peer:
        command, deadline = [*PROGRAM, "send", "--spool", str(tmp_path), peer.url], time.monotonic() + PATIENCE
        with subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0) as process:
            assert process.stdin is not None
            assert process.stderr is not None
            process.stdin.write(b"no json\n")
            while process.poll() is None and time.monotonic() < deadline:
                with suppress(BrokenPipeError):
                    process.stdin.write(LINES)
                time.sleep(0.05)
            process.stdin.close()
            assert f"netcli: {tmp_path}/rejected.jsonl: Is a directory\n" == process.stderr.read().decode()
            assert (1, True) == (process.wait(PATIENCE), time.monotonic() < deadline)
    assert b"no json\n" == spooled(tmp_path)[:8]


@pytest.mark.parametrize(("count", "length"), [(MOST_LINES + 5000, 1), (40, 600_000)], ids=["many", "long"])
def test_a_backlog_goes_out_within_the_collectors_limits(run: Run, tmp_path: Path, count: int, length: int) -> None:
    """However much has gathered, no batch has more lines or bytes than a collector takes, and no line is missing."""
    lines = [b'"%06d%s"' % (number, b"x" * length) for number in range(count)]
    folder = tmp_path / "spool"
    assert 75 == run("send", "--spool", folder, f"127.0.0.1:{closed_port()}", stdin=b"\n".join(lines)).returncode
    with Peer() as peer:
        assert 0 == run("send", "-q", "--spool", folder, peer.url).returncode
    assert lines == [line for one in peer.received for line in one.lines]
    assert MOST_LINES > max(len(one.lines) for one in peer.received)
    assert MAX_BODY >= max(len(b"\n".join([*one.lines, b""])) for one in peer.received)


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
        folder = data / ".spool" / "collect"
        until(lambda: folder.exists() and spooled(folder).count(b"\n") >= 10)
        sampler.terminate()
        assert 75 == sampler.wait(PATIENCE)
    taken = [json.loads(line)["seq"] for line in spooled(folder).splitlines()]
    assert list(range(len(taken))) == taken
    assert 0 == run("send", "--spool", folder, url).returncode
    stored = [json.loads(line)["seq"] for path in (data / "box").glob("*.jsonl") for line in path.open()]
    assert (taken, b"") == (stored, spooled(folder))
    assert "the store is sound\n" == run("store", "verify").stdout


COLLECT = ("collect", "--all", "--server-id", "box")


def left(spools: Path, name: str, lines: bytes) -> Path:
    """A spool that an earlier address left behind."""
    with Spool(str(spools / name), 1 << 20) as spool:
        spool.add(lines.splitlines(), False)
    return spools / name


def test_a_corrected_address_leaves_nothing_behind(run: Run, data: Path) -> None:
    """The spool is the machine's, not the address's: what waited for the wrong address goes to the right one."""
    wrong = f"http://127.0.0.1:{closed_port()}"
    folder = data / ".spool" / "collect"
    result = run(*COLLECT, "--send", wrong)
    assert (75, True) == (result.returncode, f"what is not delivered is safe in {folder}\n" in result.stderr)
    waiting = spooled(folder)
    with Peer() as peer:
        assert (0, "", "") == run(*COLLECT, "--send", peer.url)
        lines = [line for one in peer.received for line in one.lines]
    assert (waiting.splitlines(), 2, b"") == (lines[:1], len(lines), spooled(folder))


def test_spools_of_earlier_addresses_are_found_and_delivered(run: Run, data: Path) -> None:
    """Earlier versions kept a spool for each address: each is told and delivered, oldest first, and its folder goes;
    what was set aside in one stays."""
    spools = data / ".spool"
    first, *rest = LINES.splitlines(True)
    one, other = left(spools, "web1-8477", first), left(spools, "http-web1-8477", b"".join(rest))
    (other / "rejected.jsonl").write_text('{"error":"is bad","line":"x"}\n')
    with Peer() as peer:
        result = run(*COLLECT, "--send", peer.url)
        lines = [line for batch in peer.received for line in batch.lines]
    url = f"{peer.url}/api/v1/samples"
    sizes = {other: len(b"".join(rest)), one: len(first)}
    told = [f"netcli: {sizes[at]} bytes wait in {at} since the address was another; they go to {url}" for at in sizes]
    assert (0, told) == (result.returncode, result.stderr.splitlines())
    assert [*(line.rstrip() for line in rest), first.rstrip()] == lines[:3]
    assert (4, ["collect", "http-web1-8477"]) == (len(lines), sorted(path.name for path in spools.iterdir()))
    assert ["x"] == [line["line"] for line in rejected(other)]


def test_spools_of_earlier_addresses_wait_with_the_rest(run: Run, data: Path) -> None:
    """While the peer is down nothing of them is lost, and the message names them too."""
    old = left(data / ".spool", "web1-8477", LINES)
    result = run(*COLLECT, "--send", f"127.0.0.1:{closed_port()}")
    assert (75, LINES) == (result.returncode, spooled(old))
    assert f"what is not delivered is safe in {data}/.spool/collect and {old}\n" in result.stderr


def test_a_spool_of_another_address_that_is_in_use_is_left_alone(run: Run, data: Path) -> None:
    """An agent of an earlier version that still runs delivers from its own spool, to its own address."""
    old = left(data / ".spool", "web1-8477", LINES)
    with Spool(str(old), 1 << 20) as spool, Peer() as peer:
        assert spool.take_delivery()
        assert (0, "", "") == run(*COLLECT, "--send", peer.url)
        assert 1 == len([line for batch in peer.received for line in batch.lines])
    assert LINES == spooled(old)


def test_a_spool_named_by_hand_has_no_siblings(run: Run, data: Path) -> None:
    """With --spool nothing but that folder is touched."""
    old = left(data / ".spool", "web1-8477", LINES)
    with Peer() as peer:
        assert (0, "", "") == run(*COLLECT, "--send", peer.url, "--spool", data / ".spool" / "mine")
    assert LINES == spooled(old)


@pytest.mark.parametrize("command", [("send", "--spool"), (*COLLECT, "--spool")], ids=["send", "collect"])
def test_two_addresses_share_no_spool(run: Run, tmp_path: Path, command: tuple[str, ...]) -> None:
    """Whoever delivers sends all that is in a spool to one address, so a second one is told to use a folder of its
    own, before a line of it gets to the wrong peer."""
    with Spool(str(tmp_path), 1 << 20) as spool, Peer() as peer:
        assert spool.take_delivery("http://web1:8477/api/v1/samples")
        name = "--send" if command[0] == "collect" else None
        address = [name, peer.url] if name else [peer.url]
        result = run(*command, tmp_path, *address, stdin=LINES)
        assert ([], b"") == (peer.received, spooled(tmp_path))
    message = f"another process delivers what is in {tmp_path} to http://web1:8477/api/v1/samples"
    hint = "give this one a folder of its own: --spool DIR"
    assert (1, "", f"netcli: {message}\n  {hint}\n") == result


def test_a_key_in_the_query_is_not_told(run: Run, tmp_path: Path) -> None:
    """What a gateway wants in the address reaches it, and neither the terminal nor a file's name or text."""
    with Peer(judge=lambda _: Reply(503)) as peer:
        result = run("collect", "--send", f"{peer.url}/?key=secret")
    assert ({"/api/v1/samples?key=secret"}, 75) == ({one.path for one in peer.received}, result.returncode)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    written = [path.name.encode() + path.read_bytes() for path in files]
    assert (False, []) == ("secret" in result.stderr, [text for text in written if b"secret" in text])
