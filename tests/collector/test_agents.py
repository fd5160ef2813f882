"""The two replaced systems: what their agents send and their readers expect, as literal JSON in and out."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from netstat_cli.line.model import Moment
from netstat_cli.times import DAY, format_timestamp, now
from tests.collector.conftest import JSON, Running
from tests.given import T0, interface, line_of, sample

MOMENT = "2026-01-29T10:00:00.123456+00:00"
HEARTBEAT = """
{"server_guid":"550e8400-e29b-41d4-a716-446655440001","server_id":"mediaserver","hostname":"mediaserver.local",
 "timestamp":"2026-01-29T10:00:00.123456+00:00","agent_version":"1.0.0","agent_mode":"readonly","os_info":{"kernel":"6.1"},
 "metrics":{"cpu_percent":25.5,"network_rx_bytes":1084479242,"network_tx_bytes":542239621},"updates_available":null,
 "security_updates":null,
 "network_interfaces":[{"name":"eth0","rx_bytes":1073741824,"tx_bytes":536870912,"rx_packets":1000000,
                        "tx_packets":500000,"is_up":true},
                       {"name":"docker0","rx_bytes":0,"tx_bytes":0,"rx_packets":0,"tx_packets":0,"is_up":false}]}
"""
NODE = """
{"name":"pi-1","hostname":"pi-1","internal_ip":"192.0.2.5","timestamp":1769680800.12,"network_interfaces":["lo","eth0"],
 "network_tx_bytes_per_sec":1234.5,"network_rx_bytes_per_sec":9876.5,
 "network_errin":0,"network_errout":0,"network_dropin":0,"network_dropout":0}
"""


def steady(value: Any) -> Any:
    """The answer with what depends on the clock of the collector replaced."""
    text = json.dumps(value)
    text = re.sub(r'("last_seen"|"timestamp"): "20[^"]*"(?=, "network_rx|})', r'\1: "NOW"', text)
    text = re.sub(r'"last_seen_timestamp": \d{10}\.\d+', '"last_seen_timestamp": "NOW"', text)
    text = re.sub(r'"clock_skew_seconds": -\d+\.\d+', '"clock_skew_seconds": "LONG AGO"', text)
    return json.loads(re.sub(r"\b\d+s ago", "NOW", text))


def heartbeat(**changes: Any) -> dict[str, Any]:
    """The heartbeat with other values; `...` takes a key away."""
    return {key: value for key, value in (json.loads(HEARTBEAT) | changes).items() if value is not ...}


def post_text(collector: Running, path: str, text: str) -> tuple[int, Any]:
    """Posts JSON text as an agent does."""
    answer = collector.request("POST", path, text.encode(), {**JSON, "X-API-Key": "key"})
    return answer.status, answer.json


def test_the_heartbeat_of_the_first_system(collector: Running) -> None:
    """The agent gets the four keys that it reads; the server is registered the first time only."""
    first = post_text(collector, "/api/v1/agents/heartbeat", HEARTBEAT)
    assert first == (
        200,
        {"status": "ok", "server_registered": True, "pending_commands": [], "results_acknowledged": []},
    )
    later = HEARTBEAT.replace("10:00:00", "10:00:30")
    second = post_text(collector, "/api/v1/agents/heartbeat", later)
    assert second == (
        200,
        {"status": "ok", "server_registered": False, "pending_commands": [], "results_acknowledged": []},
    )


def test_a_heartbeat_is_stored_as_one_line_about_the_network(collector: Running) -> None:
    """Only what is about the network is kept, in format 1, with the starts of runs and the node's counters added."""
    post_text(collector, "/api/v1/agents/heartbeat", HEARTBEAT)
    assert collector.stored("mediaserver") == {
        "2026-01-29.jsonl": '{"timestamp":"2026-01-29T10:00:00.123Z","server_id":"mediaserver",'
        '"hostname":"mediaserver.local","network_start":"2026-01-29T10:00:00.123Z","network_rx_bytes":1073741824,'
        '"network_tx_bytes":536870912,"network_rx_packets":1000000,"network_tx_packets":500000,"network_interfaces":['
        '{"name":"eth0","is_up":true,"start":"2026-01-29T10:00:00.123Z","rx_bytes":1073741824,"tx_bytes":536870912,'
        '"rx_packets":1000000,"tx_packets":500000},'
        '{"name":"docker0","is_up":false,"start":"2026-01-29T10:00:00.123Z","rx_bytes":0,"tx_bytes":0,'
        '"rx_packets":0,"tx_packets":0}]}\n'
    }


