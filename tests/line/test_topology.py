"""Which interfaces a node's total is taken over."""

from __future__ import annotations

import time

import pytest

from netstat_cli.line.model import Interface
from netstat_cli.line.topology import TUNNELS, kind_of, role_in_total, uplinks
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
DOCKER0 = interface("docker0", kind="bridge")


def counted(*present: Interface) -> list[str]:
    """The names of the interfaces that count."""
    return [one.name for one in uplinks(present)]


def test_what_the_sender_said_wins_over_the_guess() -> None:
    """A kind that was told is not doubted."""
    assert ["physical", "loopback"] == [kind_of(interface("br0")), kind_of(interface("lo", kind=None))]


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        pytest.param([LO, ETH0, WLAN0, TUN], ["eth0", "wlan0"], id="hardware only, when there is any"),
        pytest.param([ETH0, VLAN], ["eth0"], id="a VLAN passes its parent"),
        pytest.param([MEMBER, VETH, BRIDGE], ["eth1"], id="a bridge's traffic counts where it leaves the machine"),
        pytest.param([interface("total", kind="integrated")], ["total"], id="a node that gives only rates"),
        pytest.param([interface("total", kind="aggregate")], ["total"], id="a node that gives only totals"),
        pytest.param([LO], [], id="loopback never"),
        pytest.param([], [], id="none"),
    ],
)
def test_each_byte_counts_once(present: list[Interface], expected: list[str]) -> None:
    """The total is taken over hardware, if there is any."""
    assert expected == counted(*present)


@pytest.mark.parametrize("kind", ["bond", "team"])
def test_the_slaves_of_a_bond_count(kind: str) -> None:
    """A bond is no hardware: what it carries is counted by the slaves, each its part."""
    bond = interface("bond0", kind=kind, lower=("eth0", "eth1"))
    slaves = [interface(name, kind="physical", master="bond0") for name in ("eth0", "eth1")]
    on_top = interface("bond0.5", kind="vlan", lower=("bond0",), master="br0")
    assert ["eth0", "eth1"] == counted(bond, *slaves, on_top, interface("br0", kind="bridge", lower=("bond0.5",)))


VF = interface("enP1s1", kind="physical", master="eth0")


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        pytest.param([interface("eth0", kind="physical", lower=("enP1s1",)), VF], ["eth0"], id="as Linux tells it"),
        pytest.param([VF, ETH0], ["eth0"], id="told from below only"),
        pytest.param([VF], ["enP1s1"], id="its master is left out of the sample"),
        pytest.param([VF, interface("eth0", kind="bridge")], ["enP1s1"], id="its master is no hardware"),
    ],
)
def test_a_virtual_function_counts_as_its_master(present: list[Interface], expected: list[str]) -> None:
    """In an Azure guest eth0 (hv_netvsc) counts what its member (a VF) carries; the VF does not count again."""
    assert expected == counted(*present)


PORTS = [interface(name, kind="dsa", lower=("eth0",), master="br-lan") for name in ("lan1", "lan2")]


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        pytest.param([ETH0, *PORTS], ["eth0"], id="below their conduit"),
        pytest.param(PORTS, ["lan1", "lan2"], id="their conduit is left out of the sample"),
        pytest.param([ETH0, interface("swp1", kind="physical", lower=("eth0",))], ["eth0"], id="called physical"),
    ],
)
def test_the_ports_of_a_switch_chip_pass_its_conduit(present: list[Interface], expected: list[str]) -> None:
    """What goes through a port of a switch chip goes through the conduit to the processor, and counts there."""
    assert expected == counted(*present)


