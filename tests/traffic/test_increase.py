"""From counters to traffic: the table of netstat_cli/traffic/increase.py, row by row, with each row's neighbours."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netstat_cli.times import MINUTE, SECOND
from netstat_cli.traffic.increase import (
    NO_TRAFFIC,
    Base,
    Increase,
    Observation,
    Seen,
    Traffic,
    created,
    device_key,
    increase,
    increase_of,
    max_gap,
    next_base,
    same_device,
)
from tests.given import T0, interface

GIB = 1 << 30
WRAP = 1 << 32


def seen(rx: int = 0, packets: int = 0, at: int = 0, boot: str | None = "boot-1", **more: Any) -> Observation:
    """An interface that received so much and sent nothing."""
    four = {"rx_bytes": rx, "tx_bytes": 0, "rx_packets": packets, "tx_packets": 0}
    return Observation(T0 + at * SECOND, boot, interface(**(four | more)))


def step(prev: Observation, cur: Observation) -> tuple[Seen, Traffic]:
    """What an interface brought, ten seconds after an earlier sight of it unless they say otherwise."""
    if prev.timestamp == cur.timestamp:
        cur = cur._replace(timestamp=prev.timestamp + 10 * SECOND)
    return increase(Base(prev), cur, MINUTE)


ON, WRAPPED, CORRECTED, RESET = Seen.COUNTING_ON, Seen.WRAP, Seen.CORRECTION, Seen.RESET
RATES = {"kind": "integrated"}


@pytest.mark.parametrize(
    ("prev", "cur", "expected"),
    [
        pytest.param(seen(1000, 1), seen(5000, 4), (ON, 4000, 3), id="counting on"),
        pytest.param(seen(1000, 1), seen(1000, 1), (ON, 0, 0), id="nothing went through"),
        pytest.param(seen(WRAP - 1, 1), seen(WRAP + 1, 4), (ON, 2, 3), id="counting on past 2^32"),
        pytest.param(seen(1000, 1, name="ens3"), seen(5000, 4), (ON, 4000, 3), id="renamed"),
        pytest.param(seen(1000, 1), seen(5000, 4, at=86400), (ON, 4000, 3), id="back after an absence"),
        pytest.param(seen(7, 3, rx_errors=9, rx_dropped=9), seen(9, 4), (ON, 2, 1), id="only errors fell"),
        pytest.param(seen(0, 0, speed_mbps=10), seen(10**12, 9, speed_mbps=10), (ON, 10**12, 9), id="too fast"),
        pytest.param(seen(WRAP - 500, 1), seen(500, 4), (WRAPPED, 1000, 3), id="wrap, speed unknown"),
        pytest.param(
            seen(WRAP - 500, 1), seen((1 << 31) - 501, 2049), (WRAPPED, (1 << 31) - 1, 2048), id="wrap, the most"
        ),
        pytest.param(seen(WRAP - 500, 1), seen((1 << 31) - 500, 4000), (CORRECTED, 0, 3999), id="no wrap of 2^31"),
        pytest.param(
            seen(3 * GIB, 1, speed_mbps=1000),
            seen(GIB, 5000, at=20, speed_mbps=1000),
            (WRAPPED, 2 * GIB, 4999),
            id="wrap at speed",
        ),
        pytest.param(
            seen(3 * GIB, 1, speed_mbps=1000), seen(GIB, 5000, at=20), (WRAPPED, 2 * GIB, 4999), id="speed known before"
        ),
        pytest.param(
            seen(WRAP - 500, 1, speed_mbps=10),
            seen(GIB, 5000, at=20, speed_mbps=10),
            (CORRECTED, 0, 4999),
            id="too fast for a wrap",
        ),
        pytest.param(seen(WRAP - 5, 0), seen(3 * (1 << 20) - 5, 3), (WRAPPED, 3 << 20, 3), id="1 MiB a packet"),
        pytest.param(seen(WRAP - 5, 0), seen(3 * (1 << 20) - 4, 3), (CORRECTED, 0, 3), id="4.29 GB by 10 packets"),
        pytest.param(seen(WRAP - 500, 5), seen(500, 5), (CORRECTED, 0, 0), id="no wrap: no packet came"),
        pytest.param(seen(WRAP - 500, 5), seen(500, 4), (RESET, 500, 4), id="no wrap: the packets fell too"),
        pytest.param(seen(WRAP, 1), seen(500, 4), (CORRECTED, 0, 3), id="no wrap: the counter has more than 32 bits"),
        pytest.param(seen(9000, 9), seen(3895, 10), (CORRECTED, 0, 1), id="a driver's correction"),
        pytest.param(seen(900, 9), seen(901, 1), (CORRECTED, 1, 0), id="the packets were corrected"),
        pytest.param(seen(900, 9), seen(200, 2), (RESET, 200, 2), id="reset"),
        pytest.param(seen(900, 9), seen(5000, 12, ifindex=3), (RESET, 5000, 12), id="re-created"),
        pytest.param(seen(900, 9), seen(5000, 12, boot="boot-2"), (RESET, 5000, 12), id="reboot"),
        pytest.param(seen(900, 9, boot=None), seen(5000, 12, boot=None), (ON, 4100, 3), id="known by name"),
        pytest.param(seen(900, 9, ifindex=None), seen(5000, 12), (ON, 4100, 3), id="the number is known of one"),
        pytest.param(seen(900, 9, boot=None), seen(5000, 12), (ON, 4100, 3), id="the boot is known of one"),
        pytest.param(
            seen(1 << 50, 9),
            seen(125_000_000_000, 5, ifindex=3),
            (RESET, 125_000_000_000, 5),
            id="100 Gbit/s of a reset",
        ),
        pytest.param(seen(1 << 50, 9), seen(125_000_000_001, 5, ifindex=3), (RESET, 0, 0), id="more than that"),
        pytest.param(
            seen(900, 9), seen(12_500_001, 5, ifindex=3, speed_mbps=10), (RESET, 0, 0), id="more than its link carries"
        ),
        pytest.param(seen(6_000_000, 60), seen(18446744073063945534, 61), (Seen.LEAP, 0, 0), id="a glitch"),
        pytest.param(seen(6_000_000, 60), seen(7_000_000, 1 << 62), (Seen.LEAP, 0, 0), id="a glitch of packets"),
        pytest.param(seen(5, 9), seen(5 + 12_500_000_000_000, 19), (ON, 12_500_000_000_000, 10), id="10 Tbit/s"),
        pytest.param(seen(5, 9), seen(6 + 12_500_000_000_000, 19), (Seen.LEAP, 0, 0), id="a byte more"),
        pytest.param(seen(5, 0, **RATES), seen(9, 0, **RATES), (ON, 4, 0), id="rates after rates"),
        pytest.param(seen(5, 0, **RATES), seen(9, 1), (Seen.UNKNOWN, 0, 0), id="a kernel's after rates"),
        pytest.param(seen(5, 1), seen(9, 0, **RATES), (Seen.UNKNOWN, 0, 0), id="rates after a kernel's"),
    ],
)
def test_increase(prev: Observation, cur: Observation, expected: tuple[Seen, int, int]) -> None:
    """Each row of the table: what an interface received since an earlier sight of it, and what that means."""
    assert (expected[0], Traffic(expected[1], 0, expected[2], 0)) == step(prev, cur)


def mirrored(one: Observation) -> Observation:
    """The same with the directions exchanged."""
    was = one.interface
    four = {
        "tx_bytes": was.rx_bytes,
        "rx_bytes": was.tx_bytes,
        "tx_packets": was.rx_packets,
        "rx_packets": was.tx_packets,
    }
    return one._replace(interface=interface(was.name, ifindex=was.ifindex, speed_mbps=was.speed_mbps, **four))


@given(st.lists(st.integers(0, WRAP + 9), min_size=4, max_size=4), st.sampled_from([None, 10, 1000]))
def test_both_directions_are_judged_alike(counts: list[int], speed: int | None) -> None:
    """What holds for what was received holds for what was sent."""
    prev, cur = seen(*counts[:2], speed_mbps=speed), seen(*counts[2:], speed_mbps=speed)
    meaning, received = step(prev, cur)
    assert (meaning, Traffic(received[1], received[0], received[3], received[2])) == step(mirrored(prev), mirrored(cur))


def test_both_directions_can_wrap_at_once() -> None:
    """Each byte counter is judged by the packet counter of its own direction."""
    prev = seen(tx_bytes=WRAP - 2, rx_bytes=WRAP - 1, tx_packets=1)
    assert (WRAPPED, Traffic(2, 4, 5, 6)) == step(prev, seen(1, 5, tx_bytes=2, tx_packets=7))


def test_one_direction_that_began_anew_makes_it_a_reset_of_the_device() -> None:
    """A device that was reset in one direction was so in both, though the other looks like a wrap."""
    prev = seen(WRAP - 1, 1, tx_bytes=WRAP - 1, tx_packets=7)
    assert (RESET, Traffic(1, 2, 5, 6)) == step(prev, seen(1, 5, tx_bytes=2, tx_packets=6))


def test_a_correction_of_one_direction_leaves_the_other_alone() -> None:
    """tx hiccups down by 5,105 while packets rise, and rx stands at 9 TB: nobody received 9 TB."""
    prev = seen(9 * 10**12, 10**9, tx_bytes=50_000, tx_packets=50)
    cur = seen(9 * 10**12 + 4000, 10**9 + 4, tx_bytes=44_895, tx_packets=51)
    assert (CORRECTED, Traffic(4000, 0, 4, 1)) == step(prev, cur)


def test_a_reset_counts_the_directions_that_its_link_can_carry() -> None:
    """100 Mbit/s carry 125 MB in ten seconds: what claims more brings nothing, the other direction all of its own."""
    cur = seen(2000, 2, tx_bytes=125_000_001, tx_packets=9, boot="boot-2", speed_mbps=100)
    assert (RESET, Traffic(2000, 0, 2, 0)) == step(seen(900, 9), cur)


COUNTS = st.integers(0, (1 << 64) - 1) | st.integers(0, WRAP + 9)


@given(st.lists(COUNTS, min_size=8, max_size=8), st.sampled_from([None, 10, 1000]), st.integers(2, 3))
def test_nothing_is_ever_made_up(counts: list[int], speed: int | None, index: int) -> None:
    """An increase is never negative, and exceeds the counter itself only by a wrap that the evidence allows."""
    names = ("rx_bytes", "tx_bytes", "rx_packets", "tx_packets")
    prev = seen(**dict(zip(names, counts[:4], strict=True)))
    cur = seen(at=10, speed_mbps=speed, ifindex=index, **dict(zip(names, counts[4:], strict=True)))
    possible = (1 << 31) if speed is None else speed * 1_250_000
    _, grown = step(prev, cur)
    assert min(grown) >= 0
    assert all(one <= max(now, possible) for one, now in zip(grown, counts[4:], strict=True))


# Leaps: a glitch of one reading, or of several, or a counter that was set anew.


def bases(*observations: Observation) -> list[tuple[Seen, int]]:
    """What each brought of what was received, one compared with the next."""
    base, found = Base(observations[0]), []
    for cur in observations[1:]:
        done = increase_of(cur, base, base, base.last.timestamp, MINUTE)
        base = next_base(base, cur, done)
        found.append((done.seen, done.traffic.rx_bytes))
    return found


HIGH = 1 << 63
LEAP, BACK = Seen.LEAP, Seen.CAME_BACK


@pytest.mark.parametrize(
    ("readings", "expected"),
    [
        pytest.param([6000, HIGH, 8000, 9000], [(LEAP, 0), (BACK, 2000), (ON, 1000)], id="one reading"),
        pytest.param([6000, HIGH, HIGH, 9000], [(LEAP, 0), (ON, 0), (BACK, 3000)], id="the same twice"),
        pytest.param([6000, HIGH + 7000, HIGH + 8000, 9000], [(LEAP, 0), (ON, 1000), (BACK, 2000)], id="counting on"),
        pytest.param([6000, 1 << 60, HIGH, 9000], [(LEAP, 0), (LEAP, 0), (BACK, 3000)], id="two of them"),
        pytest.param([6000, HIGH, HIGH + 500, HIGH + 900], [(LEAP, 0), (ON, 500), (ON, 400)], id="set anew"),
        pytest.param([6000, HIGH, 5000, 5500], [(LEAP, 0), (CORRECTED, 0), (ON, 500)], id="below where it was"),
    ],
)
def test_after_a_leap(readings: list[int], expected: list[tuple[Seen, int]]) -> None:
    """A leap brings nothing; counters that come back go on from before it, and those that stay go on from it."""
    observations = [seen(rx, 60 + number, at=number * 10) for number, rx in enumerate(readings)]
    assert expected == bases(*observations)


@pytest.mark.parametrize(("at", "expected"), [(40, (BACK, 3000)), (100, (CORRECTED, 0))])
def test_a_leap_is_remembered_for_a_gap(at: int, expected: tuple[Seen, int]) -> None:
    """Counters that went on from a leap for longer than a gap do not come back from it."""
    observations = [seen(6000, 1), seen(HIGH, 2, at=10), seen(HIGH, 3, at=20), seen(9000, 4, at=at)]
    assert expected == bases(*observations)[-1]


def test_what_came_back_went_through_since_before_the_leap() -> None:
    """So that no bucket shows twice the rate."""
    base = Base(seen(6000, 6))
    high, back = seen(HIGH, 7, at=10), seen(8000, 8, at=20)
    base = next_base(base, high, increase_of(high, base, base, T0, MINUTE))
    expected = Increase(T0, T0 + 20 * SECOND, Traffic(2000, 0, 2, 0), BACK)
    assert expected == increase_of(back, base, base, high.timestamp, MINUTE)


# What was never seen.


@pytest.mark.parametrize(
    ("cur", "before", "expected"),
    [
        pytest.param(seen(5000, 5, at=10), 0, (Seen.CREATED, 5000), id="since the sample before"),
        pytest.param(seen(1_250_000_000, 5, at=1), 0, (Seen.CREATED, 1_250_000_000), id="all that 10 Gbit/s carry"),
        pytest.param(seen(1_250_000_001, 5, at=1), 0, (Seen.MOVED_IN, 0), id="more than that: a past of its own"),
        pytest.param(seen(12_500_000, 5, at=1, speed_mbps=100), 0, (Seen.CREATED, 12_500_000), id="all of its link"),
        pytest.param(seen(12_500_001, 5, at=1, speed_mbps=100), 0, (Seen.MOVED_IN, 0), id="more than its link carries"),
        pytest.param(seen(0, 5, at=1, tx_bytes=12_500_001, speed_mbps=100), 0, (Seen.MOVED_IN, 0), id="sent more"),
        pytest.param(seen(5000, 5, at=60), 0, (Seen.CREATED, 5000), id="the sample before is just recent"),
        pytest.param(seen(5000, 5, at=61), 0, (Seen.UNKNOWN, 0), id="the sample before is too old"),
        pytest.param(seen(5000, 5, at=10), None, (Seen.UNKNOWN, 0), id="the server's first sample"),
    ],
)
def test_created(cur: Observation, before: int | None, expected: tuple[Seen, int]) -> None:
    """What was never seen counts from zero if it can have come up since a recent sample, and not at all otherwise."""
    moment = None if before is None else T0 + before * SECOND
    meaning, traffic = created(cur, moment, MINUTE)
    assert expected == (meaning, traffic.rx_bytes)


@pytest.mark.parametrize(
    ("interval", "gap"), [(None, 300), (0.5, 60), (10.0, 60), (12, 60), (12.5, 62.5), (60.0, 300), (300.0, 1500)]
)
def test_max_gap(interval: float | None, gap: float) -> None:
    """Nothing is known after five intervals without a sample, at least a minute; who states none has one of 60 s."""
    assert gap * SECOND == max_gap(interval)


# Devices.


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (seen(), seen(), True),
        (seen(), seen(name="eth1"), True),
        (seen(), seen(ifindex=3), False),
        (seen(), seen(boot="boot-2"), False),
        (seen(boot=None), seen(boot=None), True),
        (seen(boot=None), seen(boot=None, name="eth1"), False),
        (seen(boot=None), seen(boot=None, ifindex=3), False),
        (seen(ifindex=None), seen(ifindex=None), True),
        (seen(ifindex=None), seen(ifindex=None, name="eth1"), False),
        (seen(ifindex=None), seen(ifindex=None, boot="boot-2"), False),
        (seen(ifindex=None), seen(), True),
        (seen(boot=None), seen(), True),
    ],
)
def test_same_device(one: Observation, other: Observation, same: bool) -> None:
    """A device is told by boot and number; by its name where one of the two samples does not tell them."""
    assert (same, same) == (same_device(one, other), same_device(other, one))


def test_a_device_has_a_key_where_boots_are_told_apart() -> None:
    """Its number in its boot, else its name in its boot."""
    expected = [("boot-1", 2), ("boot-1", "eth0"), None]
    assert expected == [device_key(one) for one in (seen(), seen(ifindex=None), seen(boot=None))]


# Sharing out.


@given(st.integers(0, 1 << 64), st.lists(st.integers(0, 1000), min_size=1, max_size=9).map(sorted))
def test_shares_add_up(amount: int, moments: list[int]) -> None:
    """What went through over a time is shared out linearly, and no byte is lost or made by the cutting."""
    whole = Increase(0, 1000, Traffic(amount, amount // 3, 7, 0))
    edges = [whole.by(moment) for moment in [-5, *moments, 1005]]
    parts = [after.minus(before) for before, after in itertools.pairwise(edges)]
    assert whole.traffic == Traffic(*map(sum, zip(*parts, strict=True)))
    assert all(min(part) >= 0 for part in parts)


def test_a_share_is_linear_in_time() -> None:
    """A quarter of the time has a quarter of the bytes, rounded down."""
    whole = Increase(T0, T0 + 4 * SECOND, Traffic(4002, 400, 41, 3))
    assert Traffic(1000, 100, 10, 0) == whole.by(T0 + SECOND)
    assert NO_TRAFFIC == whole.by(T0)
