"""netcli nodes: the stats panel and the node card, in a terminal."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from netstat_cli.line.model import Sample
from netstat_cli.times import DAY, SECOND, now
from tests.cli.conftest import Run, store
from tests.given import T0, interface, sample

THREE_DAYS = 3 * DAY // SECOND + 7200


def history(server: str, age: int, rate: int = 1_000_000, **more: Any) -> list[Sample]:
    """Ten minutes of an even rate, the last sample so many seconds old; a tenth of it is sent, a bridge has some."""
    last = (now() - T0) / SECOND - age
    rates = {"network_rx_bytes_per_sec": float(rate), "network_tx_bytes_per_sec": rate / 10}
    bridge = {"ifindex": 3, "kind": "bridge", "is_up": False, "rx_errors": None, "tx_errors": None}
    bridge |= {"rx_dropped": None, "tx_dropped": None}
    return [
        sample(
            last - 600 + i * 10,
            interface(rx=rate * 10 * i, tx=rate * i, **more),
            interface("docker0", rx=5 * i, **bridge),
            server=server,
            **rates,
        )
        for i in range(61)
    ]


@pytest.fixture
def four(data: Path) -> None:
    """A store with nodes of every status."""
    store(
        data,
        history("web1", 1, rx_errors=3, tx_errors=4, rx_dropped=5),
        history("web2", 90),
        history("old", THREE_DAYS),
        [sample((now() - T0) / SECOND - 1, server="bare")],
    )


def steady(text: str) -> str:
    """The text with the seconds since a sample replaced."""
    return re.sub(r"\b\ds ago", "Ns ago", text)


@pytest.mark.usefixtures("four")
def test_the_table_of_all_nodes(run: Run) -> None:
    """A line a node: status, last seen, rates in MB/s unless it is offline, faults of its uplinks, the last hour; then
    what those that are online carry together and on average."""
    code, shown, said = run("nodes")
    assert (0, "") == (code, said)
    expected = """\
node    status      last seen    rx MB/s    tx MB/s    errors    drops  last hour
------  --------  -----------  ---------  ---------  --------  -------  --------------------
bare    online         Ns ago          -          -         -        -
old     offline        3d ago          -          -         0        0
web1    online         Ns ago       1.00       0.10         7        5  ████████████████████
web2    warning        1m ago       1.00       0.10         0        0  ██████████████████

2 of 4 nodes online   rx 1.00 MB/s (average 0.50)   tx 0.10 MB/s (average 0.05)
"""
    assert expected == re.sub(r" +$", "", steady(shown), flags=re.MULTILINE)


@pytest.mark.usefixtures("four")
def test_all_nodes_as_json(run: Run) -> None:
    """--json has the names of the second system's node, bytes and seconds never scaled."""
    found = {node["name"]: node for node in json.loads(run("nodes", "--json").stdout)}
    assert ["bare", "old", "web1", "web2"] == list(found)
    seen = found["web2"].pop("last_seen_timestamp")
    assert abs(now() / SECOND - 90 - seen) < 20
    assert {
        "name": "web2",
        "hostname": "web2.lan",
        "status": "warning",
        "last_seen": "1m ago",
        "clock_ahead_seconds": None,
        "network_rx_bytes_per_sec": 1_000_000.0,
        "network_tx_bytes_per_sec": 100_000.0,
        "network_interfaces": ["eth0", "docker0"],
        "last_hour": {"rx_bytes": 600_000_000, "tx_bytes": 60_000_000},
    } == found["web2"]
    assert ("offline", {"rx_bytes": 0, "tx_bytes": 0}) == (found["old"]["status"], found["old"]["last_hour"])


