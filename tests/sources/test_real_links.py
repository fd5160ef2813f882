"""Real links in namespaces of our own, with real traffic: what the kernel tells of them, and what the total holds."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import NamedTuple

import pytest

from tests.namespaces import Host, push, tunnel, two_hosts, two_hosts_and_a_container

LOOK = """
import json
from netstat_cli.sources import open_source
from netstat_cli.line.topology import uplinks
found = open_source("procfs", "/proc", "/sys", print).read()
kinds = {one.name: one.kind for one in found}
sent = {one.name: one.tx_bytes for one in found}
print(json.dumps([kinds, sent, {one.name: [one.rx_bytes, one.tx_bytes] for one in uplinks(found)}]))
"""


class View(NamedTuple):
    """A host as netcli sees it."""

    kinds: dict[str, str]
    sent: dict[str, int]
    counted: dict[str, list[int]]
    """What each of the uplinks received and sent."""

    def total(self) -> list[int]:
        """What the host received and sent."""
        return [sum(ways) for ways in zip(*self.counted.values(), strict=True)]


def look(host: Host) -> View:
    """Read a host's interfaces on the host itself."""
    return View(*json.loads(host.run(sys.executable, "-c", LOOK)))


def look_at_rest(host: Host) -> tuple[View, list[int]]:
    """Read a host's interfaces, and the counters of its cable by iproute2, while nothing passes."""
    while True:
        before, view, after = host.kernel_counters(), look(host), host.kernel_counters()
        if before == after:
            return view, [after["rx_bytes"], after["tx_bytes"]]


def address(host: Host, device: str, number: int) -> None:
    """Give a device the address 10.78.0.<number> and bring it up."""
    host.run("ip", "address", "add", f"10.78.0.{number}/24", "dev", device)
    host.run("ip", "link", "set", device, "up")


Build = Callable[[ExitStack, Host, int], str]
"""Makes a device on top of a host's cable; gets the host's number, 1 or 2, and gives the device's name."""


def build_vlan(_: ExitStack, host: Host, number: int) -> str:
    """A VLAN."""
    host.add_link("link", "cable0", "name", "cable0.5", "type", "vlan", "id", "5")
    return "cable0.5"


def build_macvlan(_: ExitStack, host: Host, number: int) -> str:
    """A second address of the cable's device."""
    host.add_link("link", "cable0", "name", "second0", "type", "macvlan", "mode", "bridge")
    return "second0"


def build_bridge(_: ExitStack, host: Host, number: int) -> str:
    """A bridge with the cable and nothing else in it."""
    host.add_link("name", "lan0", "type", "bridge")
    host.run("ip", "link", "set", "cable0", "master", "lan0")
    return "lan0"


def build_tun(stack: ExitStack, host: Host, number: int) -> str:
    """A VPN in user space."""
    stack.enter_context(tunnel(host, f"10.77.0.{number}", f"10.77.0.{3 - number}"))
    host.run("ip", "link", "set", "tun0", "mtu", "1400")
    return "tun0"


def over_ip(*arguments: str) -> Build:
    """A tunnel in the kernel from host to host, bound to no device."""

    def build(_: ExitStack, host: Host, number: int) -> str:
        ends = ("local", f"10.77.0.{number}") if "geneve" not in arguments else ()
        device = f"{arguments[0]}9"
        host.add_link("name", device, "type", *arguments, *ends, "remote", f"10.77.0.{3 - number}")
        return device

    return build


@pytest.mark.parametrize(
    ("kind", "build"),
    [
        ("vlan", build_vlan),
        ("macvlan", build_macvlan),
        ("bridge", build_bridge),
        ("tun", build_tun),
        ("vxlan", over_ip("vxlan", "id", "7", "dstport", "4789")),
        ("geneve", over_ip("geneve", "id", "7")),
        ("gre", over_ip("gre")),
        ("gretap", over_ip("gretap")),
        ("ipip", over_ip("ipip")),
    ],
)
def test_what_goes_through_one_device_on_top_of_another_counts_once(kind: str, build: Build) -> None:
    """In a container, where no interface is hardware, the total is what passed the cable, whatever is on top of it."""
    with ExitStack() as stack:
        sender, receiver = stack.enter_context(two_hosts())
        for number, host in enumerate((sender, receiver), 1):
            device = build(stack, host, number)
            address(host, device, number)
        before, passed_before = look_at_rest(sender)
        pushed = push(sender, receiver, 100, "10.78.0.2")
        after, passed_after = look_at_rest(sender)
    assert ("loopback", "veth", kind) == (after.kinds["lo"], after.kinds["cable0"], after.kinds[device])
    assert {"cable0"} == set(after.counted)
    passed = [new - old for new, old in zip(passed_after, passed_before, strict=True)]
    assert passed == [new - old for new, old in zip(after.total(), before.total(), strict=True)]
    assert 1_000_000 == pushed <= passed[1]
    assert pushed <= after.sent[device] - before.sent[device]


def test_a_bridge_with_a_container_counts_where_it_leaves_the_host() -> None:
    """What a container sends through its host's bridge counts once in the container and once in the host, at the cable,
    though the cable and the container's plug are members of one bridge."""
    with two_hosts_and_a_container() as (host, other, container):
        host.add_link("name", "lan0", "type", "bridge")
        host.run("ip", "link", "add", "veth7", "type", "veth", "peer", "name", "cable0", "netns", container.name)
        for device in ("cable0", "veth7", "lan0"):
            host.run("ip", "link", "set", device, *(["master", "lan0"] if device != "lan0" else []), "up")
        address(container, "cable0", 1)
        address(other, "cable0", 2)
        before = [look_at_rest(one)[0] for one in (host, container)]
        pushed = push(container, other, 100, "10.78.0.2")
        after = [look_at_rest(one)[0] for one in (host, container)]
    assert [{"cable0"}, {"cable0"}] == [set(view.counted) for view in after]
    sent = [new.total()[1] - old.total()[1] for new, old in zip(after, before, strict=True)]
    assert all(pushed <= amount < 1.2 * pushed for amount in sent)


def test_a_macvlan_in_a_container_is_no_veth() -> None:
    """A macvlan whose parent is outside counts in its container under its own kind, and at its parent in the host."""
    with two_hosts_and_a_container() as (host, other, container):
        macvlan = ("type", "macvlan", "mode", "bridge")
        host.add_link("link", "cable0", "name", "cable0", "netns", container.name, *macvlan)
        address(container, "cable0", 1)
        address(other, "cable0", 2)
        before = [look_at_rest(one)[0] for one in (host, container)]
        pushed = push(container, other, 100, "10.78.0.2")
        after = [look_at_rest(one)[0] for one in (host, container)]
    assert [("veth", {"cable0"}), ("macvlan", {"cable0"})] == [(one.kinds["cable0"], set(one.counted)) for one in after]
    sent = [new.total()[1] - old.total()[1] for new, old in zip(after, before, strict=True)]
    assert all(pushed <= amount < 1.2 * pushed for amount in sent)
