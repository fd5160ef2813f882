"""Counters from captures of /proc/net/dev, odd ones included, together with facts from a made-up /sys."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from netstat_cli.line.model import Interface
from netstat_cli.sources import open_source
from netstat_cli.sources.checks import MAX_WARNINGS
from netstat_cli.sources.procfs import COLUMNS, REFRESH, ProcfsSource, Row, parse_net_dev
from tests.given import interface

HEADER = (
    "Inter-|   Receive                                                |  Transmit\n"
    " face |bytes    packets errs drop fifo frame compressed multicast"
    "|bytes    packets errs drop fifo colls carrier compressed\n"
)
CAPTURE = """\
    lo:    3245      30    0    0    0     0          0         0     3245      30    0    0    0     0       0   0
  eth0: 75665022    1667    1    2    7     7          7         7   102866     998    3    4    7     7       7   7
eth0:1:       1       2    3    4    0     0          0         0        5       6    7    8    0     0       0   0
wlp3s0:18446744073709551615 9 0 0 0 0 0 0 8 7 0 0 0 0 0 0
    💩0: 57750104 64 0 0 0 0 0 0 0 0 0 0 0 0 0 0
a:b:c: 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1
"""
ZEROS = " 0" * 16


def row(name: str, values: str) -> Row:
    """A row with these sixteen values."""
    return Row(name, dict(zip(COLUMNS, map(int, values.split()), strict=True)))


def test_the_columns() -> None:
    """The sixteen columns have the names of the file's header, in its order."""
    assert COLUMNS == (
        *("rx_bytes", "rx_packets", "rx_errors", "rx_dropped"),
        *("rx_fifo", "rx_frame", "rx_compressed", "rx_multicast"),
        *("tx_bytes", "tx_packets", "tx_errors", "tx_dropped"),
        *("tx_fifo", "tx_collisions", "tx_carrier", "tx_compressed"),
    )


def test_parse_net_dev() -> None:
    """Each line is a name up to the last colon and sixteen columns."""
    assert parse_net_dev(HEADER + CAPTURE) == (
        [
            row("lo", "3245 30 0 0 0 0 0 0 3245 30 0 0 0 0 0 0"),
            row("eth0", "75665022 1667 1 2 7 7 7 7 102866 998 3 4 7 7 7 7"),
            row("eth0:1", "1 2 3 4 0 0 0 0 5 6 7 8 0 0 0 0"),
            row("wlp3s0", "18446744073709551615 9 0 0 0 0 0 0 8 7 0 0 0 0 0 0"),
            row("💩0", "57750104 64 0 0 0 0 0 0 0 0 0 0 0 0 0 0"),
            row("a:b:c", "1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"),
        ],
        [],
    )


@pytest.mark.parametrize(
    ("line", "trouble"),
    [
        ("eth0 no colon at all", "skipped a line that is not an interface's: 'eth0 no colon at all'"),
        ("eth0: 1 2 3", "skipped 'eth0': it has 3 columns and not 16"),
        ("eth0:", "skipped 'eth0': it has 0 columns and not 16"),
        (f"eth0:{ZEROS[:-1]}x", "skipped 'eth0': a column is not a number"),
        (f"eth0:{ZEROS[:-1]}1.5", "skipped 'eth0': a column is not a number"),
        (f"eth0: {'9' * 5000} {ZEROS}", "skipped 'eth0': a column is not a number"),
        (f":{ZEROS}", "skipped an interface without a name"),
        (f"  :{ZEROS}", "skipped an interface without a name"),
        (f"{'x' * 65}:{ZEROS}", f"skipped an interface whose name is longer than 64 characters: {'x' * 64!r}"),
        (f"eth0: -1{ZEROS}", "skipped 'eth0': rx_bytes is negative"),
        (f"eth0:{ZEROS[:-1]}18446744073709551616", "skipped 'eth0': tx_compressed is larger than 64 bits"),
        (f"eth1: 5{ZEROS}", "skipped a second row of 'eth1'"),
    ],
)
def test_a_row_that_cannot_be_an_interface_is_left_out(line: str, trouble: str) -> None:
    """One bad row is said in a sentence and does not keep the others from being read. Of two with one name the first
    is kept. Empty lines are nothing."""
    assert parse_net_dev(f"{HEADER}  eth1:{ZEROS}\n{line}\n\n  eth2:{ZEROS}\n \n") == (
        [row("eth1", ZEROS), row("eth2", ZEROS)],
        [trouble],
    )


