"""Hosts of our own: network namespaces joined by cables, made by the test and gone with it."""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import random
import selectors
import shutil
import socket
import struct
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

MUST_RUN = "NETCLI_TESTS_MUST_RUN"
ETH_P_ALL = 3
SIOCETHTOOL = 0x8946
ETHTOOL_STXCSUM, ETHTOOL_STSO, ETHTOOL_SGSO = 0x17, 0x1F, 0x24  # linux/ethtool.h
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000  # linux/if_tun.h

_RECEIVE = """
import socket, sys
listener = socket.create_server((sys.argv[1], 7000))
print("ready", flush=True)
peer, _ = listener.accept()
total = 0
while chunk := peer.recv(1 << 16):
    total += len(chunk)
print(total, flush=True)
"""
_PUSH = """
import socket, sys
with socket.create_connection((sys.argv[1], 7000)) as peer:
    for _ in range(int(sys.argv[2])):
        peer.sendall(bytes(10_000))
"""


class Host:
    """One namespace, reached by its name."""

    def __init__(self, name: str, device: str) -> None:
        self.name = name
        self.device = device

    def command(self, *command: str) -> list[str]:
        """The command as it is run inside."""
        return ["ip", "netns", "exec", self.name, *command]

    def run(self, *command: str) -> str:
        """What the command prints; fails if it does."""
        return subprocess.run(self.command(*command), check=True, capture_output=True, text=True).stdout

    def add_link(self, *arguments: str) -> None:
        """Make a device by `ip link add`; skips the test if this kernel was built without its driver."""
        command = self.command("ip", "link", "add", *arguments)
        made = subprocess.run(command, check=False, capture_output=True, text=True)
        if "Unknown device type" in made.stderr:
            pytest.skip(f"this kernel has no driver for `ip link add {' '.join(arguments)}`")
        assert (0, "") == (made.returncode, made.stderr)

    def kernel_counters(self) -> dict[str, int]:
        """What iproute2 reads from the kernel of the device."""
        (link,) = json.loads(self.run("ip", "-j", "-s", "link", "show", self.device))
        stats = link["stats64"]
        return {f"{way}_{what}": stats[way][what] for way in ("rx", "tx") for what in ("bytes", "packets")}


@contextmanager
def _hosts(count: int) -> Iterator[list[Host]]:
    """So many hosts without cables and without IPv6."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        reason = "making network namespaces takes root and iproute2"
        if os.environ.get(MUST_RUN):
            pytest.fail(f"{reason}, and ${MUST_RUN} is set")
        pytest.skip(reason)
    tag = uuid.uuid4().hex[:6]
    hosts = [Host(f"netcli-{tag}-{letter}", "cable0") for letter in "abc"[:count]]
    try:
        for host in hosts:
            subprocess.run(["ip", "netns", "add", host.name], check=True)
            host.run("sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1", "net.ipv6.conf.all.disable_ipv6=1")
        yield hosts
    finally:
        for host in hosts:
            subprocess.run(["ip", "netns", "delete", host.name], check=False, stderr=subprocess.DEVNULL)


def _plug(host: Host, far: Host, far_device: str = "cable0") -> None:
    """A cable from the host's device to one of another host."""
    host.run("ip", "link", "add", host.device, "type", "veth", "peer", "name", far_device, "netns", far.name)


def _number(hosts: tuple[Host, Host]) -> None:
    """Gives two hosts their addresses, 10.77.0.1 and 10.77.0.2, each known to the other."""
    for number, host in enumerate(hosts, 1):
        host.run("ip", "link", "set", "cable0", "address", f"02:00:00:00:77:0{number}")
        host.run("ip", "address", "add", f"10.77.0.{number}/24", "dev", "cable0")
        host.run("ip", "link", "set", "lo", "up")
        host.run("ip", "link", "set", "cable0", "up")
        other = 3 - number
        host.run("ip", "neigh", "replace", f"10.77.0.{other}", "lladdr", f"02:00:00:00:77:0{other}", "dev", "cable0")


@contextmanager
def two_hosts() -> Iterator[tuple[Host, Host]]:
    """Two hosts with a quiet cable between them: 10.77.0.1 and 10.77.0.2, no IPv6, no ARP."""
    with _hosts(2) as (one, other):
        _plug(one, other)
        _number((one, other))
        yield one, other


@contextmanager
def two_hosts_and_a_container() -> Iterator[tuple[Host, Host, Host]]:
    """Two hosts, and one without a cable yet: a container to be plugged into either."""
    with _hosts(3) as (one, other, container):
        _plug(one, other)
        _number((one, other))
        container.run("ip", "link", "set", "lo", "up")
        yield one, other, container


