"""The source for machines without /proc, held to the one that reads it."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from netstat_cli.line.model import Interface
from netstat_cli.sources import open_source
from netstat_cli.sources.psutil_source import COUNTERS


def read(name: str) -> dict[str, Interface]:
    """This machine's interfaces by one source."""
    return {one.name: one for one in open_source(name, "/proc", "/sys", pytest.fail).read()}


def test_both_sources_see_the_same_interfaces() -> None:
    """psutil lists the interfaces of /proc/net/dev, with the same numbers, states and loopback."""
    sources = [read("procfs"), read("psutil")]
    facts = [{name: (one.ifindex, one.is_up, one.kind == "loopback") for name, one in it.items()} for it in sources]
    assert facts[0] == facts[1]


def test_both_sources_count_alike() -> None:
    """Read between two readings of /proc/net/dev, every counter of psutil lies between theirs."""
    before, between, after = read("procfs"), read("psutil"), read("procfs")
    for name, one in between.items():
        for counter in COUNTERS:
            least, value, most = (getattr(it, counter) for it in (before[name], one, after[name]))
            assert least <= value <= most


def test_what_psutil_does_not_know_is_left_open() -> None:
    """There are no kinds but loopback, and a speed of 0 is none."""
    found = read("psutil").values()
    assert {one.kind for one in found} <= {None, "loopback"}
    assert all(one.start is None and one.speed_mbps != 0 for one in found)


def test_the_boot_id_is_that_of_proc(tmp_path: Path) -> None:
    """On Linux the boot id is known, elsewhere it is not."""
    ids = [open_source("psutil", procfs, "/sys", pytest.fail).boot_id for procfs in ("/proc", str(tmp_path))]
    assert [Path("/proc/sys/kernel/random/boot_id").read_text().strip(), None] == ids


def test_what_cannot_be_an_interface_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counters below zero or over 64 bits, as a driver's fault makes them, and names that no line takes, are told once;
    the other interfaces are read."""
    io = psutil.net_io_counters()._replace(bytes_recv=1, packets_sent=1)
    broken = {"eth0": io, "eth1": io._replace(bytes_recv=-1), "eth2": io._replace(packets_sent=1 << 64), "x" * 65: io}
    monkeypatch.setattr(psutil, "net_io_counters", lambda **_: broken)
    warnings: list[str] = []
    source = open_source("psutil", "/proc", "/sys", warnings.append)
    assert [["eth0"], ["eth0"]] == [[one.name for one in source.read()] for _ in range(2)]
    assert [
        "psutil: skipped 'eth1': rx_bytes is negative",
        "psutil: skipped 'eth2': tx_packets is larger than 64 bits",
        f"psutil: skipped an interface whose name is longer than 64 characters: {'x' * 64!r}",
    ] == warnings
