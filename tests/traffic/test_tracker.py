"""What is stamped on a line: the starts of runs, the node's counters, its rates."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from msgspec.structs import replace

from netstat_cli.line.model import Interface, Moment, Sample
from netstat_cli.times import SECOND
from netstat_cli.traffic.tracker import MAX_AWAY, RunTracker
from tests.given import T0, completed, interface, sample
from tests.histories import histories


def complete(cur: Sample, prev: Sample | None, elapsed_s: float | None = None) -> Sample:
    """A sample completed from the one before."""
    return RunTracker(prev).complete(cur, elapsed_s)


def starts(samples: list[Sample]) -> list[list[float]]:
    """The starts of the runs in each completed sample, in seconds after T0."""
    return [[(i.start - T0) / SECOND for i in s.interfaces if i.start is not None] for s in completed(samples)]


@pytest.mark.parametrize(
    ("second", "start"),
    [
        pytest.param(sample(10, interface(rx=1900)), 0, id="nothing fell"),
        pytest.param(sample(9999, interface(rx=1900)), 0, id="nothing fell for long"),
        pytest.param(sample(10, interface(rx=1900, rx_errors=0)), 0, id="errors fell"),
        pytest.param(sample(10, interface(rx=1900, ifindex=None)), 0, id="device not told"),
        pytest.param(sample(10, interface(rx=1899, rx_packets=9)), 10, id="bytes fell"),
        pytest.param(sample(10, interface(rx=1999, tx_packets=0)), 10, id="packets fell"),
        pytest.param(sample(10, interface(rx=1 << 60)), 10, id="bytes leapt"),
        pytest.param(sample(10, interface("eth1", rx=1900)), 10, id="other name"),
        pytest.param(sample(10, interface(rx=1900, ifindex=3)), 10, id="other device"),
        pytest.param(sample(10, interface(rx=1900), boot="boot-2"), 10, id="other boot"),
        pytest.param(sample(10, interface(rx=1900), boot=None), 10, id="boot not told"),
        pytest.param(sample(10, interface(rx=1900, kind="integrated")), 10, id="counters of another origin"),
        pytest.param(sample(10, interface(rx=1900, start=T0 + 5000)), 0, id="a sender's own start of what goes on"),
        pytest.param(sample(10, interface(rx=9, start=T0 + 5000)), 5, id="a sender's own start of what began"),
        pytest.param(sample(10, interface(rx=9, start=T0)), 10, id="a sender's start before what fell"),
        pytest.param(sample(10, interface(rx=9, start=T0 + 20_000)), 10, id="a start that is to come"),
    ],
)
def test_a_run_goes_on_until_something_breaks_it(second: Sample, start: float) -> None:
    """`start` is the moment of the first sample of a name on one device of which no counter fell."""
    first = sample(0, interface(rx=1900, rx_errors=7))
    assert [[0], [start]] == starts([first, second])


def test_an_absence_ends_a_run() -> None:
    """A run is of consecutive samples."""
    assert [[0], [], [20]] == starts([sample(0, interface()), sample(10), sample(20, interface())])


def test_runs_of_two_boots_by_turns_are_of_one_sample_each() -> None:
    """However each of two machines stamps its own, no run reaches over a sample of the other."""
    samples = [
        sample(at, interface(rx=at, start=T0), boot=boot) for at, boot in ((0, "A"), (5, "B"), (10, "A"), (15, "B"))
    ]
    assert [[0], [5], [10], [15]] == starts(samples)


def test_interfaces_are_matched_by_name() -> None:
    """In whatever order a sender lists them."""
    one, other = interface(rx=5), interface("eth1", rx=7, ifindex=3)
    assert [[0, 0], [0, 0]] == starts([sample(0, one, other), sample(10, other, one)])


def test_where_the_clock_was_set_all_runs_begin_anew() -> None:
    """What a clock said before it was set belongs to another run."""
    tracker = RunTracker()
    tracker.complete(sample(0, interface(rx=5)))
    done = tracker.complete(sample(-3600, interface(rx=105)), 10.0, new_runs=True)
    assert (done.timestamp, done.timestamp, 10.0) == (
        done.interfaces[0].start,
        done.network_start,
        done.network_rx_bytes_per_sec,
    )


def rates(prev: Sample | None, cur: Sample, elapsed: float | None = None) -> tuple[float | None, float | None]:
    """The node rates of a sample completed from the one before."""
    done = complete(cur, prev, elapsed)
    return done.network_rx_bytes_per_sec, done.network_tx_bytes_per_sec


BRIDGED = interface("br0", 800, ifindex=4, kind="bridge", lower=("eth0", "veth1"))
GUEST = interface("veth1", 800, ifindex=5, kind="veth", master="br0")
NONE_TOLD = replace(sample(0), network_interfaces=None)


@pytest.mark.parametrize(
    ("prev", "cur", "expected"),
    [
        pytest.param(sample(0, interface(rx=0)), sample(10, interface(rx=1234)), (123.4, 123.4), id="plain"),
        pytest.param(None, sample(10, interface(rx=1234)), (None, None), id="first"),
        pytest.param(NONE_TOLD, sample(10, interface(rx=9)), (None, None), id="after none"),
        pytest.param(
            sample(0, interface(), replace(BRIDGED, rx_bytes=0), replace(GUEST, rx_bytes=0)),
            sample(10, interface(rx=900), BRIDGED, GUEST),
            (90.0, 90.0),
            id="veth and bridge do not count again what passes eth0",
        ),
        pytest.param(sample(0, interface("ens3", 100)), sample(10, interface(rx=200)), (10.0, 10.0), id="renamed"),
        pytest.param(
            sample(0, interface(rx=900, rx_packets=9, tx_packets=9)),
            sample(10, interface(rx=200)),
            (20.0, 20.0),
            id="reset",
        ),
        pytest.param(sample(0), sample(10, interface(rx=200)), (20.0, 20.0), id="created"),
        pytest.param(sample(0, interface(rx=900)), sample(10), (0.0, 0.0), id="gone"),
        pytest.param(
            sample(0, interface(rx=0)),
            sample(10, interface(rx=900), network_rx_bytes_per_sec=1.5, network_tx_bytes_per_sec=2.5),
            (1.5, 2.5),
            id="told by the sender",
        ),
        pytest.param(sample(0, interface(rx=0)), sample(10, interface(rx=1 << 63, tx=900)), (0.0, 0.0), id="a leap"),
    ],
)
def test_node_rates(prev: Sample | None, cur: Sample, expected: tuple[float | None, float | None]) -> None:
    """The node's rates are the increases of its uplinks over the time since the sample before."""
    assert expected == rates(prev, cur)


