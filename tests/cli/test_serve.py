"""netcli serve, and the whole way: collect, send, serve, spark as real processes."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from netstat_cli.times import SECOND, now
from tests.cli.conftest import PATIENCE, PROGRAM, Run, Serving, text_of
from tests.given import T0, interface, sample

Serve = Callable[[], Serving]
STOPPED = "netcli: stopped; everything that was accepted is stored\n"


def test_the_whole_way(run: Run, serve: Serve, env: dict[str, str], data: Path) -> None:
    """Counters read from the kernel are delivered over HTTP, stored as the same bytes, and drawn from the files."""
    serving = serve()
    collect = '"$0" "$1" "$2" collect --all --server-id box --interval 0.1 --count 6'
    pipeline = f'{collect} | tee /dev/stderr | "$0" "$1" "$2" send "$3"'
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", pipeline, *PROGRAM, serving.url],
        capture_output=True, env=env, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    taken = [line for line in done.stderr.splitlines(True) if line.startswith("{")]
    assert (0, 6) == (done.returncode, len(taken))
    assert f"netcli: 6 stored at {serving.url}/api/v1/samples\n" in done.stderr
    assert "".join(taken) == "".join(path.read_text() for path in sorted((data / "box").glob("*.jsonl")))
    first, last = (json.loads(line)["network_interfaces"][0] for line in (taken[0], taken[-1]))
    names = [one["name"] for one in json.loads(taken[0])["network_interfaces"]]
    assert names == [
        one["name"] for one in requests.get(f"{serving.url}/api/v1/servers/box", timeout=5).json()["network_interfaces"]
    ]
    drawn = run("spark", "--json", "--iface", first["name"])
    total = json.loads(drawn.stdout)["series"][0]
    assert [last[key] - first[key] for key in ("rx_bytes", "tx_bytes")] == [total["rx_bytes"], total["tx_bytes"]]
    assert "\nbox     online " in run("nodes").stdout
    assert (0, STOPPED) == serving.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_orderly(serve: Serve, data: Path, number: signal.Signals) -> None:
    """SIGTERM and SIGINT end it with 0 though a client is still connected, and what was accepted is on disk."""
    serving = serve()
    (said,) = serving.said
    assert said.startswith(f"netcli: listening on {serving.url}, storing in {data}, up to ")
    with requests.Session() as session:
        line = text_of([sample(0, interface(rx=1000))])
        receipt = session.post(f"{serving.url}/api/v1/samples", line, timeout=5).json()
        assert receipt == {"accepted": 1, "duplicates": 0, "rejected": []}
        assert (0, STOPPED) == serving.stop(number)
    assert line == (data / "web1" / "2026-11-21.jsonl").read_bytes()


def test_a_restart_knows_every_node(serve: Serve) -> None:
    """After a restart the live view is rebuilt from the files; a torn last line is cut off and said."""
    serving = serve()
    recent = (now() - T0) / SECOND
    for server, age in (("web1", 3), ("web2", 300)):
        line = text_of([sample(recent - age, interface(rx=1000), server=server)])
        requests.post(f"{serving.url}/api/v1/samples", line, timeout=5)
    serving.process.kill()
    serving.process.wait()
    (path,) = (serving.data / "web1").glob("*.jsonl")
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"timestamp":"2026-')
    serving = serve()
    torn = f"netcli: {path}: cut off a last line torn by a crash (19 bytes, never acknowledged)\n"
    assert torn == serving.said[0]
    assert whole == path.read_bytes()
    nodes = requests.get(f"{serving.url}/api/nodes", timeout=5).json()
    assert {"web1": "online", "web2": "offline"} == {node["name"]: node["status"] for node in nodes}


@pytest.mark.parametrize("arguments", [["serve", "--listen", "127.0.0.1:0"], ["collect", "--store"]])
def test_a_second_writer_is_told_who_holds_the_store(run: Run, serve: Serve, data: Path, arguments: list[str]) -> None:
    """One writer at a time: the second is told who the first is and what it can do instead; the first goes on."""
    serving = serve()
    hint = "send to it (netcli collect --send http://…), or name another folder with --data"
    held = f"netcli: the store {data} is in use by netcli serve (pid {serving.process.pid})\n  {hint}\n"
    assert (1, "", held) == run(*arguments)
    assert requests.get(f"{serving.url}/healthz", timeout=5).json() == {"status": "ok"}


def test_a_port_in_use(run: Run) -> None:
    """A port that somebody else has is named, with what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        hint = "another program listens there; choose another with --listen HOST:PORT"
        said = f"netcli: cannot listen on 127.0.0.1:{port}: Address already in use\n  {hint}\n"
        assert (1, "", said) == run("serve", "--listen", f"127.0.0.1:{port}")


def test_a_data_folder_that_cannot_be_written(run: Run, tmp_path: Path) -> None:
    """A folder that cannot be made is named, with the reason and what to do."""
    (tmp_path / "file").touch()
    hint = "make it writable for this user, or name another folder with --data"
    said = f"netcli: cannot make a store in {tmp_path}/file/store: Not a directory\n  {hint}\n"
    assert (1, "", said) == run("serve", "--listen", "127.0.0.1:0", "--data", tmp_path / "file" / "store")


def test_a_store_that_is_damaged(run: Run, data: Path) -> None:
    """A file whose last whole line is no sample is not written to; the message names it."""
    (data / "web1").mkdir(parents=True)
    path = data / "web1" / "2026-11-21.jsonl"
    path.write_text("spoiled\n")
    result = run("serve", "--listen", "127.0.0.1:0")
    assert (1, "", True) == (result.returncode, result.stdout, result.stderr.startswith("netcli: "))
    assert (True, False) == (str(path) in result.stderr, "Traceback" in result.stderr)
    assert path.read_text() == "spoiled\n"


def test_the_thresholds_can_be_set(env: dict[str, str], data: Path) -> None:
    """--warning-after and --offline-after decide how long silence is all right; [::1] and the like are addresses."""
    command = [
        *PROGRAM,
        "serve",
        "--listen",
        ":0",
        "--warning-after",
        "1ms",
        "--offline-after",
        "1h",
        "--data",
        str(data),
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=env, text=True) as process:
        assert process.stderr is not None
        listening = re.match(r"netcli: listening on (http://127\.0\.0\.1:\d+), ", process.stderr.readline())
        assert listening is not None
        requests.post(f"{listening[1]}/api/v1/samples", text_of([sample(0)]), timeout=5)
        while (node := requests.get(f"{listening[1]}/api/nodes/web1", timeout=5).json())["status"] == "online":
            pass
        assert node["status"] == "warning"
        process.terminate()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--listen nonsense", "'nonsense' is not an address; write for example 127.0.0.1:8477 or [::1]:8477"),
        ("--listen 127.0.0.1:70000", "'127.0.0.1:70000' is not an address; write for example 127.0.0.1:8477"),
        ("--listen 127.0.0.1:", "'127.0.0.1:' is not an address; write for example 127.0.0.1:8477"),
        ("--offline-after never", "'never' is not a duration; write for example 500ms, 10s, 5m, 1h30m, 7d or 365d"),
    ],
)
def test_wrong_usage(run: Run, data: Path, arguments: str, said: str) -> None:
    """What cannot be understood is exit code 2 and one sentence, and no store is made."""
    result = run("serve", *arguments.split())
    assert (2, "", True) == (result.returncode, result.stdout, said in result.stderr)
    assert not data.exists()
