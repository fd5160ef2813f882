"""What is measured: an interface's counters at a moment, and the sample that holds them.

Tuples, because a node with a thousand interfaces makes a thousand of them per sample. The fields stand in the order of
the sample line (see wire.py); None is "the sender did not say".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

COUNTER_LIMIT = 1 << 64


class Interface(NamedTuple):
    """One interface at one moment. Counters are the kernel's own (include/uapi/linux/if_link.h, rtnl_link_stats64)."""

    name: str
    ifindex: int | None
    """The kernel's number for the device; a device that is made anew gets a new one."""
    kind: str | None
    """physical, wireless, bridge, bond, vlan, veth, tun, …, integrated (see topology.py)."""
    is_up: bool
    speed_mbps: int | None
    start: int | None
    """The moment of the first sample of this interface's run: samples of one run can be subtracted from each other."""
    rx_bytes: int
    tx_bytes: int
    rx_packets: int
    tx_packets: int
    rx_errors: int | None
    tx_errors: int | None
    rx_dropped: int | None
    tx_dropped: int | None
    master: str | None = None
    """The bridge or bond that this interface is a member of."""
    lower: tuple[str, ...] = ()
    """The interfaces that this one is stacked on: a VLAN's parent, a bridge's members, a veth's other end."""
    extra: Mapping[str, object] | None = None
    """Keys of the line that netcli does not know; kept as they are."""


class Sample(NamedTuple):
    """All interfaces of one server at one moment."""

    timestamp: int
    """Milliseconds since the epoch, UTC."""
    server_id: str
    hostname: str | None
    boot_id: str | None
    seq: int | None
    """The sampler's own count of its samples, from 0."""
    interval: float | None
    """Seconds between this sampler's samples."""
    network_rx_bytes_per_sec: float | None
    network_tx_bytes_per_sec: float | None
    interfaces: tuple[Interface, ...] | None
    """None where the sender said nothing of interfaces, which is not the same as having none."""
    extra: Mapping[str, object] | None = None

    def interface(self, name: str) -> Interface | None:
        """The interface of that name, if the sample has it."""
        return next((i for i in self.interfaces or () if i.name == name), None)


class Traffic(NamedTuple):
    """What went through: bytes and packets, an amount between two moments and not a counter."""

    rx_bytes: int = 0
    tx_bytes: int = 0
    rx_packets: int = 0
    tx_packets: int = 0

    def plus(self, other: Traffic) -> Traffic:
        """The sum, field by field."""
        return Traffic(*(mine + its for mine, its in zip(self, other, strict=True)))

    def minus(self, other: Traffic) -> Traffic:
        """The difference, field by field."""
        return Traffic(*(mine - its for mine, its in zip(self, other, strict=True)))

    def share(self, part: int, whole: int) -> Traffic:
        """part/whole of it, rounded down: shares of growing parts add up without a byte lost or made."""
        return Traffic(*(value * part // whole for value in self))


NO_TRAFFIC = Traffic()


def counters(interface: Interface) -> Traffic:
    """The four counters that decide about traffic, as one value."""
    return Traffic(interface.rx_bytes, interface.tx_bytes, interface.rx_packets, interface.tx_packets)
