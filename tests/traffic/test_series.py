"""Samples at edges make buckets: the search must find what a look at every sample finds."""

from __future__ import annotations

import itertools
import json
import tempfile
from functools import partial
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from netstat_cli.line.model import Head, Interface, Sample
from netstat_cli.line.wire import decode
from netstat_cli.store.history import END, History, history_of, open_history, to_stored
from netstat_cli.store.segment import MemorySegment
from netstat_cli.store.upkeep import Policy, carry_out, plan
from netstat_cli.times import DAY, SECOND, day_of
from netstat_cli.traffic.increase import NO_TRAFFIC, Traffic
from netstat_cli.traffic.series import (
    Bucket,
    Point,
    equal_edges,
    from_wire,
    interface_names,
    matching,
    points,
    series,
    to_wire,
)
from tests.given import T0, completed, interface, sample, scan, total, writing
from tests.histories import NAMES, histories

SLOW = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
WHO = (*NAMES, None)
LATER = T0 + 1000 * DAY
NODE_FIELDS = [key for key in Head.__struct_fields__ if key.startswith("network_") and "per_sec" not in key]


def draw_edges(data: Any, samples: list[Sample]) -> list[int]:
    """Edges of equal buckets somewhere around the samples, or just around all of them."""
    first, last = samples[0].timestamp, samples[-1].timestamp
    since = data.draw(st.integers(first - 5000, last + 5000) | st.just(first))
    until = data.draw(st.integers(since + 1, since + 2 * (last - first) + 1000) | st.just(max(last, since) + 1))
    count = data.draw(st.sampled_from([1, 2, 5, 30, 200]))
    return equal_edges(since, until, min(count, until - since))


def stored(history: History) -> list[Sample]:
    """Every sample that a history has."""
    return [decode(line.text) for line in history.lines(-1, END)]


def check(history: History, edges: list[int]) -> None:
    """The search finds what a look at every sample finds, for each interface and for the node; nothing is negative."""
    samples = stored(history)
    for name in WHO:
        expected = scan(samples, name, edges)
        assert expected == series(history, name, edges).buckets
        assert all(min(bucket.traffic) >= 0 for bucket in expected)


@settings(SLOW, max_examples=150)
@given(histories(), st.data())
def test_the_search_finds_what_a_scan_finds(samples: list[Sample], data: Any) -> None:
    """Whatever happened to a machine, or to two, the look-ups at the edges give the numbers of the definition."""
    with history_of("web1", samples) as history:
        check(history, draw_edges(data, samples))


