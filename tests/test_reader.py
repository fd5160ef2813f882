"""One way to read for everything that shows something."""

import os
from pathlib import Path

from netstat_cli.reader import store_reader
from netstat_cli.times import DAY, SECOND, now
from tests.cli.conftest import store
from tests.given import T0, interface, sample, writing


def test_a_store_is_read(tmp_path: Path) -> None:
    """The newest sample, the first moment, the interfaces of a span (one that is gone too, if it is named) and the
    node's total over its uplinks, each name once."""
    wlan0 = interface("wlan0", 5, kind="wireless", ifindex=3)
    store(tmp_path, [sample(0, wlan0), sample(10, interface(rx=500)), sample(20, interface(rx=900))])
    reader = store_reader(str(tmp_path), T0 + DAY, "web1")
    assert [T0 + 20_000] == [one.timestamp for one in reader.latest()]
    assert (T0, 900) == (reader.first("web1"), reader.series("web1", None, [T0, T0 + 20_000]).total.rx_bytes)
    cases = [(), ("e*",), ("eth0", "eth0"), ("wlan0",), ("eth9",)]
    found = [reader.interfaces("web1", patterns, T0 + 15_000, T0 + 20_000) for patterns in cases]
    assert [["eth0"], ["eth0"], ["eth0"], ["wlan0"], []] == found


def touch(data: Path, at: int) -> None:
    """Sets when samples were set aside last, which files tell."""
    for path in (data / "web1").glob("*.ahead.jsonl"):
        os.utime(path, (at / SECOND, at / SECOND))


def test_a_clock_that_is_far_ahead_is_told_until_it_is_right(tmp_path: Path) -> None:
    """By how much, from the files too; a right sample that came later ends it."""
    at = now()
    begin, ahead = (at - T0) / SECOND - 100, (at - T0) / SECOND + 3 * 86_400
    told = []
    with writing(tmp_path, clock=lambda: at) as writer:
        for second in (begin, ahead):
            writer.append([sample(second, interface())])
            touch(tmp_path, at)
            told.append([newest.ahead for newest in store_reader(str(tmp_path), at).newest(at)])
    assert [[0], [3 * DAY]] == told
    touch(tmp_path, at - 200_000)
    assert [0] == [newest.ahead for newest in store_reader(str(tmp_path), at).newest(at)]
