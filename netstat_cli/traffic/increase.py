"""From counters to traffic: the one place that knows what it means when a counter rises, falls or leaps.

A **device** is an interface as long as `boot_id` and `ifindex` stay the same (its name, where a sender does not give
both). What went through it since its last earlier sample `prev`, by what is seen in `cur`:

    COUNTING_ON  same device, nothing fell                                      cur - prev
    WRAP         a byte counter under 2^32 fell, packets of its direction rose,
                 and the wrapped difference is possible at the link's speed     cur - prev + 2^32
    CORRECTION   something fell, but bytes and packets of no direction did so
                 together: a driver put a figure right                          0 for what fell, cur - prev for the rest
    RESET        bytes and packets of a direction fell together, or another
                 device has the name: counted from zero                         cur, as far as the link can carry it
    CREATED      never seen, though the server's sample before is recent, and
                 the link can have carried it since: counted from zero          cur
    MOVED_IN     never seen, and with more than that: it has a past elsewhere   0
    LEAP         same device, more than 10 Tbit/s, which no link carries        0
    CAME_BACK    after a leap, counting on from the reading before it           cur - it, less what was counted since
    UNKNOWN      the first sample of a server, or after a long silence;
                 counters that are made from rates, after others or before      0

A leap is a glitch of that reading, or a counter that was set anew. When the counters come back under it, the reading
before it is what they are compared with, so that nothing is lost; when they go on from it, they go on from it.

Errors and drops decide nothing: drivers correct them. Nothing is ever negative, no wrap is guessed, and nothing that a
device counted on is dropped for being too fast for its link or too late. What is counted as 0 for want of evidence
stays in the lines, and `netcli store verify` tells of it.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from netstat_cli.line.model import RATE_DERIVED, Reading
from netstat_cli.times import MINUTE, SECOND

WRAP_SIZE = 1 << 32
UNKNOWN_SPEED_WRAP_LIMIT = 1 << 31
MAX_PACKET = 1 << 20
"""Bytes of the largest packet that is counted as one: 64 KiB of segmentation offload, with BIG TCP 512 KiB, doubled."""
RESET_SPEED_MBPS = 100_000
"""The link of a device that was reset, where its speed is not known."""
CREATED_SPEED_MBPS = 10_000
"""The link of a device that was never seen, where its speed is not known."""
MAX_SPEED_MBPS = 10_000_000
ASSUMED_INTERVAL = MINUTE
"""Between the samples of a sender that does not state its own."""


class Traffic(NamedTuple):
    """What went through: bytes and packets, an amount between two moments and not a counter."""

    rx_bytes: int = 0
    tx_bytes: int = 0
    rx_packets: int = 0
    tx_packets: int = 0

    def plus(self, other: Traffic) -> Traffic:
        """Add, field by field."""
        return Traffic(self[0] + other[0], self[1] + other[1], self[2] + other[2], self[3] + other[3])

    def minus(self, other: Traffic) -> Traffic:
        """Subtract, field by field."""
        return Traffic(self[0] - other[0], self[1] - other[1], self[2] - other[2], self[3] - other[3])

    def at_least_0(self) -> Traffic:
        """Leave out what is negative."""
        return Traffic(max(0, self[0]), max(0, self[1]), max(0, self[2]), max(0, self[3]))

    def share(self, part: int, whole: int) -> Traffic:
        """Take part/whole of it, rounded down: shares of growing parts add up without a byte lost or made."""
        return Traffic(*(value * part // whole for value in self))


NO_TRAFFIC = Traffic()


class Seen(Enum):
    """What the counters of one sample mean, seen from the sample before. The table above says more of each."""

    COUNTING_ON = "counting on"
    WRAP = "32-bit wrap"
    CORRECTION = "correction"
    RESET = "reset"
    CREATED = "created"
    MOVED_IN = "moved in"
    LEAP = "leap"
    CAME_BACK = "came back"
    UNKNOWN = "unknown"


class Observation(NamedTuple):
    """An interface as one sample shows it."""

    timestamp: int
    boot_id: str | None
    interface: Reading


class Increase(NamedTuple):
    """Traffic that went through in (since, until], milliseconds since the epoch."""

    since: int
    until: int
    traffic: Traffic
    seen: Seen = Seen.COUNTING_ON

    def by(self, moment: int) -> Traffic:
        """Take the part that went through up to `moment`, shared out linearly in time."""
        if moment >= self.until:
            return self.traffic
        if moment <= self.since:
            return NO_TRAFFIC
        return self.traffic.share(moment - self.since, self.until - self.since)


class Base(NamedTuple):
    """What the next sample of a device is compared with."""

    last: Observation
    before_leap: Observation | None = None
    """The last reading before the counters leapt, if they did lately."""
    since_leap: Traffic | None = None
    """What was counted since the leap; None while no sample came after it."""
    leapt_since: int = 0
    """The moment up to which everything was counted before the leap."""

    def comes_back(self, cur: Observation, gap: int) -> bool:
        """Tell if `cur` counts on from before the leap: the next sample after it, or one within a gap of that time."""
        before = self.before_leap
        if before is None or (self.since_leap is not None and cur.timestamp - before.timestamp > gap):
            return False
        return fell(self.last.interface, cur.interface) and counts_on(before, cur)

    def counted_until(self, seen: Seen) -> int:
        """Tell up to which moment everything is counted."""
        return self.leapt_since if seen is Seen.CAME_BACK and self.since_leap is None else self.last.timestamp


def max_gap(interval_s: float | None) -> int:
    """Milliseconds without a sample after which nothing is known: five sampling intervals, at least a minute."""
    return max(MINUTE, 5 * (ASSUMED_INTERVAL if interval_s is None else round(interval_s * SECOND)))


def counters(reading: Reading) -> Traffic:
    """Take the four counters that decide about traffic, as one value."""
    return Traffic(reading.rx_bytes, reading.tx_bytes, reading.rx_packets, reading.tx_packets)


def fell(prev: Reading, cur: Reading) -> bool:
    """Tell if any of the four counters is lower than it was."""
    return (
        cur.rx_bytes < prev.rx_bytes
        or cur.tx_bytes < prev.tx_bytes
        or cur.rx_packets < prev.rx_packets
        or cur.tx_packets < prev.tx_packets
    )


def same_device(prev: Observation, cur: Observation) -> bool:
    """Tell if both observations are of one device. Where a sample lacks `boot_id` or `ifindex`, the name decides, and
    whatever of the two is known of both must not differ."""
    both_booted = prev.boot_id is not None and cur.boot_id is not None
    if both_booted and prev.boot_id != cur.boot_id:
        return False
    both_numbered = prev.interface.ifindex is not None and cur.interface.ifindex is not None
    if both_numbered and prev.interface.ifindex != cur.interface.ifindex:
        return False
    return (both_booted and both_numbered) or prev.interface.name == cur.interface.name


def device_key(cur: Observation) -> tuple[str, int | str] | None:
    """Name the device whatever name it bears; None where the sender does not tell boots apart."""
    if cur.boot_id is None:
        return None
    return cur.boot_id, cur.interface.name if cur.interface.ifindex is None else cur.interface.ifindex


def counts_on(prev: Observation, cur: Observation) -> bool:
    """Tell if `cur` can be subtracted from: the same device, of which nothing fell and nothing leapt."""
    mine, its = prev.interface, cur.interface
    return (
        same_device(prev, cur)
        and not fell(mine, its)
        and (mine.kind == RATE_DERIVED) == (its.kind == RATE_DERIVED)
        and not _leaps(counters(its).minus(counters(mine)), cur.timestamp - prev.timestamp)
    )


def increase(base: Base, cur: Observation, gap: int) -> tuple[Seen, Traffic]:
    """Tell what went through since an earlier sample of the device, or of another one that had its name."""
    prev = base.last
    if (prev.interface.kind == RATE_DERIVED) != (cur.interface.kind == RATE_DERIVED):
        return Seen.UNKNOWN, NO_TRAFFIC
    elapsed = cur.timestamp - prev.timestamp
    if not same_device(prev, cur):
        return Seen.RESET, _carried(cur.interface, cur.interface.speed_mbps, elapsed)
    if base.comes_back(cur, gap) and base.before_leap is not None:
        since_before = counters(cur.interface).minus(counters(base.before_leap.interface))
        return Seen.CAME_BACK, since_before.minus(base.since_leap or NO_TRAFFIC).at_least_0()
    difference = counters(cur.interface).minus(counters(prev.interface))
    if _leaps(difference, elapsed):
        return Seen.LEAP, NO_TRAFFIC
    if min(difference) >= 0:
        return Seen.COUNTING_ON, difference
    speed = cur.interface.speed_mbps or prev.interface.speed_mbps
    unwrapped = _unwrap(difference, prev.interface, speed, elapsed)
    if min(unwrapped) >= 0:
        return Seen.WRAP, unwrapped
    if (unwrapped.rx_bytes < 0 and unwrapped.rx_packets < 0) or (unwrapped.tx_bytes < 0 and unwrapped.tx_packets < 0):
        return Seen.RESET, _carried(cur.interface, speed, elapsed)
    return Seen.CORRECTION, unwrapped.at_least_0()


def next_base(base: Base | None, cur: Observation, step: Increase) -> Base:
    """Choose what is compared with next, after `cur` brought this."""
    if base is not None and step.seen is Seen.LEAP:
        if base.before_leap is not None and base.since_leap is None:
            return base._replace(last=cur)
        return Base(cur, base.last, None, step.since)
    if base is not None and step.seen is Seen.COUNTING_ON and base.before_leap is not None:
        return base._replace(last=cur, since_leap=step.traffic.plus(base.since_leap or NO_TRAFFIC))
    return Base(cur)


def created(cur: Observation, before: int | None, gap: int) -> tuple[Seen, Traffic]:
    """Tell what went through an interface that was never seen earlier; `before` is the moment of the server's last
    sample, `gap` how old that may be and still count as recent."""
    if before is None or cur.timestamp - before > gap:
        return Seen.UNKNOWN, NO_TRAFFIC
    carried = counters(cur.interface)
    possible = _possible(cur.interface.speed_mbps or CREATED_SPEED_MBPS, cur.timestamp - before)
    return (Seen.CREATED, carried) if max(carried) <= possible else (Seen.MOVED_IN, NO_TRAFFIC)


def base_for(cur: Observation, named: Base | None, device: Base | None) -> Base | None:
    """Choose what an interface is compared with: the last earlier sample of its device, else that of its name.

    `named` is the last earlier sample of an interface with this name, `device` that of this device under whatever name.
    """
    if named is None or device is None:
        return device or named
    return named if named.last.timestamp > device.last.timestamp and same_device(named.last, cur) else device


def increase_of(cur: Observation, base: Base | None, named: Base | None, before: int | None, gap: int) -> Increase:
    """Tell what one interface of a sample brought, and over which time.

    `before` is the moment of the server's sample just before `cur`. What was counted from zero went through after that
    one; and what a name brought never reaches back beyond the last sample of that name.
    """
    if base is None:
        seen, traffic = created(cur, before, gap)
        return Increase(cur.timestamp if before is None else before, cur.timestamp, traffic, seen)
    seen, traffic = increase(base, cur, gap)
    since = [base.counted_until(seen)]
    if named is not None and named.last.timestamp != base.last.timestamp:
        since.append(named.last.timestamp)
    if seen is Seen.RESET and before is not None:
        since.append(before)
    return Increase(max(since), cur.timestamp, traffic, seen)


def _possible(speed_mbps: int, elapsed: int) -> int:
    """The bytes that a link can carry in so many milliseconds: Mbit/s x ms = 125 bytes."""
    return speed_mbps * 125 * elapsed


def most_bytes(elapsed_s: float) -> int:
    """The bytes that any link can carry in so many seconds."""
    return _possible(MAX_SPEED_MBPS, max(1, round(elapsed_s * SECOND)))


def _leaps(difference: Traffic, elapsed: int) -> bool:
    """No link carries so much; and a packet has at least a byte."""
    return max(difference) > _possible(MAX_SPEED_MBPS, elapsed)


def _carried(cur: Reading, speed_mbps: int | None, elapsed: int) -> Traffic:
    """What was counted from zero, without the directions in which the link cannot have carried as much."""
    possible = _possible(speed_mbps or RESET_SPEED_MBPS, elapsed)
    received = max(cur.rx_bytes, cur.rx_packets) <= possible
    sent = max(cur.tx_bytes, cur.tx_packets) <= possible
    return Traffic(cur.rx_bytes * received, cur.tx_bytes * sent, cur.rx_packets * received, cur.tx_packets * sent)


def _unwrap(difference: Traffic, prev: Reading, speed_mbps: int | None, elapsed: int) -> Traffic:
    """The difference with every byte counter of which a 32-bit wrap is proven counted on."""
    limit = UNKNOWN_SPEED_WRAP_LIMIT - 1 if speed_mbps is None else _possible(speed_mbps, elapsed)
    wrapped = [
        amount + WRAP_SIZE
        if amount < 0 and before < WRAP_SIZE and amount + WRAP_SIZE <= min(limit, packets * MAX_PACKET)
        else amount
        for amount, before, packets in (
            (difference.rx_bytes, prev.rx_bytes, difference.rx_packets),
            (difference.tx_bytes, prev.tx_bytes, difference.tx_packets),
        )
    ]
    return difference._replace(rx_bytes=wrapped[0], tx_bytes=wrapped[1])
