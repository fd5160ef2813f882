"""Any span in constant time: a year of one server, asked as netcli, VictoriaMetrics, DuckDB, jq, rrdtool and vnstat are.

$NETCLI_BENCH_DATA names the folder of the year (see year.py), so that it is made once; else it goes to a temporary one.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request
from array import array
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from netstat_cli.line.wire import decode
from netstat_cli.store.history import open_history
from netstat_cli.times import DAY, MINUTE, SECOND, now
from netstat_cli.traffic.increase import NO_TRAFFIC, Traffic
from netstat_cli.traffic.scan import TrafficScan
from netstat_cli.traffic.series import equal_edges, series
from tests.benchmarks.main_job import NETCLI, free_port, running
from tests.benchmarks.table import Row, by_turns, milliseconds, process, ratio
from tests.benchmarks.year import SERVER, make

BUCKETS = 60
IFACE = "eth0"
_BYTES = re.compile(rb'"[rt]x_bytes":(\d+)')


def rows() -> Iterator[Row]:
    """All comparisons over the year."""
    with ExitStack() as stack:
        folder = Path(os.environ.get("NETCLI_BENCH_DATA") or stack.enter_context(tempfile.TemporaryDirectory()))
        if not (folder / "closed" / SERVER).is_dir():
            make(folder, now())
        with open_history(str(folder / "plain"), SERVER) as history:
            last = history.last()
        assert last is not None
        end = last.timestamp + 1
        plain = _timed(lambda: ask(folder / "plain", end, 365, BUCKETS))
        yield from _spans(folder, end)
        yield from _processes(folder)
        yield from _months(folder, end)
        yield from _size(folder)
        begun = time.perf_counter()
        seen = scan(folder / "plain", end)
        yield _exact(folder, end, seen, time.perf_counter() - begun)
        for rival in (_victoria, _duckdb, _jq, _rrdtool, _vnstat):
            yield from rival(folder, end, seen, plain)


def ask(data: Path, end: int, days: int, buckets: int) -> Traffic:
    """What the series over so many days adds up to."""
    with open_history(str(data), SERVER) as history:
        return series(history, IFACE, equal_edges(end - days * DAY, end, buckets)).total


def _timed(question: Callable[[], object], times: int = 15) -> float:
    question()
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        question()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def _spans(folder: Path, end: int) -> Iterator[Row]:
    for name, form, asked in (("plain", "plain", "≤ 15 ms"), ("block gzip", "closed", "≤ 60 ms")):
        data = folder / form
        year, month = by_turns(
            lambda data=data: ask(data, end, 365, BUCKETS),  # type: ignore[misc]
            lambda data=data: ask(data, end, 30, BUCKETS),  # type: ignore[misc]
            31,
        )
        yield Row(f"60 buckets over a year, {name}", milliseconds(year), "over 30 days", milliseconds(month),
                  ratio(year, month), f"{asked}, ≤ 1.5x")  # fmt: skip


def _processes(folder: Path) -> Iterator[Row]:
    for name, form in (("plain", "plain"), ("block gzip", "closed")):
        command = (NETCLI, "spark", "--iface", IFACE, "--last", "365d", "--data", str(folder / form))
        mine, version = by_turns(process(*command), process(NETCLI, "--version"), 21)
        yield Row(f"netcli spark --last 365d, {name}", milliseconds(mine), "netcli --version", milliseconds(version),
                  ratio(mine, version), "≤ 2x")  # fmt: skip


def _months(folder: Path, end: int) -> Iterator[Row]:
    count = 30 * DAY // (5 * MINUTE)
    plain, closed = (_timed(lambda f=form: ask(folder / f, end, 30, count), 3) for form in ("plain", "closed"))  # type: ignore[misc]
    yield Row("8640 rates of 5 minutes (p95 of a month), plain", milliseconds(plain), "block gzip", milliseconds(closed),
              ratio(plain, closed), "≤ 1 s, ≤ 3 s")  # fmt: skip


def _size(folder: Path) -> Iterator[Row]:
    plain, closed = (
        sum(path.stat().st_size for path in (folder / form).rglob("*.jsonl*")) for form in ("plain", "closed")
    )
    lines = int(_output("sh", "-c", f"cat {folder}/plain/{SERVER}/*.jsonl | wc -l"))
    each = [size / lines / 5 for size in (closed, plain)]
    yield Row(f"bytes per interface and sample ({lines:,} lines)", f"{each[0]:.1f} B", "plain", f"{each[1]:.1f} B",
              ratio(*each), "≤ 30 B")  # fmt: skip


class Seen(NamedTuple):
    """What reading every line of the year gives."""

    totals: dict[str | None, list[Traffic]]
    """By interface, and (None) of the node: what had gone through up to each of the edges."""
    moments: array[int]
    counters: list[array[int]]
    """Received and sent bytes of each interface in turn, at each of the moments."""


def scan(data: Path, end: int) -> Seen:
    """Reads every line, once: for the definition of the series, and for the samples that others import."""
    edges = equal_edges(end - 365 * DAY, end, BUCKETS)
    reference = TrafficScan()
    totals: dict[str | None, list[Traffic]] = {name: [] for name in ("eth0", "eth1", None)}
    running_total = dict.fromkeys(totals, NO_TRAFFIC)
    moments, counters = array("Q"), [array("Q") for _ in range(10)]
    with open_history(str(data), SERVER) as history:
        for line in history.lines(-1, end):
            moments.append(line.timestamp)
            for column, number in zip(counters, _BYTES.findall(line.text), strict=True):
                column.append(int(number))
            brought = reference.enter(decode(line.text))
            for name, sums in totals.items():
                so_far, step = running_total[name], brought.node if name is None else brought.interfaces[name]
                while len(sums) < len(edges) and edges[len(sums)] < step.until:
                    sums.append(so_far.plus(step.by(edges[len(sums)])))
                running_total[name] = so_far.plus(step.traffic)
    return Seen(
        {name: (sums + [running_total[name]] * len(edges))[: len(edges)] for name, sums in totals.items()},
        moments,
        counters,
    )


def _exact(folder: Path, end: int, seen: Seen, seconds: float) -> Row:
    """The search against the definition, which looks at every line."""
    edges = equal_edges(end - 365 * DAY, end, BUCKETS)
    equal = True
    for form in ("plain", "closed"):
        with open_history(str(folder / form), SERVER) as history:
            for name, sums in seen.totals.items():
                found = [bucket.traffic for bucket in series(history, name, edges).buckets]
                equal = equal and found == [after.minus(before) for before, after in pairwise(sums)]
    what = "equal to the byte" if equal else "DIFFERENT"
    return Row(
        "all buckets of eth0, of eth1, which wraps, and of the node",
        what,
        "a scan of every line",
        f"{seconds:.0f} s",
        "",
        "equal",
    )


def _victoria(folder: Path, end: int, seen: Seen, _: float) -> Iterator[Row]:
    """query_range of the same 60 points over HTTP, its cache off."""
    if shutil.which("victoria-metrics") is None:
        return
    with tempfile.TemporaryDirectory() as data:
        address = ("127.0.0.1", free_port())
        base = f"http://127.0.0.1:{address[1]}"
        command = ("victoria-metrics", f"-storageDataPath={data}", "-retentionPeriod=10y", f"-httpListenAddr=:{address[1]}",
                   "-search.latencyOffset=0s")  # fmt: skip
        with running(*command, address=address):
            for number, column in enumerate(seen.counters):
                _import_victoria(base, number, seen.moments, column)
            urllib.request.urlopen(f"{base}/internal/force_flush").read()
            step = 365 * DAY // BUCKETS // SECOND
            query = urllib.parse.urlencode({
                "query": f'increase(rx_bytes{{iface="{IFACE}"}}[{step}s])', "start": end // SECOND - 59 * step,
                "end": end // SECOND, "step": step, "nocache": 1})  # fmt: skip
            url = f"{base}/api/v1/query_range?{query}"
            (found,) = json.loads(urllib.request.urlopen(url).read())["data"]["result"]
            assert len(found["values"]) == BUCKETS, found
            plain, other = by_turns(
                lambda: ask(folder / "plain", end, 365, BUCKETS), lambda: urllib.request.urlopen(url).read(), 31
            )
    yield Row("60 buckets over a year, in process", milliseconds(plain), "VictoriaMetrics query_range", milliseconds(other),
              ratio(plain, other), "≤ 0.2x")  # fmt: skip


def _import_victoria(base: str, number: int, moments: array[int], column: array[int]) -> None:
    name = {
        "__name__": ("rx_bytes", "tx_bytes")[number % 2],
        "iface": ("eth0", "eth1", "wlan0", "br0", "tun0")[number // 2],
    }
    for begin in range(0, len(moments), 50_000):
        chunk = slice(begin, begin + 50_000)
        line = {"metric": name, "values": list(column[chunk]), "timestamps": list(moments[chunk])}
        urllib.request.urlopen(f"{base}/api/v1/import", json.dumps(line).encode()).read()


_SQL = """
with samples as (
  select epoch_ms(timestamp::timestamptz) as moment, unnest(network_interfaces, recursive := true)
  from read_json('{files}', format = 'newline_delimited', columns = {{timestamp: 'varchar',
    network_interfaces: 'struct(name varchar, rx_bytes ubigint, tx_bytes ubigint)[]'}})
), steps as (
  select moment, rx_bytes::hugeint as rx, lag(rx_bytes::hugeint) over (order by moment) as prev
  from samples where name = '{iface}'
)
select (moment - {begin}) // {step} as bucket, sum(case when rx >= prev then rx - prev else rx end)
from steps group by 1
"""


def _duckdb(folder: Path, end: int, _: Seen, plain: float) -> Iterator[Row]:
    try:
        import duckdb
    except ImportError:
        return
    begin = end - 365 * DAY
    sql = _SQL.format(files=f"{folder}/plain/{SERVER}/*.jsonl", iface=IFACE, begin=begin, step=365 * DAY // BUCKETS)
    begun = time.perf_counter()
    found = duckdb.sql(sql).fetchall()
    other = time.perf_counter() - begun
    assert len(found) >= BUCKETS
    yield Row("60 buckets over a year, in process", milliseconds(plain), "DuckDB on the same files", f"{other:.1f} s",
              ratio(plain, other), "≤ 0.01x")  # fmt: skip


def _jq(folder: Path, end: int, _: Seen, __: float) -> Iterator[Row]:
    if shutil.which("jq") is None:
        return
    files = sorted((folder / "plain" / SERVER).glob("*.jsonl"))[-30:]
    program = f'[.timestamp, (.network_interfaces[] | select(.name == "{IFACE}") | .rx_bytes)]'
    begun = time.perf_counter()
    subprocess.run(["jq", "-c", program, *map(str, files)], stdout=subprocess.DEVNULL, check=True)
    other = time.perf_counter() - begun
    mine = _timed(lambda: ask(folder / "plain", end, 30, BUCKETS))
    yield Row("60 buckets over 30 days, in process", milliseconds(mine), "jq on the same files", f"{other:.1f} s",
              ratio(mine, other), "≤ 0.01x")  # fmt: skip


def _rrdtool(folder: Path, end: int, seen: Seen, _: float) -> Iterator[Row]:
    """Its averages of 5 minutes over a year: nothing finer, no exact bytes, no other interval later."""
    if shutil.which("rrdtool") is None:
        return
    with tempfile.TemporaryDirectory() as data:
        path = f"{data}/eth0.rrd"
        start = seen.moments[0] // SECOND - 10
        subprocess.run(["rrdtool", "create", path, "--start", str(start), "--step", "10", "DS:rx:COUNTER:60:0:U",
                        "RRA:AVERAGE:0.5:30:106000"], check=True)  # fmt: skip
        for begin in range(0, len(seen.moments), 2000):
            pairs = zip(seen.moments[begin : begin + 2000], seen.counters[0][begin : begin + 2000], strict=True)
            updates = [f"{moment // SECOND}:{value}" for moment, value in pairs]
            subprocess.run(["rrdtool", "update", "--skip-past-updates", path, *updates], check=True)
        fetch = process(
            "rrdtool", "fetch", path, "AVERAGE", "-s", str(end // SECOND - 365 * 86400), "-e", str(end // SECOND)
        )
        command = (NETCLI, "spark", "--iface", IFACE, "--last", "365d", "--data", str(folder / "closed"))
        mine, other = by_turns(process(*command), fetch, 11)
    yield Row("netcli spark --last 365d, block gzip", milliseconds(mine), "rrdtool fetch of 5-minute averages",
              milliseconds(other), ratio(mine, other), "none")  # fmt: skip


def _vnstat(folder: Path, _: int, __: Seen, ___: float) -> Iterator[Row]:
    """Its daily sums of a fresh database: per day and month for ever, per 5 minutes for 2 days, one machine."""
    if shutil.which("vnstatd") is None:
        return
    with tempfile.TemporaryDirectory() as data:
        config = Path(data, "vnstat.conf")
        config.write_text(f'DatabaseDir "{data}"\nAlwaysAddNewInterfaces 1\nSaveInterval 1\n')
        daemon = subprocess.Popen(
            ["vnstatd", "-n", "--config", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(5)
        daemon.terminate()
        daemon.wait()
        command = (NETCLI, "report", "--last", "365d", "--by", "month", "--data", str(folder / "closed"))
        try:
            mine, other = by_turns(process(*command), process("vnstat", "--config", str(config), "-m"), 11)
        except subprocess.CalledProcessError:
            return
    yield Row("netcli report --by month, block gzip", milliseconds(mine), "vnstat -m, a new database", milliseconds(other),
              ratio(mine, other), "none")  # fmt: skip


def _output(*command: str) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
