"""netcli report: totals by the calendar."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from netstat_cli.line.model import Moment
from netstat_cli.times import DAY, HOUR, LAST_MOMENT, SECOND, now
from tests.cli.conftest import Run, Serving, store, text_of
from tests.given import T0, interface, sample


@pytest.fixture
def week(tmp_path: Path) -> Path:
    begin, more = -31 * 86_400 + 10 * 3600, {"interval": 3600.0}
    path = tmp_path / "week.jsonl"
    carried = enumerate([0, 36_000, 144_000, 216_000])
    path.write_bytes(text_of([sample(begin + i * 3600, interface("=cmd()", n, n // 10), **more) for i, n in carried]))
    return path


DAYS = """\
web1 all uplinks

             received      sent      total                      average  peak of 5m  coverage
2026-10-21  144.00 kB  14.40 kB  158.40 kB  ████████████████  22.00 B/s   33.00 B/s      8.3%
2026-10-22   72.00 kB   7.20 kB   79.20 kB  ████████          22.00 B/s   22.00 B/s      4.2%
"""
RATES = "received 30.00 B/s, sent 3.00 B/s (36 of 36 sampled)"
P95 = f"\n95th percentile of 5-minute average rates, nearest rank: {RATES}\n"
TOP = "\n".join([*DAYS.splitlines()[:4], ""])


@pytest.mark.parametrize(
    ("options", "expected"),
    [("", DAYS), ("--p95", DAYS + P95), ("--top 1", TOP), ("--month 2026-10 --top 1", TOP.replace("5m", "1h")),
     ("--month 2026-09", "web1 all uplinks\n\nnothing was sampled in that time\n")],
)  # fmt: skip
def test_the_text(run: Run, week: Path, options: str, expected: str) -> None:
    """A line a day: received, sent, both, a bar, average, peak and coverage; then what was asked for besides."""
    assert (0, expected, "") == run("report", "--tz", "UTC", *options.split(), week)


def test_csv_and_json(run: Run, week: Path) -> None:
    """Both have bytes and seconds, never scaled; a name that a spreadsheet would calculate is quoted."""
    arguments = ("report", "--tz", "UTC", "--by", "month", "--iface", "=*", week)
    head = "server_id,interface,period,since,until,rx_bytes,tx_bytes,total_bytes,rx_packets,tx_packets,coverage_ratio,"
    head += "avg_rx_bytes_per_sec,avg_tx_bytes_per_sec,peak_rx_bytes_per_sec,peak_tx_bytes_per_sec"
    month = "2026-10,2026-10-01T00:00:00.000Z,2026-11-01T00:00:00.000Z"
    row = f"web1,'=cmd(),{month},216000,21600,237600,216,21,0.004,20.0,2.0,30.0,3.0"
    assert (0, f"{head}\n{row}\n", "") == run(*arguments, "--csv")
    (found,) = json.loads(run(*arguments, "--json", "--quota", "2TB").stdout)
    assert ("=cmd()", 2 * 10**12) == (found["interface"], found["quota"]["limit_bytes"])
    assert row.split(",")[2:] == [str(value) for value in found["periods"][0].values()]


@pytest.mark.parametrize("by", ["hour", "day", "month", "total"])
def test_one_sample_is_no_traffic_and_no_error(run: Run, by: str) -> None:
    """A file with a single sample has nothing to tell, and says so."""
    assert (0, "") == run("report", "--by", by, "-", stdin=text_of([sample(-86_400, interface())]))[::2]


@pytest.mark.parametrize("by", ["hour", "day", "month", "total"])
def test_a_clock_that_ran_far_ahead(run: Run, by: str) -> None:
    """A sample of the last moment that there is makes no row a day until then, in a zone where it is the year 10000 as
    in any other; alone it is none that was taken yet."""
    at = now()
    begin = (at - T0) / SECOND - 300
    ahead = replace(sample(0, interface(rx=9000)), timestamp=Moment(LAST_MOMENT))
    taken = [sample(begin, interface(rx=1000)), sample(begin + 60, interface(rx=8000)), ahead]
    code, shown, said = run("report", "--tz", "Asia/Tokyo", "--by", by, "--json", "-", stdin=text_of(taken))
    told = "netcli: samples left out because they are ahead of this machine's clock: 1\n"
    assert (0, told, 7000) == (code, said, sum(period["rx_bytes"] for period in json.loads(shown)[0]["periods"]))
    alone = run("report", "--tz", "Asia/Tokyo", "--by", by, "-", stdin=text_of([ahead]))
    assert (1, "", f"{told}netcli: no samples in what was given\n") == alone


@pytest.mark.parametrize(
    ("options", "said"),
    [("--quota 2M", "is not an amount"), ("--tz Mars", "is not a time zone"), ("--month october", "is not a month"),
     ("--month 9999-12", "is not a month"), ("--month 0001-01 --tz Asia/Tokyo", "is not a month"),
     ("--billing-day 29", "1<=x<=28"), ("--month 2026-10 --last 7d", "choose one"), ("--top 0", "x>=1")],
)  # fmt: skip
def test_bad_values(run: Run, week: Path, options: str, said: str) -> None:
    """What cannot be understood is wrong usage, in a sentence."""
    code, _, stderr = run("report", *options.split(), week)
    assert (2, True, False) == (code, said in stderr, "Traceback" in stderr)


COMMANDS = (
    "spark --width 5 --plain --last 5m,nodes,nodes web1,nodes --json,report,report --json,report --iface e* --csv"
)


def noon(at: int) -> str:
    """The zone, in POSIX's words, where it is about noon: no day ends there while a test runs."""
    return f"NOON{at % DAY // HOUR - 12:+d}"


@pytest.mark.parametrize("command", COMMANDS.split(","))
def test_reading_from_a_collector(run: Run, data: Path, serve: Callable[[], Serving], command: str) -> None:
    """--from URL prints what reading the files prints, but for the seconds that went by."""
    at = now()
    begin = (at - T0) / SECOND - 150
    store(data, [sample(begin + i * 10, interface(rx=i * 10**6), interval=60.0) for i in range(13)])
    peer = serve()
    here, there = [run(*command.split(), *more, TZ=noon(at)) for more in ([], ["--from", peer.url])]
    assert (0, "", 0, "") == (here.returncode, here.stderr, there.returncode, there.stderr)
    steady = [re.sub(r"\d+s ago|seen_timestamp.*", "", one.stdout) for one in (here, there)]
    assert steady[0] == steady[1]
