"""Everywhere that psutil runs: macOS, the BSDs, Windows, and Linux on request."""

from __future__ import annotations

import socket
from typing import Any

import psutil

from netstat_cli.errors import SourceError
from netstat_cli.line.model import Interface
from netstat_cli.line.topology import LOOPBACK
from netstat_cli.sources import Warn
from netstat_cli.sources.checks import WarnOnce, find_trouble
from netstat_cli.sources.sysfs import read_text

COUNTERS = {
    "rx_bytes": "bytes_recv",
    "tx_bytes": "bytes_sent",
    "rx_packets": "packets_recv",
    "tx_packets": "packets_sent",
    "rx_errors": "errin",
    "tx_errors": "errout",
    "rx_dropped": "dropin",
    "tx_dropped": "dropout",
}
"""Our name of each counter, and psutil's (psutil.net_io_counters)."""


def open_source(procfs: str, _sysfs: str, warn: Warn) -> PsutilSource:
    """Open the interfaces that psutil lists."""
    return PsutilSource(procfs, warn)


class PsutilSource:
    """Asks psutil. Its cache against wraps is left off: it would add an old total to every later reading."""

    def __init__(self, procfs: str, warn: Warn) -> None:
        self._warn = WarnOnce(warn)
        self.boot_id = read_text(f"{procfs}/sys/kernel/random/boot_id")

    def read(self) -> list[Interface]:
        """Read every interface that has counters. Raises SourceError."""
        try:
            stats = psutil.net_if_stats()
            totals = psutil.net_io_counters(pernic=True, nowrap=False)
        except (OSError, psutil.Error) as error:
            raise SourceError(f"psutil cannot read the interface counters: {error}") from error
        interfaces = []
        for name, total in totals.items():
            counters: dict[str, Any] = {ours: getattr(total, theirs) for ours, theirs in COUNTERS.items()}
            if trouble := find_trouble(name, counters):
                self._warn(f"psutil: {trouble}")
            else:
                interfaces.append(Interface(name=name, ifindex=_ifindex(name), **_state(stats.get(name)), **counters))
        return interfaces


def _state(stat: Any) -> dict[str, Any]:
    """Take the fields that psutil.net_if_stats() knows of an interface; None is one that went away just now."""
    return {
        "kind": LOOPBACK if stat is not None and "loopback" in stat.flags.split(",") else None,
        "is_up": stat is None or stat.isup,
        "speed_mbps": stat.speed if stat is not None and stat.speed > 0 else None,
        "start": None,
    }


def _ifindex(name: str) -> int | None:
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return None
