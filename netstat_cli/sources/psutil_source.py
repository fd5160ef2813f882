"""Everywhere that psutil runs: macOS, the BSDs, Windows, and Linux on request."""

from __future__ import annotations

import socket

import psutil

from netstat_cli.errors import SourceError
from netstat_cli.model import Interface
from netstat_cli.sources import Warn
from netstat_cli.sources.sysfs import read_text
from netstat_cli.topology import LOOPBACK


def open_source(procfs: str, _sysfs: str, _warn: Warn) -> PsutilSource:
    """The interfaces that psutil lists."""
    return PsutilSource(procfs)


class PsutilSource:
    """Asks psutil. Its cache against wraps is left off: it would add an old total to every later reading."""

    def __init__(self, procfs: str) -> None:
        self.boot_id = read_text(f"{procfs}/sys/kernel/random/boot_id")

    def read(self) -> list[Interface]:
        """Every interface that has counters."""
        try:
            stats = psutil.net_if_stats()
            counters = psutil.net_io_counters(pernic=True, nowrap=False)
        except (OSError, psutil.Error) as error:
            raise SourceError(f"psutil cannot read the interface counters: {error}") from error
        interfaces = []
        for name, io in counters.items():
            stat = stats.get(name)
            speed = stat.speed if stat is not None and stat.speed > 0 else None
            kind = LOOPBACK if stat is not None and "loopback" in stat.flags.split(",") else None
            four = (io.bytes_recv, io.bytes_sent, io.packets_recv, io.packets_sent)
            faults = (io.errin, io.errout, io.dropin, io.dropout)
            is_up = stat is None or stat.isup
            interfaces.append(Interface(name, _ifindex(name), kind, is_up, speed, None, *four, *faults))
        return interfaces


def _ifindex(name: str) -> int | None:
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return None