def test_a_better_clock_is_believed() -> None:
    """Where the monotonic clock knows the elapsed time, a step of the wall clock does not bend the rates."""
    assert (10.0, 10.0) == rates(sample(0, interface(rx=0)), sample(-3600, interface(rx=100)), elapsed=10.0)


def test_what_an_uplink_carried_while_it_was_away_is_no_burst() -> None:
    """It went through over all the time of its absence, and so has its rate."""
    tracker = RunTracker()
    for at, rx in ((0, 1000), (10, None), (20, None), (30, 4000)):
        done = tracker.complete(sample(at, *([interface(rx=rx)] if rx else [])))
    assert 100.0 == done.network_rx_bytes_per_sec


def test_of_very_many_that_went_away_the_last_are_remembered() -> None:
    """A machine whose uplinks change for ever does not fill the memory."""
    tracker = RunTracker()
    for number in range(3 * MAX_AWAY):
        tracker.complete(sample(number * 10, interface(f"eth{number}", rx=10**12, ifindex=number + 1)))
    assert 2 * MAX_AWAY >= len(tracker._away or ())


# The node's own counters.


def node(samples: list[Sample]) -> list[tuple[float, int | None]]:
    """Where the node's runs begin, in seconds after T0, and what it received."""
    return [
        ((one.network_start - T0) / SECOND, one.network_rx_bytes)
        for one in completed(samples)
        if one.network_start is not None
    ]


