"""Linux: counters from /proc/net/dev (net/core/net-procfs.c), facts about the interfaces from /sys/class/net.

Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier …
  eth0: 9013897     238    0    0    0     0          0         0    14435     167    0    0    0     0       0 …
"""

from __future__ import annotations

import os

from netstat_cli.model import Interface
from netstat_cli.sources import Warn
from netstat_cli.sources.links import LinkReader, open_links
from netstat_cli.sources.sysfs import Facts, read_facts, read_text

REFRESH = 600
"""An interface's facts are read again when it goes up or down, and every so many samples, each at its own turn."""

Counters = tuple[int, int, int, int, int, int, int, int]
"""rx and tx of bytes, packets, errors and drops."""

Row = tuple[str, Counters]
Key = tuple[str, int | None, bool]
"""An interface's name, number, and whether it is up."""


def parse_net_dev(text: str) -> tuple[list[Row], list[str]]:
    """The rows of /proc/net/dev, and the lines that cannot be read. A name may hold colons: the last one ends it."""
    rows: list[Row] = []
    malformed = []
    for line in text.split("\n")[2:]:
        name, _, columns = line.rpartition(":")
        fields = columns.split()
        try:
            rb, rp, re, rd, _, _, _, _, tb, tp, te, td, _, _, _, _ = map(int, fields)
            if not (name := name.strip(" ")):
                raise ValueError(line)
        except ValueError:
            if line.strip():
                malformed.append(line.strip())
        else:
            rows.append((name, (rb, tb, rp, tp, re, te, rd, td)))
    return rows, malformed


def open_source(procfs: str, sysfs: str, warn: Warn) -> ProcfsSource:
    """The interfaces that `procfs` and `sysfs` show: this machine's, a host's mounted elsewhere, or a capture's."""
    return ProcfsSource(procfs, sysfs, warn)


class ProcfsSource:
    """Reads one /proc and /sys, and remembers what does not change from sample to sample."""

    def __init__(self, procfs: str, sysfs: str, warn: Warn) -> None:
        self._net_dev = _net_dev_path(procfs)
        self._sysfs = sysfs
        self._warn = warn
        self._said: set[str] = set()
        self._links: LinkReader = open_links(procfs, sysfs)
        self._facts: dict[Key, Facts] = {}
        self._pairs: dict[int | None, tuple[str, ...]] = {}
        self._turn = 0
        self.boot_id = read_text(f"{procfs}/sys/kernel/random/boot_id")

    def read(self) -> list[Interface]:
        """Every interface of /proc/net/dev; none, and a warning, where there is no such file."""
        try:
            text = _read_whole(self._net_dev).decode(errors="backslashreplace")
        except OSError as error:
            self._warn_once(f"cannot read {self._net_dev}: {error.strerror}; no interfaces are reported")
            return []
        rows, malformed = parse_net_dev(text)
        for line in malformed:
            self._warn_once(f"{self._net_dev}: skipped a line that is not an interface's: {line[:80]!r}")
        keys = [(name, *self._links.read(name)) for name, _ in rows]
        self._recall(keys)
        return [self._interface(key, counters) for key, (_, counters) in zip(keys, rows, strict=True)]

    def _recall(self, present: list[Key]) -> None:
        """Brings the facts up to date with the interfaces that are there now, and with those that went up or down."""
        self._turn += 1
        if self._facts.keys() != set(present):
            self._facts = {key: self._facts.get(key) or read_facts(self._sysfs, *key[:2]) for key in present}
            self._pairs = _veth_pairs(self._facts)
        for key in present[-self._turn % REFRESH :: REFRESH]:
            self._facts[key] = read_facts(self._sysfs, *key[:2])

    def _interface(self, key: Key, counters: Counters) -> Interface:
        name, ifindex, is_up = key
        kind, speed, master, lower, _ = self._facts[key]
        if ifindex in self._pairs:
            lower = self._pairs[ifindex]
        return Interface(name, ifindex, kind, is_up, speed if is_up else None, None, *counters, master, lower)

    def _warn_once(self, message: str) -> None:
        if message not in self._said and len(self._said) < 100:
            self._said.add(message)
            self._warn(message)


def _veth_pairs(facts: dict[Key, Facts]) -> dict[int | None, tuple[str, ...]]:
    """Of every veth pair with both ends in this namespace, the younger end's number and the older end's name: the
    younger is told as stacked on the older, so that one of the two counts."""
    ends = {ifindex: (name, fact.link) for (name, ifindex, _), fact in facts.items() if fact.kind == "veth"}
    older = {ifindex: ends.get(link) for ifindex, (_, link) in ends.items() if link and ifindex and link < ifindex}
    return {ifindex: (end[0],) for ifindex, end in older.items() if end is not None and end[1] == ifindex}


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
    """/proc/net is the reader's own namespace; in a host's /proc mounted elsewhere, process 1 shows the host's."""
    if procfs.rstrip("/") != "/proc":
        hosts = f"{procfs}/1/net/dev"
        if read_text(hosts) is not None:
            return hosts
    return f"{procfs}/net/dev"
