"""Facts about an interface from /sys/class/net/<name> (Documentation/ABI/testing/sysfs-class-net)."""

from __future__ import annotations

import os
from typing import NamedTuple

from netstat_cli.topology import LOOPBACK

ARPHRD_LOOPBACK = "772"  # include/uapi/linux/if_arp.h


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
    """A small file's text without the white space around it; None if it cannot be read."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(4096).decode(errors="backslashreplace").strip()
    except OSError:  # sysfs says EINVAL for the speed of an interface that is down
        return None


def read_number(path: str) -> int | None:
    """A small file's integer; None if there is none."""
    text = read_text(path)
    return int(text) if text is not None and text.removeprefix("-").isdecimal() else None


def read_facts(sysfs: str, name: str, ifindex: int | None) -> Facts:
    """What /sys/class/net knows of an interface. Nothing if it shows another device under that name, as the sysfs of
    another network namespace does."""
    folder = f"{sysfs}/class/net/{name}"
    try:
        entries = os.listdir(folder)
    except OSError:
        return NO_FACTS
    if ifindex is not None and read_number(f"{folder}/ifindex") not in (ifindex, None):
        return NO_FACTS
    speed = read_number(f"{folder}/speed")
    master = _link_name(f"{folder}/master") if "master" in entries else None
    lower = tuple(sorted(entry.removeprefix("lower_") for entry in entries if entry.startswith("lower_")))
    link = read_number(f"{folder}/iflink")
    veth = not lower and link not in (read_number(f"{folder}/ifindex"), 0, None)
    kind = _kind(folder, set(entries)) or ("veth" if veth else "virtual")
    return Facts(kind, speed if speed and speed > 0 else None, master, lower, link)


def _link_name(path: str) -> str | None:
    try:
        return os.path.basename(os.readlink(path))
    except OSError:
        return None


def _kind(folder: str, entries: set[str]) -> str | None:
    """Loopback by its type, wireless and hardware by what sysfs holds, the rest by the driver's own word."""
    if read_text(f"{folder}/type") == ARPHRD_LOOPBACK:
        return LOOPBACK
    if entries & {"wireless", "phy80211"}:
        return "wireless"
    if "device" in entries:
        return "physical"
    uevent = dict(line.partition("=")[::2] for line in (read_text(f"{folder}/uevent") or "").splitlines())
    return uevent.get("DEVTYPE") or ("tun" if "tun_flags" in entries else None)
