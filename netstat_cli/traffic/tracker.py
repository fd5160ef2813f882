"""Runs: stretches of samples that can be subtracted from each other, stamped where a line is made and where it is put.

A **run** of an interface is a stretch of consecutive samples of a server, of one boot, in which it was present under
one name as one device and counted on; its `start` is the moment of its first sample. The **node** has runs too:
consecutive samples of one boot with the same interfaces in the same roles, of which all that count counted on, or
wrapped; `network_start` names them, and `network_rx_bytes` and its like count over them what the uplinks carried, begun
with the sum of their counters.

Runs decide nothing: what went through is defined without them (scan.py). They make a long history quick to search,
because any two samples of a run can be subtracted, whatever lies between. So a run may begin too often, but must never
claim a sample that is not its own. Whoever puts lines in order therefore looks at each beside the one before, and takes
a maker's word only where nothing speaks against it: a sender's `start` that reaches back over a sample of another
device, or under which a counter fell, begins a new run here.
"""

from __future__ import annotations

from array import array
from functools import lru_cache
from itertools import chain
from operator import attrgetter, sub
from typing import Any, NamedTuple

from msgspec import convert
from msgspec.structs import replace

from netstat_cli.line.model import COUNTER_LIMIT, RATE_DERIVED, Interface, Moment, Sample
from netstat_cli.line.topology import uplinks
from netstat_cli.times import SECOND
from netstat_cli.traffic.increase import (
    NO_TRAFFIC,
    Base,
    Increase,
    Observation,
    Seen,
    Traffic,
    base_for,
    counters,
    device_key,
    increase,
    increase_of,
    max_gap,
    most_bytes,
)
from netstat_cli.traffic.scan import node_counters

MAX_AWAY = 64
"""So many uplinks that went away are remembered, so that one that comes back is no burst."""

Roles = tuple[tuple[str, str | None, str | None, tuple[str, ...]], ...]


_IDENTITY = attrgetter("name", "ifindex", "kind", "master", "lower")
_FOUR = attrgetter(*Traffic._fields)
_START = attrgetter("start")


@lru_cache(maxsize=4096)
def _shared(identities: tuple[object, ...]) -> tuple[object, ...]:
    """The same object for all servers with such interfaces, so that comparing with it is quick."""
    return identities


def _flat(listed: tuple[Interface, ...]) -> array[int]:
    return array("Q", chain.from_iterable(map(_FOUR, listed)))


