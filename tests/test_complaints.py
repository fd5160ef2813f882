"""What users of other tools complain of, through store and series: the right number beside the tool's wrong one."""

from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from netstat_cli.line.model import Interface, Sample
from netstat_cli.line.wire import sample_from
from netstat_cli.render.units import Units, format_rate
from netstat_cli.report import fine_edges, periods, summarize
from netstat_cli.store.history import open_history
from netstat_cli.times import HOUR
from netstat_cli.traffic.series import equal_edges, series
from tests.given import T0, completed, interface, sample, writing

GIB = 1 << 30
BR = {"ifindex": 5, "kind": "bridge", "lower": ("eth0", "veth1")}
VLAN = {"ifindex": 6, "kind": "vlan", "lower": ("br0",)}
BOND = {"ifindex": 7, "kind": "bond", "lower": ("eth0", "eth1")}
TUN: dict[str, Any] = {"name": "tun0", "kind": "tun", "speed_mbps": 10}


def rows(*samples: list[Interface], step: float = 10, boots: str = "") -> list[Sample]:
    return [sample(i * step, *some, boot=f"boot-{boots[i] if boots else 1}") for i, some in enumerate(samples)]


def one(*counters: int, name: str = "eth0", **more: Any) -> list[list[Interface]]:
    return [[interface(name, rx, **more)] for rx in counters]


def stacked(rx: int, *more: tuple[str, dict[str, Any]]) -> list[Interface]:
    return [interface("eth0", rx), *(interface(name, rx, **fields) for name, fields in more)]


PPP, TS, USB = {"name": "ppp0"}, {"name": "tailscale0"}, {"name": "usb0"}
BONDED = [stacked(rx, ("eth1", {"ifindex": 3, "master": "bond0"}), ("bond0", BOND)) for rx in (0, 1000)]
BRIDGED = [stacked(rx, ("br0", BR), ("br0.7", VLAN)) for rx in (0, 10**9)]
VETHS = [[interface(rx=i * 100), interface(f"veth{i:07x}", 10**6, ifindex=9 + i, kind="veth")] for i in range(9)]
WRAPPED = [[interface(rx=rx, tx=0, rx_packets=packets)] for rx, packets in (((1 << 32) - 500, 1), (500, 4))]
NICS = [*one(0), *one(1 << 50, name="eth1", ifindex=3), [], *one(40, name="eth1", ifindex=4)]
RENAMED = rows(*one(1000, 5000, name="ens3"), *one(9000, 9500))
SCENARIOS: dict[str, tuple[str | None, list[Sample], int, int]] = {
    "phantom 4 GiB after a PPPoE reconnect (vnstat#40)":
        ("ppp0", rows(*one(3 * GIB, 3 * GIB + 500, **PPP), *one(1000, 3000, ifindex=9, **PPP)), 3500, GIB + 3500),
    "phantom 4 GiB, counters cleared (openwrt#29315)": ("eth0", rows(*one(3 * GIB, 2000, 5000)), 5000, GIB + 5000),
    "8 EiB (vnstat#83)": ("eth0", rows(*one((1 << 64) - 2000, 500, 900)), 900, 1 << 63),
    "2^64 subtracted on a reset (Diamond#663)": ("eth0", rows(*one(10**15, 7, 9)), 9, (1 << 64) - 10**15 + 9),
    "a real 32-bit wrap is no reset": ("eth0", rows(*WRAPPED), 1000, 500),
    "too fast, a tun of 10 Mbit (vnstat#45)": ("tun0", rows(*one(5, 12 * 10**10 + 5, **TUN)), 12 * 10**10, 18 * 10**9),
    "renamed, old name (vnstat#188)": ("ens3", RENAMED, 4000, 0),
    "renamed, new name (vnstat#188)": ("eth0", RENAMED, 4500, 0),
    "bond counted twice (node_exporter#3524)": (None, rows(*BONDED), 2000, 3000),
    "bridge and VLAN at 300 MB/s on 1 GbE (beszel#284)": (None, rows(*BRIDGED), 10**9, 3 * 10**9),
    "reset at reboot (telegraf#4531)": ("eth0", rows(*one(9000, 9007, 300, 500), boots="1122"), 507, 500 - 9000),
    "spike after reboot (beszel#1983)": ("eth0", rows(*one(9000, 50_000, 51_000), boots="122"), 51_000, 42_000),
    "559 TB/s on an update of Tailscale (beszel#150)":
        ("tailscale0", rows(*one(10**12, 10**12 + 5, **TS), *one(0, 70, ifindex=8, **TS)), 75, 559 * 10**13),
    "late read (rule 3)": ("eth0", [sample(0, interface(rx=0)), sample(9000, interface(rx=5_000_000))], 5_000_000, 0),
    "absent at start (beszel#1984)": ("usb0", rows([], *one(7000, 9000, **USB)), 9000, 0),
    "huge values as a NIC comes and goes (sysstat#167)": ("eth1", rows(*NICS), 40, 1 << 50),
    "containers' random names (vnstat#242)": (None, rows(*VETHS), 800, 8 * 10**6),
}  # fmt: skip