def test_columns_of_a_later_kernel_are_passed_over() -> None:
    """What stands after the sixteenth column does not keep the sixteen from being read, number or not."""
    assert parse_net_dev(f"{HEADER}eth0:{ZEROS} 17 x\n") == ([row("eth0", ZEROS)], [])


def test_limits_that_are_kept() -> None:
    """A name of 64 characters and a counter of 64 bits are an interface's."""
    name, most = "x" * 64, f"18446744073709551615{ZEROS[2:]}"
    assert parse_net_dev(f"{HEADER}{name}: {most}\n") == ([row(name, most)], [])


@pytest.mark.parametrize("text", ["", "Inter-|", HEADER])
def test_no_interfaces_are_no_rows(text: str) -> None:
    """A file of nothing but its header is a machine without interfaces."""
    assert parse_net_dev(text) == ([], [])


class Machine:
    """A made-up /proc and /sys, and the source that reads them."""

    def __init__(self, root: Path) -> None:
        self.proc, self.sys = root / "proc", root / "sys"
        self.warnings: list[str] = []
        self.put("sys/kernel/random/boot_id", "5f0c\n")

    def put(self, path: str, text: str | bytes) -> None:
        """Writes a file under /proc."""
        _write(self.proc / path, text)

    def net_dev(self, *names: str, path: str = "net/dev") -> None:
        """Writes /proc/net/dev with one received byte more for each name."""
        rows = [f"{name}: {count}{' 0' * 15}\n" for count, name in enumerate(names, 1)]
        self.put(path, HEADER + "".join(rows))

    def link(self, name: str, **facts: str) -> None:
        """Writes files of /sys/class/net/<name>."""
        for fact, text in facts.items():
            _write(self.sys / "class/net" / name / fact, text)

    def source(self) -> ProcfsSource:
        """The source that reads this machine."""
        source = open_source("procfs", str(self.proc), str(self.sys), self.warnings.append)
        assert isinstance(source, ProcfsSource)
        return source


