"""netcli demo: the whole way in one process, for who has just installed it."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.cli.conftest import Run
from tests.transport.test_client import closed_port


def test_the_demo_shows_real_traffic(run: Run, tmp_path: Path) -> None:
    """A collector on a free port, this machine's interfaces for five seconds, then the nodes, a sparkline for each
    interface, where the lines are, and the commands to do it for real; the lines are there and were delivered once.
    A proxy for the way out has no say in it."""
    nobody = f"http://127.0.0.1:{closed_port()}"
    code, shown, said = run("demo", TMPDIR=str(tmp_path), http_proxy=nobody, all_proxy=nobody)
    (folder,) = tmp_path.glob("netcli-demo-*")
    assert (0, "") == (code, said)
    (path,) = folder.glob("*/*.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert list(range(26)) == [line["seq"] for line in lines]
    assert re.match(rf"collector  http://127\.0\.0\.1:\d+, storing in {folder}\n", shown)
    nodes, spark = (shown.partition(f"\n$ netcli {name} --data {folder}\n\n")[2] for name in ("nodes", "spark"))
    assert re.search(rf"\n{path.parent.name} +online +\ds ago +\d+\.\d\d +\d+\.\d\d ", nodes)
    assert "\n1 of 1 nodes online   rx " in nodes
    present = [line.rpartition(":")[0].strip() for line in Path("/proc/net/dev").read_text().splitlines()[2:]]
    drawn = [line.split()[:2] for line in spark.partition("\n\n")[0].splitlines()]
    assert [[name, way] for name in present for way in ("rx", "tx")] == drawn
    assert re.search(r"^lo +rx .*[▂-█].* [1-9]\d*\.\d\d [kM]?B/s  5\.?\d*s$", spark, re.MULTILINE)
    assert f"\nThe lines are in {path}\n" in spark
    commands = ["netcli collect --interval 10s --store", "netcli spark --last 1h", "netcli serve --listen 0.0.0.0:8477"]
    assert [True] * 3 == [f"\n  {command}" in shown for command in commands]
