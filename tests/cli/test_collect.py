"""netcli collect: this machine's counters, one JSON line a sample."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import PATIENCE, PROGRAM, Run

HEAD = """\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier
"""
ROWS = """\
    lo:   49027     168    0    0    0     0          0         0    49027     168    0    0    0     0  0  0
  eth0: 75665022    1667    1    2    0     0          0         0   102866     998    3    4    0     0  0  0
💩0:1:        10       1    0    0    0     0          0         0       20       2    0    0    0     0  0  0
"""


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """A /proc with three interfaces, and an empty /sys beside it."""
    (tmp_path / "proc" / "net").mkdir(parents=True)
    (tmp_path / "sys").mkdir()
    (tmp_path / "proc" / "net" / "dev").write_text(HEAD + ROWS)
    boot_id = tmp_path / "proc" / "sys" / "kernel" / "random" / "boot_id"
    boot_id.parent.mkdir(parents=True)
    boot_id.write_text("5f0c\n")
    return tmp_path


def options(capture: Path, *more: str) -> list[str]:
    """Arguments that read the capture."""
    roots = ["--procfs", str(capture / "proc"), "--sysfs", str(capture / "sys")]
    return ["collect", "--server-id", "box", *roots, *more]


def names(text: str) -> list[list[str]]:
    """The interfaces of each line."""
    return [[one["name"] for one in json.loads(line)["network_interfaces"]] for line in text.splitlines()]


def test_one_sample_is_one_line(run: Run, capture: Path) -> None:
    """The line of the design, every interface but loopback in it, whatever its name."""
    code, shown, said = run(*options(capture))
    line = json.loads(shown)
    moment, hostname = line["timestamp"], line["hostname"]
    assert (0, "", 1) == (code, said, shown.count("\n"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", moment)
    interfaces = (
        f'{{"name":"eth0","is_up":true,"start":"{moment}","rx_bytes":75665022,"tx_bytes":102866,'
        '"rx_packets":1667,"tx_packets":998,"rx_errors":1,"tx_errors":3,"rx_dropped":2,"tx_dropped":4},'
        f'{{"name":"💩0:1","is_up":true,"start":"{moment}","rx_bytes":10,"tx_bytes":20,'
        '"rx_packets":1,"tx_packets":2,"rx_errors":0,"tx_errors":0,"rx_dropped":0,"tx_dropped":0}'
    )
    node = (
        f'"network_start":"{moment}","network_rx_bytes":75665022,"network_tx_bytes":102866,'
        '"network_rx_packets":1667,"network_tx_packets":998'
    )
    assert shown == (
        f'{{"timestamp":"{moment}","server_id":"box","hostname":"{hostname}","boot_id":"5f0c","seq":0,'
        f'"network_rx_bytes_per_sec":0.0,"network_tx_bytes_per_sec":0.0,{node},"network_interfaces":[{interfaces}]}}\n'
    )


def test_rows_that_no_line_can_hold_are_left_out(run: Run, capture: Path, data: Path) -> None:
    """A counter below zero or of 65 bits, and a name that is there twice, cost that row and are told; what is stored is
    sound. A column more than sixteen costs nothing."""
    broken = [("eth1", "-1"), ("eth2", str(1 << 64)), ("eth0", "7"), ("eth3", "8")]
    rows = "".join(f"{name}: {value} 1 0 0 0 0 0 0 2 2 0 0 0 0 0 0 99\n" for name, value in broken)
    (capture / "proc" / "net" / "dev").write_text(HEAD + ROWS + rows)
    code, _, said = run(*options(capture, "--store"))
    dev = f"netcli: {capture}/proc/net/dev: skipped"
    told = [f"{dev} 'eth1': rx_bytes is negative", f"{dev} 'eth2': rx_bytes is larger than 64 bits"]
    assert (0, [*told, f"{dev} a second row of 'eth0'"]) == (code, said.splitlines())
    assert (0, "the store is sound\n", "") == run("store", "verify")
    (path,) = (data / "box").glob("*.jsonl")
    assert [["eth0", "💩0:1", "eth3"]] == names(path.read_text())


@pytest.mark.parametrize(
    ("more", "expected", "said"),
    [
        (["--all"], ["lo", "eth0", "💩0:1"], ""),
        (["--iface", "e*"], ["eth0"], ""),
        (["--iface", "lo"], ["lo"], ""),
        (["--iface", "l*"], [], "netcli: no interface is named l* now\n"),
        (["--iface", "e*", "--iface", "💩*", "--exclude", "*:1"], ["eth0"], ""),
        (["--exclude", "eth?"], ["💩0:1"], ""),
    ],
)
def test_which_interfaces(run: Run, capture: Path, more: list[str], expected: list[str], said: str) -> None:
    """Globs choose and leave out; loopback is in when it is asked for by name or by --all."""
    code, shown, stderr = run(*options(capture, *more))
    assert (0, [expected], said) == (code, names(shown), stderr)


def test_this_machine(run: Run) -> None:
    """Real samples hold this machine's interfaces but lo, at even intervals, counted from 0."""
    code, shown, said = run("collect", "--count", "3", "--interval", "0.2")
    present = [line.rpartition(":")[0].strip() for line in Path("/proc/net/dev").read_text().splitlines()[2:]]
    lines = [json.loads(line) for line in shown.splitlines()]
    assert (0, "", [[name for name in present if name != "lo"]] * 3) == (code, said, names(shown))
    assert [(0, 0.2), (1, 0.2), (2, 0.2)] == [(line["seq"], line["interval"]) for line in lines]
    assert sorted({line["timestamp"] for line in lines}) == [line["timestamp"] for line in lines]