@pytest.mark.usefixtures("four")
def test_the_interfaces_of_one_node(run: Run) -> None:
    """A line an interface, with its counters, faults where they are counted, and whether it is in the node's total."""
    code, shown, said = run("nodes", "web1")
    rule = "-----------  -------  ---------  ---------  ----------  --------  --------  -------  " + "-" * 20
    expected = f"""\
interface    state      rx MB/s    tx MB/s    received      sent    errors    drops  last hour             in total
{rule}  ---------------------
eth0         up            1.00       0.10   600.00 MB  60.00 MB         7        5  {"█" * 20}  counts: uplink
docker0      down          0.00       0.00    300.00 B  300.00 B         -        -  {"█" * 20}  bridge, not an uplink
"""
    assert (0, expected, "") == (code, shown, said)
    assert "eth0         up               -          -   600.00 MB  60.00 MB" in run("nodes", "old").stdout
    assert run("nodes", "bare").stdout == "bare has sent nothing about its interfaces yet\n"


@pytest.mark.usefixtures("four")
def test_the_interfaces_of_one_node_as_json(run: Run) -> None:
    """Every field of the sample's interface, and what the table says of it."""
    eth0, docker0 = json.loads(run("nodes", "old", "--json").stdout)
    start = eth0.pop("start")
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", start)
    assert {
        "name": "eth0", "ifindex": 2, "kind": "physical", "is_up": True, "speed_mbps": None,
        "rx_bytes": 600_000_000, "tx_bytes": 60_000_000, "rx_packets": 600_000, "tx_packets": 60_000,
        "rx_errors": 0, "tx_errors": 0, "rx_dropped": 0, "tx_dropped": 0, "master": None, "lower": [],
        "rx_fifo": 0, "rx_frame": 0, "rx_compressed": 0, "rx_multicast": 0,
        "tx_fifo": 0, "tx_collisions": 0, "tx_carrier": 0, "tx_compressed": 0,
        "counts": True, "why": "counts: uplink", "current_rx_bytes_per_sec": None, "current_tx_bytes_per_sec": None,
        "last_hour": {"rx_bytes": 0, "tx_bytes": 0},
    } == eth0  # fmt: skip
    assert (False, "bridge, not an uplink", None) == (docker0["counts"], docker0["why"], docker0["rx_errors"])
    assert json.loads(run("nodes", "bare", "--json").stdout) == []


def test_nothing_raw_reaches_the_terminal(run: Run, data: Path) -> None:
    """Escape sequences in the names that a node sent are spelled out, in the table and in JSON."""
    nasty = interface("\x1b[31mred", rx=9, kind="\x1b]0;kind\x07", lower=("\x1b[2J",))
    store(data, [sample(0, nasty, server="evil", hostname="\x1b]0;host\x07")])
    for arguments in (["nodes"], ["nodes", "evil"], ["nodes", "--json"], ["nodes", "evil", "--json"]):
        result = run(*arguments)
        assert (0, False, False) == (result.returncode, "\x1b" in result.stdout, "\x07" in result.stdout)
    assert "\n\\x1b[31mred  up " in run("nodes", "evil").stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 1, "netcli: no samples are stored in {data}\n"),
        (["--data", "{data}/nowhere"], 1, "netcli: no samples are stored in {data}/nowhere\n"),
        (["../etc"], 2, "a server id has 1 to 100 of A-Z a-z 0-9 . _ - and begins with a letter or digit"),
    ],
)
def test_no_nodes_yet(run: Run, data: Path, arguments: list[str], code: int, said: str) -> None:
    """Without a store it says where it looked."""
    result = run("nodes", *[argument.format(data=data) for argument in arguments])
    assert (code, "", True) == (result.returncode, result.stdout, said.format(data=data) in result.stderr)


@pytest.mark.usefixtures("four")
def test_an_unknown_node(run: Run, data: Path) -> None:
    """A node that is not there is an error that lists those that are."""
    said = f"netcli: no server 'web9' in {data}\n  there are: bare, old, web1, web2\n"
    assert (1, "", said) == run("nodes", "web9")


def test_a_store_of_another_format(run: Run, data: Path) -> None:
    """What a newer netcli wrote is refused rather than misread."""
    data.mkdir(parents=True)
    (data / "store.json").write_text('{"format":2}')
    result = run("nodes")
    assert (1, "") == result[:2]
    assert f"netcli: {data}/store.json does not describe a store that this netcli can read\n" in result.stderr