class RunTracker:
    """One server's samples in the order in which they are put: completes each from the one before."""

    __slots__ = ("_away", "_counted", "_flat", "_identities", "_starts", "last")

    def __init__(self, last: Sample | None = None) -> None:
        self.last = last
        """The sample that was completed last."""
        self._away: dict[tuple[str, int | str] | str, Observation] | None = None
        self._identities: tuple[object, ...] | None = None
        """What tells the last sample's interfaces apart, in its order; None where the next one goes the long way."""
        self._flat = array("Q")
        """Their counters, one after the other."""
        self._starts: list[Moment | None] = []
        """Of their runs."""
        self._counted: tuple[int, ...] = ()
        """The places of those that count."""

    def complete(self, cur: Sample, elapsed_s: float | None = None, new_runs: bool = False) -> Sample:
        """Stamp the runs of the next sample, count the node's counters on, and work out its rates where its maker
        gave none. `elapsed_s`: the seconds since the sample before, if a better clock than the timestamps' knows them.
        `new_runs`: the clock was set, so that no run goes on over it.
        """
        prev = self.last
        if cur.network_interfaces is None:
            self.last = cur
            return cur
        if elapsed_s is None:
            elapsed_s = (cur.timestamp - prev.timestamp) / SECOND if prev is not None else 0.0
        if prev is not None and not new_runs and (done := self._go_on(prev, cur, elapsed_s)) is not None:
            self.last = done
            return done
        pairs = _pairs(prev, cur, elapsed_s)
        before = None if new_runs else prev
        listed = tuple([_stamp(pair, before, cur) for pair in pairs])
        roles = _roles(listed)
        counted = _uplink_places(roles)
        changes = _node_run(before, cur, pairs, counted, roles)
        if cur.network_rx_bytes_per_sec is None and cur.network_tx_bytes_per_sec is None and prev is not None:
            changes |= self._rates(prev, cur, [pairs[place] for place in counted], elapsed_s)
        done = replace(cur, network_interfaces=listed, **changes)
        if prev is not None:
            self._remember(prev, done)
        self.last = done
        made = any(interface.kind == RATE_DERIVED for interface in listed)
        self._identities = None if made or done.network_start is None else _shared(tuple(map(_IDENTITY, listed)))
        self._flat, self._starts, self._counted = _flat(listed), [*map(_START, listed)], counted
        return done

    def _go_on(self, prev: Sample, cur: Sample, elapsed_s: float) -> Sample | None:
        """Complete a sample of which every run goes on, as nearly all do; None if one does not. The same as the long
        way, in a fraction of the time."""
        its = cur.interfaces
        if prev.boot_id != cur.boot_id or cur.network_start not in (None, prev.network_start):
            return None
        if self._identities is None or tuple(map(_IDENTITY, its)) != self._identities:
            return None
        flat = _flat(its)
        steps = [*map(sub, flat, self._flat)]
        if steps and (min(steps) < 0 or max(steps) > most_bytes(elapsed_s)):
            return None
        if 4 * len(self._counted) < len(steps):
            steps = [step for place in self._counted for step in steps[4 * place : 4 * place + 4]]
        received, sent = sum(steps[0::4]), sum(steps[1::4])
        changes: dict[str, Any] = {}
        if cur.network_rx_bytes_per_sec is None and cur.network_tx_bytes_per_sec is None and elapsed_s > 0:
            changes["network_rx_bytes_per_sec"] = round(received / elapsed_s, 1)
            changes["network_tx_bytes_per_sec"] = round(sent / elapsed_s, 1)
        before = node_counters(prev)
        if cur.network_start is None or min(node_counters(cur).minus(before)) < 0:
            total = before.plus(Traffic(received, sent, sum(steps[2::4]), sum(steps[3::4])))
            if prev.network_start is None or max(total) >= COUNTER_LIMIT:
                return None
            changes |= _node_fields(prev.network_start, total)
        if [*map(_START, its)] != self._starts:
            stamped = [replace(interface, start=start) for interface, start in zip(its, self._starts, strict=True)]
            changes["network_interfaces"] = tuple(stamped)
        self._flat = flat
        return replace(cur, **changes) if changes else cur

    def _rates(self, prev: Sample, cur: Sample, counted: list[_Pair], elapsed_s: float) -> dict[str, float]:
        if prev.network_interfaces is None or elapsed_s <= 0:
            return {}
        received = sent = 0.0
        for pair in counted:
            if pair.brought is not None:
                received += pair.brought.rx_bytes
                sent += pair.brought.tx_bytes
            else:
                step = self._step(prev, cur, pair.interface)
                lasted_s = max((step.until - step.since) / SECOND, elapsed_s)
                received += step.traffic.rx_bytes * elapsed_s / lasted_s
                sent += step.traffic.tx_bytes * elapsed_s / lasted_s
        rates = round(received / elapsed_s, 1), round(sent / elapsed_s, 1)
        if max(rates) >= COUNTER_LIMIT:
            return {}
        return {"network_rx_bytes_per_sec": rates[0], "network_tx_bytes_per_sec": rates[1]}

    def _step(self, prev: Sample, cur: Sample, interface: Interface) -> Increase:
        """What an interface brought that did not count on from the sample before."""
        seen = Observation(cur.timestamp, cur.boot_id, interface)
        key = device_key(seen)
        away = self._away or {}
        earlier = [Observation(prev.timestamp, prev.boot_id, one) for one in prev.interfaces]
        named = next((one for one in earlier if one.interface.name == interface.name), away.get(interface.name))
        device = next((one for one in earlier if device_key(one) == key), away.get(key)) if key is not None else None
        named_base, device_base = (Base(one) if one is not None else None for one in (named, device))
        base = base_for(seen, named_base, device_base)
        return increase_of(seen, base, named_base, prev.timestamp, max_gap(cur.interval))

    def _remember(self, prev: Sample, cur: Sample) -> None:
        """Keep the last sight of uplinks that are gone, and forget of those that are back."""
        grew = self._away is None and len(prev.interfaces) <= len(cur.interfaces)
        if grew and all(mine.name == its.name for mine, its in zip(prev.interfaces, cur.interfaces, strict=False)):
            return
        here = {interface.name for interface in cur.interfaces}
        away = self._away or {}
        for interface in uplinks(prev.interfaces):
            if interface.name not in here:
                gone = Observation(prev.timestamp, prev.boot_id, interface)
                for key in (interface.name, device_key(gone)):
                    if key is not None:
                        away.pop(key, None)
                        away[key] = gone
        for name in here & away.keys():
            del away[name]
        while len(away) > 2 * MAX_AWAY:
            del away[next(iter(away))]
        self._away = away or None


class _Pair(NamedTuple):
    """An interface of a sample, beside the same name in the sample before."""

    earlier: Interface | None
    interface: Interface
    brought: Traffic | None = None
    """What it brought since then, where the two alone tell: it counted on, or a 32-bit counter wrapped."""
    goes_on: bool = False
    """Its run goes on: it counted on."""