WLAN0 = interface("wlan0", 70, kind="wireless", ifindex=3)


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        pytest.param([interface(rx=900)], (0, 900), id="counting on"),
        pytest.param([interface(rx=100)], (10, 100), id="a counter fell"),
        pytest.param([interface(rx=900), WLAN0], (10, 970), id="one came"),
        pytest.param([interface(rx=900, kind="wireless")], (10, 900), id="another role"),
        pytest.param([interface(rx=900, ifindex=7)], (10, 900), id="another device"),
        pytest.param([], (10, 0), id="none left"),
    ],
)
def test_the_nodes_run(second: list[Interface], expected: tuple[float, int]) -> None:
    """It is of the same interfaces in the same roles, and begins with the sum of their counters."""
    assert [(0, 500), expected] == node([sample(0, interface(rx=500)), sample(10, *second)])


def test_what_does_not_count_may_do_what_it_likes() -> None:
    """A veth's counters end no run of the node."""
    veth = interface("veth1", 500, kind="veth", ifindex=8)
    samples = [sample(0, interface(rx=5), veth), sample(10, interface(rx=9), replace(veth, rx_bytes=1))]
    assert [(0, 5), (0, 9)] == node(samples)


def test_the_nodes_counters_end_at_64_bits() -> None:
    """A sum that no counter can hold begins at 0."""
    both = [interface(rx=1 << 63, tx=0), interface("eth1", rx=1 << 63, tx=0, ifindex=3)]
    assert [(0, 0)] == node([sample(0, *both)])


def test_a_senders_own_counters_of_the_node_are_kept_while_they_go_on() -> None:
    """They know of samples that never came."""
    own = {"network_start": Moment(T0 - 5000), "network_tx_bytes": 1, "network_rx_packets": 1, "network_tx_packets": 1}
    samples = [sample(at, interface(rx=at), network_rx_bytes=rx, **own) for at, rx in ((0, 7), (10, 9), (20, 5))]
    assert [(-5, 7), (-5, 9), (-5, 19)] == node(samples)


def test_two_machines_nodes_do_not_mix() -> None:
    """Each sample of a boot after another one begins a run of the node."""
    own = {"network_start": Moment(T0), "network_tx_bytes": 1, "network_rx_packets": 1, "network_tx_packets": 1}
    samples = [
        sample(at, interface(rx=at), boot=boot, network_rx_bytes=100 + at, **own)
        for at, boot in ((0, "A"), (5, "B"), (10, "A"))
    ]
    assert [(0, 100), (5, 105), (10, 110)] == node(samples)


# Rates that become counters.


def integrated(rx: int = 0, tx: int = 0) -> Interface:
    """The one interface of a node that sends only rates."""
    return interface("total", rx, tx, kind="integrated", ifindex=None, rx_packets=0, tx_packets=0)


@pytest.mark.parametrize(("seconds", "expected"), [(10, (1015, 37)), (50, (1075, 185)), (7200, (1090, 222))])
def test_rates_are_integrated(seconds: int, expected: tuple[int, int]) -> None:
    """A sender of nothing but rates gets counters: each rate is that of the time just past, up to a gap of it."""
    told = {"network_rx_bytes_per_sec": 1.5, "network_tx_bytes_per_sec": 3.7, "interval": 10.0}
    begun = replace(integrated(1000), start=Moment(T0 - 5))
    done = complete(sample(seconds, integrated(), **told), sample(0, begun))
    assert done.network_interfaces == (replace(integrated(*expected), start=Moment(T0 - 5)),)


def test_integrated_counters_that_are_full_begin_anew() -> None:
    """No counter reaches 2^64, which no reader would take: a new run begins."""
    told = {"network_rx_bytes_per_sec": 1e18, "network_tx_bytes_per_sec": 0.0}
    done = complete(sample(60, integrated(), **told), sample(0, replace(integrated(10), start=Moment(T0))))
    assert done.network_interfaces == (replace(integrated(), start=Moment(T0 + 60_000)),)


def test_a_sample_that_says_nothing_of_interfaces_is_left_alone() -> None:
    """There is nothing to complete where a sender did not speak of interfaces."""
    assert NONE_TOLD == complete(NONE_TOLD, sample(-10, interface()))


@settings(deadline=None, max_examples=50, suppress_health_check=list(HealthCheck))
@given(histories())
def test_a_sample_of_which_every_run_goes_on_is_completed_the_same_quickly(samples: list[Sample]) -> None:
    """The short way that nearly all samples go stamps what the long way does."""
    quick, thorough = RunTracker(), RunTracker()
    for one in samples:
        thorough._identities = None
        assert thorough.complete(one) == quick.complete(one)
