"""Samples on deadlines: when they are taken and what they hold."""

from __future__ import annotations

import itertools
import time

import pytest
from msgspec.structs import replace

from netstat_cli.line.model import Interface, Moment, Sample
from netstat_cli.sources import open_source
from netstat_cli.sources.sampler import Sampler, Selection, ticks
from netstat_cli.times import SECOND, now
from tests.given import T0, interface, sample

LO = interface("lo", kind="loopback", ifindex=1)
LO0 = interface("lo0", kind=None, ifindex=1)  # as on macOS, where no kinds are told
ETH0 = interface("eth0")
VETH = interface("veth1a2b", kind="veth", ifindex=7)
DOCKER = interface("docker0", kind="bridge", ifindex=8)
PRESENT = (LO, LO0, ETH0, VETH, DOCKER)


@pytest.mark.parametrize(
    ("selection", "names"),
    [
        (Selection(), "eth0 veth1a2b docker0"),
        (Selection(loopback=True), "lo lo0 eth0 veth1a2b docker0"),
        (Selection(include=("eth*",)), "eth0"),
        (Selection(include=("lo",)), "lo"),
        (Selection(include=("l*", "eth0")), "eth0"),
        (Selection(include=("*",), loopback=True), "lo lo0 eth0 veth1a2b docker0"),
        (Selection(exclude=("veth*", "docker?")), "eth0"),
        (Selection(include=("eth0", "docker0"), exclude=("eth0",)), "docker0"),
        (Selection(include=("lo",), exclude=("lo",)), ""),
        (Selection(include=("ETH0",)), ""),
    ],
)
def test_one_filter_for_everything(selection: Selection, names: str) -> None:
    """Excluding wins over including; loopback is in only if it is asked for by name or with all the others."""
    assert names.split() == [one.name for one in PRESENT if one in selection]


class Script:
    """A source that shows prepared interfaces, reading by reading."""

    def __init__(self, *readings: tuple[Interface, ...], boot_id: str | None = "boot-1") -> None:
        self.boot_id = boot_id
        self._readings = iter(readings)

    def read(self) -> list[Interface]:
        return list(next(self._readings))


def taken(*readings: tuple[Interface, ...], wall: tuple[float, ...] = (), **options: float) -> list[Sample]:
    """The samples of a sampler that reads so, each 10 s after the one before; `wall` is what the wall clock says then,
    in seconds after T0."""
    moments = iter(wall or [10.0 * number for number in range(len(readings))])
    seconds = itertools.count(500.0, 10.0)
    sampler = Sampler(
        Script(*readings),
        Selection(),
        "web1",
        "web1.lan",
        wall=lambda: T0 + round(next(moments) * SECOND),
        monotonic=lambda: next(seconds),
        **options,  # type: ignore[arg-type]
    )
    return [sampler.take() for _ in readings]


def test_a_sample_says_who_took_it_and_when() -> None:
    """The sampler stamps its own facts; it counts its samples, and begins with rates of 0.0."""
    own = {"network_rx_bytes_per_sec": 0.0, "network_tx_bytes_per_sec": 0.0, "hostname": "web1.lan"}
    node = {"network_start": Moment(T0), "network_rx_bytes": 7, "network_tx_bytes": 8}
    packets = {"network_rx_packets": 9, "network_tx_packets": 10}
    eth0 = interface(rx_bytes=7, tx_bytes=8, rx_packets=9, tx_packets=10)
    stamped = replace(eth0, start=Moment(T0))
    expected = [sample(at, stamped, seq=seq, **own, **node, **packets) for seq, at in enumerate((0, 10))]
    assert expected == taken((eth0,), (eth0,), interval=10.0)


def test_the_clocks_are_the_machines_own() -> None:
    """Without being told others a sampler takes the time of day."""
    before = now()
    first = Sampler(Script((ETH0,)), Selection(), "web1", "web1.lan").take()
    assert before <= first.timestamp <= now()


def test_rates_are_of_the_time_since_the_sample_before() -> None:
    """From the second sample on the node's rates are what the uplinks carried; a sample alone has 0.0."""
    samples = taken((ETH0,), (interface(rx=12_345, tx=0),), (interface(rx=12_345, tx=0),))
    rates = [(one.network_rx_bytes_per_sec, one.network_tx_bytes_per_sec) for one in samples]
    assert [(0.0, 0.0), (1234.5, 0.0), (0.0, 0.0)] == rates


def test_a_clock_that_is_set_begins_new_runs() -> None:
    """What is sampled after the wall clock jumped is of other runs, and its rates are those of the monotonic clock."""
    readings = [(interface(rx=rx),) for rx in (0, 1000, 2000, 3000)]
    samples = taken(*readings, wall=(0.0, 10.0, 86_400.0, 86_410.0))
    assert [0, 0, 86_400, 86_400] == [(i.start - T0) / SECOND for one in samples for i in one.interfaces if i.start]
    assert [0.0, 100.0, 100.0, 100.0] == [one.network_rx_bytes_per_sec for one in samples]


def test_interfaces_come_and_go() -> None:
    """Every sample looks anew: what was plugged in is there at the next one, what was pulled out is not."""
    samples = taken((), (ETH0,), (ETH0, VETH), (VETH,))
    expected = [[], ["eth0"], ["eth0", "veth1a2b"], ["veth1a2b"]]
    assert expected == [[one.name for one in sample.interfaces] for sample in samples]


def test_this_machine_can_be_sampled() -> None:
    """The default source gives this machine's interfaces, loopback if asked for."""
    source = open_source("auto", "/proc", "/sys", pytest.fail)
    sample = Sampler(source, Selection(loopback=True), "here", "here").take()
    assert "lo" in [one.name for one in sample.interfaces]


def test_ticks_begin_at_once_and_end_after_their_count() -> None:
    """The first tick comes without waiting, and after the last one nobody waits."""
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        time.sleep(seconds)
        return True

    assert [0, 1, 2] == list(ticks(0.05, 3, wait))
    assert 0 < max(waits) <= 0.05
    assert [0] == list(ticks(3600, 1, pytest.fail))


def test_missed_ticks_are_skipped_and_never_bunched() -> None:
    """A reading that takes longer than the interval is followed by a wait for the next whole interval, each time."""
    waited_before: list[bool] = []
    waited = False

    def wait(seconds: float) -> bool:
        nonlocal waited
        waited = True
        assert 0 < seconds <= 0.2
        time.sleep(seconds)
        return True

    for _ in ticks(0.2, 3, wait):
        waited_before.append(waited)
        waited = False
        time.sleep(0.25)
    assert waited_before == [False, True, True]


def test_ticks_end_when_waiting_is_cut_short() -> None:
    """A wait that says no ends the ticks, as a signal does; without a count they go on for ever."""
    answers = itertools.chain([True, True], itertools.repeat(False))
    assert [0] == list(ticks(3600, None, lambda _: next(answers)))
