"""Guess an interface's kind from its name, for senders that give no kind. Pure.

A name is only a habit, but a steady one: drivers, container engines, hypervisors and VPNs each name what they make by a
pattern of their own, and hardware is what nobody made. So the table below lists what is not hardware, wireless hardware
(which is named apart), and takes every other name for `physical`.

The kinds are Linux's own words (DEVTYPE of uevent, or `ip -details link`). What other systems have is given the nearest
one: a FreeBSD epair is a `veth`, a lagg a `bond`. Four words are ours: `physical`, `wireless`, `virtual` (neither
hardware nor anything that has a word) and `monitor` (shows again what others carried).

The first row that matches the whole name decides, so a row stands above those that would take its names:
`flannel.1` is no VLAN, and `wlan0.10` is no radio.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import NamedTuple


class NamePattern(NamedTuple):
    """A way to name interfaces of one kind."""

    kind: str
    expression: str
    """A regular expression for the whole name, without capturing groups."""
    grammar: str
    """The same in words: who gives the name, and what it is made of."""
    examples: str
    """Such names, with a comma between them."""


NAME_PATTERNS = (
    NamePattern(
        "loopback",
        r"lo\d*|(?:Npcap )?Loopback.*",
        "`lo` and a number (Linux, BSD, macOS); Windows and Npcap spell it out",
        "lo, lo0, Loopback Pseudo-Interface 1",
    ),
    NamePattern(
        "monitor",
        r"(?:pflog|ipfw|ipfwlog|usbus|XHC|pktap|iptap|nlmon|mon)\d+|enc\d|wl\w+mon|.+-.*(?:Filter|Scheduler|Driver).*-\d{4}",
        "what a packet filter logged, IPsec saw, a bus or radio carried; on Windows a filter: `parent-filter-nnnn`. "
        "`enc` and more digits is hardware: an s390 channel, `enc600`",
        "pflog0, enc0, usbus0, XHC20, nlmon0, mon0, wlan0mon, Ethernet-QoS Packet Scheduler-0000",
    ),
    NamePattern(
        "alias",
        r".+:\d+",
        "an address of another interface (Linux 2.x, Solaris): `parent:number`",
        "eth0:1",
    ),
    NamePattern(
        "vxlan",
        r"vxlan.*|flannel[-.].*|cilium_vxlan",
        "`vxlan` and anything (Linux, FreeBSD, Calico, Open vSwitch); flannel's `flannel.vni`; Cilium",
        "vxlan0, vxlan.calico, vxlan-6784, vxlan_sys_4789, flannel.1, flannel-v6.1, cilium_vxlan",
    ),
    NamePattern(
        "geneve",
        r"geneve\d*|genev_sys_\d+|cilium_geneve",
        "`geneve` and a number; Open vSwitch's `genev_sys_port`; Cilium",
        "geneve0, genev_sys_6081, cilium_geneve",
    ),
    NamePattern(
        "wireguard",
        r"wg.*|tun_wg\d+|cilium_wg\d+|wireguard\.cali|wt\d+|(?:nordlynx|NordLynx|WireGuard).*",
        "`wg` and anything; pfSense, Cilium, Calico, NetBird, NordVPN",
        "wg0, wg-home, tun_wg0, cilium_wg0, wireguard.cali, wt0, nordlynx, NordLynx",
    ),
    NamePattern(
        "ip6gretap",
        r"ip6gretap\d+",
        "Linux: the driver and a number",
        "ip6gretap0",
    ),
    NamePattern(
        "gretap",
        r"gretap\d+|gre_sys",
        "Linux: the driver and a number; Open vSwitch",
        "gretap0, gre_sys",
    ),
    NamePattern(
        "ip6gre",
        r"ip6gre\d+",
        "Linux: the driver and a number",
        "ip6gre0",
    ),
    NamePattern(
        "gre",
        r"gre\d+",
        "the driver and a number (Linux, FreeBSD)",
        "gre0",
    ),
    NamePattern(
        "erspan",
        r"(?:ip6)?erspan\d+",
        "Linux: the driver and a number",
        "erspan0, ip6erspan0",
    ),
    NamePattern(
        "ipip",
        r"tunl\d+|ipip\d*|gif\d+",
        "Linux's `tunl`, BSD's and macOS' `gif`, a number",
        "tunl0, gif0",
    ),
    NamePattern(
        "sit",
        r"(?:sit|stf)\d+|6(?:to4|in4|rd)[-\w]*|6TO4 .*|isatap\..*|Teredo .*",
        "IPv6 over IPv4: `sit` (Linux) or `stf` (BSD, macOS) and a number; OpenWrt's `6in4-name`; "
        "Windows spells it out",
        "sit0, stf0, 6in4-wan6, isatap.{4B1E3C29-0A6D-4B7F}, Teredo Tunneling Pseudo-Interface",
    ),
    NamePattern(
        "ip6tnl",
        r"ip6tnl\d+",
        "Linux: the driver and a number",
        "ip6tnl0",
    ),
    NamePattern(
        "vti",
        r"(?:ip6?_)?vti\d+",
        "Linux: the driver and a number",
        "ip_vti0, ip6_vti0, vti1",
    ),
    NamePattern(
        "xfrm",
        r"xfrm.*|ipsec\d+",
        "`xfrm` and anything (Linux), `ipsec` and a number (BSD, macOS)",
        "ipsec0",
    ),
    NamePattern(
        "l2tp",
        r"l2tp.*",
        "`l2tp` and anything",
        "l2tpeth0, l2tp-vpn",
    ),
    NamePattern(
        "ppp",
        r"ppp.*|ng\d+",
        "`ppp` and a number (everywhere), `pppoe-name` (OpenWrt); FreeBSD's mpd: `ng` and a number",
        "ppp0, pppoe0, pppoe-wan, ng0",
    ),
    NamePattern(
        "tun",
        r"u?tun.*|tap.*|(?:vnet|ts)\d+|zt\w{8}|(?:tailscale|ovpn|outline|antrea-tun|clat|v4-|mullvad|proton|pfsync|iphttps).*"
        r"|CloudflareWARP.*|(?:Tailscale|ZeroTier|OpenVPN|ProtonVPN|TAP-|Wintun|Mullvad|Microsoft IP-HTTPS).*",
        "`tun`, `tap` or `utun` (macOS) and anything; libvirt's tap of a guest: `vnet` and a number; the name of a "
        "VPN and anything; Android's `v4-parent`; pf's states, which leave inside packets of another interface",
        "tun0, tap101i0, tap3f2a9c1b-0d, utun3, vnet0, tailscale0, ts0, zt7nnig34d, ovpns1, CloudflareWARP, "
        "ZeroTier One [8056c2e21c000001], OpenVPN Wintun, v4-rmnet_data0, pfsync0",
    ),
    NamePattern(
        "vlan",
        r"\S+\.\d+|\S+_vlan\d+|s?vlan[-_]?\w*",
        "`parent.tag`, OPNsense's `parent_vlantag`, `vlan` and a tag",
        "eth0.100, wlan0.10, lagg0_vlan20, vlan20, vlan0.20, vlan.eth.1, svlan0",
    ),
    NamePattern(
        "bridge",
        r"(?:br|bridge|docker|podman|nerdctl|virbr|lxcbr|lxdbr|incusbr|mpqemubr|vmbr|fwbr|qbr|cbr|cni|veb|weave)[-\w]*"
        r"|(?:vm-|kube-bridge|nm-bridge|Network Bridge).*",
        "`br` and anything, among them Docker's `br-id`; `bridge` and a number (BSD, macOS); an engine's or "
        "hypervisor's name and a number: Docker, Podman, libvirt, LXC, Incus, Proxmox, bhyve, OpenStack, Kubernetes",
        "br0, br-lan, br-3f2a9c1b0d4e, br-int, br-ex, bridge0, bridge100, docker0, docker_gwbridge, virbr0, lxcbr0, "
        "vmbr0, vmbr0v20, fwbr101i0, cbr0, cni0, cni-podman0, kube-bridge, vm-public",
    ),
    NamePattern(
        "openvswitch",
        r"ovs-(?:system|netdev)|ovn-k8s-\w+|antrea-gw\d+",
        "the datapath of Open vSwitch, and the ports that OVN and Antrea make in it",
        "ovs-system, ovn-k8s-mp0, antrea-gw0",
    ),
    NamePattern(
        "bond",
        r"(?:nm-)?(?:bond|team)[-\w]*|(?:lagg|trunk|aggr)\d+",
        "`bond` or `team` (Linux; `nm-`: NetworkManager), `lagg` (FreeBSD), `trunk` or `aggr` (OpenBSD), and a number",
        "bond0, bond-lan, team1, nm-bond, lagg0, aggr0",
    ),
    NamePattern(
        "veth",
        r"veth.*|cali.*|lxc(?:[0-9a-f]+|_health)|(?:eni|gke|azv)[0-9a-f]{4,}|cilium_(?:host|net)|fw(?:ln|pr)\d+\w+"
        r"|qv[bo].*|[0-9a-f]{12,15}(?:_\d)?|epair\d+[ab]|(?:pair|feth|ngeth|vport)\d+|vEthernet.*",
        "an end of a pair: `veth` and anything; a CNI's prefix and a hash (Calico, Cilium, AWS, GKE, Azure); "
        "Proxmox's firewall `fwlnguestinic`, `fwprguestpnic`; OpenStack; OVN's hash; FreeBSD's `epairna`; Hyper-V's "
        "`vEthernet (switch)`",
        "veth3f2a9c1, veth101i0, cali1234, lxc3f2a9c1b0d4e, lxc_health, eni1234abcd, gke1234, azv1234, cilium_host, "
        "cilium_net, fwln101i0, fwpr101p0, epair1a, feth0, 3f2a9c1b0d4e5f6, vEthernet (WSL)",
    ),
    NamePattern(
        "macvtap",
        r"macvtap.*",
        "Linux, libvirt: the driver and a number",
        "macvtap0",
    ),
    NamePattern(
        "macvlan",
        r"macvlan.*",
        "the driver and anything",
        "macvlan0, macvlan-shim",
    ),
    NamePattern(
        "ipvlan",
        r"ipvlan.*",
        "the driver and anything",
        "ipvlan0",
    ),
    NamePattern(
        "ifb",
        r"ifb.*",
        "Linux: the driver and a number",
        "ifb0, ifb4eth0",
    ),
    NamePattern(
        "teql",
        r"teql\d+",
        "Linux: the driver and a number",
        "teql0",
    ),
    NamePattern(
        "vrf",
        r"vrf.*",
        "the driver and anything",
        "vrf-blue",
    ),
    NamePattern(
        "dummy",
        r"(?:dummy|kube-ipvs|kube-dummy-if|nodelocaldns).*|(?:vcan|vether|disc)\d+",
        "holds addresses and carries nothing: `dummy` and a number, Kubernetes' own, BSD's `vether` and `disc`",
        "dummy0, kube-ipvs0, nodelocaldns, disc0",
    ),
    NamePattern(
        "rmnet",
        r"r?_?rmnet_data\d+",
        "Android: a channel within the modem's link `rmnet_ipa0`",
        "rmnet_data0",
    ),
    NamePattern(
        "virtual",
        r"(?:awdl|llw|ap|anpi|vmenet|vmnet|vnic|vboxnet|carp)\d+|p2p0|.+\* \d+|(?:VMware|VirtualBox) .*",
        "macOS: beside the radio (`awdl`, `llw`, `ap`), to the second processor (`anpi`), to a guest (`vmenet`); "
        "VMware, Parallels, VirtualBox; Windows' hidden adapters: a connection's name, a star and a number",
        "awdl0, llw0, ap1, anpi0, vmenet0, vmnet8, vboxnet0, Local Area Connection* 1, LAN-Verbindung* 2",
    ),
    NamePattern(
        "wireless",
        r"wl.+|wifi\d+|Wi-?Fi.*|WLAN.*|Wireless .*|ra\d+"
        r"|(?:ath|athn|bwfm|bwi|bwn|ipw|iwi|iwlwifi|iwm|iwn|iwx|malo|mwl|otus|ral|rsu|rtwn|rum|run|uath|upgt|ural|urtw"
        r"|urtwn|wi|wpi|zyd)\d+",
        "`wl` and a place (Linux) or number (BSD: `wlan0`); Windows spells it out; a BSD driver (section 4 of the "
        "manual, `apropos wireless`) and a number",
        "wlan0, wlp3s0, wl0, wlx001122334455, Wi-Fi, Wi-Fi 2, WLAN, ath0, iwn0, ra0",
    ),
)
"""Every other name is hardware's: eth0, enp3s0f1np1, em0, en0, Ethernet 2, wwan0, usb0, …"""


# One expression, so that a name costs one search: an outer group for each row, whose number tells which row it was.
@cache
def _any_pattern() -> re.Pattern[str]:
    """Compiled when it is first needed: a sampler of Linux is told every kind."""
    return re.compile("|".join(f"({pattern.expression})" for pattern in NAME_PATTERNS), re.DOTALL)


@lru_cache(maxsize=4096)
def guess_kind(name: str) -> str:
    """Guess the kind of an interface of which only the name is known."""
    match = _any_pattern().fullmatch(name)
    return NAME_PATTERNS[match.lastindex - 1].kind if match and match.lastindex else "physical"
