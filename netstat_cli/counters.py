"""From counters to traffic. Pure: no clock, no file; the only place that knows what a falling counter means.

A **device** is an interface as long as `boot_id` and `ifindex` stay the same (its name, where either sample lacks
one of them). A **run** is a stretch of consecutive samples in which an interface was present under one name as one
device and none of its counters fell; `start` names it. The increase between a sample and the device's last earlier one:

    same run                                                counting on      cur - prev
    same device, nothing fell                               counting on      cur - prev
    same device, bytes fell, packets rose, plausible        32-bit wrap      cur - prev + 2^32
    same device, fell otherwise; same name, other device    reset            cur
    name and device never seen, the sample before recent    created since    cur, if the link can carry it, else 0
    anything else never seen                                unknown          0
    a kernel's counter after integrated ones, or before     unknown          0
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from netstat_cli.model import COUNTER_LIMIT, NO_TRAFFIC, Interface, Sample, Traffic, counters
from netstat_cli.times import MINUTE, SECOND
from netstat_cli.topology import INTEGRATED, uplinks

WRAP = 1 << 32
UNKNOWN_SPEED_WRAP_LIMIT = 1 << 31
UNKNOWN_SPEED_MBPS = 10_000
ASSUMED_INTERVAL = MINUTE  # of a sender that does not state its own


class Seen(NamedTuple):
    """An interface as it stood in one sample."""

    timestamp: int
    boot_id: str | None
    interface: Interface

    @property
    def device(self) -> tuple[str, int] | None:
        """What identifies the device whatever its name; None where the sender does not say."""
        ifindex = self.interface.ifindex
        return None if self.boot_id is None or ifindex is None else (self.boot_id, ifindex)


class Growth(NamedTuple):
    """Traffic that went through between two moments (since, until]."""

    since: int
    until: int
    traffic: Traffic

    def by(self, moment: int) -> Traffic:
        """The part that went through up to `moment`, shared out linearly in time."""
        if moment >= self.until:
            return self.traffic
        if moment <= self.since:
            return NO_TRAFFIC
        return self.traffic.share(moment - self.since, self.until - self.since)


def max_gap(interval: float | None) -> int:
    """Milliseconds without a sample after which nothing is known: five sampling intervals, at least a minute."""
    return max(MINUTE, 5 * (ASSUMED_INTERVAL if interval is None else round(interval * SECOND)))


def same_device(prev: Seen, cur: Seen) -> bool:
    """Whether both are the same device."""
    if prev.device is not None and cur.device is not None:
        return prev.device == cur.device
    return prev.interface.name == cur.interface.name


def same_run(prev: Seen, cur: Seen) -> bool:
    """Whether the two can be subtracted whatever lies between them."""
    mine, its = prev.interface, cur.interface
    return mine.start is not None and mine.start == its.start and mine.name == its.name and same_device(prev, cur)


def fell(prev: Interface, cur: Interface) -> bool:
    """Whether any of the four counters is lower than it was. Errors and drops do not decide: drivers correct them."""
    return (
        cur.rx_bytes < prev.rx_bytes
        or cur.tx_bytes < prev.tx_bytes
        or cur.rx_packets < prev.rx_packets
        or cur.tx_packets < prev.tx_packets
    )


def increase(prev: Seen, cur: Seen) -> Traffic:
    """What went through a device, or the bearer of a name, since an earlier sample of it."""
    grown = counters(cur.interface).minus(counters(prev.interface))
    if not same_device(prev, cur):
        return counters(cur.interface)
    if min(grown) >= 0:
        return grown
    elapsed = cur.timestamp - prev.timestamp
    speed = cur.interface.speed_mbps or prev.interface.speed_mbps
    wrapped = grown._replace(
        rx_bytes=_unwrap(grown.rx_bytes, prev.interface.rx_bytes, grown.rx_packets, speed, elapsed),
        tx_bytes=_unwrap(grown.tx_bytes, prev.interface.tx_bytes, grown.tx_packets, speed, elapsed),
    )
    return wrapped if min(wrapped) >= 0 else counters(cur.interface)


def _unwrap(grown: int, before: int, packets: int, speed: int | None, elapsed: int) -> int:
    """The growth of a byte counter; still negative where the evidence does not prove a 32-bit wrap."""
    if grown >= 0 or before >= WRAP or packets <= 0:
        return grown
    wrapped = grown + WRAP
    possible = wrapped < UNKNOWN_SPEED_WRAP_LIMIT if speed is None else wrapped <= _possible(speed, elapsed)
    return wrapped if possible else grown


def _possible(speed_mbps: int, elapsed: int) -> int:
    """The bytes that a link can carry in so many milliseconds: Mbit/s x ms = 125 bytes."""
    return speed_mbps * 125 * elapsed


def created(cur: Seen, before: int | None, gap: int) -> Traffic:
    """What went through an interface that was never seen earlier; `before` is the moment of the server's last sample
    without it, `gap` how old that may be and still count as recent."""
    if before is None or cur.timestamp - before > gap:
        return NO_TRAFFIC
    possible = _possible(cur.interface.speed_mbps or UNKNOWN_SPEED_MBPS, cur.timestamp - before)
    seen = counters(cur.interface)
    return seen if max(seen.rx_bytes, seen.tx_bytes) <= possible else NO_TRAFFIC


def growth(cur: Seen, named: Seen | None, device: Seen | None, before: int | None, gap: int) -> Growth:
    """The increase of one interface and the time over which it went through.

    `named` is the last earlier sample of an interface with this name, `device` the last one of this device under
    whatever name; `before` the moment of the server's sample just before `cur`. Where counting began anew it did so
    after that one; and what a name brought never reaches back beyond the last sample of that name.
    """
    if named is not None and same_run(named, cur):
        return Growth(named.timestamp, cur.timestamp, counters(cur.interface).minus(counters(named.interface)))
    earlier = device or named
    if earlier is None:
        return Growth(cur.timestamp if before is None else before, cur.timestamp, created(cur, before, gap))
    counts_on = same_device(earlier, cur) and not fell(earlier.interface, cur.interface)
    since = [earlier.timestamp]
    since += [named.timestamp] if named is not None else []
    since += [before] if before is not None and not counts_on else []
    other_origin = (earlier.interface.kind == INTEGRATED) != (cur.interface.kind == INTEGRATED)
    return Growth(max(since), cur.timestamp, NO_TRAFFIC if other_origin else increase(earlier, cur))


class Ledger:
    """The definition of traffic: shown every sample of one server in time order, it says what each brought.

    A search in the store must give the same numbers as this scan over every line.
    """

    def __init__(self) -> None:
        self._by_device: dict[tuple[str, int], Seen] = {}
        self._by_name: dict[str, Seen] = {}
        self._before: int | None = None

    def enter(self, sample: Sample) -> list[tuple[str, Growth]]:
        """Name and growth of every interface in the sample."""
        gap = max_gap(sample.interval)
        present = [Seen(sample.timestamp, sample.boot_id, interface) for interface in sample.interfaces or ()]
        grown = [(cur.interface.name, self._growth(cur, gap)) for cur in present]
        for cur in present:
            self._by_name[cur.interface.name] = cur
            if cur.device is not None:
                self._by_device[cur.device] = cur
        self._before = sample.timestamp
        return grown

    def _growth(self, cur: Seen, gap: int) -> Growth:
        device = self._by_device.get(cur.device) if cur.device is not None else None
        return growth(cur, self._by_name.get(cur.interface.name), device, self._before, gap)


def mistimed(samples: Sequence[Sample], before: Sample | None = None) -> set[int]:
    """The moments of those samples (in time order, `before` preceding them) that a clock put in the wrong place.

    When a clock is set back, what was sampled before comes to stand among what is sampled after, and its counters are
    older than those around it. Such a sample shows a device with counters lower than just before, although its run
    began earlier or the run before it goes on later: no reset looks like that. Left out, it costs not a byte, because
    the counters around it went on counting.
    """
    runs = {_run(one, i): n for n, one in enumerate(samples) for i in one.interfaces or ()}
    last: dict[tuple[object, ...], tuple[Sample, Interface]] = {}
    wrong: set[int] = set()
    for number, sample in enumerate([before, *samples] if before else samples, -1 if before else 0):
        present = [(_device(sample, i), i) for i in sample.interfaces or ()]
        if any(_contradicts(i, *last[key], runs, number) for key, i in present if key in last):
            wrong.add(sample.timestamp)
        else:
            last.update((key, (sample, i)) for key, i in present)
    return wrong


def _contradicts(
    cur: Interface, earlier: Sample, prev: Interface, runs: dict[tuple[object, ...], int], number: int
) -> bool:
    if not fell(prev, cur) or cur.start is None:
        return False
    return cur.start <= earlier.timestamp or runs.get(_run(earlier, prev), -1) > number


def _device(sample: Sample, interface: Interface) -> tuple[object, ...]:
    known = sample.boot_id is not None and interface.ifindex is not None
    return (sample.boot_id, interface.ifindex) if known else (interface.name,)


def _run(sample: Sample, interface: Interface) -> tuple[object, ...]:
    return (interface.name, interface.start, *_device(sample, interface))


def complete(cur: Sample, prev: Sample | None, elapsed: float | None = None) -> Sample:
    """The sample with what its maker left open: every interface's `start`, the node's rates, and the counters of an
    integrated interface. `prev` is the server's sample just before; `elapsed` the seconds since it, if a better clock
    than the timestamps' knows them. A sample whose runs are stamped is taken as it is."""
    if cur.interfaces is None or (cur.interfaces and all(one.start is not None for one in cur.interfaces)):
        return cur
    if elapsed is None:
        elapsed = (cur.timestamp - prev.timestamp) / SECOND if prev is not None else 0.0
    before = {interface.name: interface for interface in prev.interfaces or ()} if prev is not None else {}
    interfaces = tuple([_complete_interface(i, cur, before.get(i.name), prev, elapsed) for i in cur.interfaces])
    rates = (cur.network_rx_bytes_per_sec, cur.network_tx_bytes_per_sec)
    if rates == (None, None) and prev is not None and prev.interfaces is not None and elapsed > 0:
        received, sent = _carried_between(prev, before, cur, uplinks(interfaces))
        rates = (_rate(received, elapsed), _rate(sent, elapsed))
    return Sample(*cur[:6], *rates, interfaces, cur.extra)


