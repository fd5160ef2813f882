"""What can be had of a stored line without reading all of it."""

from __future__ import annotations

from hypothesis import given

from netstat_cli.glance import Head, RunMark, head_of, interface_in, needle
from netstat_cli.model import Sample
from netstat_cli.wire import encode
from tests.given import T0, interface, sample
from tests.test_wire import SAMPLES


@given(SAMPLES)
def test_what_is_stored_can_be_looked_into(one: Sample) -> None:
    """The head and each interface of a line can be had without reading all of it."""
    line = encode(one)[:-1]
    assert Head(one.timestamp, one.boot_id, one.interval) == head_of(line)
    bare = tuple(interface._replace(master=None, lower=(), extra=None) for interface in one.interfaces or ())
    assert bare == tuple(interface_in(line, needle(interface.name)) for interface in bare)
    assert interface_in(line, needle("not there")) is None


def test_names_elsewhere_in_a_line_are_no_interfaces() -> None:
    """An object among the unknown keys that bears an interface's name is not mistaken for that interface."""
    disk = {"disks": [{"name": "eth1", "size": 5}]}
    peer = interface("eth0", start=T0, extra={"peer": {"name": "eth1", "mtu": 1500}})
    eth1 = interface("eth1", 7, ifindex=3, start=T0)
    lines = [encode(one)[:-1] for one in (sample(0, peer, eth1), sample(0, peer), sample(0)._replace(extra=disk))]
    assert [eth1, None, None] == [interface_in(line, needle("eth1")) for line in lines]


def test_the_head_of_a_line_ends_at_its_own_interfaces() -> None:
    """A key `network_interfaces` inside an unknown object does not end the head of a line that has none itself."""
    one = sample(0)._replace(interfaces=None, extra={"x": {"a": 1, "network_interfaces": []}})
    assert Head(T0, "boot-1", 10.0) == head_of(encode(one)[:-1])


def test_a_run_is_known_by_its_marks() -> None:
    """A line continues a run where the interface has its start and its index, and the line its boot."""
    eth0 = interface("eth0", start=T0)
    mark = RunMark(eth0, "boot-1")
    others = [eth0._replace(start=T0 + 1), eth0._replace(ifindex=3), eth0._replace(name="eth1")]
    assert encode(sample(9, interface("lo"), eth0))[:-1] in mark
    assert not any(encode(sample(9, other))[:-1] in mark for other in others)
    assert encode(sample(9, eth0, boot="boot-2"))[:-1] not in mark
    assert encode(sample(9, eth0))[:-1] not in RunMark(eth0._replace(start=None), "boot-1")
