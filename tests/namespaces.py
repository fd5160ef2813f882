"""Hosts of our own: two network namespaces joined by a cable, made by the test and gone with it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

MUST_RUN = "NETCLI_TESTS_MUST_RUN"

_RECEIVE = """
import socket, sys
listener = socket.create_server(("10.77.0.2", 7000))
print("ready", flush=True)
peer, _ = listener.accept()
total = 0
while chunk := peer.recv(1 << 16):
    total += len(chunk)
print(total, flush=True)
"""
_PUSH = """
import socket, sys
with socket.create_connection(("10.77.0.2", 7000)) as peer:
    for _ in range(int(sys.argv[1])):
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

    def kernel_counters(self) -> dict[str, int]:
        """What iproute2 reads from the kernel of the device."""
        (link,) = json.loads(self.run("ip", "-j", "-s", "link", "show", self.device))
        stats = link["stats64"]
        return {f"{way}_{what}": stats[way][what] for way in ("rx", "tx") for what in ("bytes", "packets")}


@contextmanager
def two_hosts() -> Iterator[tuple[Host, Host]]:
    """Two hosts with a quiet cable between them: 10.77.0.1 and 10.77.0.2, no IPv6, no ARP."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        reason = "making network namespaces takes root and iproute2"
        if os.environ.get(MUST_RUN):
            pytest.fail(f"{reason}, and ${MUST_RUN} is set")
        pytest.skip(reason)
    tag = uuid.uuid4().hex[:6]
    hosts = (Host(f"netcli-{tag}-a", "cable0"), Host(f"netcli-{tag}-b", "cable0"))
    try:
        for host in hosts:
            subprocess.run(["ip", "netns", "add", host.name], check=True)
            host.run("sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1", "net.ipv6.conf.all.disable_ipv6=1")
        hosts[0].run("ip", "link", "add", "cable0", "type", "veth", "peer", "name", "cable0", "netns", hosts[1].name)
        for number, host in enumerate(hosts, 1):
            host.run("ip", "link", "set", "cable0", "address", f"02:00:00:00:77:0{number}")
            host.run("ip", "address", "add", f"10.77.0.{number}/24", "dev", "cable0")
            host.run("ip", "link", "set", "lo", "up")
            host.run("ip", "link", "set", "cable0", "up")
            other = 3 - number
            host.run(
                "ip", "neigh", "replace", f"10.77.0.{other}", "lladdr", f"02:00:00:00:77:0{other}", "dev", "cable0"
            )
        yield hosts
    finally:
        for host in hosts:
            subprocess.run(["ip", "netns", "delete", host.name], check=False, stderr=subprocess.DEVNULL)


def push(sender: Host, receiver: Host, ten_kilobytes: int) -> int:
    """Sends so many times 10,000 bytes over TCP; the bytes that arrived."""
    with subprocess.Popen(
        receiver.command(sys.executable, "-c", _RECEIVE), stdout=subprocess.PIPE, text=True
    ) as listener:
        assert listener.stdout is not None
        assert listener.stdout.readline() == "ready\n"
        sender.run(sys.executable, "-c", _PUSH, str(ten_kilobytes))
        return int(listener.stdout.readline())