def _pairs(prev: Sample | None, cur: Sample, elapsed_s: float) -> list[_Pair]:
    if prev is None:
        return [_Pair(None, interface) for interface in cur.interfaces]
    before: dict[str, Interface] | None = None
    since = cur.timestamp - max(1, round(elapsed_s * SECOND))  # whatever the clock says, which may have been set
    gap = max_gap(cur.interval)
    same_order = len(prev.interfaces) == len(cur.interfaces)
    found = []
    for place, interface in enumerate(cur.interfaces):
        earlier = prev.interfaces[place] if same_order else None
        if earlier is None or earlier.name != interface.name:
            if before is None:
                before = {one.name: one for one in prev.interfaces}
            earlier = before.get(interface.name)
        if earlier is None:
            found.append(_Pair(None, interface))
            continue
        if interface.kind == RATE_DERIVED == earlier.kind and interface.start is None:
            interface = _integrate(interface, earlier, cur, elapsed_s)
        before_it = Observation(since, prev.boot_id, earlier)
        seen, traffic = increase(Base(before_it), Observation(cur.timestamp, cur.boot_id, interface), gap)
        known = prev.boot_id == cur.boot_id and seen in (Seen.COUNTING_ON, Seen.WRAP)
        found.append(_Pair(earlier, interface, traffic if known else None, known and seen is Seen.COUNTING_ON))
    return found


def _integrate(interface: Interface, earlier: Interface, cur: Sample, elapsed_s: float) -> Interface:
    """The counters that a sender of nothing but rates would have, each rate taken as that of the time just past; of a
    longer silence than a gap nothing is known. Full ones begin anew."""
    known_s = min(elapsed_s, max_gap(cur.interval) / SECOND)
    received = earlier.rx_bytes + round((cur.network_rx_bytes_per_sec or 0) * known_s)
    sent = earlier.tx_bytes + round((cur.network_tx_bytes_per_sec or 0) * known_s)
    if max(received, sent) >= COUNTER_LIMIT:
        return interface
    return replace(interface, rx_bytes=received, tx_bytes=sent)


def _stamp(pair: _Pair, prev: Sample | None, cur: Sample) -> Interface:
    start: Moment | None = None
    if prev is not None and pair.goes_on and pair.earlier is not None:
        start = pair.earlier.start
    start = start or _believed(pair.interface.start, prev, cur)
    return pair.interface if start == pair.interface.start else replace(pair.interface, start=start)


def _believed(claimed: Moment | None, prev: Sample | None, cur: Sample) -> Moment:
    """Where a new run begins: a maker's word is taken unless it reaches back over another sample."""
    if claimed is not None and claimed <= cur.timestamp and (prev is None or claimed > prev.timestamp):
        return claimed
    return cur.timestamp


def _roles(listed: tuple[Interface, ...]) -> Roles:
    return tuple([(one.name, one.kind, one.master, one.lower) for one in listed])


@lru_cache(maxsize=4096)
def _uplink_places(roles: Roles) -> tuple[int, ...]:
    """Which of the interfaces count, by their places in the sample."""
    zeros = {"rx_bytes": 0, "tx_bytes": 0, "rx_packets": 0, "tx_packets": 0}
    listed = [
        convert({"name": name, "kind": kind, "is_up": True, "master": master, "lower": lower, **zeros}, Interface)
        for name, kind, master, lower in roles
    ]
    counted = {interface.name for interface in uplinks(listed)}
    return tuple([place for place, interface in enumerate(listed) if interface.name in counted])


def _node_run(
    prev: Sample | None, cur: Sample, pairs: list[_Pair], counted: tuple[int, ...], roles: Roles
) -> dict[str, Moment | int | float]:
    """The node's start and counters, as far as they are not in the sample as they should be."""
    mine = node_counters(cur) if _counts_itself(cur) else None
    goes_on = (
        prev is not None
        and prev.network_start is not None
        and prev.boot_id == cur.boot_id
        and all(pairs[place].brought is not None for place in counted)
        and _roles(prev.interfaces) == roles
    )
    if prev is not None and goes_on:
        before = node_counters(prev)
        if mine is not None and cur.network_start == prev.network_start and min(mine.minus(before)) >= 0:
            return {}
        total = before
        for place in counted:
            total = total.plus(pairs[place].brought or NO_TRAFFIC)
        if max(total) < COUNTER_LIMIT:
            return _node_fields(prev.network_start or cur.timestamp, total)
    start = _believed(cur.network_start if mine is not None else None, prev, cur)
    if mine is None:
        mine = NO_TRAFFIC
        for place in counted:
            mine = mine.plus(counters(pairs[place].interface))
    return _node_fields(start, mine if max(mine) < COUNTER_LIMIT else NO_TRAFFIC)


def _counts_itself(sample: Sample) -> bool:
    return None not in (
        sample.network_start,
        sample.network_rx_bytes,
        sample.network_tx_bytes,
        sample.network_rx_packets,
        sample.network_tx_packets,
    )


def _node_fields(start: Moment, total: Traffic) -> dict[str, Moment | int | float]:
    return {
        "network_start": start,
        "network_rx_bytes": total.rx_bytes,
        "network_tx_bytes": total.tx_bytes,
        "network_rx_packets": total.rx_packets,
        "network_tx_packets": total.tx_packets,
    }
