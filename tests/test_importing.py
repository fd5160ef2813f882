"""What `vnstat --json` tells, as samples: totals over its periods come out exact."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from netstat_cli.errors import InvalidSample, NetcliError
from netstat_cli.importing import vnstat_samples
from netstat_cli.line.model import Moment
from netstat_cli.store.history import open_history
from netstat_cli.store.writer import Writer
from netstat_cli.times import format_timestamp, parse_timestamp
from netstat_cli.traffic.series import series
from tests.given import interface, sample
from tests.zones import local_zone


def entry(when: str, rx: int) -> dict[str, Any]:
    timestamp = parse_timestamp(f"2026-{when}Z") // 1000
    return {"id": 1, "date": {"year": 2026}, "timestamp": timestamp, "rx": rx, "tx": rx // 10}


def export(**traffic: Any) -> dict[str, Any]:
    """What `vnstat --json` prints: the day of 11-19 begins before the first hour, that hour before the first five
    minutes, and the month before the first day."""
    told: dict[str, Any] = {
        "total": {"rx": 9_000_000, "tx": 900_000},
        "fiveminute": [entry("11-20T01:30:00", 10), entry("11-20T01:35:00", 20), entry("11-20T02:00:00", 70)],
        "hour": [entry("11-19T23:00:00", 400), entry("11-20T01:00:00", 100), entry("11-20T02:00:00", 70)],
        "day": [entry("11-18T00:00:00", 5000), entry("11-19T00:00:00", 1400), entry("11-20T00:00:00", 170)],
        "month": [entry("10-01T00:00:00", 70_000), entry("11-01T00:00:00", 16_570)],
        "year": [entry("01-01T00:00:00", 900_000)],
    }
    updated = {"timestamp": parse_timestamp("2026-11-20T02:02:00Z") // 1000}
    one = {"name": "eth0", "alias": "", "updated": updated, "traffic": told | traffic}
    return {"vnstatversion": "2.10", "jsonversion": "2", "interfaces": [one]}


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_totals_over_its_periods_are_exact(tmp_path: Path) -> None:
    """All its periods have vnstat's own bytes, and the server's own samples go on without a phantom at the junction."""
    edges = (
        "01-01T00:00 10-01T00:00 11-01T00:00 11-18T00:00 11-19T00:00 11-19T23:00 11-20T00:00 11-20T01:00 11-20T01:30"
    )
    edges += " 11-20T01:35 11-20T01:40 11-20T02:00 11-20T02:02 11-20T02:30 11-20T02:40"
    moments = [parse_timestamp(f"2026-{text}:00Z") for text in edges.split()]
    with Writer(str(tmp_path), "the tests", [].append) as writer:
        samples = list(vnstat_samples(export(), "web1"))
        assert [True] * len(samples) == [one.is_new for one in writer.append(samples)]
        assert [False] * len(samples) == [one.is_new for one in writer.append(list(vnstat_samples(export(), "web1")))]
        begin = parse_timestamp("2026-11-20T02:30:00Z")
        writer.append([replace(sample(0, interface(rx=7 * 10**9)), timestamp=Moment(begin))])
        writer.append([replace(sample(0, interface(rx=7 * 10**9 + 600)), timestamp=Moment(begin + 600_000))])
    with open_history(str(tmp_path), "web1") as history:
        found = series(history, "eth0", moments).buckets
    expected = [813_430, 70_000, 10_000, 5000, 1000, 400, 0, 70, 10, 20, 0, 70, 0, 600]
    assert expected == [bucket.traffic.rx_bytes for bucket in found]
    assert [rx // 10 for rx in expected[:-1]] == [bucket.traffic.tx_bytes for bucket in found[:-1]]


@pytest.mark.parametrize("version", ["1", 2, None])
def test_another_jsonversion_is_refused(version: object) -> None:
    """jsonversion 1 counts in KiB; what is not known is not guessed."""
    with pytest.raises(NetcliError, match=f"^vnstat's jsonversion {version!r} is not known, only 2$"):
        list(vnstat_samples(export() | {"jsonversion": version}, "web1"))


def test_a_day_without_a_midnight(monkeypatch: pytest.MonkeyPatch) -> None:
    """A day that begins at 1:00, as the clocks are put forward at midnight, ends at the next midnight."""
    days = [
        {"timestamp": parse_timestamp(f"2018-11-{day}Z") // 1000, "rx": rx, "tx": 0}
        for day, rx in (("03T03:00", 1000), ("04T03:00", 2000), ("05T02:00", 4000))
    ]
    none = {period: [] for period in ("fiveminute", "hour", "month", "year")}
    with local_zone(monkeypatch, "America/Sao_Paulo"):
        told = list(vnstat_samples(export(**none, day=days), "web1"))
    edges = ["2018-11-03T03:00", "2018-11-04T03:00", "2018-11-05T02:00", "2018-11-06T02:00"]
    assert edges == [format_timestamp(one.timestamp)[:16] for one in told]
    assert [0, 1000, 3000, 7000] == [one.interfaces[0].rx_bytes for one in told if one.interfaces]


@pytest.mark.parametrize("moment", [10**20, -(10**20), 253_402_214_400])
def test_a_time_beyond_the_calendar_is_refused(moment: int) -> None:
    """A day that no calendar has, or that ends beyond it, is not as vnstat writes it."""
    day = {"timestamp": moment, "rx": 1, "tx": 1}
    with pytest.raises(InvalidSample, match="not as vnstat writes it"):
        list(vnstat_samples(export(day=[day]), "web1"))
