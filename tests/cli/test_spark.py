"""netcli spark: sparklines from the store, from files and from pipes."""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import pty
import re
import struct
import subprocess
import termios
from pathlib import Path

import pytest

from netstat_cli.line.model import Sample
from netstat_cli.times import HOUR, SECOND, format_timestamp, now
from tests.cli.conftest import PROGRAM, Run, store, text_of
from tests.given import T0, interface, sample


def rising(server: str = "web1", begin: float = 0.0, name: str = "eth0") -> list[Sample]:
    """Nine samples, ten seconds apart: 100, 200, … 800 bytes a second received, a tenth of it sent."""
    totals = [500 * i * (i + 1) for i in range(9)]
    return [sample(begin + i * 10, interface(name, rx, rx // 10), server=server) for i, rx in enumerate(totals)]


@pytest.fixture
def day(tmp_path: Path) -> Path:
    """A file with the rising samples."""
    path = tmp_path / "day.jsonl"
    path.write_bytes(text_of(rising()))
    return path


GOLDEN = {
    "": """\
eth0  rx  ▂▂▃▃▄▄▅▅▅▅▆▆▇▇██  800.00 B/s  avg  450.00 B/s  peak  800.00 B/s  1m 20s
eth0  tx  ▂▂▃▃▄▄▅▅▅▅▆▆▇▇██   80.00 B/s  avg   45.00 B/s  peak   80.00 B/s  1m 20s
""",
    "--width 8 --rx": "eth0  rx  ▂▃▄▅▅▆▇█  800.00 B/s  avg  450.00 B/s  peak  800.00 B/s  1m 20s\n",
    "--width 8 --height 2 --both": """\
             ▁▂▄▆█
eth0  rx  ▃▅▇█████  800.00 B/s  avg  450.00 B/s  peak  800.00 B/s  1m 20s
             ▁▂▄▆█
eth0  tx  ▃▅▇█████   80.00 B/s  avg   45.00 B/s  peak   80.00 B/s  1m 20s
""",
    "--width 8 --bits": """\
eth0  rx  ▂▃▄▅▅▆▇█   6.40 kbit/s  avg   3.60 kbit/s  peak   6.40 kbit/s  1m 20s
eth0  tx  ▂▃▄▅▅▆▇█  640.00 bit/s  avg  360.00 bit/s  peak  640.00 bit/s  1m 20s
""",
    "--width 8 --tx --iec --ascii": "eth0  tx  .:-==+*#  80.00 B/s  avg  45.00 B/s  peak  80.00 B/s  1m 20s\n",
    "--width 8 --plain": "▂▃▄▅▅▆▇█\n▂▃▄▅▅▆▇█\n",
    "--width 8 --plain --ascii --height 2 --rx": "   _.-+#\n:=*#####\n",
    "--width 8 --scale shared --plain": "▂▃▄▅▅▆▇█\n▁▁▁▁▁▂▂▂\n",
    "--width 4 --rx": "eth0  rx  ▂▄▆█  800.00 B/s  avg  450.00 B/s  peak  750.00 B/s  1m 20s\n",
    "--width 4 --rx --agg max": "eth0  rx  ▃▅▆█  800.00 B/s  avg  450.00 B/s  peak  800.00 B/s  1m 20s\n",
    "--width 4 --rx --since 2026-11-21T12:00:20Z --until 2026-11-21T12:01:00Z": (
        "eth0  rx  ▅▆▇█  600.00 B/s  avg  450.00 B/s  peak  600.00 B/s  40s\n"
    ),
    "--width 4 --rx --last 20s --until 2026-11-21T12:01:40Z": "eth0  rx        800.00 B/s  avg  -  peak  -  20s\n",
}


@pytest.mark.parametrize("options", GOLDEN, ids=lambda options: options or "plain run")
def test_a_file_drawn(run: Run, day: Path, options: str) -> None:
    """One line for each interface and direction: name, glyphs, current, average and peak rate, span."""
    assert (0, GOLDEN[options], "") == run("spark", *options.split(), day)


def test_the_numbers_behind_the_picture(run: Run, day: Path) -> None:
    """--json has bytes and seconds, never scaled, and what the buckets hold adds up to the totals."""
    buckets = [(0, 40, 10_000, 1000, 10, 1), (40, 80, 26_000, 2600, 26, 2)]
    assert {
        "since": "2026-11-21T12:00:00.000Z",
        "until": "2026-11-21T12:01:20.000Z",
        "agg": "avg",
        "series": [
            {
                "server_id": "web1",
                "interface": "eth0",
                "rx_bytes": 36_000,
                "tx_bytes": 3600,
                "rx_packets": 36,
                "tx_packets": 3,
                "seconds": 80.0,
                "current_rx_bytes_per_sec": 800.0,
                "current_tx_bytes_per_sec": 80.0,
                "buckets": [
                    {
                        "since": f"2026-11-21T12:0{since // 60}:{since % 60:02d}.000Z",
                        "until": f"2026-11-21T12:0{until // 60}:{until % 60:02d}.000Z",
                        "rx_bytes": rx,
                        "tx_bytes": tx,
                        "rx_packets": rx_packets,
                        "tx_packets": tx_packets,
                        "seconds": 40.0,
                        "gap": False,
                    }
                    for since, until, rx, tx, rx_packets, tx_packets in buckets
                ],
            }
        ],
    } == json.loads(run("spark", "--json", "--width", "2", day).stdout)


def test_gaps_are_blank_and_their_bytes_still_count(run: Run) -> None:
    """Where nothing was sampled for longer than five intervals and a minute nothing is drawn; a pause shorter than
    that is no gap; the total is whole."""
    moments = [0, 10, 20, 220, 230, 240]
    text = text_of([sample(at, interface(rx=at * 100)) for at in moments])
    assert run("spark", "--rx", "--plain", "--width", "12", "-", stdin=text).stdout == "██         █\n"
    found = json.loads(run("spark", "--json", "--width", "12", "-", stdin=text).stdout)["series"][0]
    assert [False] * 2 + [True] * 9 + [False] == [bucket["gap"] for bucket in found["buckets"]]
    assert found["rx_bytes"] == 24_000
    short = text_of([sample(at, interface(rx=at * 100)) for at in (0, 60, 120)])
    assert run("spark", "--rx", "--plain", "--width", "12", "-", stdin=short).stdout == "████████████\n"


def test_several_servers_and_interfaces(run: Run) -> None:
    """Where there are several servers each line is named for its own; --server and --iface choose."""
    both = text_of(rising("web1")) + text_of(rising("web2", name="wlan0"))
    lines = """\
web1  eth0   rx  ▂▃▄▅▅▆▇█  800.00 B/s  avg  450.00 B/s  peak  800.00 B/s  1m 20s
web2  wlan0  rx  ▂▃▄▅▅▆▇█  800.00 B/s  avg  450.00 B/s  peak  800.00 B/s  1m 20s
"""
    options = ("spark", "--rx", "--width", "8")
    assert lines == run(*options, "-", stdin=both).stdout
    assert lines.splitlines(True)[1] == run(*options, "--iface", "wl*", "-", stdin=both).stdout
    alone = run(*options, "--server", "web2", "-", stdin=both).stdout
    assert alone == "wlan0  rx  ▂▃▄▅▅▆▇█  800.00 B/s  avg  450.00 B/s  peak  800.00 B/s  1m 20s\n"


def test_the_store_drawn_over_the_last_hour(run: Run, data: Path) -> None:
    """Without files it is the store, and without a span what there is of the last hour."""
    begin = (now() - T0) / SECOND - 85
    store(data, rising(begin=begin), rising("web2", begin=begin))
    stored = run("spark", "--rx", "--server", "web1", "--last", "85s", "--width", "5", "--agg", "max")
    assert 0 == stored.returncode
    assert re.fullmatch(
        r"eth0  rx  [ ▁-█]{5}  800\.00 B/s  avg  [45]\d\d\.\d\d B/s  peak  [78]\d\d\.\d\d B/s  1m 25s\n", stored.stdout
    )
    assert run("spark").stdout.count("\n") == 4
    folder = run("spark", "--json", "--rx", "--data", data, STATE_DIRECTORY="/nowhere")
    assert [36_000, 36_000] == [one["rx_bytes"] for one in json.loads(folder.stdout)["series"]]


def test_packed_files_and_pipes_come_together(run: Run, tmp_path: Path) -> None:
    """A .gz is unpacked, several files are one history whatever their order, and a line twice counts once."""
    lines = text_of(rising()).splitlines(True)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b"".join(lines[5:])))
    piped = b"".join(lines[:6])
    result = run("spark", "--rx", "--width", "8", tmp_path / "a.jsonl.gz", "-", stdin=piped)
    assert (0, GOLDEN["--width 8 --rx"], "") == result


def test_lines_that_are_no_samples_are_skipped_and_told(run: Run) -> None:
    """Each is named by its number, and the rest is drawn."""
    lines = [b"not json\n", *text_of(rising()).splitlines(True), b"\n", b'{"timestamp":NaN}\n', b'{"server_id":"x"}\n']
    lines.append(text_of(rising())[:50])
    result = run("spark", "--rx", "--width", "8", "-", stdin=b"".join(lines))
    assert (0, GOLDEN["--width 8 --rx"]) == result[:2]
    assert [
        "netcli: -:1: skipped: is not JSON: Expecting value: line 1 column 1 (char 0)",
        "netcli: -:12: skipped: is not JSON: NaN is not a JSON number",
        "netcli: -:13: skipped: timestamp: is missing",
        "netcli: -:14: skipped: is not JSON: Unterminated string starting at: line 1 column 41 (char 40)",
    ] == result.stderr.splitlines()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--iface", "nope"], "netcli: no interface nope is stored\n  there are: eth0\n"),
        (["--iface", "a*", "--iface", "b"], "netcli: no interface a*, b is stored\n  there are: eth0\n"),
        (["--iface", "nope", "--json"], "netcli: no interface nope is stored\n  there are: eth0\n"),
        (["--server", "web9"], "netcli: no samples of 'web9' in what was given\n"),
    ],
)
def test_no_such_interface(run: Run, day: Path, options: list[str], said: str) -> None:
    """What is not there is an error that lists what there is."""
    assert (1, "", said) == run("spark", *options, day)