def test_a_capture_that_is_odd(run: Run, capture: Path, tmp_path: Path) -> None:
    """A malformed row is skipped with a warning and the rest is kept; without the file the list is empty."""
    path = capture / "proc" / "net" / "dev"
    path.write_text(HEAD + ROWS + "  bad\x1b[31m0: 1 2 three\n")
    code, shown, said = run(*options(capture, "--interval", "0.01", "--count", "3"))
    warning = f"netcli: {path}: skipped 'bad\\x1b[31m0': it has 3 columns and not 16\n"
    assert (0, [["eth0", "💩0:1"]] * 3, warning) == (code, names(shown), said)
    path.unlink()
    gone = f"netcli: cannot read {path}: No such file or directory; no interfaces are reported\n"
    code, shown, said = run(*options(capture))
    assert (0, [[]], gone) == (code, names(shown), said)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_the_series(env: dict[str, str], number: signal.Signals, code: int) -> None:
    """Each line is flushed when it is taken; SIGTERM is an orderly end, SIGINT an interruption."""
    command = [*PROGRAM, "collect", "--interval", "0.05"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, text=True) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["seq"] == 0
        assert json.loads(process.stdout.readline())["seq"] == 1
        process.send_signal(number)
        rest, said = process.communicate(timeout=PATIENCE)
    assert (code, "", True) == (process.returncode, said.strip(), rest == "" or rest.endswith("}\n"))


@pytest.mark.parametrize("more", [["--interval", "0.05"], []], ids=["many", "one"])
def test_a_reader_that_goes_away_is_no_error(env: dict[str, str], more: list[str]) -> None:
    """`| head -1` ends the command with 0 and without a word."""
    pipeline = '"$@" | head -n 1; exit "${PIPESTATUS[0]}"'
    command = ["bash", "-c", pipeline, "bash", *PROGRAM, "collect", *more]
    done = subprocess.run(command, capture_output=True, env=env, text=True, timeout=PATIENCE, check=False)
    assert (0, "", 1) == (done.returncode, done.stderr, done.stdout.count("\n"))


def test_one_machine_needs_no_server(run: Run, data: Path) -> None:
    """--store appends to the local store what would have been printed, for the owner's eyes only."""
    assert (0, "", "") == run("collect", "--all", "--server-id", "box", "--store", "--interval", "0.05", "--count", "3")
    paths = list((data / "box").glob("*.jsonl"))
    lines = [json.loads(line) for path in paths for line in path.read_text().splitlines()]
    assert [0, 1, 2] == [line["seq"] for line in lines]
    assert {0o700, 0o600} == {path.stat().st_mode & 0o777 for path in (data, data / "box", *paths)}
    shown = run("spark", "--iface", "lo", "--plain", "--width", "4")
    assert (0, 2, "") == (shown.returncode, shown.stdout.count("\n"), shown.stderr)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ("--send http://x --store", 2, "--send and --store are two places; choose one"),
        ("--data x", 2, "--data names the store; it goes with --store"),
        ("--interval 9ms", 2, "--interval must be at least 10ms"),
        ("--interval soon", 2, "'soon' is not a duration; write for example 500ms, 10s, 5m, 1h30m, 7d or 365d"),
        ("--count 0", 2, "0 is not in the range x>=1"),
        ("--server-id a/b", 2, "a server id has 1 to 100 of A-Z a-z 0-9 . _ - and begins with a letter or digit"),
        ("--source snmp", 2, "'snmp' is not one of 'auto', 'procfs', 'psutil'"),
        ("--send ftp://x", 2, "'ftp://x' is not the address of a collector"),
        ("--store --data {file}/store", 1, "netcli: cannot make a store in {file}/store: Not a directory\n"),
    ],
)
def test_wrong_usage(run: Run, tmp_path: Path, arguments: str, code: int, said: str) -> None:
    """What cannot be done is said in one sentence, before a sample is taken."""
    file = tmp_path / "file"
    file.touch()
    result = run("collect", *arguments.format(file=file).split())
    assert (code, "") == result[:2]
    assert said.format(file=file) in result.stderr


def test_collecting_loads_no_more_than_it_needs(env: dict[str, str]) -> None:
    """What other commands need (HTTP, tables, TLS, psutil) is not imported for this one."""
    heavy = {"requests", "http.server", "http.client", "ssl", "tabulate", "psutil", "socketserver", "asyncio"}
    program = f"import sys, netstat_cli.cli.collect; print(*sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, env=env, text=True, check=True)
    assert done.stdout == "\n"
