"""Histories from elsewhere as samples."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from netstat_cli.errors import InvalidSample, NetcliError, Problem
from netstat_cli.line.model import RATE_DERIVED, Interface, Moment, Sample
from netstat_cli.times import SECOND, local_time, moment_of

VNSTAT_VERSION = "2"
_FINEST_FIRST = ("fiveminute", "hour", "day", "month", "year")


def is_vnstat(obj: object) -> bool:
    """Whether this is what `vnstat --json` prints."""
    return isinstance(obj, dict) and "vnstatversion" in obj and isinstance(obj.get("interfaces"), list)


def vnstat_samples(obj: Any, server_id: str) -> Iterator[Sample]:
    """The samples that say what a `vnstat --json` (jsonversion 2) history says: cumulative counters at the edges of its
    periods, so that totals over those periods come out exact. Each time is told by the finest period that covers it.
    Raises NetcliError for another version and InvalidSample for what is not understood."""
    if obj.get("jsonversion") != VNSTAT_VERSION:
        message = f"vnstat's jsonversion {obj.get('jsonversion')!r} is not known, only {VNSTAT_VERSION}"
        raise NetcliError(message, hint="export it with vnstat 2: vnstat --json")
    counters: dict[int, dict[str, tuple[int, int]]] = {}
    lengths: dict[int, int] = {}
    for entry in obj["interfaces"]:
        try:
            name, periods = entry["name"], _periods(entry["traffic"], int(entry["updated"]["timestamp"]) * SECOND)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InvalidSample(
                [Problem(("interfaces",), f"not as vnstat writes it: {error!r}", "value_error")]
            ) from None
        received = sent = 0
        for since, until, rx, tx in periods:
            counters.setdefault(since, {}).setdefault(name, (received, sent))
            received, sent = received + rx, sent + tx
            counters.setdefault(until, {})[name] = (received, sent)
            for edge in (since, until):
                lengths[edge] = max(lengths.get(edge, 0), until - since)
    starts: dict[str, int] = {}
    for moment in sorted(counters):
        interfaces = tuple(
            _interface(name, received, sent, starts.setdefault(name, moment))
            for name, (received, sent) in sorted(counters[moment].items())
        )
        yield Sample(
            timestamp=Moment(moment),
            server_id=server_id,
            interval=lengths[moment] / SECOND,
            network_interfaces=interfaces,
        )


def _interface(name: str, received: int, sent: int, start: int) -> Interface:
    return Interface(
        name=name,
        kind=RATE_DERIVED,
        is_up=True,
        start=Moment(start),
        rx_bytes=received,
        tx_bytes=sent,
        rx_packets=0,
        tx_packets=0,
    )


def _periods(traffic: dict[str, list[dict[str, Any]]], updated: int) -> list[tuple[int, int, int, int]]:
    """(since, until, received, sent) of periods that do not overlap: the finest there are, and of a coarser one that
    begins before them what they leave of it."""
    chosen: list[tuple[int, int, int, int]] = []
    for resolution in _FINEST_FIRST:
        begin = min((since for since, _, _, _ in chosen), default=None)
        finer = list(chosen)
        for entry in traffic.get(resolution, []):
            since, rx, tx = int(entry["timestamp"]) * SECOND, int(entry["rx"]), int(entry["tx"])
            until = min(_end(resolution, int(entry["timestamp"])) * SECOND, updated)
            if begin is not None and until > begin > since:
                inside = [one for one in finer if one[1] <= until]
                rx, tx = rx - sum(one[2] for one in inside), tx - sum(one[3] for one in inside)
                until = begin
            if since < until and (begin is None or until <= begin):
                chosen.append((since, until, max(0, rx), max(0, tx)))
    return sorted(chosen)


def _end(resolution: str, timestamp: int) -> int:
    """Where a period that begins at `timestamp` ends, in epoch seconds, by this machine's calendar."""
    if resolution in ("fiveminute", "hour"):
        return timestamp + (300 if resolution == "fiveminute" else 3600)
    begin = local_time(timestamp * SECOND, None).replace(hour=0, minute=0, second=0)  # a day may begin at 1:00
    if resolution == "day":
        end = begin + timedelta(days=1)
    elif resolution == "month":
        end = (begin.replace(day=1) + timedelta(days=32)).replace(day=1)
    else:
        end = begin.replace(year=begin.year + 1)
    return moment_of(end, None) // SECOND
