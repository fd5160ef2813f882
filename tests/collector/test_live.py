"""The live view: who is there, and since when they are silent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec.structs import replace

from netstat_cli.collector.live import Live
from netstat_cli.line.model import Moment, Sample
from netstat_cli.status import Thresholds
from netstat_cli.times import DAY, MINUTE, SECOND, now
from tests.collector.conftest import Running
from tests.given import T0, completed, interface, line_of, sample


def test_a_node_is_its_newest_sample_and_when_one_last_arrived() -> None:
    """A late sample is a sign of life, but not the newest; nodes are listed by name."""
    latest: dict[str, Sample] = {"web2": sample(0, server="web2")}
    live = Live(latest, T0)
    latest["web1"] = sample(10, server="web1")
    live.saw([latest["web1"]], T0 + 11_000)
    live.saw([sample(5, server="web1")], T0 + 12_000)
    assert [(node.sample.server_id, node.sample.timestamp, node.arrived) for node in live.nodes()] == [
        ("web1", T0 + 10_000, T0 + 12_000),
        ("web2", T0, T0),
    ]


def test_stored_samples_arrived_when_they_were_taken_but_never_later_than_now() -> None:
    """At the start the newest stored sample counts as arrived at its own time; a clock that runs ahead cannot keep a
    dead node online."""
    live = Live({"web1": sample(0, server="web1"), "fast": sample(9999, server="fast")}, T0 + 60_000)
    assert [(node.sample.server_id, node.arrived) for node in live.nodes()] == [("fast", T0 + 60_000), ("web1", T0)]


def test_the_interval_is_learnt_from_arrivals_where_it_is_not_said() -> None:
    """An agent of 60 s that takes 66 does not flap between online and warning."""
    latest = {"web1": sample(0, interval=None)}
    live = Live(latest, T0)
    for number in range(1, 7):
        live.saw([latest["web1"]], T0 + number * 66_000)
    node = live.node("web1")
    assert node is not None
    at = node.arrived
    assert (66.0, ["online", "warning", "offline"]) == (
        node.interval_s,
        [node.status(Thresholds(), at + silence * SECOND) for silence in (197, 198, 396)],
    )


def test_the_skew_of_a_clock_is_kept() -> None:
    """By how much the newest sample was ahead of its arrival; a late one says nothing of it."""
    latest = {"web1": sample(0)}
    live = Live(latest, T0)
    skews = []
    for at, newest in ((3.0, 10), (10.5, 10), (11.0, 5)):
        latest["web1"] = sample(10)
        live.saw([sample(newest)], T0 + round(at * SECOND))
        node = live.node("web1")
        skews.append(node.skew_s if node is not None else None)
    assert [7.0, -0.5, -0.5] == skews


def test_a_node_whose_clock_is_far_ahead_is_there_and_its_sample_is_not_the_newest() -> None:
    """It is told; a node that never sent anything else is there all the same."""
    live = Live({"web1": sample(0)}, T0)
    for server in ("web1", "new"):
        live.saw_ahead(sample(86_400, server=server), DAY - 5 * SECOND, T0 + 5000)
    assert [("new", T0 + DAY, DAY - 5000, T0 + 5000), ("web1", T0, DAY - 5000, T0 + 5000)] == [
        (node.sample.server_id, node.sample.timestamp, node.ahead, node.arrived) for node in live.nodes()
    ]


def test_a_forgotten_node_was_there_once() -> None:
    """Forgetting tells whether there was anything to forget."""
    live = Live({"web1": sample(0)}, T0)
    assert [live.forget("web1"), live.forget("web1"), live.node("web1")] == [True, False, None]


def statuses(collector: Running) -> dict[str, Any]:
    """The status of every node in both views, which must be the same."""
    nodes = {node["name"]: node["status"] for node in collector.get("/api/nodes")}
    assert nodes == {server["id"]: server["status"] for server in collector.get("/api/v1/servers")}
    return nodes


def test_a_restart_rebuilds_the_live_view_from_the_files(tmp_path: Path) -> None:
    """After a restart every node is back with its last sample, silent since it was taken, late lines considered."""
    ages = {"old": 3600, "quiet": 90, "well": 5}
    with Running(tmp_path / "store") as collector:
        for server, age in ages.items():
            taken = now() - age * SECOND
            newest = replace(sample(0, interface(rx=7000), server=server), timestamp=Moment(taken))
            collector.samples(line_of(newest), line_of(replace(newest, timestamp=Moment(taken - 5000))))
        assert statuses(collector) == {"old": "online", "quiet": "online", "well": "online"}
    with Running(tmp_path / "store") as collector:
        assert statuses(collector) == {"old": "offline", "quiet": "warning", "well": "online"}
        assert [one["network_interfaces"][0]["rx_bytes"] for one in collector.get("/api/v1/servers")] == [7000] * 3
        stats = collector.get("/api/stats")
        assert (stats["total_nodes"], stats["online_nodes"], stats["offline_nodes"]) == (3, 1, 1)
        assert {node["name"]: node["last_seen"] for node in collector.get("/api/nodes") if node["name"] != "well"} == {
            "old": "1h ago",
            "quiet": "1m ago",
        }


def test_status_is_about_arrival_and_not_the_senders_clock(tmp_path: Path) -> None:
    """A sender whose clock is years off is online while it speaks; both thresholds can be set."""
    with Running(tmp_path / "a") as collector:
        collector.samples(line_of(sample(-1e8, server="behind")), line_of(sample(1e9, server="ahead")))
        assert statuses(collector) == {"ahead": "online", "behind": "online"}
        ahead, behind = collector.get("/api/nodes")
        assert (None, True) == (behind["clock_ahead_seconds"], ahead["clock_ahead_seconds"] > 3e8)
    for thresholds, status in ((Thresholds(0, MINUTE), "warning"), (Thresholds(0, 0), "offline")):
        with Running(tmp_path / status, thresholds) as collector:
            collector.samples(line_of(sample(0)))
            assert {"web1": status} == statuses(collector)


def test_a_torn_last_line_is_cut_off_and_said(tmp_path: Path) -> None:
    """Half a line that a crash left behind is taken away with a word about it; the lines before it and the next
    sample are all there."""
    lines = [line_of(one) for one in completed(sample(i * 10, interface(rx=i * 1000)) for i in range(3))]
    with Running(tmp_path / "store") as collector:
        collector.samples(*lines[:2])
    path = tmp_path / "store" / "web1" / "2026-11-21.jsonl"
    path.write_bytes(path.read_bytes() + lines[2][:57])
    with Running(tmp_path / "store") as collector:
        cut = f"{path}: cut off a last line torn by a crash (57 bytes, never acknowledged)"
        assert [cut] == collector.warnings
        assert collector.get("/api/v1/servers/web1")["timestamp"] == "2026-11-21T12:00:10.000Z"
        collector.samples(lines[2])
        assert b"".join(lines) == path.read_bytes()