def test_nothing_stored_yet(run: Run, data: Path) -> None:
    """An empty store, an unknown server and an hour without samples each say so, and what to do."""
    start = "start with: netcli collect --store --interval 10s   (or name another folder with --data)"
    assert (1, "", f"netcli: no samples are stored in {data}\n  {start}\n") == run("spark")
    begin = (now() - T0) / SECOND - 2 * HOUR / SECOND
    store(data, rising(begin=begin))
    assert (1, "", f"netcli: no server 'web9' in {data}\n  there are: web1\n") == run("spark", "--server", "web9")
    newest = format_timestamp(rising(begin=begin)[-1].timestamp)
    old = f"nothing was sampled in the last hour; the newest sample is of {newest}"
    back = f"look back with --last, or from there: --until {newest}"
    assert (1, "", f"netcli: {old}\n  {back}\n") == run("spark")
    assert run("spark", "--until", newest, "--rx", "--width", "8").stdout == GOLDEN["--width 8 --rx"]
    assert (1, "netcli: no samples in what was given\n") == run("spark", "-")[::2]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--last 1h --since 12:00", "--last and --since both say where to begin; choose one"),
        ("--since 2026-11-21T13:00Z --until 2026-11-21T12:00Z", "the span ends before it begins"),
        ("--until 2020-01-01", "the span ends before it begins"),
        ("--last soon", "'soon' is not a duration; write for example 500ms, 10s, 5m, 1h30m, 7d or 365d"),
        ("--last 0s", "'0s' is no time at all"),
        ("--last 9999999999999999999y", None),
        ("--width 0", "0 is not in the range 1<=x<=10000"),
        ("--height 51", "51 is not in the range 1<=x<=50"),
        ("--agg median", "'median' is not one of 'avg', "),
        ("--server ../etc", "a server id has 1 to 100 of A-Z a-z 0-9 . _ - and begins with a letter or digit"),
    ],
)
def test_wrong_usage(run: Run, day: Path, options: str, said: str | None) -> None:
    """What cannot be understood is exit code 2 and one sentence, never a traceback."""
    result = run("spark", *options.split(), day)
    assert (2, "") == result[:2]
    assert (said or "") in result.stderr
    assert "Traceback" not in result.stderr