def _write(path: Path, text: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine without interfaces yet."""
    return Machine(tmp_path)


def test_an_interface_whole(machine: Machine) -> None:
    """Counters, number, state, kind and speed of one interface come together; the start of its run is left open."""
    machine.put("net/dev", f"{HEADER}eth0: 1 2 3 4 9 9 9 9 5 6 7 8 9 9 9 9\n")
    machine.link("eth0", ifindex="2\n", operstate="up\n", speed="1000\n", device="", type="1\n")
    source = machine.source()
    assert source.read() == [
        Interface(
            name="eth0",
            ifindex=2,
            kind="physical",
            is_up=True,
            speed_mbps=1000,
            start=None,
            rx_bytes=1,
            rx_packets=2,
            rx_errors=3,
            rx_dropped=4,
            tx_bytes=5,
            tx_packets=6,
            tx_errors=7,
            tx_dropped=8,
            rx_fifo=9,
            rx_frame=9,
            rx_compressed=9,
            rx_multicast=9,
            tx_fifo=9,
            tx_collisions=9,
            tx_carrier=9,
            tx_compressed=9,
        )
    ]
    assert source.boot_id == "5f0c"


def test_an_interface_that_sysfs_does_not_know(machine: Machine) -> None:
    """Without /sys there are still the counters: up, as far as anyone can tell, and the rest unknown."""
    machine.net_dev("eth0", "eth0:1", "💩0")
    names = ["eth0", "eth0:1", "💩0"]
    expected = [interface(name, ifindex=None, kind=None, rx=count, tx=0) for count, name in enumerate(names, 1)]
    assert expected == machine.source().read()


def test_the_speed_of_an_interface_that_is_down_is_unknown(machine: Machine) -> None:
    """Some drivers go on telling the speed of a link that is gone."""
    machine.net_dev("eth0")
    machine.link("eth0", ifindex="2", operstate="down", speed="1000")
    (only,) = machine.source().read()
    assert (False, None) == (only.is_up, only.speed_mbps)


def test_a_missing_file_is_no_interfaces_and_one_warning(machine: Machine) -> None:
    """A repeated failure is told once; when the file is there, so are its interfaces."""
    source = machine.source()
    assert [[], [], []] == [source.read() for _ in range(3)]
    path = f"{machine.proc}/net/dev"
    assert machine.warnings == [f"cannot read {path}: No such file or directory; no interfaces are reported"]
    machine.net_dev("eth0")
    assert [one.name for one in source.read()] == ["eth0"]


def test_a_trouble_is_one_warning_though_its_numbers_change(machine: Machine) -> None:
    """A row that is bad at each reading is told once; the reading after it is well, it is there."""
    source = machine.source()
    found = []
    for value in (-1, -2, 3):
        machine.put("net/dev", f"{HEADER}eth0: {value}{ZEROS[2:]}\neth1:{ZEROS}\n")
        found.append([one.name for one in source.read()])
    assert [["eth1"], ["eth1"], ["eth0", "eth1"]] == found
    assert [f"{machine.proc}/net/dev: skipped 'eth0': rx_bytes is negative"] == machine.warnings


def test_warnings_have_an_end(machine: Machine) -> None:
    """A file that is other nonsense at each reading is told so many times and no more."""
    machine.put("net/dev", HEADER + "".join(f"nonsense {number}\n" for number in range(MAX_WARNINGS + 9)))
    machine.source().read()
    assert MAX_WARNINGS == len(machine.warnings)


def test_a_malformed_line_is_one_warning(machine: Machine) -> None:
    """An unreadable line is told once, shortened, and the rest is read each time."""
    machine.put("net/dev", f"{HEADER}{'x' * 90}\neth0:{ZEROS}\n")
    source = machine.source()
    assert [["eth0"], ["eth0"]] == [[one.name for one in source.read()] for _ in range(2)]
    path = f"{machine.proc}/net/dev"
    assert machine.warnings == [f"{path}: skipped a line that is not an interface's: {'x' * 80!r}"]


def test_a_name_that_is_not_utf8_is_spelled_out(machine: Machine) -> None:
    """The kernel takes any bytes for a name; what is not UTF-8 is shown as escapes."""
    machine.put("net/dev", HEADER.encode() + b"e\xffh0:" + ZEROS.encode() + b"\n")
    assert [one.name for one in machine.source().read()] == ["e\\xffh0"]


def test_the_host_is_seen_through_process_1(machine: Machine) -> None:
    """In a host's /proc mounted elsewhere `net` is the reader's own namespace; that of process 1 is the host's."""
    machine.net_dev("container0")
    machine.net_dev("host0", path="1/net/dev")
    assert [one.name for one in machine.source().read()] == ["host0"]


def test_many_interfaces_in_a_file_of_many_reads(machine: Machine) -> None:
    """A file longer than one read is read whole, in its own order, however many interfaces it has."""
    names = [f"veth{number:07}" for number in range(1500)]
    machine.net_dev("lo", *names)
    assert ["lo", *names] == [one.name for one in machine.source().read()]


def test_interfaces_are_listed_anew_at_each_reading(machine: Machine) -> None:
    """What comes, goes, is renamed or made anew under its old name is told as it stands, facts included."""
    source = machine.source()
    machine.link("eth0", ifindex="2", operstate="up", speed="100", device="")
    machine.link("tun0", ifindex="3", operstate="unknown", tun_flags="0x1")
    seen = []
    for names in [("eth0",), ("eth0", "tun0"), ("tun0",)]:
        machine.net_dev(*names)
        seen.append([(one.name, one.ifindex, one.kind) for one in source.read()])
    machine.link("tun0", ifindex="4", device="")
    seen.append([(one.name, one.ifindex, one.kind) for one in source.read()])
    eth0, tun0 = ("eth0", 2, "physical"), ("tun0", 3, "tun")
    assert seen == [[eth0], [eth0, tun0], [tun0], [("tun0", 4, "physical")]]


def test_facts_are_read_again_when_a_link_comes_up(machine: Machine) -> None:
    """A cable plugged into a faster switch is noticed at the next sample."""
    source = machine.source()
    machine.net_dev("eth0")
    speeds = []
    for state, speed in [("up", "100"), ("down", "-1"), ("up", "1000")]:
        machine.link("eth0", ifindex="2", operstate=state, speed=speed)
        speeds.append([one.speed_mbps for one in source.read()])
    assert [[100], [None], [1000]] == speeds


def test_facts_are_read_again_in_turn(machine: Machine) -> None:
    """A fact that changes without a sign is noticed at the latest after so many samples."""
    source = machine.source()
    machine.net_dev("eth0")
    machine.link("eth0", ifindex="2", operstate="up", speed="100")
    source.read()
    machine.link("eth0", speed="1000")
    assert {100, 1000} == {one.speed_mbps for _ in range(REFRESH) for one in source.read()}


def test_of_a_veth_pair_the_younger_stands_on_the_older(machine: Machine) -> None:
    """Two ends in one namespace carry the same bytes: one of them is told as stacked on the other. A veth whose other
    end is elsewhere stands on nothing, even if something here bears the number that its peer has there."""
    machine.net_dev("veth0", "veth1", "veth2", "eth0")
    machine.link("veth0", ifindex="5", iflink="6", uevent="DEVTYPE=veth")
    machine.link("veth1", ifindex="6", iflink="5")
    machine.link("veth2", ifindex="7", iflink="5")
    machine.link("eth0", ifindex="2", iflink="2", device="")
    found = [(one.name, one.kind, one.lower) for one in machine.source().read()]
    veths = [("veth0", "veth", ()), ("veth1", "veth", ("veth0",)), ("veth2", "veth", ())]
    assert found == [*veths, ("eth0", "physical", ())]


def test_the_ports_of_a_switch_chip_stand_on_their_conduit(machine: Machine) -> None:
    """A port is told by its driver's word, its conduit by a link, or, in older kernels, by number. One whose conduit is
    not there stands on nothing."""
    machine.net_dev("eth0", "lan1", "lan2", "lan3")
    machine.link("eth0", ifindex="2", iflink="2", device="")
    machine.link("lan1", ifindex="3", iflink="2", device="", uevent="DEVTYPE=dsa\nINTERFACE=lan1", lower_eth0="")
    machine.link("lan2", ifindex="4", iflink="2", device="", uevent="DEVTYPE=dsa", phys_port_name="p1")
    machine.link("lan3", ifindex="5", iflink="9", device="", uevent="DEVTYPE=dsa")
    found = [(one.name, one.kind, one.lower) for one in machine.source().read()]
    ports = [("lan1", "dsa", ("eth0",)), ("lan2", "dsa", ("eth0",)), ("lan3", "dsa", ())]
    assert [("eth0", "physical", ()), *ports] == found


def test_this_machine(machine: Machine) -> None:
    """The real /proc has the interfaces that the kernel names, with their real numbers."""
    source = open_source("auto", "/proc", "/sys", machine.warnings.append)
    found = {(one.ifindex, one.name) for one in source.read()}
    assert (set(socket.if_nameindex()), []) == (found, machine.warnings)