def _complete_interface(
    interface: Interface, cur: Sample, earlier: Interface | None, prev: Sample | None, elapsed: float
) -> Interface:
    if interface.start is not None:
        return interface
    start = cur.timestamp
    if earlier is not None and prev is not None:
        if interface.kind == INTEGRATED:
            interface = _integrate(interface, cur, earlier, elapsed)
        if _goes_on(interface, cur, earlier, prev) and earlier.start is not None:
            start = earlier.start
    return Interface._make((*interface[:5], start, *interface[6:]))


def _goes_on(interface: Interface, cur: Sample, earlier: Interface, prev: Sample) -> bool:
    """Whether the run of that name goes on: the same device, nothing fell, and counters of one origin."""
    if (interface.kind == INTEGRATED) != (earlier.kind == INTEGRATED):
        return False
    if None in (interface.ifindex, earlier.ifindex, cur.boot_id, prev.boot_id):
        return not fell(earlier, interface)
    return interface.ifindex == earlier.ifindex and cur.boot_id == prev.boot_id and not fell(earlier, interface)


def _integrate(interface: Interface, cur: Sample, earlier: Interface, elapsed: float) -> Interface:
    """The counters that a sender of nothing but rates would have, each rate taken as that of the time just past; of
    a longer silence than a gap nothing is known."""
    known = min(elapsed, max_gap(cur.interval) / SECOND)
    received = earlier.rx_bytes + round((cur.network_rx_bytes_per_sec or 0) * known)
    sent = earlier.tx_bytes + round((cur.network_tx_bytes_per_sec or 0) * known)
    if max(received, sent) >= COUNTER_LIMIT:
        return interface
    return interface._replace(rx_bytes=received, tx_bytes=sent)


def _rate(amount: int, elapsed: float) -> float | None:
    rate = round(amount / elapsed, 1)
    return rate if rate < COUNTER_LIMIT else None


def _carried_between(
    prev: Sample, before: dict[str, Interface], cur: Sample, counted: list[Interface]
) -> tuple[int, int]:
    """Bytes received and sent by the interfaces that count, from one sample to the next."""
    received = sent = 0
    for interface in counted:
        earlier = before.get(interface.name)
        if earlier is not None and _goes_on(interface, cur, earlier, prev):
            received += interface.rx_bytes - earlier.rx_bytes
            sent += interface.tx_bytes - earlier.tx_bytes
        else:
            carried = _between(prev, cur, interface)
            received += carried.rx_bytes
            sent += carried.tx_bytes
    return received, sent


def _between(prev: Sample, cur: Sample, interface: Interface) -> Traffic:
    """What one interface carried between two samples, of which it may have missed the first or borne another name."""
    ledger = Ledger()
    ledger.enter(prev)
    return dict(ledger.enter(cur._replace(interfaces=(interface,))))[interface.name].traffic
