"""Which interfaces count, so that a node's total holds each byte once. Pure.

A packet that leaves through a bridge, a VLAN or a tunnel also passes the interface below it. So the total is taken over
the uplinks: the physical and wireless interfaces. Where there is none, as in a container, it is taken over those that
are neither loopback, nor a member of another interface, nor stacked on another.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from netstat_cli.model import Interface

UPLINK_KINDS = frozenset({"physical", "wireless"})
LOOPBACK = "loopback"
INTEGRATED = "integrated"

# For senders that give no kind: the names that the kernel, container engines and VPNs give to what is not hardware.
_KIND_BY_NAME = (
    (LOOPBACK, re.compile(r"lo\d*|Loopback.*")),
    ("wireless", re.compile(r"wl.+|wifi\d+|Wi-Fi.*")),
    ("veth", re.compile(r"(veth|cali|lxc|vnet|tap[0-9a-f]{8}-).*")),
    ("bridge", re.compile(r"(br|docker|virbr|lxcbr|lxdbr|vmbr|cni|podman|bridge)[-_]?[0-9a-z]*")),
    ("bond", re.compile(r"(bond|team)\d+")),
    ("vlan", re.compile(r".+\.\d+|vlan\d+")),
    ("tun", re.compile(r"(tun|tap|utun|wg|tailscale|zt|ppp|ipsec|gre|sit|flannel|vxlan|cilium_).*")),
    ("dummy", re.compile(r"(dummy|ifb|kube-ipvs|nodelocaldns).*")),
)


@lru_cache(maxsize=4096)
def guess_kind(name: str) -> str:
    """The likely kind of an interface of which only the name is known."""
    return next((kind for kind, pattern in _KIND_BY_NAME if pattern.fullmatch(name)), "physical")


def kind_of(interface: Interface) -> str:
    """What the sender said, else a guess from the name."""
    return interface.kind or guess_kind(interface.name)


def uplinks(interfaces: Iterable[Interface]) -> list[Interface]:
    """The interfaces over which the node's total is taken."""
    listed = [(interface, kind_of(interface)) for interface in interfaces]
    hardware = [interface for interface, kind in listed if kind in UPLINK_KINDS]
    return hardware or [i for i, kind in listed if kind != LOOPBACK and not i.master and not i.lower]


def standing(interface: Interface, counted: Iterable[Interface]) -> str:
    """Whether an interface counts in the node's total and why, in a few words for a table."""
    kind = kind_of(interface)
    if interface in counted:
        return "counts: uplink" if kind in UPLINK_KINDS else f"counts: {kind}, no hardware here"
    if interface.master:
        return f"member of {interface.master}"
    if interface.lower:
        return f"on top of {', '.join(interface.lower)}"
    return {LOOPBACK: "loopback"}.get(kind, f"{kind}, not an uplink")
