"""Linux: counters from /proc/net/dev (net/core/net-procfs.c), facts about the interfaces from /sys/class/net.

Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier …
  eth0: 9013897     238    0    0    0     0          0         0    14435     167    0    0    0     0       0 …
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from netstat_cli.line.model import Interface
from netstat_cli.sources import Warn
from netstat_cli.sources.checks import WarnOnce, find_trouble
from netstat_cli.sources.links import LinkReader, open_links
from netstat_cli.sources.sysfs import Facts, read_facts, read_text

REFRESH = 600
"""An interface's facts are read again when it goes up or down, and every so many samples, each at its own turn."""

COLUMNS = (
    "rx_bytes",
    "rx_packets",
    "rx_errors",
    "rx_dropped",  # rx_dropped + rx_missed_errors of rtnl_link_stats64
    "rx_fifo",
    "rx_frame",  # rx_length_errors + rx_over_errors + rx_crc_errors + rx_frame_errors
    "rx_compressed",
    "rx_multicast",
    "tx_bytes",
    "tx_packets",
    "tx_errors",
    "tx_dropped",
    "tx_fifo",
    "tx_collisions",
    "tx_carrier",  # tx_carrier_errors + tx_aborted_errors + tx_window_errors + tx_heartbeat_errors
    "tx_compressed",
)
"""The columns of /proc/net/dev, in the file's order (dev_seq_printf_stats in net/core/net-procfs.c)."""


class Row(NamedTuple):
    """A line of /proc/net/dev."""

    name: str
    counters: dict[str, int]
    """The value of each of the COLUMNS."""


Key = tuple[str, int | None, bool]
"""An interface's name, number, and whether it is up."""


def parse_net_dev(text: str) -> tuple[list[Row], list[str]]:
    """Parse the rows of /proc/net/dev, and say in a sentence each what is wrong with those that are left out.

    A name may hold colons: the last one ends it. Columns after the sixteenth, which a later kernel may add, are passed
    over. Of two rows with one name the first is kept: the kernel has no two such interfaces, but it lists one twice if
    others come or go while the file is read piece by piece; then both rows are right.
    """
    rows: dict[str, Row] = {}
    troubles = []
    for line in text.split("\n")[2:]:
        row = _parse_line(line)
        if isinstance(row, Row):
            if rows.setdefault(row.name, row) is not row:
                troubles.append(f"skipped a second row of {row.name!r}")
        elif row is not None:
            troubles.append(row)
    return list(rows.values()), troubles


def _parse_line(line: str) -> Row | str | None:
    """Parse one line: its row, a sentence on what is wrong with it, or None if it is empty."""
    name, colon, columns = line.rpartition(":")
    name = name.strip(" ")
    fields = columns.split()
    if not colon:
        return f"skipped a line that is not an interface's: {line.strip()[:80]!r}" if fields else None
    if len(fields) < len(COLUMNS):
        return f"skipped {name[:80]!r}: it has {len(fields)} columns and not {len(COLUMNS)}"
    try:
        counters = dict(zip(COLUMNS, map(int, fields), strict=False))
    except ValueError:
        return f"skipped {name[:80]!r}: a column is not a number"
    return find_trouble(name, counters) or Row(name, counters)


def open_source(procfs: str, sysfs: str, warn: Warn) -> ProcfsSource:
    """Open what `procfs` and `sysfs` show: this machine, a host whose folders are mounted elsewhere, or a capture."""
    return ProcfsSource(procfs, sysfs, warn)


class ProcfsSource:
    """Reads one /proc and /sys, and remembers what does not change from sample to sample."""

    def __init__(self, procfs: str, sysfs: str, warn: Warn) -> None:
        self._net_dev = _net_dev_path(procfs)
        self._sysfs = sysfs
        self._warn = WarnOnce(warn)
        self._links: LinkReader = open_links(procfs, sysfs)
        self._facts: dict[Key, Facts] = {}
        self._lower: dict[int | None, tuple[str, ...]] = {}
        self._turn = 0
        self.boot_id = read_text(f"{procfs}/sys/kernel/random/boot_id")

    def read(self) -> list[Interface]:
        """Read every interface of /proc/net/dev; none, and a warning, where there is no such file."""
        try:
            text = _read_whole(self._net_dev).decode(errors="backslashreplace")
        except OSError as error:
            self._warn(f"cannot read {self._net_dev}: {error.strerror}; no interfaces are reported")
            return []
        rows, troubles = parse_net_dev(text)
        for trouble in troubles:
            self._warn(f"{self._net_dev}: {trouble}")
        keys = [(row.name, *self._links.read(row.name)) for row in rows]
        self._recall(keys)
        return [self._interface(key, row.counters) for key, row in zip(keys, rows, strict=True)]

    def _recall(self, present: list[Key]) -> None:
        """Bring the facts up to date with the interfaces that are there now, and with those that went up or down."""
        self._turn += 1
        if self._facts.keys() != set(present):
            self._facts = {key: self._facts.get(key) or self._read_facts(key) for key in present}
            self._lower = _lower_by_number(self._facts)
        for key in present[-self._turn % REFRESH :: REFRESH]:
            self._facts[key] = self._read_facts(key)

    def _read_facts(self, key: Key) -> Facts:
        name, ifindex, _ = key
        return read_facts(self._sysfs, name, ifindex, self._links.driver(name))

    def _interface(self, key: Key, counters: dict[str, int]) -> Interface:
        name, ifindex, is_up = key
        facts = self._facts[key]
        all_sixteen: dict[str, Any] = counters
        return Interface(
            name=name,
            ifindex=ifindex,
            kind=facts.kind,
            is_up=is_up,
            speed_mbps=facts.speed_mbps if is_up else None,
            master=facts.master,
            lower=self._lower.get(ifindex, facts.lower),
            **all_sixteen,
        )


def _lower_by_number(facts: dict[Key, Facts]) -> dict[int | None, tuple[str, ...]]:
    """Find what stands on what where sysfs tells it by number (iflink) only: names of the lower, by the upper's number.

    - Of a veth pair with both ends in this namespace the younger is told as stacked on the older, so that one of the
      two counts. The ends must name each other: a number is another device's in another namespace.
    - A port of a switch chip stands on its conduit. (Linux before 5.10 makes no `lower_` link for it.)
    """
    by_number = {ifindex: (name, fact) for (name, ifindex, _), fact in facts.items() if ifindex}
    lower: dict[int | None, tuple[str, ...]] = {}
    for ifindex, (_, fact) in by_number.items():
        if fact.link is None or fact.link == ifindex or fact.link not in by_number:
            continue
        name, other = by_number[fact.link]
        is_pair = fact.kind == other.kind == "veth" and other.link == ifindex
        if (is_pair and fact.link < ifindex) or (fact.kind == "dsa" and not fact.lower):
            lower[ifindex] = (name,)
    return lower


def _read_whole(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        chunks = []
        while chunk := os.read(fd, 1 << 16):
            chunks.append(chunk)
    finally:
        os.close(fd)
    return b"".join(chunks)


def _net_dev_path(procfs: str) -> str:
    """Choose the file: /proc/net is the reader's own namespace; in a host's /proc mounted elsewhere process 1 shows the
    host's."""
    if procfs.rstrip("/") != "/proc":
        hosts = f"{procfs}/1/net/dev"
        if read_text(hosts) is not None:
            return hosts
    return f"{procfs}/net/dev"
