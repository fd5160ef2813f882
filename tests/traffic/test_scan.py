"""The definition of traffic, applied to histories as they really happen; each history is a test by name."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from netstat_cli.line.model import Interface, Sample
from netstat_cli.times import SECOND
from netstat_cli.traffic.increase import NO_TRAFFIC, Increase, Seen, Traffic
from netstat_cli.traffic.scan import scan_totals
from tests.given import T0, completed, increases, interface, sample, total

GIB = 1 << 30


def rows(*readings: Any, step: float = 10, boots: str = "", **more: Any) -> list[Sample]:
    """Samples of what was read, so far apart: a list of interfaces, or what eth0 received."""
    listed = [[interface(rx=one, **more)] if isinstance(one, int) else one for one in readings]
    return [sample(i * step, *some, boot=f"boot-{boots[i] if boots else 1}") for i, some in enumerate(listed)]


def test_no_phantom_4_gib_after_a_reconnect() -> None:
    """PPPoE reconnects (vergoh/vnstat#40: 4 GiB that never were): the new device counts from zero."""
    samples = [sample(0, interface("ppp0", 3 * GIB)), sample(10, interface("ppp0", 1000, ifindex=9))]
    assert Traffic(1000, 1000, 1, 1) == total(samples, "ppp0")


def test_no_phantom_4_gib_after_an_interface_restart() -> None:
    """The same device with cleared counters is no wrap, for its packets fell too."""
    samples = [sample(0, interface(rx=3 * GIB)), sample(10, interface(rx=2000)), sample(20, interface(rx=3000))]
    assert [NO_TRAFFIC, Traffic(2000, 2000, 2, 2), Traffic(1000, 1000, 1, 1)] == [
        one.traffic for one in increases(samples, "eth0")
    ]


def test_no_8_eib() -> None:
    """A huge counter that falls is counted from zero, never around 2^63 or 2^64."""
    samples = [sample(0, interface(rx=(1 << 64) - 1000)), sample(10, interface(rx=500))]
    assert 500 == total(samples, "eth0").rx_bytes


def test_traffic_is_never_too_fast_to_be_true() -> None:
    """120 GB through a tun device that calls itself 10 Mbit/s (vnstat counted 18 GB) are 120 GB."""
    tun = {"kind": "tun", "speed_mbps": 10}
    samples = [sample(0, interface("tun0", 5, **tun)), sample(10, interface("tun0", 120_000_000_005, **tun))]
    assert 120_000_000_000 == total(samples, "tun0").rx_bytes


def test_a_rename_loses_nothing() -> None:
    """ens3 becomes eth0: the new name goes on where the old one ended, and no byte is counted under both."""
    samples = [
        sample(0, interface("ens3", 1000)),
        sample(10, interface("ens3", 5000)),
        sample(20, interface("eth0", 9000)),
    ]
    assert [4000, 4000] == [total(samples, name).rx_bytes for name in ("ens3", "eth0")]


def test_a_rename_onto_a_used_name_reaches_back_no_further_than_that_name() -> None:
    """What a name brought never begins before its last sample, so that its buckets stay in order."""
    samples = [
        sample(0, interface("eth1", 1000, ifindex=3)),
        sample(10, interface("eth0", 500)),
        sample(20, interface("eth0", 9000, ifindex=3)),
    ]
    assert Increase(T0 + 10 * SECOND, T0 + 20 * SECOND, Traffic(8000, 8000, 8, 8)) == increases(samples, "eth0")[-1]


def test_no_spike_at_a_reboot() -> None:
    """After a reboot an interface counts from zero, since the last sample that was taken before it."""
    samples = [sample(0, interface(rx=9000)), sample(300, interface(rx=50_000), boot="boot-2")]
    assert (
        Increase(T0, T0 + 300 * SECOND, Traffic(50_000, 50_000, 50, 50), Seen.RESET) == increases(samples, "eth0")[-1]
    )


def test_a_reset_after_an_absence_counts_since_the_last_sample_without_it() -> None:
    """Where counting began anew, it did so after the server's sample just before."""
    samples = [sample(0, interface(rx=9000)), sample(10), sample(20), sample(30, interface(rx=700))]
    assert (
        Increase(T0 + 20 * SECOND, T0 + 30 * SECOND, Traffic(700, 700, 0, 0), Seen.RESET)
        == increases(samples, "eth0")[-1]
    )


def test_an_interface_that_was_away_loses_no_delta() -> None:
    """A device that comes back with higher counters carried the difference while it was away."""
    samples = [sample(0, interface(rx=9000)), sample(10), sample(900, interface(rx=19_000))]
    assert Increase(T0, T0 + 900 * SECOND, Traffic(10_000, 10_000, 10, 10)) == increases(samples, "eth0")[-1]


@pytest.mark.parametrize(("counter", "brought"), [(7000, 7000), (1 << 50, 0)])
def test_an_interface_that_appears_later_is_noticed(counter: int, brought: int) -> None:
    """Absent at the start, plugged in later: its bytes count, unless it brings a past that cannot be of this time."""
    samples = [sample(0), sample(10, interface("usb0", counter)), sample(20, interface("usb0", counter + 500))]
    assert [brought, 500] == [one.traffic.rx_bytes for one in increases(samples, "usb0")]


def test_a_late_read_loses_no_delta() -> None:
    """However late a sample comes, what it brings went through since the one before."""
    samples = [sample(0, interface(rx=1000)), sample(7200, interface(rx=5_001_000))]
    later = Increase(T0, T0 + 7_200_000, Traffic(5_000_000, 5_000_000, 5000, 5000))
    assert [Increase(T0, T0, NO_TRAFFIC, Seen.UNKNOWN), later] == increases(samples, "eth0")


def test_the_first_sample_brings_nothing() -> None:
    """What an interface carried before anyone looked is not known."""
    assert [Increase(T0, T0, NO_TRAFFIC, Seen.UNKNOWN)] == increases([sample(0, interface(rx=GIB))], "eth0")


# What was seen to go wrong.


def test_a_drivers_correction() -> None:
    """tx_bytes hiccups down by 5,105 while packets rise, rx stands at 9 TB: rx has its 4,000, tx counted on."""
    high = 9 * 10**12
    readings = [(high, 50_000), (high + 2000, 60_000), (high + 3000, 54_895), (high + 4000, 64_895)]
    samples = rows(
        *[[interface(rx=rx, tx=tx, rx_packets=10**6 + i, tx_packets=100 + i)] for i, (rx, tx) in enumerate(readings)]
    )
    assert Traffic(4000, 20_000, 3, 3) == total(samples, "eth0")


@pytest.mark.parametrize("way", ["rx", "tx"])
def test_a_glitch_of_one_reading(way: str) -> None:
    """18446744073063945534 once between 6 and 8 million: 4,000,000 over the five samples."""
    readings = [5_000_000, 6_000_000, 18446744073063945534, 8_000_000, 9_000_000]
    samples = rows(*[[interface(**{f"{way}_bytes": value})] for value in readings])
    assert 4_000_000 == getattr(total(samples, "eth0"), f"{way}_bytes")


def test_two_machines_that_share_a_name() -> None:
    """A cloned image: boots A, B, A, B with the same ifindex. What each of the devices brought counts, and no more."""
    high = [7 * 10**12 + i * 9000 for i in range(4)]
    low = [100_000 + i * 1000 for i in range(4)]
    samples = rows(*[value for pair in zip(high, low, strict=True) for value in pair], boots="ABABABAB")
    # 3 x 9,000 and 3 x 1,000; and the 100,000 that the second one, counted from zero, can have carried since the first
    assert 27_000 + 3000 + 100_000 == total(samples, "eth0").rx_bytes


def test_a_clock_that_begins_before_the_last_boot_ended() -> None:
    """A Raspberry Pi's saved clock: 13 minutes of two boots by turns, and every byte of both is counted once."""
    before = [sample(i * 10, interface(rx=10**12 + i * 1000), boot="A") for i in range(100)]
    after = [sample(215 + i * 10, interface(rx=50_000 + i * 500), boot="B") for i in range(200)]
    samples = sorted([*before, *after], key=lambda one: one.timestamp)
    assert 99_000 + 50_000 + 199 * 500 == total(samples, "eth0").rx_bytes


def test_counters_fall_under_a_senders_own_start() -> None:
    """Whoever stamped it: a run that counters fell in is over."""
    samples = rows(*[[interface(rx=rx, start=T0)] for rx in (10**12, 10**12 + 500, 700, 900)])
    assert 500 + 700 + 200 == total(completed(samples), "eth0").rx_bytes
    assert [0, 0, 20, 20] == [(i.start - T0) / SECOND for s in completed(samples) for i in s.interfaces if i.start]


def modem(present: bool, rx: int) -> list[Interface]:
    """A wwan0 that is there for some samples only."""
    return [interface("wwan0", rx, kind="wireless", ifindex=9)] if present else []


def test_an_uplink_that_came_and_went_is_in_the_nodes_total() -> None:
    """eth0 all along, a modem for some samples in between: its bytes count, whatever the edges show."""
    samples = completed(
        sample(at * 10, interface(rx=at * 1000), *modem(10 <= at < 20, (at - 10) * 7000)) for at in range(30)
    )
    assert 29_000 + 9 * 7000 == total(samples, None).rx_bytes
    begin, end = scan_totals(samples, None, [T0, T0 + 300 * SECOND])
    assert 29_000 + 9 * 7000 == end.minus(begin).rx_bytes


def test_what_counts_only_without_hardware_counts_only_while_there_is_none() -> None:
    """eth0 absent in one sample, docker0 and a veth present: they count in that sample, and not over the whole span."""
    inner = [interface("tun0", kind="tun", ifindex=5), interface("veth1", kind="veth", ifindex=6)]
    samples = [
        sample(at * 10, *([interface(rx=at * 1000)] if at != 2 else []), *[replace(i, rx_bytes=at * 50) for i in inner])
        for at in range(5)
    ]
    assert [0, 1000, 50, 2000, 1000] == [one.traffic.rx_bytes for one in increases(completed(samples), None)]


def test_an_interface_that_moved_to_another_namespace_and_back() -> None:
    """A device that was away for a sample brings what it carried meanwhile, and no past of its own."""
    samples = completed(rows([interface(rx=297 * 10**6)], [], [interface(rx=297 * 10**6 + 60)]))
    assert [0, 0, 60] == [one.traffic.rx_bytes for one in increases(samples, None)]
    assert [None, 0.0, 3.0] == [one.network_rx_bytes_per_sec for one in samples]


def test_a_32_bit_counter_that_wraps_faster_than_it_is_sampled() -> None:
    """A gigabit a second, once a minute: the bytes cannot be known, and the packets are right."""
    real = [i * 7_400_000_000 for i in range(5)]
    samples = rows(*[[interface(rx=rx % (1 << 32), tx=0, rx_packets=rx // 1480)] for rx in real], step=60)
    found = increases(samples, "eth0")
    assert (20_000_000, True) == (
        sum(one.traffic.rx_packets for one in found),
        total(samples, "eth0").rx_bytes < real[-1],
    )
    assert Seen.RESET not in [one.seen for one in found]


def test_4_gb_by_10_packets_is_no_wrap() -> None:
    """No ten packets hold 4.29 GB."""
    samples = rows([interface(rx=GIB, tx=0, rx_packets=5)], [interface(rx=GIB // 2, tx=0, rx_packets=15)])
    assert Traffic(0, 0, 10, 0) == total(samples, "eth0")


# The node.


def test_the_node_within_its_run_is_the_difference_of_its_own_counters() -> None:
    """What the sampler saw of samples that never came is in them."""
    counted = {"network_start": completed(rows(0))[0].network_start, "network_tx_bytes": 0}
    packets = {"network_rx_packets": 0, "network_tx_packets": 0}
    samples = [
        sample(at, interface(rx=rx), network_rx_bytes=node, **counted, **packets)
        for at, rx, node in ((0, 0, 500), (10, 100, 600), (50, 300, 900))
    ]
    assert [0, 100, 300] == [one.traffic.rx_bytes for one in increases(samples, None)]


def test_lines_without_counters_of_the_node_have_the_same_total() -> None:
    """1.0.0 wrote none: the sum over what counts in each sample is the definition."""
    samples = completed(sample(at * 10, interface(rx=at * 1000), *modem(3 <= at < 6, at * 70)) for at in range(9))
    bare = [
        replace(one, network_start=None, network_rx_bytes=None, network_tx_bytes=None, network_rx_packets=None)
        for one in samples
    ]
    assert total(bare, None) == total(samples, None) != NO_TRAFFIC


def test_totals_are_cut_where_the_edges_are() -> None:
    """Up to an edge comes what is over, and of what it cuts the share."""
    samples = rows(0, 1000, 5000)
    edges = [T0 - 5, T0, T0 + 5 * SECOND, T0 + 10 * SECOND, T0 + 12_500, T0 + 99 * SECOND]
    assert [0, 0, 500, 1000, 2000, 5000] == [one.rx_bytes for one in scan_totals(samples, "eth0", edges)]