def test_hardware_in_a_circle_counts() -> None:
    """A sender that says nonsense does not make its own total vanish."""
    circle = [interface(one, kind="physical", master=other) for one, other in [("a", "b"), ("b", "a")]]
    assert ["a", "b"] == counted(*circle)
    assert ["c"] == counted(interface("c", kind="physical", master="c", lower=("c",)))


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        pytest.param([LO, CONTAINER, TUN], ["eth0"], id="a tunnel leaves through a link"),
        pytest.param([CONTAINER, DOCKER0], ["eth0"], id="a bridge without members"),
        pytest.param([CONTAINER, BRIDGE, VETH], ["eth0"], id="a bridge with members"),
        pytest.param([CONTAINER, VLAN], ["eth0"], id="a VLAN on a link"),
        pytest.param([LO, VLAN], ["eth0.10"], id="a VLAN whose parent is outside"),
        pytest.param([CONTAINER, interface("net1", kind="macvlan")], ["eth0", "net1"], id="two links"),
        pytest.param([CONTAINER, interface("ifb0", kind="ifb")], ["eth0"], id="what shows the same again"),
        pytest.param([LO, interface("tap0", kind="tun"), DOCKER0, interface("veth1", kind="veth", master="docker0")],
                     ["tap0"], id="rootless: a tap is all that leads out"),
        pytest.param([LO, TUN, interface("dummy0", kind="dummy")], ["tun0"], id="nothing but a tunnel"),
        pytest.param([LO, interface("ppp0", kind="ppp")], ["ppp0"], id="nothing but a serial line"),
        pytest.param([LO, DOCKER0], ["docker0"], id="nothing but a bridge"),
        pytest.param([LO, VETH, BRIDGE], ["veth1"], id="a bridge is stacked on its members"),
        pytest.param([BRIDGE, interface("eth1", kind="veth", master="br0"), VETH, TUN], ["eth1"],
                     id="the way out is a member of the bridge too"),
        pytest.param([interface("eth1", kind="veth"), interface("veth1", kind="veth"), BRIDGE], ["eth1"],
                     id="members told by the bridge only"),
        pytest.param([interface("eth0", kind="veth", master="vrf0"), interface("vrf0", kind="vrf")], ["eth0"],
                     id="in a routing domain"),
        pytest.param([interface("eth0", kind="veth", master="bond0"), interface("bond0", kind="bond")], ["eth0"],
                     id="slaves of a bond, told from below only"),
        pytest.param([interface("a", kind="veth", lower=("b",)), interface("b", kind="veth", lower=("a",))], ["a", "b"],
                     id="a circle"),
        pytest.param([interface("eth0", kind="veth", master="eth0", lower=("eth0",))], ["eth0"], id="on itself"),
    ],
)  # fmt: skip
def test_without_hardware_each_byte_counts_where_it_leaves(present: list[Interface], expected: list[str]) -> None:
    """In a container the lowest interfaces count, the likeliest ways out first: links, tunnels, bridges."""
    assert expected == counted(*present)


@pytest.mark.parametrize("kind", sorted(TUNNELS))
def test_a_tunnel_does_not_count_beside_a_link(kind: str) -> None:
    """Its packets leave through a link, also where nothing says that it is stacked on it."""
    assert ["net0"] == counted(interface("net0", kind="veth"), interface("over0", kind=kind))


