"""What a store holds, and what is wrong with it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from netstat_cli.line.model import Sample
from netstat_cli.store.check import Contents, contents, verify
from netstat_cli.times import SECOND
from tests.given import T0, completed, interface, line_of, sample
from tests.store.test_upkeep import look_after, put, writing


def counted(*moments: int, first: int = 0) -> list[Sample]:
    both = [(interface(rx=10_000 + at), interface("wlan0", ifindex=3)) for at in moments]
    return completed(sample(at, *two, seq=first + i) for i, (at, two) in enumerate(zip(moments, both, strict=True)))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    with writing(path) as writer:
        put(writer, counted(*range(0, 50, 10)))
        look_after(path, writer)
        put(writer, counted(86_400, 86_420, 86_430) + counted(86_410))
    (path / "web0").mkdir()
    return path


def findings(data: Path) -> list[tuple[str, str, bool]]:
    return [(one.where.removeprefix(f"{data}/web1/"), one.what, one.is_fault) for one in verify(str(data), int)]


def test_contents(data: Path) -> None:
    """Days, lines, readings of an interface, bytes of files, first and last sample of every server."""
    size = sum(path.stat().st_size for path in (data / "web1").iterdir())
    nothing = Contents("web0", 0, 0, 0, 0, None, None)
    assert [nothing, Contents("web1", 2, 9, 18, size, T0, T0 + 86_430 * SECOND)] == contents(str(data), int)


def test_a_sound_store_has_no_findings(data: Path) -> None:
    """Merged, closed, waiting to be merged: all that the store itself writes is sound."""
    assert [] == findings(data)


PLAIN, LATE, CLOSED = "2026-11-22.jsonl", "2026-11-22.late.jsonl", "2026-11-21.jsonl.gz"
LINE = line_of(counted(86_440)[0])
FALLING = line_of(sample(86_440, interface(rx=9, start=T0), interface("wlan0", ifindex=3)))


def appended(name: str, text: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).open("ab").write(text)


def overwritten(name: str, at: int, text: bytes) -> Callable[[Path], object]:

    def damage(folder: Path) -> None:
        old = (folder / name).read_bytes()
        (folder / name).write_bytes(old[:at] + text + old[at:][len(text) :])

    return damage


TAKES_BACK = line_of(counted(86_420)[0])
FAULTS = {
    "unparsable": (appended(PLAIN, LINE[:-2] + b"x\n"), f"{PLAIN}:4", "is not JSON: Expecting"),
    "no sample line": (overwritten(PLAIN, 0, b"hello\n"), "2026-11-22", "not a sample line: b'hello"),
    "unparsable, late": (appended(LATE, b"{}\n"), f"{LATE}:2", "timestamp: is missing"),
    "time": (appended(PLAIN, TAKES_BACK), f"{PLAIN}:4", "its time does not come after 2026-11-22T12:00:30.000Z"),
    "falling": (appended(PLAIN, FALLING), f"{PLAIN}:4", "a counter of 'eth0' falls within its run"),
    "server": (appended(PLAIN, LINE.replace(b"web1", b"web2", 1)), f"{PLAIN}:4", "is of another server, web2"),
    "day": (appended(PLAIN, line_of(counted(172_800)[0])), f"{PLAIN}:4", "is of another day, 2026-11-23T12:00:00.000Z"),
    "not canonical": (appended(PLAIN, LINE.replace(b",", b", ")), f"{PLAIN}:4", "is not written as the store writes"),
    "torn": (appended(PLAIN, LINE[:9]), PLAIN, "the last line is torn (9 bytes); the next writer cuts it off"),
    "member": (overwritten(CLOSED, 200, bytes(9)), "2026-11-21", "member 1 cannot be inflated"),
    "header": (overwritten(CLOSED, 20, b"\1"), "2026-11-21", "member 1 begins at 2026-11-21T12"),
    "after the last": (appended(CLOSED, b"x"), "2026-11-21", "its gzip members do not follow each"),
}


@pytest.mark.parametrize(("damage", "where", "what"), FAULTS.values(), ids=FAULTS)
def test_each_fault_is_found_where_it_is(data: Path, damage: Callable[[Path], object], where: str, what: str) -> None:
    """One thing is wrong, and one thing is told: in which file, on which line, and what; the other days are read."""
    damage(data / "web1")
    ((found, said, is_fault),) = [one for one in findings(data) if one[2]]
    assert (where, what, True) == (found, said[: len(what)], is_fault)


def test_a_hole_in_seq_is_told_and_is_no_fault(data: Path) -> None:
    """Samples that never came are missing by `seq`; a restarted sampler, another boot and a thinned day are no hole."""
    with writing(data) as writer:
        look_after(data, writer)
        put(writer, counted(2 * 86_400, first=2) + counted(2 * 86_400 + 10, first=6) + counted(2 * 86_400 + 20))
        put(writer, [sample(2 * 86_400 + 30, seq=7, boot="boot-2")])
    missing = "3 samples are missing since 2026-11-23T12:00:00.000Z, says seq"
    assert ("2026-11-23.jsonl:2", missing, False) in findings(data)
    assert ["2026-11-23.jsonl:2"] == [where for where, _, _ in findings(data) if where.startswith("2026-11-23")]


def told(tmp_path: Path, samples: list[Sample]) -> list[str]:
    """What is told of these samples, none of which is a fault of the store."""
    data = tmp_path / "told"
    with writing(data) as writer:
        put(writer, samples)
    found = list(verify(str(data), int))
    assert [] == [one for one in found if one.is_fault]
    return [one.what for one in found]


FOUR = "rx_bytes {0}, tx_bytes {0}, rx_packets {1}, tx_packets {1}"
SLOW_LINK = {"rx_packets": 9, "tx_packets": 9, "speed_mbps": 10}


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        pytest.param(
            [sample(0, interface(rx=9000)), sample(10, interface(rx=4000, rx_packets=10, tx_packets=10))],
            "'eth0': a counter was corrected or wrapped unseen (rx_bytes from 9000 to 4000, "
            "tx_bytes from 9000 to 4000); counted as 0",
            id="correction",
        ),
        pytest.param(
            [sample(0, interface(rx=9000)), sample(10, interface(rx=1 << 63))],
            "'eth0': its counters leapt beyond what any link carries "
            f"({FOUR.format(1 << 63, (1 << 63) // 1000)}); nothing of it is counted",
            id="leap",
        ),
        pytest.param(
            [sample(0), sample(10, interface(rx=1 << 50))],
            f"'eth0': came with a past of its own ({FOUR.format(1 << 50, (1 << 50) // 1000)}), which is not counted",
            id="moved in",
        ),
        pytest.param(
            [sample(0, interface(rx=9000)), sample(10, interface(rx=10**9, ifindex=7, **SLOW_LINK))],
            "'eth0': was counted anew and shows more than its link carries "
            f"({FOUR.format(10**9, 9)}); that is not counted",
            id="reset",
        ),
        pytest.param(
            [sample(0), sample(900, interface(rx=9000))],
            f"'eth0': nothing is known of what went before ({FOUR.format(9000, 9)}), so it is not counted",
            id="unknown",
        ),
        pytest.param(
            [
                sample(0, interface(rx=(1 << 32) - 5, tx=0, rx_packets=0, speed_mbps=1000)),
                sample(60, interface(rx=1 << 20, tx=0, rx_packets=900, speed_mbps=1000)),
            ],
            "'eth0': a 32-bit counter wrapped within 60 s, in which it can wrap twice: bytes may be missing",
            id="wrap",
        ),
        pytest.param(
            [sample(at, interface(rx=10**6), boot=boot) for at, boot in ((0, "A"), (10, "B"), (20, "A"))],
            "boot A is back after boot B: two machines share this name, or a clock went back",
            id="boots",
        ),
    ],
)
def test_what_could_not_be_counted_is_told(tmp_path: Path, samples: list[Sample], expected: str) -> None:
    """With time and figures; it is no fault of the store."""
    assert [expected] == told(tmp_path, samples)
