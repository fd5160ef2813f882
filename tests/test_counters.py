"""From counters to traffic: the table of netstat_cli/counters.py row by row, and what users of other tools suffered."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netstat_cli import counters
from netstat_cli.counters import Growth, Seen, complete
from netstat_cli.model import NO_TRAFFIC, Interface, Sample, Traffic
from netstat_cli.times import MINUTE, SECOND
from tests.given import T0, completed, growths, interface, sample, total

GIB = 1 << 30
WRAP = 1 << 32


def seen(rx: int = 0, packets: int = 0, at: int = 0, boot: str | None = "boot-1", **more: Any) -> Seen:
    """An interface that received so much and sent nothing."""
    four = {"rx_bytes": rx, "tx_bytes": 0, "rx_packets": packets, "tx_packets": 0}
    return Seen(T0 + at * SECOND, boot, interface(**(four | more)))


@pytest.mark.parametrize(
    ("prev", "cur", "expected"),
    [
        pytest.param(seen(1000, 1), seen(5000, 4), (4000, 3), id="counting on"),
        pytest.param(seen(1000, 1), seen(1000, 1), (0, 0), id="nothing went through"),
        pytest.param(seen(WRAP - 1, 1), seen(WRAP + 1, 4), (2, 3), id="counting on past 2^32"),
        pytest.param(seen(1000, 1, name="ens3"), seen(5000, 4), (4000, 3), id="renamed"),
        pytest.param(seen(1000, 1), seen(5000, 4, at=86400), (4000, 3), id="back after an absence"),
        pytest.param(seen(7, 3, rx_errors=9, rx_dropped=9), seen(9, 4, rx_errors=0, rx_dropped=0), (2, 1), id="errors"),
        pytest.param(seen(WRAP - 500, 1), seen(500, 4), (1000, 3), id="wrap, speed unknown, under 2^31"),
        pytest.param(seen(WRAP - 500, 1), seen((1 << 31) - 501, 4), ((1 << 31) - 1, 3), id="wrap, the most"),
        pytest.param(seen(WRAP - 500, 1), seen((1 << 31) - 500, 4), ((1 << 31) - 500, 4), id="no wrap of 2^31"),
        pytest.param(
            seen(3 * GIB, 1, speed_mbps=1000), seen(GIB, 9, at=20, speed_mbps=1000), (2 * GIB, 8), id="wrap at speed"
        ),
        pytest.param(seen(3 * GIB, 1, speed_mbps=1000), seen(GIB, 9, at=20), (2 * GIB, 8), id="speed known before"),
        pytest.param(
            seen(WRAP - 500, 1, speed_mbps=10), seen(GIB, 9, at=20, speed_mbps=10), (GIB, 9), id="too fast for a wrap"
        ),
        pytest.param(seen(WRAP - 500, 5), seen(500, 5), (500, 5), id="no wrap: no packet came"),
        pytest.param(seen(WRAP - 500, 5), seen(500, 4), (500, 4), id="no wrap: the packets fell too"),
        pytest.param(seen(WRAP, 1), seen(500, 4), (500, 4), id="no wrap: the counter has more than 32 bits"),
        pytest.param(seen(900, 9), seen(901, 1), (901, 1), id="reset: the packets fell"),
        pytest.param(seen(900, 9), seen(200, 2), (200, 2), id="reset: all fell"),
        pytest.param(seen(900, 9), seen(5000, 12, ifindex=3), (5000, 12), id="other device, same name: re-created"),
        pytest.param(seen(900, 9), seen(5000, 12, boot="boot-2"), (5000, 12), id="other device: reboot"),
        pytest.param(seen(900, 9, boot=None), seen(5000, 12, boot=None, ifindex=3), (4100, 3), id="known by name only"),
        pytest.param(seen(900, 9, ifindex=None), seen(5000, 12, boot="boot-2"), (4100, 3), id="known by name here"),
        pytest.param(seen(900, 9, boot=None), seen(5000, 12, boot=None, name="eth1"), (5000, 12), id="other name"),
    ],
)
def test_increase(prev: Seen, cur: Seen, expected: tuple[int, int]) -> None:
    """Each row of the table: what an interface carried between two sights of it."""
    assert Traffic(expected[0], 0, expected[1], 0) == counters.increase(prev, cur)


def test_both_directions_can_wrap_at_once() -> None:
    """Each byte counter is judged by the packet counter of its own direction."""
    prev = seen(tx_bytes=WRAP - 2, rx_bytes=WRAP - 1, tx_packets=1)
    assert Traffic(2, 4, 5, 6) == counters.increase(prev, seen(1, 5, tx_bytes=2, tx_packets=7))


def test_one_direction_without_evidence_makes_it_a_reset() -> None:
    """A device that began anew in one direction did so in both."""
    prev = seen(WRAP - 1, 1, tx_bytes=WRAP - 1, tx_packets=7)
    assert Traffic(1, 2, 5, 7) == counters.increase(prev, seen(1, 5, tx_bytes=2, tx_packets=7))


COUNTS = st.integers(0, (1 << 64) - 1) | st.integers(0, WRAP + 9)


@given(st.lists(COUNTS, min_size=8, max_size=8), st.sampled_from([None, 10, 1000]), st.integers(1, 3))
def test_nothing_is_ever_made_up(counts: list[int], speed: int | None, index: int) -> None:
    """An increase is never negative, and exceeds the counter itself only by a wrap that the evidence allows."""
    names = ("rx_bytes", "tx_bytes", "rx_packets", "tx_packets")
    prev = seen(**dict(zip(names, counts[:4], strict=True)))
    cur = seen(at=10, speed_mbps=speed, ifindex=index, **dict(zip(names, counts[4:], strict=True)))
    possible = (1 << 31) if speed is None else speed * 1_250_000
    grown = counters.increase(prev, cur)
    assert min(grown) >= 0
    assert all(one <= max(now, possible) for one, now in zip(grown, counts[4:], strict=True))


@pytest.mark.parametrize(
    ("cur", "before", "expected"),
    [
        pytest.param(seen(5000, 5, at=10), 0, 5000, id="since the sample before"),
        pytest.param(seen(1_250_000_000, 5, at=1), 0, 1_250_000_000, id="all that 10 Gbit/s carry"),
        pytest.param(seen(1_250_000_001, 5, at=1), 0, 0, id="more than that: a past of its own"),
        pytest.param(seen(12_500_000, 5, at=1, speed_mbps=100), 0, 12_500_000, id="all that its link carries"),
        pytest.param(seen(12_500_001, 5, at=1, speed_mbps=100), 0, 0, id="more than its link carries"),
        pytest.param(seen(0, 5, at=1, tx_bytes=12_500_001, speed_mbps=100), 0, 0, id="sent more than that"),
        pytest.param(seen(5000, 5, at=60), 0, 5000, id="the sample before is just recent"),
        pytest.param(seen(5000, 5, at=61), 0, 0, id="the sample before is too old"),
        pytest.param(seen(5000, 5, at=10), None, 0, id="the server's first sample"),
    ],
)
def test_created(cur: Seen, before: int | None, expected: int) -> None:
    """What was never seen counts from zero if it can have come up since a recent sample, and not at all otherwise."""
    moment = None if before is None else T0 + before * SECOND
    assert expected == counters.created(cur, moment, MINUTE).rx_bytes


@pytest.mark.parametrize(
    ("interval", "gap"), [(None, 300), (0.5, 60), (10.0, 60), (12, 60), (12.5, 62.5), (60.0, 300), (300.0, 1500)]
)
def test_max_gap(interval: float | None, gap: float) -> None:
    """Nothing is known after five intervals without a sample, at least a minute; who states none has one of 60 s."""
    assert gap * SECOND == counters.max_gap(interval)


@given(st.integers(0, 1 << 64), st.lists(st.integers(0, 1000), min_size=1, max_size=9).map(sorted))
def test_shares_add_up(amount: int, moments: list[int]) -> None:
    """What went through over a time is shared out linearly, and no byte is lost or made by the cutting."""
    growth = Growth(0, 1000, Traffic(amount, amount // 3, 7, 0))
    edges = [growth.by(moment) for moment in [-5, *moments, 1005]]
    parts = [after.minus(before) for before, after in itertools.pairwise(edges)]
    assert growth.traffic == Traffic(*map(sum, zip(*parts, strict=True)))
    assert all(min(part) >= 0 for part in parts)


def test_a_share_is_linear_in_time() -> None:
    """A quarter of the time has a quarter of the bytes, rounded down."""
    growth = Growth(T0, T0 + 4 * SECOND, Traffic(4002, 400, 41, 3))
    assert Traffic(1000, 100, 10, 0) == growth.by(T0 + SECOND)


# What each sample of a server brought: scenarios of other tools' issue trackers.


def test_no_phantom_4_gib_after_a_reconnect() -> None:
    """PPPoE reconnects (vergoh/vnstat#40: 4 GiB that never were): the new device counts from zero."""
    samples = [sample(0, interface("ppp0", 3 * GIB)), sample(10, interface("ppp0", 1000, ifindex=9))]
    assert Traffic(1000, 1000, 1, 1) == total(samples, "ppp0")


def test_no_phantom_4_gib_after_an_interface_restart() -> None:
    """The same device with cleared counters is no wrap, for its packets fell too."""
    samples = [sample(0, interface(rx=3 * GIB)), sample(10, interface(rx=2000)), sample(20, interface(rx=3000))]
    assert [NO_TRAFFIC, Traffic(2000, 2000, 2, 2), Traffic(1000, 1000, 1, 1)] == [
        growth.traffic for growth in growths(samples, "eth0")
    ]


def test_no_8_eib() -> None:
    """A huge counter that falls is counted from zero, never around 2^63 or 2^64."""
    samples = [sample(0, interface(rx=(1 << 64) - 1000)), sample(10, interface(rx=500, rx_packets=1 << 60))]
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
    assert Growth(T0 + 10 * SECOND, T0 + 20 * SECOND, Traffic(8000, 8000, 8, 8)) == growths(samples, "eth0")[-1]


def test_no_spike_at_a_reboot() -> None:
    """After a reboot an interface counts from zero, since the last sample that was taken before it."""
    samples = [sample(0, interface(rx=9000)), sample(300, interface(rx=50_000), boot="boot-2")]
    assert Growth(T0, T0 + 300 * SECOND, Traffic(50_000, 50_000, 50, 50)) == growths(samples, "eth0")[-1]


def test_a_reset_after_an_absence_counts_since_the_last_sample_without_it() -> None:
    """Where counting began anew, it did so after the server's sample just before."""
    samples = [sample(0, interface(rx=9000)), sample(10), sample(20), sample(30, interface(rx=700))]
    assert Growth(T0 + 20 * SECOND, T0 + 30 * SECOND, Traffic(700, 700, 0, 0)) == growths(samples, "eth0")[-1]


def test_an_interface_that_was_away_loses_no_delta() -> None:
    """A device that comes back with higher counters carried the difference while it was away."""
    samples = [sample(0, interface(rx=9000)), sample(10), sample(900, interface(rx=19_000))]
    assert Growth(T0, T0 + 900 * SECOND, Traffic(10_000, 10_000, 10, 10)) == growths(samples, "eth0")[-1]


@pytest.mark.parametrize(("counter", "brought"), [(7000, 7000), (1 << 50, 0)])
def test_an_interface_that_appears_later_is_noticed(counter: int, brought: int) -> None:
    """Absent at the start, plugged in later: its bytes count, unless it brings a past that cannot be of this time."""
    samples = [sample(0), sample(10, interface("usb0", counter)), sample(20, interface("usb0", counter + 500))]
    assert [brought, 500] == [growth.traffic.rx_bytes for growth in growths(samples, "usb0")]


def test_a_late_read_loses_no_delta() -> None:
    """However late a sample comes, what it brings went through since the one before."""
    samples = [sample(0, interface(rx=1000)), sample(7200, interface(rx=5_001_000))]
    expected = [Growth(T0, T0, NO_TRAFFIC), Growth(T0, T0 + 7_200_000, Traffic(5_000_000, 5_000_000, 5000, 5000))]
    assert expected == growths(samples, "eth0")


def test_the_first_sample_brings_nothing() -> None:
    """What an interface carried before anyone looked is not known."""
    assert [Growth(T0, T0, NO_TRAFFIC)] == growths([sample(0, interface(rx=GIB))], "eth0")


# What the maker of a line stamps on it.


def starts(samples: list[Sample]) -> list[list[float]]:
    """The starts of the runs in each completed sample, in seconds after T0."""
    return [[(i.start - T0) / SECOND for i in s.interfaces or () if i.start is not None] for s in completed(samples)]


@pytest.mark.parametrize(
    ("second", "start"),
    [
        pytest.param(sample(10, interface(rx=1900)), 0, id="nothing fell"),
        pytest.param(sample(9999, interface(rx=1900)), 0, id="nothing fell for long"),
        pytest.param(sample(10, interface(rx=1900, rx_errors=0)), 0, id="errors fell"),
        pytest.param(sample(10, interface(rx=1900, ifindex=None)), 0, id="device not told"),
        pytest.param(sample(10, interface(rx=1899, rx_packets=9)), 10, id="bytes fell"),
        pytest.param(sample(10, interface(rx=1999, tx_packets=0)), 10, id="packets fell"),
        pytest.param(sample(10, interface("eth1", rx=1900)), 10, id="other name"),
        pytest.param(sample(10, interface(rx=1900, ifindex=3)), 10, id="other device"),
        pytest.param(sample(10, interface(rx=1900), boot="boot-2"), 10, id="other boot"),
        pytest.param(sample(10, interface(rx=1900, start=T0 + 5000)), 5, id="told by the sender"),
    ],
)
def test_a_run_goes_on_until_something_breaks_it(second: Sample, start: float) -> None:
    """`start` is the moment of the first sample of a name on one device of which no counter fell."""
    first = sample(0, interface(rx=1900, rx_errors=7))
    assert [[0], [start]] == starts([first, second])


def test_an_absence_ends_a_run() -> None:
    """A run is of consecutive samples."""
    assert [[0], [], [20]] == starts([sample(0, interface()), sample(10), sample(20, interface())])


def test_samples_of_one_run_can_be_subtracted() -> None:
    """The same start, name and device make the same run; an unstamped interface has none."""
    one, other = seen(5, 1, start=T0), seen(9, 2, at=50, start=T0)
    others = [seen(9, 2, start=T0, name="eth1"), seen(9, 2, start=T0 + 1), seen(9, 2, start=T0, ifindex=3), seen(9, 2)]
    assert [True, False, False, False, False] == [counters.same_run(one, it) for it in (other, *others)]


def rates(prev: Sample | None, cur: Sample, elapsed: float | None = None) -> tuple[float | None, float | None]:
    """The node rates of a sample completed from the one before."""
    done = complete(cur, prev, elapsed)
    return done.network_rx_bytes_per_sec, done.network_tx_bytes_per_sec


BRIDGED = interface("br0", 800, ifindex=4, kind="bridge", lower=("eth0", "veth1"))
GUEST = interface("veth1", 800, ifindex=5, kind="veth", master="br0")


@pytest.mark.parametrize(
    ("prev", "cur", "expected"),
    [
        pytest.param(sample(0, interface(rx=0)), sample(10, interface(rx=1234)), (123.4, 123.4), id="plain"),
        pytest.param(None, sample(10, interface(rx=1234)), (None, None), id="first"),
        pytest.param(sample(0)._replace(interfaces=None), sample(10, interface(rx=9)), (None, None), id="after none"),
        pytest.param(
            sample(0, interface(), BRIDGED._replace(rx_bytes=0), GUEST._replace(rx_bytes=0)),
            sample(10, interface(rx=900), BRIDGED, GUEST),
            (90.0, 90.0),
            id="veth and bridge do not count again what passes eth0",
        ),
        pytest.param(sample(0, interface("ens3", 100)), sample(10, interface(rx=200)), (10.0, 10.0), id="renamed"),
        pytest.param(sample(0, interface(rx=900)), sample(10, interface(rx=200)), (20.0, 20.0), id="reset"),
        pytest.param(sample(0), sample(10, interface(rx=200)), (20.0, 20.0), id="created"),
        pytest.param(sample(0, interface(rx=900)), sample(10), (0.0, 0.0), id="gone"),
        pytest.param(
            sample(0, interface(rx=0)),
            sample(10, interface(rx=900), network_rx_bytes_per_sec=1.5, network_tx_bytes_per_sec=2.5),
            (1.5, 2.5),
            id="told by the sender",
        ),
        pytest.param(
            sample(0, interface(rx=0)), sample(0.001, interface(rx=2**64 - 1, tx=9)), (None, 9000.0), id="no number"
        ),
    ],
)
def test_node_rates(prev: Sample | None, cur: Sample, expected: tuple[float | None, float | None]) -> None:
    """The node's rates are the increases of its uplinks over the time since the sample before."""
    assert expected == rates(prev, cur)


def test_a_better_clock_is_believed() -> None:
    """Where the monotonic clock knows the elapsed time, a step of the wall clock does not bend the rates."""
    assert (10.0, 10.0) == rates(sample(0, interface(rx=0)), sample(-3600, interface(rx=100)), elapsed=10.0)


def integrated(rx: int = 0, tx: int = 0) -> Interface:
    """The one interface of a node that sends only rates."""
    return interface("total", rx, tx, kind="integrated", ifindex=None, rx_packets=0, tx_packets=0)


@pytest.mark.parametrize(("seconds", "expected"), [(10, (1015, 37)), (50, (1075, 185)), (7200, (1090, 222))])
def test_rates_are_integrated(seconds: int, expected: tuple[int, int]) -> None:
    """A sender of nothing but rates gets counters: each rate is that of the time just past, up to a gap of it."""
    told = {"network_rx_bytes_per_sec": 1.5, "network_tx_bytes_per_sec": 3.7, "interval": 10.0}
    done = complete(sample(seconds, integrated(), **told), sample(0, integrated(1000)._replace(start=T0 - 5)))
    assert done.interfaces == (integrated(*expected)._replace(start=T0 - 5),)


def test_integrated_counters_that_are_full_begin_anew() -> None:
    """No counter reaches 2^64, which no reader would take: a new run begins."""
    told = {"network_rx_bytes_per_sec": 1e18, "network_tx_bytes_per_sec": 0.0}
    done = complete(sample(60, integrated(), **told), sample(0, integrated(10)._replace(start=T0)))
    assert done.interfaces == (integrated()._replace(start=T0 + 60_000),)


def test_a_sample_that_says_nothing_of_interfaces_is_left_alone() -> None:
    """There is nothing to complete where a sender did not speak of interfaces."""
    bare = sample(10)._replace(interfaces=None)
    assert bare == complete(bare, sample(0, interface()))