def test_the_server_as_the_first_system_reads_it(collector: Running) -> None:
    """The latest sample with the interfaces as they were sent, each with its six keys at least."""
    post_text(collector, "/api/v1/agents/heartbeat", HEARTBEAT)
    answered = collector.get("/api/v1/servers/mediaserver")
    last_seen = answered.pop("last_seen")
    assert (True, None) == (answered.pop("clock_skew_seconds") < -1e6, answered.pop("clock_ahead_seconds"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", last_seen)
    start = "2026-01-29T10:00:00.123Z"
    assert {
        "id": "mediaserver",
        "hostname": "mediaserver.local",
        "status": "online",
        "timestamp": "2026-01-29T10:00:00.123Z",
        "first_timestamp": "2026-01-29T10:00:00.123Z",
        "interval": None,
        "network_rx_bytes_per_sec": None,
        "network_tx_bytes_per_sec": None,
        "network_interfaces": [
            {"name": "eth0", "is_up": True, "start": start, "rx_bytes": 1073741824, "tx_bytes": 536870912,
             "rx_packets": 1000000, "tx_packets": 500000},
            {"name": "docker0", "is_up": False, "start": start, "rx_bytes": 0, "tx_bytes": 0, "rx_packets": 0,
             "tx_packets": 0},
        ],
    } == answered  # fmt: skip
    (listed,) = collector.get("/api/v1/servers")
    assert [key for key in collector.get("/api/v1/servers/mediaserver") if key not in listed] == ["first_timestamp"]


@pytest.mark.parametrize(
    ("sent", "answered"),
    [(..., None), (None, None), ([], [])],
    ids=["missing", "null", "empty"],
)
def test_old_agents_say_nothing_about_interfaces(collector: Running, sent: Any, answered: Any) -> None:
    """Without the array, or with null, the answer is null; a machine that has no interfaces has an empty list."""
    assert collector.post("/api/v1/agents/heartbeat", heartbeat(network_interfaces=sent)).status == 200
    assert answered == collector.get("/api/v1/servers/mediaserver")["network_interfaces"]
    sparkline = collector.get("/api/v1/metrics/sparkline/mediaserver/network?period=99y")
    assert sparkline["data"] == []


def test_a_server_without_an_id_goes_by_its_guid(collector: Running) -> None:
    """An agent that sends no server_id is known by its server_guid."""
    collector.post("/api/v1/agents/heartbeat", heartbeat(server_id=...))
    assert [server["id"] for server in collector.get("/api/v1/servers")] == ["550e8400-e29b-41d4-a716-446655440001"]


def two_heartbeats(collector: Running) -> tuple[str, str]:
    """Reports of eth0 and docker0, 100 and 90 seconds ago; gives their moments."""
    at = now()
    moments = format_timestamp(at - 100_000), format_timestamp(at - 90_000)
    packets = {"rx_packets": 7, "tx_packets": 7, "is_up": True}
    for moment, rx, tx, bridged in ((moments[0], 1000, 500, 10), (moments[1], 6000, 1500, 30)):
        eth0 = {"name": "eth0", "rx_bytes": rx, "tx_bytes": tx, **packets}
        docker0 = {"name": "docker0", "rx_bytes": bridged, "tx_bytes": bridged, **packets}
        sent = heartbeat(timestamp=moment, network_interfaces=[eth0, docker0])
        assert collector.post("/api/v1/agents/heartbeat", sent).status == 200
    return moments


@pytest.mark.parametrize(
    ("query", "interface", "period", "counters"),
    [
        ("?period=1h&interface=eth0", "eth0", "1h", [(1000, 500, 0.0, 0.0), (6000, 1500, 500.0, 100.0)]),
        ("?period=7d&interface=docker0", "docker0", "7d", [(10, 10, 0.0, 0.0), (30, 30, 2.0, 2.0)]),
        ("?points=30", None, "1h", [(1000, 500, 0.0, 0.0), (6000, 1500, 500.0, 100.0)]),
        ("?interface=wlan9&period=30m", "wlan9", "30m", []),
        ("?interface=eth0&period=1m", "eth0", "1m", []),
    ],
)
def test_the_sparkline_as_the_first_system_reads_it(
    collector: Running, query: str, interface: str | None, period: str, counters: list[tuple[int, int, float, float]]
) -> None:
    """Cumulative counters at each sample with the rates since the one before; without an interface the node's sums
    over its uplinks; nothing for an interface never seen, and nothing from before the period."""
    moments = two_heartbeats(collector)
    assert {
        "server_id": "mediaserver",
        "metric": "network",
        "interface": interface,
        "period": period,
        "data": [
            {"timestamp": moment, "rx_bytes": rx, "tx_bytes": tx, "rx_bytes_per_sec": down, "tx_bytes_per_sec": up}
            for moment, (rx, tx, down, up) in zip(moments, counters, strict=False)
        ],
    } == collector.get(f"/api/v1/metrics/sparkline/mediaserver/network{query}")


def test_the_report_of_the_second_system(collector: Running) -> None:
    """A node's report is answered as its agent expects."""
    status, answered = post_text(collector, "/api/nodes", NODE)
    assert (
        status,
        steady(answered),
    ) == (200, {"status": "success", "message": "node pi-1 updated", "timestamp": "NOW"})


def test_the_nodes_as_the_second_system_reads_them(collector: Running) -> None:
    """The node with status, rates and the names it gave, alone and in the list of all."""
    post_text(collector, "/api/nodes", NODE)
    node = {
        "name": "pi-1",
        "hostname": "pi-1",
        "internal_ip": "192.0.2.5",
        "status": "online",
        "last_seen": "NOW",
        "last_seen_timestamp": "NOW",
        "clock_skew_seconds": "LONG AGO",
        "clock_ahead_seconds": None,
        "network_interfaces": ["lo", "eth0"],
        "network_tx_bytes_per_sec": 1234.5,
        "network_rx_bytes_per_sec": 9876.5,
        "network_errin": 0,
        "network_errout": 0,
        "network_dropin": 0,
        "network_dropout": 0,
    }
    assert [node] == steady(collector.get("/api/nodes"))
    assert node == steady(collector.get("/api/nodes/pi-1"))


def test_rates_alone_become_counters_of_an_interface_of_their_own(collector: Running) -> None:
    """A sender of nothing but rates gets one interface `total` whose counters are the integral of the rates."""
    post_text(collector, "/api/nodes", NODE)
    post_text(collector, "/api/nodes", NODE.replace("1769680800.12", "1769680810.12"))
    head = '"server_id":"pi-1","hostname":"pi-1","network_rx_bytes_per_sec":9876.5,"network_tx_bytes_per_sec":1234.5'
    begun, packets = '"network_start":"2026-01-29T10:00:00.120Z"', '"network_rx_packets":0,"network_tx_packets":0'
    total = '"name":"total","kind":"integrated","is_up":true,"start":"2026-01-29T10:00:00.120Z"'
    rest = '"rx_packets":0,"tx_packets":0,"rx_errors":0,"tx_errors":0,"rx_dropped":0,"tx_dropped":0'
    extra = '"internal_ip":"192.0.2.5","interface_names":["lo","eth0"]'
    assert {
        "2026-01-29.jsonl": f'{{"timestamp":"2026-01-29T10:00:00.120Z",{head},'
        f'{begun},"network_rx_bytes":0,"network_tx_bytes":0,{packets},'
        f'"network_interfaces":[{{{total},"rx_bytes":0,"tx_bytes":0,{rest}}}],{extra}}}\n'
        f'{{"timestamp":"2026-01-29T10:00:10.120Z",{head},'
        f'{begun},"network_rx_bytes":98765,"network_tx_bytes":12345,{packets},'
        f'"network_interfaces":[{{{total},"rx_bytes":98765,"tx_bytes":12345,{rest}}}],{extra}}}\n'
    } == collector.stored("pi-1")
    data = collector.get("/api/v1/metrics/sparkline/pi-1/network?period=99y&interface=total")["data"]
    assert [(point["rx_bytes"], point["rx_bytes_per_sec"]) for point in data] == [(0, 0.0), (98765, 9876.5)]


def test_a_node_may_send_interfaces_with_counters(collector: Running) -> None:
    """Where the second system's agent has counters, they are taken as the first system's are."""
    eth0 = json.loads(HEARTBEAT)["network_interfaces"][0]
    collector.post("/api/nodes", json.loads(NODE) | {"network_interfaces": [eth0]})
    assert collector.get("/api/nodes/pi-1")["network_interfaces"] == ["eth0"]
    assert collector.get("/api/v1/servers/pi-1")["network_interfaces"][0]["rx_bytes"] == 1073741824


def test_the_statistics_as_the_second_system_reads_them(collector: Running) -> None:
    """Sums and averages over the nodes that are online, two decimals; a node without rates counts as none."""
    rates = ("network_tx_bytes_per_sec", "network_rx_bytes_per_sec")
    zeros = {f"{kind}_{rate}": 0.0 for kind in ("avg", "total") for rate in rates}
    empty = {"total_nodes": 0, "online_nodes": 0, "offline_nodes": 0, **zeros, "timestamp": "NOW"}
    assert empty == steady(collector.get("/api/stats"))
    post_text(collector, "/api/nodes", NODE)
    post_text(collector, "/api/nodes", NODE.replace("pi-1", "pi-2").replace("9876.5", "1.111"))
    post_text(collector, "/api/v1/agents/heartbeat", HEARTBEAT)
    assert steady(collector.get("/api/stats")) == {
        "total_nodes": 3,
        "online_nodes": 3,
        "offline_nodes": 0,
        "avg_network_tx_bytes_per_sec": 823.0,
        "avg_network_rx_bytes_per_sec": 3292.54,
        "total_network_tx_bytes_per_sec": 2469.0,
        "total_network_rx_bytes_per_sec": 9877.61,
        "timestamp": "NOW",
    }


def test_every_protocol_appears_in_both_views(collector: Running) -> None:
    """A node of either system, and one of netcli's own, is in the servers and in the nodes; unknown rates are null."""
    post_text(collector, "/api/nodes", NODE)
    post_text(collector, "/api/v1/agents/heartbeat", HEARTBEAT)
    collector.samples('{"timestamp":"2026-11-21T12:00:00.000Z","server_id":"web1","network_interfaces":[]}')
    assert [server["id"] for server in collector.get("/api/v1/servers")] == ["mediaserver", "pi-1", "web1"]
    rates = {node["name"]: node["network_rx_bytes_per_sec"] for node in collector.get("/api/nodes")}
    assert rates == {"mediaserver": None, "pi-1": 9876.5, "web1": None}


def test_counters_that_fall_under_a_senders_own_start_leave_everything_readable(tmp_path: Path) -> None:
    """Two interfaces, `start` stated for one of them, whose counter falls under it: a new run begins. Everybody is
    still answered, the next sample is taken, and a restart finds all of it."""
    entry = {"is_up": True, "tx_bytes": 1, "rx_packets": 1, "tx_packets": 1}
    eth0 = {"name": "eth0", "start": "2026-11-21T12:00:00Z", **entry}
    reports = [
        {"timestamp": f"2026-11-21T12:00:{second}Z", "server_id": "web1", "network_interfaces": [
            {**eth0, "rx_bytes": rx}, {"name": "eth1", "rx_bytes": 5, **entry}]}
        for second, rx in (("10", 10**10), ("20", 59_980), ("30", 60_980))
    ]  # fmt: skip
    with Running(tmp_path / "store") as collector:
        assert [200] * 3 == [collector.post("/api/v1/agents/heartbeat", report).status for report in reports]
    with Running(tmp_path / "store") as collector:
        paths = ("/api/nodes", "/api/stats", "/api/v1/servers", "/api/v1/servers/web1")
        assert [200] * 4 == [collector.request("GET", path).status for path in paths]
        (node,) = collector.get("/api/nodes")
        assert 100.0 == node["network_rx_bytes_per_sec"]
        edges = [T0, T0 + 40_000]
        asked = {"interface": "eth0", "edges": edges}
        bucket = collector.post("/api/v1/servers/web1/series", asked).json["buckets"][0]
    assert 1000 == bucket[2]


def test_what_is_ahead_of_this_machines_clock_is_set_aside_and_told(collector: Running) -> None:
    """A sample of another year is acknowledged, once, and is in no answer; the node shows by how much its clock is
    ahead and goes on with the next right sample, which loses no byte."""
    at = now()
    lines = [
        line_of(replace(sample(0, interface(rx=rx)), timestamp=Moment(moment)))
        for moment, rx in ((at - 20_000, 1000), (at + 300 * DAY, 2000), (at + 300 * DAY, 2000), (at - 10_000, 3000))
    ]
    receipts = [collector.samples(line) for line in lines[:3]]
    assert [(1, 0), (1, 0), (0, 1)] == [(one["accepted"], one["duplicates"]) for one in receipts]
    (node,) = collector.get("/api/nodes")
    assert ("online", True) == (node["status"], abs(node["clock_ahead_seconds"] - 300 * 86_400) < 60)
    assert format_timestamp(at - 20_000) == collector.get("/api/v1/servers/web1")["timestamp"]
    collector.samples(lines[3])
    (node,) = collector.get("/api/nodes")
    assert (None, 200.0) == (node["clock_ahead_seconds"], node["network_rx_bytes_per_sec"])
    aside = [text for name, text in collector.stored("web1").items() if name.endswith(".ahead.jsonl")]
    assert [1] == [text.count("\n") for text in aside]
