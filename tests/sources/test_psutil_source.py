"""The source for machines without /proc, held to the one that reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from netstat_cli.model import Interface
from netstat_cli.sources import open_source


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
    counters = slice(Interface._fields.index("rx_bytes"), Interface._fields.index("tx_dropped") + 1)
    for name, one in between.items():
        low, high = before[name][counters], after[name][counters]
        assert all(least <= value <= most for least, value, most in zip(low, one[counters], high, strict=True))


def test_what_psutil_does_not_know_is_left_open() -> None:
    """There are no kinds but loopback, and a speed of 0 is none."""
    found = read("psutil").values()
    assert {one.kind for one in found} <= {None, "loopback"}
    assert all(one.start is None and one.speed_mbps != 0 for one in found)


def test_the_boot_id_is_that_of_proc(tmp_path: Path) -> None:
    """On Linux the boot id is known, elsewhere it is not."""
    ids = [open_source("psutil", procfs, "/sys", pytest.fail).boot_id for procfs in ("/proc", str(tmp_path))]
    assert [Path("/proc/sys/kernel/random/boot_id").read_text().strip(), None] == ids
