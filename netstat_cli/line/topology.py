"""Choose the interfaces that count in a node's total, so that it holds each byte once. Pure.

A packet that leaves through a bridge, a VLAN or a tunnel also passes the interface below it, and both count it. So the
total is taken over the lowest interfaces only, the uplinks: where packets enter and leave the machine.

With hardware. The uplinks are the physical and wireless interfaces, and ports of a switch chip (`dsa`), except

- one that is a member of another one of these: the VF of an Azure guest, whose master eth0 counts for both;
- one that is stacked on another one of these: a switch chip's port, whose packets all pass its conduit.

Linux lists the VF among eth0's `lower` too. A member is therefore never what its master is stacked on; else eth0 and
its VF would exclude each other, and nothing would count. Members of a bond or bridge count: it is no hardware itself.

Without hardware, as in a container. An interface is out if it is loopback, or has another one of the sample below it.
Of the rest the best rank that is there counts (`_Rank`): what has a worse rank most likely leaves through it, even if
nothing in the sample says so, as a tunnel's packets are routed to eth0, which is no fact about the tunnel. It is a rank
and not a ban, because the tap of a rootless container is all that it has.

An interface whose master or lower ones are not in the sample (in another namespace, or left out by --exclude) is judged
as if it had none: its bytes are nowhere else.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import IntEnum

from netstat_cli.line.interface_names import guess_kind
from netstat_cli.line.model import Interface

LOOPBACK = "loopback"

HARDWARE = frozenset({"physical", "wireless", "dsa"})

TUNNELS = frozenset(
    {"tun", "wireguard", "vxlan", "geneve", "bareudp", "gre", "gretap", "ip6gre", "ip6gretap", "erspan", "ip6erspan"}
    | {"ipip", "sit", "ip6tnl", "vti", "vti6", "xfrm", "l2tp", "gtp", "amt", "rmnet"}
    # Today's ppp is PPPoE or a VPN, on top of another interface. A serial line counts where there is no other.
    | {"ppp"}
)
"""Kinds whose packets leave inside packets of another interface (drivers/net, net/ipv4, net/ipv6 of Linux)."""

SWITCHES = frozenset({"bridge", "openvswitch"})
"""Kinds that pass packets between their members, and count only those of the machine itself."""

ASIDE = frozenset({"dummy", "ifb", "monitor", "teql", "vrf", "alias"})
"""Kinds that carry nothing out of the machine: nothing at all, or what another interface carries as well."""


class _Rank(IntEnum):
    """How likely an interface without hardware is a way out of the machine; the lowest number is."""

    LINK = 0
    """veth, macvlan, VLAN, …: the other end, or what it is stacked on, is outside."""
    NAMED_MEMBER = 1
    """A member of a bridge that is named like hardware: eth0, beside the plugs of other containers."""
    TUNNEL = 2
    MEMBER = 3
    """A member of a bridge, most likely a plug of a container inside this one."""
    SWITCH = 4
    ASIDE = 5


def kind_of(interface: Interface) -> str:
    """Tell the kind that the sender gave, else the one that the name suggests."""
    return interface.kind or guess_kind(interface.name)


def uplinks(interfaces: Iterable[Interface]) -> list[Interface]:
    """Choose the interfaces over which the node's total is taken, in the order in which they come."""
    listed = [(interface, kind_of(interface)) for interface in interfaces]
    hardware = [interface for interface, kind in listed if kind in HARDWARE]
    return _lowest_hardware(hardware) if hardware else _ways_out(listed)


def role_in_total(interface: Interface, counted: Collection[str]) -> str:
    """Say in a few words whether an interface counts in the node's total and why, given the names that count."""
    kind = kind_of(interface)
    if interface.name in counted:
        return "counts: uplink" if kind in HARDWARE else f"counts: {kind}, no hardware here"
    if interface.master:
        return f"member of {interface.master}"
    if interface.lower:
        return f"on top of {', '.join(interface.lower)}"
    return "loopback" if kind == LOOPBACK else f"{kind}, not an uplink"


def _lowest_hardware(hardware: list[Interface]) -> list[Interface]:
    """Leave out what is a member of, or stacked on, another one of the hardware."""
    masters = {interface.name: interface.master for interface in hardware}
    lowest = [one for one in hardware if not (one.master or one.lower) or not _passes_another(one, masters)]
    return lowest or hardware  # a sender whose interfaces stand on each other in a circle


def _passes_another(interface: Interface, masters: dict[str, str | None]) -> bool:
    """Tell whether an interface's packets pass another one of the hardware, which is given with the masters of each."""
    if interface.master in masters and interface.master != interface.name:
        return True
    others = (lower for lower in interface.lower if lower in masters and lower != interface.name)
    return any(masters[lower] != interface.name for lower in others)


def _ways_out(listed: list[tuple[Interface, str]]) -> list[Interface]:
    """Choose the best rank of what has nothing of the sample below it."""
    candidates = [(interface, kind) for interface, kind in listed if kind != LOOPBACK]
    names = {interface.name for interface, _ in listed}
    masters = {interface.master for interface, _ in listed if interface.master != interface.name}
    lowest = [
        (interface, kind)
        for interface, kind in candidates
        if interface.name not in masters
        and not any(lower in names for lower in interface.lower if lower != interface.name)
    ] or candidates
    plugged = _plugged_in(candidates)
    ranks = [_rank(interface.name, kind, plugged) for interface, kind in lowest]
    best = min(ranks, default=_Rank.LINK)
    return [interface for (interface, _), rank in zip(lowest, ranks, strict=True) if rank is best]


def _plugged_in(listed: list[tuple[Interface, str]]) -> set[str]:
    """Name the members of all bridges; senders tell them from either side."""
    bridges = {interface.name: interface.lower for interface, kind in listed if kind in SWITCHES}
    members = {interface.name for interface, _ in listed if interface.master in bridges}
    return members.union(*bridges.values())


def _rank(name: str, kind: str, plugged: set[str]) -> _Rank:
    if kind in ASIDE:
        return _Rank.ASIDE
    if kind in SWITCHES:
        return _Rank.SWITCH
    if kind in TUNNELS:
        return _Rank.TUNNEL
    if name not in plugged:
        return _Rank.LINK
    return _Rank.NAMED_MEMBER if guess_kind(name) in HARDWARE else _Rank.MEMBER