def carried(data: Path, samples: list[Sample], name: str | None, edges: list[int]) -> list[int]:
    with writing(data) as writer:
        for single in samples:
            writer.append([single])
    with open_history(str(data), "web1") as history:
        return [bucket.traffic.rx_bytes for bucket in series(history, name, edges).buckets]


@pytest.mark.parametrize(("name", "samples", "right", "wrong"), SCENARIOS.values(), ids=SCENARIOS)
def test_a_complaint(tmp_path: Path, name: str | None, samples: list[Sample], right: int, wrong: int) -> None:
    """The total is what went through, and not what the other tool says; no part of it is negative or more than all."""
    buckets = carried(tmp_path, completed(samples), name, equal_edges(T0, samples[-1].timestamp, 7))
    assert (right, True) == (sum(buckets), wrong != right)
    assert 0 <= min(buckets) <= max(buckets) <= right


@pytest.mark.parametrize("step", [3605, -3605, 86_405, -86_405])
@pytest.mark.parametrize("begin", [0, 43_000])
def test_a_clock_set_forward_or_back(tmp_path: Path, begin: float, step: int) -> None:
    """Neither stuck on a future date nor counted twice (vnstat#160, #251): the total is exact, also over midnight."""
    samples = completed(
        sample(begin + i * 10 + step * (i >= 400) - 200_000 * (i == 0), interface(rx=i * 1000), seq=i)
        for i in range(1000)
    )
    assert 999_000 == sum(carried(tmp_path, samples, "eth0", [T0 - 10**9, T0 + 10**9]))


def test_the_hour_that_a_dst_change_repeats(tmp_path: Path) -> None:
    """The two hours from 2 to 3 o'clock are two rows, and the day has 25 hours' bytes (vnstat#193 shows one hour)."""
    since, zone = T0 - 27 * 24 * HOUR - 14 * HOUR, ZoneInfo("Europe/Berlin")
    hours = completed(sample((since - T0) / 1000 + i * 3600, interface(rx=i), interval=3600.0) for i in range(26))
    carried(tmp_path, hours, "eth0", [0, 1])
    with open_history(str(tmp_path), "web1") as history:
        for by, expected in (("day", [25]), ("hour", [1] * 25)):
            labels, edges = zip(*periods(by, since, since + 25 * HOUR, zone), strict=True)
            found = summarize(labels, edges, series(history, "eth0", fine_edges(edges, HOUR)))
            assert expected == [period.traffic.rx_bytes for period in found if period.traffic.rx_bytes]


def test_a_speed_of_minus_one_is_unknown() -> None:
    """What the kernel says where it knows no speed is no speed (node_exporter#1967: -125000 bytes/s)."""
    fields = {"name": "eth0", "is_up": True, "rx_bytes": 1, "tx_bytes": 1, "rx_packets": 1, "tx_packets": 1}
    fields["speed_mbps"] = -1
    said = {"timestamp": "2026-11-21T12:00:00Z", "server_id": "web1", "network_interfaces": [fields]}
    assert [None] == [i.speed_mbps for i in sample_from(said).interfaces]


def test_megabytes_are_not_megabits() -> None:
    """A rate names its unit, bytes or bits, 1000 or 1024 (beszel#452, Glances#1704)."""
    shown = [format_rate(12_500_000.0, units) for units in (Units.SI, Units.BITS, Units.IEC)]
    assert ["12.50 MB/s", "100.00 Mbit/s", "11.92 MiB/s"] == shown
