"""A store that 1.0.0 wrote is read, appended to, merged, closed, thinned and verified, with the same totals."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from netstat_cli.line.model import Sample
from netstat_cli.line.wire import decode, encode
from netstat_cli.store.check import verify
from netstat_cli.store.history import END, open_history
from netstat_cli.store.upkeep import Policy, Thinning, carry_out, plan
from netstat_cli.times import DAY, MINUTE
from netstat_cli.traffic.increase import Traffic
from netstat_cli.traffic.series import add, equal_edges, series
from tests.given import T0, scan, total, writing

FIXTURES = Path(__file__).parent.parent / "fixtures"
EXPECTED = json.loads((FIXTURES / "store-1.0.0.json").read_text())
"""What a scan of every line by 1.0.0 said."""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A copy of the store: reboots, a 32-bit wrap, a gap, a modem that came and went, late lines, a closed day."""
    shutil.copytree(FIXTURES / "store-1.0.0", tmp_path / "data")
    return tmp_path / "data"


def stored(data: Path, server: str) -> list[Sample]:
    """Every sample of a server."""
    with open_history(str(data), server) as history:
        return [decode(line.text) for line in history.lines(-1, END)]


def totals(data: Path, server: str, until: int = END) -> dict[str, Any]:
    """The traffic of each interface up to a moment, as the search finds it."""
    with open_history(str(data), server) as history:
        first, last = history.first(), history.locate(until)[0]
        assert first is not None
        assert last is not None
        edges = [first.timestamp - 1, last.timestamp]
        return {name: list(series(history, name, edges).total) for name in EXPECTED[server]["totals"]}


@pytest.mark.parametrize("server", ["old1", "map1"])
def test_the_totals_are_the_same(data: Path, server: str) -> None:
    """Of every interface, by the search and by the definition; and as many lines."""
    samples = stored(data, server)
    assert EXPECTED[server] == {"lines": len(samples), "totals": totals(data, server)}
    assert EXPECTED[server]["totals"] == {name: list(total(samples, name)) for name in EXPECTED[server]["totals"]}


def test_the_nodes_total_holds_the_modem_that_came_and_went(data: Path) -> None:
    """What 1.0.0 left out or counted twice, depending on the edges, is in it once, however the time is cut."""
    hardware = [Traffic(*EXPECTED["old1"]["totals"][name]) for name in ("eth0", "eth1", "wwan0")]
    samples = stored(data, "old1")
    since, until = samples[0].timestamp - 1, samples[-1].timestamp
    assert add(hardware) == total(samples, None)
    for count in (1, 7, 60):
        edges = equal_edges(since, until, count)
        with open_history(str(data), "old1") as history:
            found = series(history, None, edges)
        assert (add(hardware), scan(samples, None, edges)) == (found.total, found.buckets)


def test_it_is_sound(data: Path) -> None:
    """Its lines are as 1.0.0 wrote them, numbers included, and that is no fault."""
    assert [] == [one for one in verify(str(data), lambda _: None) if one.is_fault]


def test_it_goes_on(data: Path) -> None:
    """The next sample goes on in the runs that are stored; closing and thinning change no total by a byte."""
    last = stored(data, "old1")[-1]
    before = {server: totals(data, server) for server in EXPECTED}
    line = encode(last).replace(b"2026-10-31T07:59", b"2026-10-31T08:59")
    with writing(data) as writer:
        (new,) = writer.append([decode(line)])
        assert (True, [i.start for i in last.interfaces]) == (new.is_new, [i.start for i in new.sample.interfaces])
        assert new.sample.network_start == new.sample.timestamp
        assert [False] == [one.is_new for one in writer.append([last])]
        for policy in (Policy(), Policy(thinning=Thinning(DAY, 10 * MINUTE))):
            for work in plan(str(data), policy, T0 + 100 * DAY):
                carry_out(str(data), work, writer, lambda _: None, lambda: None)
            assert before == {server: totals(data, server) for server in EXPECTED}
    assert [] == [one for one in verify(str(data), lambda _: None) if one.is_fault]
