"""The two things that may change at any moment, an interface's number and whether it is up, read with every sample; and
the driver, which tells kinds of interfaces apart that look alike in sysfs.

On the machine itself they come from the kernel by ioctl (netdevice(7)), a microsecond each, where opening a thousand
sysfs files takes longer than all the rest of a sample. For a /sys that is mounted elsewhere they come from its files.
"""

from __future__ import annotations

import socket
from array import array
from fcntl import ioctl
from struct import Struct
from typing import Protocol

from netstat_cli.sources.sysfs import read_number, read_text

SIOCGIFFLAGS = 0x8913  # include/uapi/linux/sockios.h
SIOCGIFINDEX = 0x8933
SIOCETHTOOL = 0x8946
ETHTOOL_GDRVINFO = 3  # include/uapi/linux/ethtool.h
IFF_RUNNING = 0x40  # up, and operstate `up` or `unknown` (dev_get_flags in net/core/dev.c)
IFNAMSIZ = 16
IFREQ_SIZE = 40

_FLAGS = Struct("16xH")
_INDEX = Struct("16xi")
_POINTER = Struct("16sP16x")
_DRVINFO = Struct("I32s160x")  # struct ethtool_drvinfo: the command, the driver's name, and what is not read here
_UP = frozenset({"up", "unknown", None})  # RFC 2863: unknown is what a tunnel says while it works; None is unreadable


class LinkReader(Protocol):
    """Reads an interface's number and state by its name."""

    def read(self, name: str) -> tuple[int | None, bool]:
        """Read the ifindex (None if unknown) and whether the interface is up (True if unknown)."""

    def driver(self, name: str) -> str | None:
        """Read the name of the driver, None if unknown."""


class KernelLinks:
    """Asks the kernel, in this process's network namespace."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._fd = self._socket.fileno()

    def read(self, name: str) -> tuple[int | None, bool]:
        """Ask for number and flags; an interface that went away just now is unknown."""
        request = name.encode()[: IFNAMSIZ - 1].ljust(IFREQ_SIZE, b"\0")
        try:
            index: int = _INDEX.unpack_from(ioctl(self._fd, SIOCGIFINDEX, request))[0]
            flags: int = _FLAGS.unpack_from(ioctl(self._fd, SIOCGIFFLAGS, request))[0]
        except OSError:
            return None, True
        return index, flags & IFF_RUNNING != 0

    def driver(self, name: str) -> str | None:
        """Ask for the driver, as `ethtool -i` does. Since Linux 5.17 every kind that `ip link` can make answers."""
        info = array("B", _DRVINFO.pack(ETHTOOL_GDRVINFO, b""))
        try:
            ioctl(self._fd, SIOCETHTOOL, _POINTER.pack(name.encode()[: IFNAMSIZ - 1], info.buffer_info()[0]))
        except OSError:
            return None
        driver: bytes = _DRVINFO.unpack(info)[1]
        return driver.partition(b"\0")[0].decode(errors="backslashreplace") or None


class SysfsLinks:
    """Reads the files of a /sys/class/net."""

    def __init__(self, sysfs: str) -> None:
        self._root = f"{sysfs}/class/net"

    def read(self, name: str) -> tuple[int | None, bool]:
        """Read the files `ifindex` and `operstate`."""
        return read_number(f"{self._root}/{name}/ifindex"), read_text(f"{self._root}/{name}/operstate") in _UP

    def driver(self, name: str) -> str | None:
        """Give None: sysfs names the driver of hardware only, which it tells by other signs."""
        return None


def open_links(procfs: str, sysfs: str) -> LinkReader:
    """Choose the kernel for this machine's own /proc and /sys, their files for any other."""
    return KernelLinks() if (procfs.rstrip("/"), sysfs.rstrip("/")) == ("/proc", "/sys") else SysfsLinks(sysfs)
