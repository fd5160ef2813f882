"""Merging, closing, thinning and deleting days: nothing that anybody asks for changes by it."""

import os
import shutil
import tempfile
import threading
from pathlib import Path
from random import Random

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from netstat_cli.line.model import Sample
from netstat_cli.line.wire import decode
from netstat_cli.store.check import verify
from netstat_cli.store.history import open_history
from netstat_cli.store.upkeep import Policy, Thinning, Work, carry_out, plan
from netstat_cli.store.writer import Writer
from netstat_cli.times import DAY, HOUR, MINUTE, SECOND
from netstat_cli.traffic.increase import counters
from netstat_cli.traffic.series import Bucket, equal_edges, series
from tests.given import T0, completed, interface, sample, scan, writing
from tests.histories import NAMES, histories

LATER = T0 + 1000 * DAY
PLAIN = Policy()


def put(writer: Writer, samples: list[Sample]) -> list[bool]:
    return [stored.is_new for one in samples for stored in writer.append([one])]


def look_after(data: str | Path, writer: Writer, policy: Policy = PLAIN, at: int = LATER) -> list[Work]:
    done = []
    while todo := plan(str(data), policy, at):
        assert len(done) < 100
        done += [one for one in todo if carry_out(str(data), one, writer, lambda _: None, lambda: None)]
    return done


def names_of(data: str | Path) -> list[str]:
    return sorted(os.listdir(f"{data}/web1"))


def lines_in(data: str | Path) -> list[float]:
    with open_history(str(data), "web1") as history:
        return [(line.timestamp - T0) / SECOND for line in history.lines(-1, 1 << 60)]


def read(data: str | Path, edges: list[int], name: str | None = "eth0") -> list[Bucket]:
    with open_history(str(data), "web1") as history:
        return series(history, name, edges).buckets


def total(data: str | Path) -> int:
    return sum(bucket.traffic.rx_bytes for bucket in read(data, [T0 - 30 * DAY, LATER]))


def steady(*seconds: float) -> list[Sample]:
    return completed([sample(at, interface(rx=10**9 + round(at * 100)), seq=round(at)) for at in sorted(seconds)])


UNSHRUNK = (Phase.explicit, Phase.reuse, Phase.generate)  # shrinking a failure takes minutes of syncing
SLOW = settings(max_examples=15, phases=UNSHRUNK, deadline=None)
WHO = (*NAMES, None)


def stored(data: str | Path) -> list[Sample]:
    with open_history(str(data), "web1") as history:
        return [decode(line.text) for line in history.lines(-1, 1 << 60)]


def measured(samples: list[Sample]) -> list[object]:
    """What the lines measure, without the runs that are stamped on them."""
    return [(one.timestamp, one.boot_id, [(i.name, i.ifindex, counters(i)) for i in one.interfaces]) for one in samples]


@SLOW
@given(histories(days=True), st.randoms(use_true_random=False), st.sampled_from([1, 7, 50]))
def test_merging_and_closing_change_no_number(samples: list[Sample], rng: Random, count: int) -> None:
    """However lines came, the buckets are those of a look at every sample, before and after all days are closed."""
    edges = equal_edges(samples[0].timestamp - 1000, samples[-1].timestamp + 1000, count)
    order = sorted(samples, key=lambda one: one.timestamp + rng.choice([0, 0, 0, 50, 10**5]) * SECOND)
    with tempfile.TemporaryDirectory() as data, writing(data) as writer:
        assert [True] * len(samples) == put(writer, order)
        kept = stored(data)
        expected = {name: [bucket[:5] for bucket in scan(kept, name, edges)] for name in WHO}
        assert expected == {name: [bucket[:5] for bucket in read(data, edges, name)] for name in WHO}
        look_after(data, writer)
        assert measured(kept) == measured(stored(data))
        assert expected == {name: [bucket[:5] for bucket in read(data, edges, name)] for name in WHO}
        assert {".jsonl.gz"} == {name[10:] for name in names_of(data)} - {".mistimed.jsonl"}
        assert [] == [one for one in verify(data, lambda _: None) if one.is_fault]
        if kept and len(kept) == len(samples):
            assert [False] * len(samples) == put(writer, order)


