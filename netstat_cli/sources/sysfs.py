"""Facts about an interface from /sys/class/net/<name> (Documentation/ABI/testing/sysfs-class-net).

The kind is told by the most certain sign that is there:

1. the type of its frames, for loopback and for a radio that listens to others' frames;
2. `wireless` or `phy80211`: a radio, or a part of one;
3. DEVTYPE=dsa of `uevent`: a switch chip's port. It comes before `device`, which such a port has too;
4. `device`: hardware, unless `phys_port_name` says that it stands for a function that is counted at the port already;
5. DEVTYPE of `uevent`, the driver's own word: vlan, bridge, bond, vxlan, geneve, wireguard, ppp, …;
6. `tun_flags`: tun and tap;
7. the name of the driver, where the kernel was asked: the only sign that tells a macvlan, ipvlan or gretap whose lower
   interface is in another namespace from a veth whose other end is;
8. the type of its frames, for tunnels;
9. `iflink` is another's number, and nothing is below it: a veth;
10. its name, if that is a tunnel's, or of another kind that no driver of hardware makes: gretap0, dummy0.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from netstat_cli.line.interface_names import guess_kind
from netstat_cli.line.topology import ASIDE, LOOPBACK, TUNNELS

DRIVERS = TUNNELS | ASIDE | {"veth", "macvlan", "macvtap", "ipvlan", "ipvtap", "team", "macsec", "hsr"}
"""Drivers whose name is a kind. No driver of hardware bears one of these names."""

LISTENING = {"801", "802", "803", "824"}
"""Types of frames (include/uapi/linux/if_arp.h) of what shows others' traffic: monitoring radios, and nlmon."""

KINDS_BY_TYPE = {
    "512": "ppp",
    "768": "ipip",
    "769": "ip6tnl",
    "776": "sit",
    "778": "gre",
    "823": "ip6gre",
    "65534": "tun",  # no link layer at all: tun and WireGuard, where nothing else told them
}
"""Types of frames (include/uapi/linux/if_arp.h) that only one kind of interface has."""

ARPHRD_LOOPBACK = "772"

# phys_port_name of an interface that stands for a function of a network card in the switch on that card
# (Documentation/networking/devlink/devlink-port.rst): [c<controller>] pf<function> [vf<function> | sf<function>].
# Examples: pf0vf3, c1pf0, pf0sf88. The port to the outside is p0, or p0s1.
_REPRESENTOR = re.compile(r"(?:c\d+)?pf\d+(?:[vs]f\d+)?")


class Facts(NamedTuple):
    """What seldom changes: kind, speed in Mbit/s, the interface this one is a member of, those it is stacked on, and
    the number of the device at its other end or below it (iflink)."""

    kind: str | None
    speed_mbps: int | None
    master: str | None
    lower: tuple[str, ...]
    link: int | None


NO_FACTS = Facts(None, None, None, (), None)


def read_text(path: str) -> str | None:
    """Read a small file's text without the white space around it; None if it cannot be read."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(4096).decode(errors="backslashreplace").strip()
    except OSError:  # sysfs says EINVAL for the speed of an interface that is down
        return None


def read_number(path: str) -> int | None:
    """Read a small file's integer; None if there is none."""
    text = read_text(path)
    return int(text) if text is not None and text.removeprefix("-").isdecimal() else None


def read_facts(sysfs: str, name: str, ifindex: int | None, driver: str | None = None) -> Facts:
    """Read what /sys/class/net knows of an interface, whose driver the kernel may have told.

    Nothing but the driver's word is left if it shows another device under that name, as the sysfs of another network
    namespace does.
    """
    kind_by_driver = driver if driver in DRIVERS else None
    folder = f"{sysfs}/class/net/{name}"
    try:
        entries = os.listdir(folder)
    except OSError:
        return NO_FACTS._replace(kind=kind_by_driver)
    if ifindex is not None and read_number(f"{folder}/ifindex") not in (ifindex, None):
        return NO_FACTS._replace(kind=kind_by_driver)
    speed = read_number(f"{folder}/speed")
    master = _link_name(f"{folder}/master") if "master" in entries else None
    lower = tuple(sorted(entry.removeprefix("lower_") for entry in entries if entry.startswith("lower_")))
    link = read_number(f"{folder}/iflink")
    has_far_end = driver is None and not lower and link not in (read_number(f"{folder}/ifindex"), 0, None)
    kind = _kind(folder, set(entries), kind_by_driver) or ("veth" if has_far_end else _kind_by_name(name))
    return Facts(kind, speed if speed and speed > 0 else None, master, lower, link)


def _link_name(path: str) -> str | None:
    try:
        return os.path.basename(os.readlink(path))
    except OSError:
        return None


def _kind(folder: str, entries: set[str], kind_by_driver: str | None) -> str | None:
    """Tell the kind by the signs 1 to 8 above."""
    frames = read_text(f"{folder}/type") or ""
    uevent = dict(line.partition("=")[::2] for line in (read_text(f"{folder}/uevent") or "").splitlines())
    kind = uevent.get("DEVTYPE")
    if frames == ARPHRD_LOOPBACK:
        return LOOPBACK
    if frames in LISTENING:
        return "monitor"
    if entries & {"wireless", "phy80211"}:
        return "wireless"
    if "device" in entries and kind != "dsa":
        port = read_text(f"{folder}/phys_port_name") if "phys_port_name" in entries else None
        return "representor" if port and _REPRESENTOR.fullmatch(port) else "physical"
    return kind or ("tun" if "tun_flags" in entries else kind_by_driver or KINDS_BY_TYPE.get(frames))


def _kind_by_name(name: str) -> str:
    """Tell the kind that the name suggests, if a mistake could not hide any hardware; else `virtual`."""
    kind = guess_kind(name)
    return kind if kind in DRIVERS else "virtual"
