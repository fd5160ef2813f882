"""Kinds guessed from names, for senders that give no kind."""

from __future__ import annotations

import time

import pytest

from netstat_cli.line.interface_names import NAME_PATTERNS, NamePattern, guess_kind

NAMES = {
    "physical": """eth0 eno1 enp3s0f1np1 ens5 enc600 wwan0 wwp0s20 usb0 rmnet0 rmnet_ipa0 ib0 en0 em0 igb0 ix0 re0
        vtnet0 hn0 ena0 bge0 bce0 vmx0 xn0 cxgb0 mlxen0 lan1 wan p2p1 tsn0 💩0""",
    "wireless": "wlan0 wlp3s0 wl0 ath0 iwn0 iwm0 Wi-Fi WLAN",
    "loopback": "lo lo0 lo1",
    "veth": """veth3f2a9c1 veth101i0 cali1234 eni1234abcd gke1234 azv1234 lxc3f2a9c1b0d4e lxc_health cilium_host
        cilium_net 3f2a9c1b0d4e5f6 fwln101i0 fwpr101p0 epair1a epair0b""",
    "bridge": """br0 br-3f2a9c1b0d4e br-int br-ex bridge0 bridge100 docker0 virbr0 lxcbr0 vmbr0 fwbr101i0 cbr0 cni0
        cni-podman0""",
    "openvswitch": "ovs-system",
    "bond": "bond0 team0 lagg0 nm-bond",
    "vlan": "vlan20 eth0.100 lagg0_vlan20 bond0.5",
    "vxlan": "vxlan0 vxlan.calico flannel.1",
    "geneve": "genev_sys_6081",
    "wireguard": "wg0 nordlynx",
    "gre": "gre0",
    "gretap": "gretap0",
    "erspan": "erspan0",
    "ipip": "tunl0 gif0",
    "sit": "sit0 stf0",
    "ip6tnl": "ip6tnl0",
    "ppp": "ppp0 pppoe-wan",
    "tun": "tun0 tap101i0 utun3 tailscale0 ts0 zt7nnig34d vnet0 CloudflareWARP pfsync0",
    "dummy": "dummy0 kube-ipvs0 nodelocaldns",
    "ifb": "ifb0",
    "teql": "teql0",
    "monitor": "pflog0 enc0 nlmon0 usbus0 XHC20",
    "virtual": "awdl0 llw0 ap1 anpi0 vmenet0",
}
WINDOWS = {
    "Ethernet": "physical",
    "Ethernet 2": "physical",
    "Local Area Connection": "physical",
    "Local Area Connection* 1": "virtual",
    "Bluetooth Network Connection": "physical",
    "Wi-Fi 2": "wireless",
    "Loopback Pseudo-Interface 1": "loopback",
    "vEthernet (WSL)": "veth",
    "vEthernet (Default Switch)": "veth",
    "isatap.{4B1E3C29-0A6D-4B7F-9F0C-0D3A1B2C4D5E}": "sit",
    "Teredo Tunneling Pseudo-Interface": "sit",
    "OpenVPN TAP-Windows6": "tun",
    "VMware Network Adapter VMnet8": "virtual",
    "Ethernet-WFP Native MAC Layer LightWeight Filter-0000": "monitor",
}


@pytest.mark.parametrize("kind", NAMES)
def test_a_kind_is_guessed_from_the_name(kind: str) -> None:
    """The names that kernels, container engines, hypervisors and VPNs use tell the kind; all others are hardware."""
    names = NAMES[kind].split()
    assert dict.fromkeys(names, kind) == {name: guess_kind(name) for name in names}


def test_names_of_windows() -> None:
    """Windows names connections in words, in part in the user's language."""
    assert WINDOWS == {name: guess_kind(name) for name in WINDOWS}


@pytest.mark.parametrize("pattern", NAME_PATTERNS, ids=lambda pattern: pattern.kind)
def test_the_examples_of_the_table(pattern: NamePattern) -> None:
    """Each row of the table takes its own examples, and no row above it does."""
    names = pattern.examples.split(", ")
    assert dict.fromkeys(names, pattern.kind) == {name: guess_kind(name) for name in names}


@pytest.mark.parametrize("name", ["", " ", "eth0\n", "lo\n", "br 0", "\0"])
def test_a_name_of_no_pattern_is_hardware(name: str) -> None:
    """A pattern takes the whole name or nothing, line ends included."""
    assert "physical" == guess_kind(name)


@pytest.mark.parametrize("name", ["-" * 64, "a-Filter" * 8, "* " * 32, "1" * 64, "vlan_" * 12, "." * 64])
def test_a_name_made_to_be_slow_is_not(name: str) -> None:
    """No name of the longest length costs more than a few milliseconds, whoever chose it."""
    begin = time.perf_counter()
    for number in range(100, 200):
        guess_kind(f"{name[:61]}{number}")
    assert time.perf_counter() - begin < 1