class LossyCable:
    """What loses frames between two hosts, and counts them."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def cut(self) -> list[list[int]]:
        """Ends the cable; frames carried and frames lost, on the way there and on the way back."""
        counts, _ = self._process.communicate(timeout=10)
        there_and_back: list[list[int]] = json.loads(counts)
        return there_and_back


@contextmanager
def two_hosts_that_lose(share: float) -> Iterator[tuple[Host, Host, LossyCable]]:
    """The same two hosts, but of what goes between them a share of the frames gets lost, either way."""
    with _hosts(3) as (one, other, middle):
        for number, host in enumerate((one, other), 1):
            _plug(host, middle, f"cable{number}")
            middle.run("ip", "link", "set", f"cable{number}", "up")
            host.run(sys.executable, __file__, "whole-frames", "cable0")
        _number((one, other))
        command = middle.command(sys.executable, __file__, "carry", "cable1", "cable2", str(share))
        with program(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert "ready\n" == process.stdout.readline()
            yield one, other, LossyCable(process)


@contextmanager
def program(command: list[str], **streams: int) -> Iterator[subprocess.Popen[str]]:
    """A program that ends with the block, and after two minutes in any case, so that nobody waits for it for ever."""
    with subprocess.Popen(command, text=True, **streams) as process:
        limit = threading.Timer(120, process.kill)
        limit.start()
        try:
            yield process
        finally:
            limit.cancel()
            process.kill()


def whole_frames(device: str) -> None:
    """Has the kernel hand a device only frames that are ready for a wire: no larger than it carries, with their
    checksums. Between the ends of a veth it leaves both undone, which a packet socket in the middle would pass on."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for setting in (ETHTOOL_SGSO, ETHTOOL_STSO, ETHTOOL_STXCSUM):
            value = ctypes.create_string_buffer(struct.pack("II", setting, 0))
            fcntl.ioctl(any_socket, SIOCETHTOOL, struct.pack("16sP", device.encode(), ctypes.addressof(value)))


def carry(one: str, other: str, share: float) -> list[list[int]]:
    """Carries frames between two devices and loses a share of them, until standard input ends; how many it carried
    and lost from the one, and from the other."""
    chance = random.Random(20)
    ends = [socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) for _ in (one, other)]
    counts = [[0, 0], [0, 0]]
    with selectors.DefaultSelector() as selector, ends[0], ends[1]:
        for way, device in enumerate((one, other)):
            ends[way].bind((device, 0))
            selector.register(ends[way], selectors.EVENT_READ, way)
        selector.register(sys.stdin, selectors.EVENT_READ)
        print("ready", flush=True)
        while sys.stdin not in (ready := {key.fileobj: key.data for key, _ in selector.select()}):
            for way in ready.values():
                frame, (_, _, kind, *_) = ends[way].recvfrom(1 << 16)
                if kind == socket.PACKET_OUTGOING:
                    continue
                is_lost = chance.random() < share
                counts[way][is_lost] += 1
                if not is_lost:
                    ends[1 - way].send(frame)
    return counts


@contextmanager
def tunnel(host: Host, local: str, remote: str) -> Iterator[None]:
    """A tunnel made in user space, as VPNs make it: the device tun0, whose packets travel in UDP."""
    if not os.path.exists("/dev/net/tun"):
        pytest.skip("this kernel has no driver for tun")
    command = host.command(sys.executable, __file__, "tunnel", "tun0", local, remote)
    with program(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert "ready\n" == process.stdout.readline()
        yield


def carry_in_udp(device: str, local: str, remote: str) -> None:
    """Carries packets between a tun device and UDP port 7001 of another host, until standard input ends."""
    tun = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", device.encode(), IFF_TUN | IFF_NO_PI))
    with selectors.DefaultSelector() as selector, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outside:
        outside.bind((local, 7001))
        for source in (tun, outside, sys.stdin):
            selector.register(source, selectors.EVENT_READ)
        print("ready", flush=True)
        while sys.stdin not in (ready := {key.fileobj for key, _ in selector.select()}):
            if tun in ready:
                outside.sendto(os.read(tun, 1 << 16), (remote, 7001))
            if outside in ready:
                os.write(tun, outside.recv(1 << 16))


def push(sender: Host, receiver: Host, ten_kilobytes: int, address: str = "10.77.0.2") -> int:
    """Sends so many times 10,000 bytes over TCP to an address of the receiver; the bytes that arrived."""
    with subprocess.Popen(
        receiver.command(sys.executable, "-c", _RECEIVE, address), stdout=subprocess.PIPE, text=True
    ) as listener:
        assert listener.stdout is not None
        assert listener.stdout.readline() == "ready\n"
        sender.run(sys.executable, "-c", _PUSH, address, str(ten_kilobytes))
        return int(listener.stdout.readline())


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["whole-frames", device]:
            whole_frames(device)
        case ["carry", one, other, share]:
            print(json.dumps(carry(one, other, float(share))))
        case ["tunnel", device, local, remote]:
            carry_in_udp(device, local, remote)