HOSTS = {
    "FreeBSD: OPNsense with a bond, VLANs and VPNs": (
        "igb0 igb1 em0 enc0 lo0 pflog0 pfsync0 lagg0 lagg0_vlan20 vlan0.30 bridge0 gif0 stf0 wg0 ovpns1 tun_wg1 pppoe0",
        "igb0 igb1 em0",
    ),
    "FreeBSD: jails on Wi-Fi": (
        "re0 wlan0 lo0 bridge0 epair0a epair1a vnet0.7 tap0 ipfw0 usbus0 vm-public",
        "re0 wlan0",
    ),
    "macOS": (
        "lo0 gif0 stf0 anpi0 en0 en3 en4 en1 en2 bridge0 ap1 awdl0 llw0 utun0 utun1 utun3 vmenet0 bridge100 XHC20",
        "en0 en3 en4 en1 en2",
    ),
    "Proxmox": (
        "lo enp3s0 enp4s0 bond0 vmbr0 vmbr0.20 vmbr0v30 tap100i0 tap101i0 fwbr101i0 fwpr101p0 fwln101i0 veth102i0",
        "enp3s0 enp4s0",
    ),
    "Kubernetes: Calico, IPVS": (
        "lo eth0 docker0 tunl0 vxlan.calico cali1234abcd567 cali89ab kube-ipvs0 nodelocaldns dummy0 wireguard.cali",
        "eth0",
    ),
    "Kubernetes: Cilium": (
        "lo ens5 ens6 cilium_net cilium_host cilium_vxlan lxc_health lxc3f2a9c1b0d4e lxc0011223344 cilium_wg0",
        "ens5 ens6",
    ),
    "Kubernetes: flannel": ("lo eno1 flannel.1 cni0 veth3f2a9c1 vethab12cd", "eno1"),
    "Kubernetes: AWS, GKE, Azure": (
        "lo eth0 eth1 eni1234abcd eni8ae7f0d6 gke1234abcd azv1234abcd cbr0",
        "eth0 eth1",
    ),
    "OpenShift": (
        "lo enp1s0 ovs-system br-ex br-int ovn-k8s-mp0 genev_sys_6081 3f2a9c1b0d4e5_0",
        "enp1s0",
    ),
    "OpenWrt": ("lo eth0 br-lan eth0.1 eth0.2 pppoe-wan 6in4-wan6 wg0 ifb4eth0 teql0 wlan0 wlan1", "eth0 wlan0 wlan1"),
    "a laptop": (
        "lo enp0s31f6 wlp3s0 wwan0 virbr0 vnet0 docker0 br-3f2a9c1b0d4e tailscale0 tun0",
        "enp0s31f6 wlp3s0 wwan0",
    ),
    "Android": ("lo rmnet_ipa0 rmnet_data0 r_rmnet_data0 v4-rmnet_data0 dummy0 wlan0 p2p0", "rmnet_ipa0 wlan0"),
    "a container": ("lo eth0 sit0 tunl0 ip6tnl0 gre0 gretap0 erspan0 ip_vti0", "eth0"),
}
WINDOWS = [
    "Ethernet",
    "Ethernet 2",
    "Wi-Fi",
    "Local Area Connection* 1",
    "Local Area Connection* 10",
    "vEthernet (Default Switch)",
    "vEthernet (WSL)",
    "Loopback Pseudo-Interface 1",
    "isatap.{4B1E3C29-0A6D-4B7F-9F0C-0D3A1B2C4D5E}",
    "Teredo Tunneling Pseudo-Interface",
    "Tailscale",
    "OpenVPN Wintun",
    "CloudflareWARP",
    "Ethernet-WFP Native MAC Layer LightWeight Filter-0000",
    "Wi-Fi-QoS Packet Scheduler-0000",
]


@pytest.mark.parametrize("host", HOSTS)
def test_hosts_known_by_names_only(host: str) -> None:
    """From the names that such a host shows, its hardware is told."""
    names, expected = HOSTS[host]
    assert expected.split() == counted(*(interface(name, kind=None) for name in names.split()))


def test_windows_known_by_names_only() -> None:
    """What Windows puts on top of its adapters, beside them and into them does not count again."""
    assert ["Ethernet", "Ethernet 2", "Wi-Fi"] == counted(*(interface(name, kind=None) for name in WINDOWS))


@pytest.mark.parametrize("kind", ["physical", "veth", None])
def test_a_thousand_interfaces_are_quick(kind: str | None) -> None:
    """The time grows with the number of interfaces and not with its square: ten times as many take some ten times as
    long."""

    def seconds(count: int) -> float:
        members = [interface(f"net{number}", kind=kind, master="br0") for number in range(count)]
        bridge = interface("br0", kind="bridge", lower=tuple(one.name for one in members))
        begin = time.perf_counter()
        for _ in range(3):
            assert count == len(uplinks([bridge, *members]))
        return time.perf_counter() - begin

    seconds(100)
    assert seconds(2000) < max(1.0, 60 * seconds(200))


@pytest.mark.parametrize(
    ("asked", "present", "words"),
    [
        (ETH0, [ETH0], "counts: uplink"),
        (PORTS[0], PORTS, "counts: uplink"),
        (CONTAINER, [CONTAINER], "counts: veth, no hardware here"),
        (VETH, [ETH0, VETH], "member of br0"),
        (VF, [ETH0, VF], "member of eth0"),
        (BRIDGE, [ETH0, BRIDGE], "on top of eth1, veth1"),
        (LO, [ETH0, LO], "loopback"),
        (TUN, [ETH0, TUN], "tun, not an uplink"),
    ],
)
def test_the_role_in_the_total(asked: Interface, present: list[Interface], words: str) -> None:
    """Whether an interface counts, and why, fits in a few words."""
    assert words == role_in_total(asked, set(counted(*present)))