@SLOW
@given(histories(days=True), st.randoms(use_true_random=False), st.sampled_from([MINUTE, HOUR, DAY]))
def test_thinning_changes_no_total_by_a_byte(samples: list[Sample], rng: Random, step: int) -> None:
    """Whatever happened to the machine, each day's total is the same after thinning, and with lines that come late."""
    days = {one.timestamp // DAY * DAY for one in samples}
    edges = sorted(days | {day + DAY for day in days})
    late = set(rng.sample(range(len(samples)), len(samples) // 4))
    with tempfile.TemporaryDirectory() as data, writing(data) as writer:
        put(writer, [one for number, one in enumerate(samples) if number not in late])
        for some in ([], [samples[number] for number in sorted(late)]):
            put(writer, some)
            before = {name: [b.traffic for b in read(data, edges, name)] for name in WHO}
            look_after(data, writer, Policy(thinning=Thinning(DAY, step)))
            assert before == {name: [b.traffic for b in read(data, edges, name)] for name in WHO}


@pytest.mark.parametrize("step", [0, MINUTE])
def test_a_crash_at_any_step_loses_nothing(tmp_path: Path, step: int) -> None:
    """A half-written temporary file, or old files beside the new one, read as before, and the next run finishes."""
    policy = Policy(thinning=Thinning(DAY, step)) if step else Policy()
    with writing(tmp_path / "done") as writer:
        put(writer, steady(*range(0, 600, 20)) + steady(*range(10, 600, 20)))
        shutil.copytree(tmp_path / "done/web1", tmp_path / "before")
        expected = total(tmp_path / "done")
        look_after(tmp_path / "done", writer, policy)
    day = "2026-11-21"
    whole = (tmp_path / f"done/web1/{day}.jsonl.gz").read_bytes()
    leftovers = [".jsonl", ".late.jsonl"]
    states = [(leftovers, [], cut) for cut in (0, 100, len(whole))]
    states += [(old, [".jsonl.gz"], None) for old in (leftovers, leftovers[:1], leftovers[1:])]
    for number, (old, new, temporary) in enumerate(states):
        data = tmp_path / str(number)
        shutil.copytree(tmp_path / "done", data, ignore=shutil.ignore_patterns("*.gz"))
        for path in [f"before/{day}{end}" for end in old] + [f"done/web1/{day}{end}" for end in new]:
            shutil.copy(tmp_path / path, data / "web1")
        if temporary is not None:
            (data / f"web1/{day}.jsonl.gz.tmp").write_bytes(whole[:temporary])
        assert expected == total(data)
        with writing(data) as writer:
            assert step or [False] == put(writer, steady(30))
            look_after(data, writer, policy)
        assert (expected, [f"{day}.jsonl.gz"]) == (total(data), names_of(data))
        assert lines_in(tmp_path / "done") == lines_in(data)


@pytest.mark.parametrize("came", [50, 5])
def test_lines_that_come_meanwhile_put_the_work_off(tmp_path: Path, came: int) -> None:
    """What is appended between reading and swapping, in order or late, is not lost: the swap is left for later."""
    with writing(tmp_path) as writer:
        put(writer, steady(0, 10, 30) + steady(20))
        (work,) = plan(str(tmp_path), Policy(), LATER)
        assert not carry_out(str(tmp_path), work, writer, lambda _: None, lambda: [].extend(put(writer, steady(came))))
        assert ["2026-11-21.jsonl", "2026-11-21.late.jsonl"] == names_of(tmp_path)
        look_after(tmp_path, writer)
    assert sorted([0, 10, 20, 30, came]) == lines_in(tmp_path)


def test_upkeep_beside_a_busy_sender_loses_nothing(tmp_path: Path) -> None:
    """While another thread keeps appending, in order and late, days are merged and closed again and again."""
    moments = list(range(0, 3000, 10))
    Random(7).shuffle(moments)
    with writing(tmp_path) as writer:
        sender = threading.Thread(target=put, args=(writer, [steady(at)[0] for at in moments]))
        sender.start()
        while sender.is_alive():
            for work in plan(str(tmp_path), Policy(), LATER):
                carry_out(str(tmp_path), work, writer, lambda _: None, lambda: None)
        sender.join()
        look_after(tmp_path, writer)
    assert (sorted(moments), 299_000) == (lines_in(tmp_path), total(tmp_path))


def test_a_late_line_for_a_closed_day_is_merged_into_it(tmp_path: Path) -> None:
    """A closed day takes late lines beside it, and the next run packs them in; a duplicate of it stays one."""
    with writing(tmp_path) as writer:
        put(writer, steady(0, 20, 86_400))
        look_after(tmp_path, writer, at=T0 + DAY)
        assert [True, False, False] == put(writer, [*steady(10), *steady(0), *steady(10)])
        days = ["2026-11-21.jsonl.gz", "2026-11-21.late.jsonl", "2026-11-22.jsonl"]
        assert (days, [0, 10, 20, 86_400]) == (names_of(tmp_path), lines_in(tmp_path))
        look_after(tmp_path, writer, at=T0 + DAY)
        assert [False, False] == put(writer, [*steady(0), *steady(10)])
        assert ([days[0], days[2]], [0, 10, 20, 86_400]) == (names_of(tmp_path), lines_in(tmp_path))


def set_back(begin: float, is_restarted: bool) -> list[Sample]:
    first = completed([sample(begin + i * 10, interface(rx=i * 1000)) for i in range(540)])
    second = [sample(begin + 1793 + i * 10, interface(rx=(540 + i) * 1000)) for i in range(600)]
    return first + (completed(second) if is_restarted else completed([first[-1], *second])[1:])


@pytest.mark.parametrize("is_restarted", [False, True])
@pytest.mark.parametrize("begin", [0, 12 * 3600 - 3600])
def test_a_clock_that_is_set_back_makes_and_loses_no_byte(tmp_path: Path, begin: float, is_restarted: bool) -> None:
    """What was sampled before is set aside with a word; the total stays exact and no bucket is negative."""
    edges = equal_edges(T0 + round(begin - 100) * SECOND, T0 + round(begin + 9000) * SECOND, 1500)
    with writing(tmp_path) as writer:
        put(writer, set_back(begin, is_restarted))
        found = [read(tmp_path, edges)]
        for work in plan(str(tmp_path), PLAIN, LATER):
            carry_out(str(tmp_path), work, writer, lambda _: None, lambda: None)
        found.append(read(tmp_path, edges))
    for buckets in found:
        assert 1_139_000 == sum(bucket.traffic.rx_bytes for bucket in buckets)
        assert [] == [bucket for bucket in buckets if min(bucket.traffic) < 0]
    aside = [name for name in names_of(tmp_path) if "mistimed" in name]
    assert 360 == sum((tmp_path / "web1" / name).read_bytes().count(b"\n") for name in aside)
