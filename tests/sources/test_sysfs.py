"""Facts about interfaces from a made-up /sys/class/net."""

from __future__ import annotations

from pathlib import Path

import pytest

from netstat_cli.sources.sysfs import NO_FACTS, Facts, read_facts, read_number, read_text

LINK, FOLDER = object(), object()


def facts_of(root: Path, files: dict[str, object], ifindex: int | None = 2, driver: str | None = None) -> Facts:
    """What is read of an eth0 that has these files, links and folders."""
    folder = root / "class/net/eth0"
    folder.mkdir(parents=True)
    for name, content in files.items():
        if content is FOLDER:
            (folder / name).mkdir()
        elif content is LINK:
            (folder / name).symlink_to(f"../{name.removeprefix('lower_')}")
        elif isinstance(content, Path):
            (folder / name).symlink_to(content)
        else:
            (folder / name).write_text(f"{content}\n")
    return read_facts(str(root), "eth0", ifindex, driver)


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        pytest.param({"type": 772}, "loopback", id="by its type"),
        pytest.param({"type": 1, "device": LINK}, "physical", id="hardware"),
        pytest.param({"type": 1, "device": LINK, "wireless": FOLDER}, "wireless", id="wireless"),
        pytest.param({"type": 1, "phy80211": LINK, "uevent": "DEVTYPE=wlan"}, "wireless", id="virtual wireless"),
        pytest.param({"uevent": "INTERFACE=eth0\nDEVTYPE=bridge"}, "bridge", id="by the driver's word"),
        pytest.param({"uevent": "DEVTYPE=vlan", "lower_eth1": LINK, "iflink": 3}, "vlan", id="vlan"),
        pytest.param({"uevent": "DEVTYPE=wireguard"}, "wireguard", id="a kind of the future"),
        pytest.param({"uevent": "INTERFACE=eth0", "tun_flags": "0x1002"}, "tun", id="tun"),
        pytest.param({"iflink": 9}, "veth", id="veth: linked to something that is not below it"),
        pytest.param({"iflink": 9, "lower_eth1": LINK}, "virtual", id="linked to what is below it"),
        pytest.param({"iflink": 2}, "virtual", id="linked to itself"),
        pytest.param({"iflink": 0}, "virtual", id="tunnel without a device below"),
        pytest.param({}, "virtual", id="nothing told"),
        pytest.param({"type": 1, "device": LINK, "uevent": "DEVTYPE=dsa"}, "dsa", id="a switch chip's port"),
        pytest.param({"type": 1, "device": LINK, "phys_port_name": "p0"}, "physical", id="a card's port"),
        pytest.param({"type": 1, "device": LINK, "phys_port_name": ""}, "physical", id="a card's only port"),
        pytest.param({"type": 1, "device": LINK, "phys_port_name": "pf0vf3"}, "representor", id="for a function"),
        pytest.param({"type": 1, "device": LINK, "phys_port_name": "c1pf0sf88"}, "representor", id="for a subfunction"),
        pytest.param({"type": 803, "phy80211": LINK}, "monitor", id="a radio that listens"),
        pytest.param({"type": 824}, "monitor", id="nlmon"),
        pytest.param({"type": 778, "iflink": 9}, "gre", id="gre, bound to a device"),
        pytest.param({"type": 768, "iflink": 0}, "ipip", id="ipip"),
        pytest.param({"type": 769}, "ip6tnl", id="ip6tnl"),
        pytest.param({"type": 776, "iflink": 9}, "sit", id="sit"),
        pytest.param({"type": 65534}, "tun", id="no link layer"),
        pytest.param({"type": 65534, "uevent": "DEVTYPE=wireguard"}, "wireguard", id="no link layer, but a word"),
        pytest.param({"type": 1, "uevent": "DEVTYPE=vxlan", "iflink": 9}, "vxlan", id="vxlan, bound to a device"),
        pytest.param({"type": 1, "uevent": "DEVTYPE=geneve"}, "geneve", id="geneve"),
        pytest.param({"type": 519, "device": LINK, "uevent": "DEVTYPE=wwan"}, "physical", id="a modem"),
    ],
)
def test_kind(tmp_path: Path, files: dict[str, object], kind: str) -> None:
    """The kind is told by what sysfs holds, most certain sign first."""
    assert kind == facts_of(tmp_path, {"ifindex": 2} | files).kind


@pytest.mark.parametrize(
    ("driver", "files", "kind"),
    [
        pytest.param("macvlan", {"iflink": 9}, "macvlan", id="what looks like a veth"),
        pytest.param("veth", {"iflink": 9}, "veth", id="a veth"),
        pytest.param("gretap", {"type": 1, "iflink": 9}, "gretap", id="a tunnel of Ethernet frames"),
        pytest.param("vti", {"type": 768}, "vti", id="more exact than the type"),
        pytest.param("dummy", {"iflink": 2}, "dummy", id="nothing at its other end"),
        pytest.param("virtio_net", {"device": LINK, "iflink": 2}, "physical", id="hardware"),
        pytest.param("802.1Q VLAN Support", {"uevent": "DEVTYPE=vlan", "iflink": 9}, "vlan", id="a word of uevent"),
        pytest.param("of the future", {"iflink": 9}, "virtual", id="no kind that is known"),
        pytest.param("of the future", {"type": 65534}, "tun", id="no kind that is known, but a type"),
    ],
)
def test_kind_by_the_driver(tmp_path: Path, driver: str, files: dict[str, object], kind: str) -> None:
    """Where sysfs has no word for it, the driver's name tells the kind, if it is one that is known."""
    assert kind == facts_of(tmp_path, {"ifindex": 2} | files, driver=driver).kind