@settings(SLOW, max_examples=20)
@given(histories(days=True), st.data())
def test_the_search_finds_the_same_in_a_store(samples: list[Sample], data: Any) -> None:
    """Over many days and out of order, in calls of any size, before late lines are merged and after, a store's history
    gives the numbers of the definition."""
    edges = draw_edges(data, samples)
    shuffled = data.draw(st.permutations(samples) | st.just(samples))
    cut = data.draw(st.integers(0, len(samples)))
    with tempfile.TemporaryDirectory() as folder, writing(folder) as writer:
        for part in (shuffled[:cut], shuffled[cut:], shuffled[cut // 2 :]):
            writer.append(list(part))
        with open_history(folder, "web1") as history:
            check(history, edges)
            before = stored(history)
        for at in data.draw(st.sampled_from([(LATER,), (T0, LATER), (T0,)])):
            for _ in range(50):
                if not (todo := plan(folder, Policy(), at)):
                    break
                for work in todo:
                    carry_out(folder, work, writer, lambda _: None, lambda: None)
            with open_history(folder, "web1") as history:
                check(history, edges)
                assert {one.timestamp for one in stored(history)} <= {one.timestamp for one in before}


@settings(SLOW, max_examples=30)
@given(histories() | histories(days=True), st.data())
def test_lines_without_counters_of_the_node_are_searched_too(samples: list[Sample], data: Any) -> None:
    """1.0.0 wrote none; what the uplinks brought is added up, a day at a time where nothing changed in it."""
    bare = [to_stored(replace(one, **dict.fromkeys(NODE_FIELDS))) for one in completed(samples)]
    days = {day_of(line.timestamp): MemorySegment([]) for line in bare}
    for day in days:
        days[day] = MemorySegment([line for line in bare if day_of(line.timestamp) == day])
    with History("web1", {day: partial(days.get, day) for day in days}) as history:  # type: ignore[misc]
        edges = draw_edges(data, samples)
        assert scan(stored(history), None, edges) == series(history, None, edges).buckets


@settings(SLOW, max_examples=50)
@given(histories(), st.data())
def test_buckets_add_up(samples: list[Sample], data: Any) -> None:
    """However the time is cut, the buckets add up to everything that went through."""
    count = data.draw(st.integers(1, 100))
    edges = equal_edges(samples[0].timestamp - 1, samples[-1].timestamp, count)
    with history_of("web1", samples) as history:
        kept = stored(history)
        assert [total(kept, name) for name in WHO] == [series(history, name, edges).total for name in WHO]


@settings(SLOW, max_examples=20)
@given(histories(), st.data())
def test_a_series_survives_the_wire(samples: list[Sample], data: Any) -> None:
    """Whoever reads over HTTP has every value that a reader of the files has."""
    with history_of("web1", samples) as history:
        found = series(history, data.draw(st.sampled_from(WHO)), draw_edges(data, samples))
    assert found == from_wire(json.loads(json.dumps(to_wire(found))))


@pytest.mark.parametrize("wrong", [[], {}, {"server_id": 1}, {"server_id": "w", "interface": None, "buckets": [[1]]}])
def test_what_is_no_series_is_refused(wrong: object) -> None:
    """Another program at that address does not look like an empty answer."""
    with pytest.raises(msgspec.ValidationError):
        from_wire(wrong)


@given(st.integers(0, 10**12), st.integers(1, 10**9), st.integers(1, 100))
def test_edges_are_equal_as_nearly_as_milliseconds_allow(since: int, span: int, count: int) -> None:
    """The first and last edge are those asked for, and no two buckets differ by more than a millisecond."""
    edges = equal_edges(since, since + span, count)
    lengths = {after - before for before, after in itertools.pairwise(edges)}
    assert (since, since + span, count + 1) == (edges[0], edges[-1], len(edges))
    assert max(lengths) - min(lengths) <= 1


def buckets_of(samples: list[Sample], *seconds: float) -> list[Bucket]:
    """The buckets of eth0 between edges at these seconds after T0."""
    with history_of("web1", completed(samples)) as history:
        return series(history, "eth0", [T0 + round(second * SECOND) for second in seconds]).buckets


def bucket(since: float, until: float, rx: int, seconds: float, gap: bool = False) -> Bucket:
    """A bucket of an interface that sent as much as it received, and no packets."""
    return Bucket(T0 + round(since * SECOND), T0 + round(until * SECOND), Traffic(rx, rx, 0, 0), seconds, gap)


def quiet(at: float, rx: int, **more: Any) -> Sample:
    """A sample of an eth0 that counts bytes and no packets."""
    return sample(at, interface(rx=rx, rx_packets=0, tx_packets=0), **more)


def test_traffic_is_shared_out_over_the_time_it_took() -> None:
    """Between two samples traffic is taken as even: a bucket has its part of it, and its time within the samples."""
    samples = [quiet(0, 1000), quiet(10, 2000), quiet(20, 4000)]
    assert buckets_of(samples, -10, 0, 5, 15, 20, 30) == [
        bucket(-10, 0, 0, 0.0),
        bucket(0, 5, 500, 5.0),
        bucket(5, 15, 1500, 10.0),
        bucket(15, 20, 1000, 5.0),
        bucket(20, 30, 0, 0.0),
    ]


@pytest.mark.parametrize(
    ("interval", "silence", "gap"),
    [
        (10.0, 60, False),
        (10.0, 60.001, True),
        (30.0, 150, False),
        (30.0, 151, True),
        (None, 300, False),
        (1.0, 61, True),
    ],
)
def test_a_gap_is_a_silence_of_five_intervals_and_a_minute(interval: float | None, silence: float, gap: bool) -> None:
    """A bucket without a sample is a gap if those around it are too far apart; its traffic counts all the same."""
    samples = [quiet(0, 0, interval=interval), quiet(silence, 900, interval=interval)]
    (only,) = buckets_of(samples, silence / 3, silence * 2 / 3)
    assert (gap, not gap) == (only.gap, only.known)
    assert abs(300 - only.traffic.rx_bytes) <= 1


def test_a_gap_ends_where_a_sample_is() -> None:
    """A bucket that holds a sample, at its very beginning too, is no gap; nor is the time before the first and after
    the last."""
    samples = [quiet(0, 0), quiet(300, 3000), quiet(310, 3100), quiet(600, 6000)]
    found = buckets_of(samples, -900, -300, 0, 100, 200, 300, 400, 500, 600, 700, 800)
    assert [0.0, 0.0, 100.0, 100.0, 100.0, 90.0, 100.0, 100.0, 0.0, 0.0] == [one.silent for one in found]
    assert [one._replace(silent=0.0) for one in found] == [
        bucket(-900, -300, 0, 0.0),
        bucket(-300, 0, 0, 0.0),
        bucket(0, 100, 1000, 100.0),
        bucket(100, 200, 1000, 100.0, gap=True),
        bucket(200, 300, 1000, 100.0, gap=True),
        bucket(300, 400, 1000, 100.0),
        bucket(400, 500, 1000, 100.0, gap=True),
        bucket(500, 600, 1000, 100.0, gap=True),
        bucket(600, 700, 0, 0.0),
        bucket(700, 800, 0, 0.0),
    ]


def test_rates_of_a_bucket_are_of_its_known_seconds() -> None:
    """A bucket that is only partly covered by samples has the rate of that part; without any it has none."""
    first, second = buckets_of([quiet(0, 0), quiet(10, 1000)], -5, 5, 30)
    assert [(100.0, 100.0), (100.0, 100.0)] == [first.rates, second.rates]
    assert ((0.0, 0.0), False) == (bucket(0, 9, 0, 0.0).rates, bucket(0, 9, 0, 0.0).known)


def test_a_sliver_of_a_bucket_has_no_rate() -> None:
    """A sample shortly behind the bucket's beginning leaves a byte or none in a millisecond; that is no peak, and no
    silence either. Its traffic counts, and a bucket that is short itself needs half of its own length."""
    samples = [quiet(0, 0), quiet(10, 999), quiet(17.001, 2000)]
    *_, last = buckets_of(samples, 0, 8.5, 17, 25.5)
    assert ((1000.0, 1000.0), False) == (last.rates, last.known)
    assert 2000 == sum(one.traffic.rx_bytes for one in buckets_of(samples, 0, 8.5, 17, 25.5))
    assert [True, False, True, False] == [
        bucket(0, 60, 9, 1.0).known,
        bucket(0, 60, 9, 0.999).known,
        bucket(0, 0.1, 9, 0.05).known,
        bucket(0, 0.1, 9, 0.049).known,
    ]


def test_an_interface_that_was_never_there_has_nothing() -> None:
    """A name that no sample has gives empty buckets, and no error."""
    with history_of("web1", completed([quiet(0, 0), quiet(10, 1000)])) as history:
        assert series(history, "eth9", [T0, T0 + 10_000]).total == NO_TRAFFIC


def test_an_empty_history_knows_nothing() -> None:
    """Without samples there are buckets of no seconds, no names and no current rate."""
    edges = [T0, T0 + 1000]
    with history_of("web1", []) as history:
        found = series(history, "eth0", edges)
        assert (NO_TRAFFIC, 0.0, None) == (found.total, found.seconds, found.current)
        assert [[], []] == [interface_names(history, *edges), _points(history, 9)]


@pytest.mark.parametrize(
    ("samples", "until", "current"),
    [
        pytest.param([quiet(0, 0), quiet(10, 500)], 10, (50.0, 50.0), id="between the last two"),
        pytest.param([quiet(0, 0), quiet(10, 500), quiet(20, 9999)], 19, (50.0, 50.0), id="at the end asked for"),
        pytest.param([quiet(0, 0), quiet(10, 500)], 70, (50.0, 50.0), id="just recent enough"),
        pytest.param([quiet(0, 0), quiet(10, 500)], 71, None, id="too old to be current"),
        pytest.param([quiet(0, 0), quiet(61, 500)], 61, None, id="across a gap"),
        pytest.param([quiet(0, 0)], 1, None, id="one sample"),
        pytest.param([quiet(5, 0)], 1, None, id="none yet"),
        pytest.param([sample(0, interface(rx=9000)), sample(10, interface(rx=500))], 10, (50.0, 50.0), id="a reset"),
        pytest.param([quiet(0, 0), sample(10)], 10, (0.0, 0.0), id="gone"),
    ],
)
def test_the_current_rate(samples: list[Sample], until: float, current: tuple[float, float] | None) -> None:
    """The current rate is that between the last two samples, if they are near each other and near the end."""
    with history_of("web1", completed(samples)) as history:
        found = series(history, "eth0", [T0 - 1000, T0 + round(until * SECOND)]).current
    assert current == found


VETH = interface("veth1", kind="veth", ifindex=8, master="br0")
BRIDGE = interface("br0", kind="bridge", ifindex=7, lower=("eth0", "veth1"))


def test_names_are_all_that_were_there() -> None:
    """The newest sample's interfaces come first, then those that came and went, also between two moments of a
    picture."""
    wlan0, short = interface("wlan0", kind="wireless", ifindex=9), interface("wwan0", kind="wireless", ifindex=11)
    samples = [sample(0, wlan0, VETH), sample(10, interface(), BRIDGE, VETH), sample(11, interface(), short)]
    samples += [sample(12 + at, interface(), BRIDGE, VETH) for at in range(9)]
    with history_of("web1", samples) as history:
        assert ["eth0", "br0", "veth1", "wwan0", "wlan0"] == interface_names(history, T0 - 1000, T0 + 20_000)
        assert ["eth0", "br0", "veth1"] == interface_names(history, T0 + 12_000, T0 + 20_000)


def test_the_nodes_total_counts_each_byte_once() -> None:
    """What passes a bridge and a veth also passes the uplink, and is counted there alone."""
    samples = [
        sample(at, *[replace(one, rx_bytes=at * 100, tx_bytes=at * 100) for one in (interface(), BRIDGE, VETH)])
        for at in (0, 10)
    ]
    with history_of("web1", samples) as history:
        found = series(history, None, [T0, T0 + 10_000])
    assert (None, 1000, (100.0, 100.0)) == (found.interface, found.total.rx_bytes, found.current)


def test_the_nodes_total_is_the_same_whatever_is_asked() -> None:
    """30 days with an eth0 and, for six hours, a modem: by day and at once the same bytes, the modem's among them."""
    hours = [
        sample(
            hour * 3600,
            interface(rx=hour * 10**6),
            *([interface("wwan0", (hour - 300) * 10**9, kind="wireless", ifindex=9)] if 300 <= hour < 306 else []),
            interval=3600.0,
        )
        for hour in range(30 * 24)
    ]
    until = hours[-1].timestamp
    with history_of("web1", hours) as history:
        by_day = series(history, None, equal_edges(T0, until, 30)).total
        at_once = series(history, None, [T0, until]).total
    assert by_day == at_once
    assert 719 * 10**6 + 5 * 10**9 == at_once.rx_bytes


@pytest.mark.parametrize(
    ("patterns", "names"),
    [((), "eth0 eth1 veth1 lo"), (("eth*",), "eth0 eth1"), (("lo", "*1"), "eth1 veth1 lo"), (("ETH0",), "")],
)
def test_matching(patterns: tuple[str, ...], names: str) -> None:
    """Glob patterns choose among names, whose order stays; without any all are chosen."""
    assert names.split() == matching(["eth0", "eth1", "veth1", "lo"], patterns)


def _points(history: Any, count: int, name: str | None = "eth0") -> list[Point]:
    return points(history, name, T0 - 1000, T0 + 60_000, count)


def test_points_are_samples_with_the_rates_since_the_point_before() -> None:
    """Where there are few samples each is a point; one without the interface is left out, and its time counts for the
    next."""
    samples = completed(
        [quiet(0, 1000), quiet(10, 2000), sample(20), quiet(30, 2600), quiet(60, 2900), quiet(70, 9999)]
    )
    with history_of("web1", samples) as history:
        found = _points(history, 9)
    expected = [(0, 1000, 0.0), (10, 2000, 100.0), (30, 2600, 30.0), (60, 2900, 10.0)]
    assert expected == [((one.timestamp - T0) / 1000, one.counters.rx_bytes, one.rates[0]) for one in found]


def test_of_many_samples_about_so_many_are_points() -> None:
    """Of many samples the last of each equal stretch is chosen, and the rates between them lose nothing."""
    samples = completed([quiet(at, at * 100) for at in range(61)])
    with history_of("web1", samples) as history:
        found = _points(history, 6)
    moments = [(one.timestamp - T0) / 1000 for one in found]
    assert (6, 60) == (len(moments), moments[-1])
    assert [(100.0, 100.0)] * 6 == [one.rates for one in found]


def test_points_of_a_node_are_those_of_its_uplinks_together() -> None:
    """Without an interface the counters and rates of all uplinks are added."""
    both: tuple[Interface, ...] = (interface("eth0"), interface("eth1", ifindex=3), VETH)
    samples = completed(sample(at, *[replace(one, rx_bytes=at * 10) for one in both]) for at in (0, 10))
    with history_of("web1", samples) as history:
        last = _points(history, 9, None)[-1]
    assert Point(T0 + 10_000, Traffic(200, 0, 0, 0), (20.0, 0.0)) == last
