"""An interface's number and state: asked of the kernel, or read from the files of a /sys."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from netstat_cli.sources.links import KernelLinks, SysfsLinks, open_links


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"ifindex": "2\n", "operstate": "up\n"}, (2, True)),
        ({"ifindex": "2\n", "operstate": "unknown\n"}, (2, True)),
        ({"ifindex": "2\n", "operstate": "down\n"}, (2, False)),
        ({"ifindex": "2\n", "operstate": "dormant\n"}, (2, False)),
        ({"ifindex": "2\n", "operstate": "lowerlayerdown\n"}, (2, False)),
        ({"ifindex": "2\n"}, (2, True)),
        ({"ifindex": "two\n", "operstate": "down\n"}, (None, False)),
        ({}, (None, True)),
    ],
)
def test_the_files_of_a_sysfs(tmp_path: Path, files: dict[str, str], expected: tuple[int | None, bool]) -> None:
    """`up` and `unknown` are up, as RFC 2863 has it for tunnels; where there is no file it is up and unnumbered."""
    folder = tmp_path / "class/net/eth0"
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    assert expected == SysfsLinks(str(tmp_path)).read("eth0")


def test_the_kernel_numbers_every_interface() -> None:
    """The kernel tells each interface of this machine by the number that the C library knows."""
    links = KernelLinks()
    assert {name: index for index, name in socket.if_nameindex()} == {
        name: links.read(name)[0] for _, name in socket.if_nameindex()
    }


def test_kernel_and_sysfs_agree() -> None:
    """On the machine itself both ways give the same number and state for what both know."""
    names = [name for _, name in socket.if_nameindex() if Path(f"/sys/class/net/{name}/operstate").exists()]
    kernel, sysfs = KernelLinks(), SysfsLinks("/sys")
    assert [sysfs.read(name) for name in names] == [kernel.read(name) for name in names]


@pytest.mark.parametrize("name", ["nosuch0", "💩0", "a-name-longer-than-any-interface-has", ""])
def test_an_interface_that_went_away_is_unknown(name: str) -> None:
    """The kernel does not know a name: no number, and nothing says that it is down."""
    assert ((None, True), None) == (KernelLinks().read(name), KernelLinks().driver(name))


def test_the_driver_is_that_of_sysfs() -> None:
    """Where sysfs names a driver too, as for hardware, the kernel's answer is the same; loopback has none."""
    links = KernelLinks()
    drivers = {path.parent.parent.name: path.resolve().name for path in Path("/sys/class/net").glob("*/device/driver")}
    assert drivers == {name: links.driver(name) for name in drivers}
    assert links.driver("lo") is None


def test_a_sysfs_elsewhere_knows_no_driver() -> None:
    """The kernel would answer for this namespace, and not for the one whose /sys is read."""
    assert SysfsLinks("/host/sys").driver("eth0") is None


@pytest.mark.parametrize(
    ("procfs", "sysfs", "kind"),
    [
        ("/proc", "/sys", KernelLinks),
        ("/proc/", "/sys/", KernelLinks),
        ("/host/proc", "/host/sys", SysfsLinks),
        ("/proc", "/host/sys", SysfsLinks),
        ("/host/proc", "/sys", SysfsLinks),
    ],
)
def test_only_the_machines_own_links_are_asked_of_the_kernel(procfs: str, sysfs: str, kind: type) -> None:
    """For a host's /proc or /sys mounted elsewhere the kernel would answer for the wrong namespace."""
    assert isinstance(open_links(procfs, sysfs), kind)
