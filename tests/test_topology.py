"""Which interfaces a node's total is taken over."""

from __future__ import annotations

import pytest

from netstat_cli.model import Interface
from netstat_cli.topology import guess_kind, kind_of, standing, uplinks
from tests.given import interface

ETH0 = interface("eth0", kind="physical")
WLAN0 = interface("wlan0", kind="wireless")
LO = interface("lo", kind="loopback")
MEMBER = interface("eth1", kind="physical", master="br0")
BRIDGE = interface("br0", kind="bridge", lower=("eth1", "veth1"))
VLAN = interface("eth0.10", kind="vlan", lower=("eth0",))
VETH = interface("veth1", kind="veth", master="br0")
TUN = interface("tun0", kind="tun")
CONTAINER = interface("eth0", kind="veth")


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("loopback", ["lo", "lo0", "Loopback Pseudo-Interface 1"]),
        ("wireless", ["wlp3s0", "wlan0", "Wi-Fi"]),
        ("veth", ["veth3f2a9c1", "cali12345", "vnet7"]),
        ("bridge", ["br0", "br-3f2a9c1b0d4e", "docker0", "vmbr1"]),
        ("bond", ["bond0", "team1"]),
        ("vlan", ["eth0.10", "vlan20"]),
        ("tun", ["tun0", "wg0", "ppp0", "tailscale0"]),
        ("dummy", ["dummy0", "ifb1"]),
        ("physical", ["eth0", "enp3s0f1", "Ethernet", "💩0"]),
    ],
)
def test_a_kind_is_guessed_from_the_name(kind: str, names: list[str]) -> None:
    """Where a sender gives no kind, the names that kernels, container engines and VPNs use tell it."""
    assert {kind} == {guess_kind(name) for name in names}


def test_what_the_sender_said_wins_over_the_guess() -> None:
    """A kind that was told is not doubted."""
    assert ["physical", "loopback"] == [kind_of(interface("br0")), kind_of(interface("lo", kind=None))]


@pytest.mark.parametrize(
    ("present", "counted"),
    [
        pytest.param([LO, ETH0, WLAN0, TUN], [ETH0, WLAN0], id="hardware only, when there is any"),
        pytest.param([ETH0, VLAN], [ETH0], id="a VLAN passes its parent"),
        pytest.param([MEMBER, VETH, BRIDGE], [MEMBER], id="a bridge's traffic is counted where it leaves the machine"),
        pytest.param([LO, CONTAINER, TUN], [CONTAINER, TUN], id="in a container what stands on nothing"),
        pytest.param([LO, VETH, BRIDGE], [], id="members and what is stacked on them do not count"),
        pytest.param([interface("wlp3s0", kind=None), interface("docker0", kind=None)], ["wlp3s0"], id="guessed"),
        pytest.param([interface("total", kind="integrated")], ["total"], id="a node that gives only rates"),
        pytest.param([LO], [], id="loopback never"),
        pytest.param([], [], id="none"),
    ],
)
def test_each_byte_is_counted_once(present: list[Interface], counted: list[Interface | str]) -> None:
    """The total is taken over hardware, else over what is neither loopback, enslaved nor stacked on another."""
    expected = [one if isinstance(one, str) else one.name for one in counted]
    assert expected == [one.name for one in uplinks(present)]


@pytest.mark.parametrize(
    ("asked", "present", "words"),
    [
        (ETH0, [ETH0], "counts: uplink"),
        (CONTAINER, [CONTAINER], "counts: veth, no hardware here"),
        (VETH, [ETH0, VETH], "member of br0"),
        (BRIDGE, [ETH0, BRIDGE], "on top of eth1, veth1"),
        (LO, [ETH0, LO], "loopback"),
        (TUN, [ETH0, TUN], "tun, not an uplink"),
    ],
)
def test_standing_says_why(asked: Interface, present: list[Interface], words: str) -> None:
    """Whether an interface counts, and why, fits in a few words."""
    assert words == standing(asked, uplinks(present))