def test_kind_by_the_name(tmp_path: Path) -> None:
    """Where nothing else tells it, as in an older kernel, a name that the kernel gave tells the kind; a name that looks
    like one of hardware, or that a user chose, does not."""
    for name in ("gretap0", "dummy0", "eth0", "wlan0", "mine"):
        (tmp_path / "class/net" / name).mkdir(parents=True)
    kinds = {path.name: read_facts(str(tmp_path), path.name, 2).kind for path in (tmp_path / "class/net").iterdir()}
    unknown = dict.fromkeys(["eth0", "wlan0", "mine"], "virtual")
    assert {"gretap0": "gretap", "dummy0": "dummy", **unknown} == kinds


def test_the_driver_is_the_interfaces_own_in_any_sysfs(tmp_path: Path) -> None:
    """The kernel answers for this namespace, so its word stays where sysfs is that of another one."""
    assert NO_FACTS._replace(kind="veth") == facts_of(tmp_path, {"ifindex": 7, "device": LINK}, driver="veth")


@pytest.mark.parametrize(
    ("files", "speed"),
    [
        ({"speed": 1000}, 1000),
        ({"speed": 200000}, 200000),
        ({"speed": -1}, None),
        ({"speed": 0}, None),
        ({"speed": ""}, None),
        ({"speed": "fast"}, None),
        ({"speed": Path("/proc/self/mem")}, None),  # a read that fails, as EINVAL does where a link is down
        ({"speed": FOLDER}, None),
        ({}, None),
    ],
)
def test_speed(tmp_path: Path, files: dict[str, object], speed: int | None) -> None:
    """A speed is a positive number of Mbit/s; -1, nonsense and a failing read are none."""
    assert speed == facts_of(tmp_path, {"ifindex": 2} | files).speed_mbps


def test_what_stands_on_what(tmp_path: Path) -> None:
    """Master and lower interfaces are told by links, the number of the other end by iflink."""
    files = {"ifindex": 2, "iflink": 3, "master": Path("../../br0"), "lower_b": LINK, "lower_a": LINK, "upper_c": LINK}
    assert Facts("virtual", None, "br0", ("a", "b"), 3) == facts_of(tmp_path, files)


def test_a_master_that_goes_away_while_it_is_read_is_none(tmp_path: Path) -> None:
    """A link that is listed but cannot be read any more, or is none, does not stop the reading."""
    assert facts_of(tmp_path, {"ifindex": 2, "master": "no link"}).master is None


@pytest.mark.parametrize(
    ("files", "ifindex", "expected"),
    [
        pytest.param({"ifindex": 7, "device": LINK}, 2, NO_FACTS, id="another device"),
        pytest.param({"ifindex": 2, "device": LINK}, 2, Facts("physical", None, None, (), None), id="this device"),
        pytest.param({"ifindex": 7, "device": LINK}, None, Facts("physical", None, None, (), None), id="no number"),
        pytest.param({"device": LINK}, 2, Facts("physical", None, None, (), None), id="no number in sysfs"),
    ],
)
def test_the_sysfs_of_another_namespace_is_not_believed(
    tmp_path: Path, files: dict[str, object], ifindex: int | None, expected: Facts
) -> None:
    """In a container /sys may be the host's: its eth0 with another number is another device."""
    assert expected == facts_of(tmp_path, files, ifindex)


@pytest.mark.parametrize("name", ["gone", "bonding_masters"])
def test_no_such_interface_has_no_facts(tmp_path: Path, name: str) -> None:
    """An interface that sysfs does not show, or that is a mere file there, has none."""
    (tmp_path / "class/net").mkdir(parents=True)
    (tmp_path / "class/net/bonding_masters").write_text("bond0\n")
    assert read_facts(str(tmp_path), name, 2) == NO_FACTS


@pytest.mark.parametrize(
    ("text", "number"), [("12\n", 12), (" -1 ", -1), ("0", 0), ("", None), ("-", None), ("1.5", None), ("0x10", None)]
)
def test_read_number(tmp_path: Path, text: str, number: int | None) -> None:
    """A number is a decimal integer, and nothing else is one."""
    (tmp_path / "file").write_text(text)
    assert number == read_number(f"{tmp_path}/file")


def test_what_cannot_be_read_is_none(tmp_path: Path) -> None:
    """A missing file and a failing read are no text and no number; bytes that are no text are spelled out."""
    (tmp_path / "odd").write_bytes(b"\xff\n")
    paths = [f"{tmp_path}/none", str(tmp_path), f"{tmp_path}/odd"]
    assert [(None, None), (None, None), ("\\xff", None)] == [(read_text(path), read_number(path)) for path in paths]