NASTY = "\x1b[31mred\x07\u202e"


def test_names_from_the_wire_are_never_printed_raw(run: Run) -> None:
    """Escape sequences in a name are spelled out in the picture, in JSON and in messages."""
    text = text_of([sample(i * 10, interface(NASTY, rx=i * 1000)) for i in range(3)])
    shown = run("spark", "--rx", "--width", "2", "--iface", NASTY, "-", stdin=text)
    line = "\\x1b[31mred\\x07\\u202e  rx  ██  100.00 B/s  avg  100.00 B/s  peak  100.00 B/s  20s\n"
    assert (0, line, "") == shown
    missing = run("spark", "--iface", "\x1b[32m", "-", stdin=text)
    said = "netcli: no interface \\x1b[32m is stored\n  there are: \\x1b[31mred\\x07\\u202e\n"
    assert (1, "", said) == missing
    as_json = run("spark", "--json", "--width", "1", "-", stdin=text).stdout
    assert ('"\\u001b[31mred\\u0007\\u202e"', False) == (
        re.findall(r'"interface": (".*")', as_json)[0],
        "\x1b" in as_json,
    )


def on_terminal(arguments: list[str | Path], env: dict[str, str], columns: int) -> str:
    """What a program prints on a terminal so wide."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen([*PROGRAM, *map(str, arguments)], stdin=its, stdout=its, stderr=its, env=env) as process:
        os.close(its)
        text = b""
        try:
            while chunk := os.read(ours, 1 << 16):
                text += chunk
        except OSError:  # Linux says EIO where the other end is closed
            pass
        os.close(ours)
    assert process.returncode == 0
    return text.decode().replace("\r\n", "\n")


def test_colour_only_on_a_terminal_that_wants_it(day: Path, env: dict[str, str]) -> None:
    """A terminal gets colours, one with NO_COLOR none, and neither does a pipe."""
    arguments: list[str | Path] = ["spark", "--rx", "--width", "8", day]
    assert GOLDEN["--width 8 --rx"].replace("▂▃▄▅▅▆▇█", "\x1b[32m▂▃▄▅▅▆▇█\x1b[0m") == on_terminal(arguments, env, 80)
    assert GOLDEN["--width 8 --rx"] == on_terminal(arguments, env | {"NO_COLOR": "1"}, 80)


@pytest.mark.parametrize(("columns", "glyphs"), [(20, 10), (80, 16), (120, 56)])
def test_width_follows_the_terminal(day: Path, env: dict[str, str], columns: int, glyphs: int) -> None:
    """The glyphs take the room that names and figures leave, and are never fewer than ten."""
    lines = on_terminal(["spark", "--ascii", day], env | {"NO_COLOR": "1"}, columns).splitlines()
    assert [glyphs] * 2 == [len(re.split(r"  +", re.sub("\x1b[^m]*m", "", line))[2]) for line in lines]


def test_a_terminal_that_knows_only_ascii(run: Run, day: Path) -> None:
    """Where the output cannot hold block elements they are drawn in ASCII without being asked."""
    assert run("spark", "--rx", "--plain", "--width", "8", day, PYTHONIOENCODING="ascii").stdout == ".:-==+*#\n"
