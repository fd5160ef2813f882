"""A line that is known by its form is stored exactly as one that is read whole."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netstat_cli.counters import complete
from netstat_cli.errors import InvalidSample, Problem
from netstat_cli.model import Sample
from netstat_cli.repeats import LONGEST, MOST_CREDIT, MOST_TEXT, PRICE, Forms, Repeat, begin, follow, sample_of
from netstat_cli.store.writer import Writer
from netstat_cli.times import format_timestamp
from netstat_cli.wire import decode, encode
from tests.given import T0, interface, sample
from tests.histories import histories

HEARTBEAT = (
    '{"server_guid":"550e8400-e29b-41d4-a716-446655440001","server_id":"web1","hostname":"web1.lan","timestamp":"%s",'
    '"agent_version":"1.0.0","metrics":{"cpu_percent":%s,"uptime":%s,"since":"2026-11-21 12:00:00"},"load":[1,2.5,-3],'
    '"network_interfaces":[{"name":"eth0","rx_bytes":%s,"tx_bytes":5,"rx_packets":%s,"tx_packets":0,"is_up":true,'
    '"rx_errors":%s}]}'
)


def heartbeat(second: int, rx: object = 0, packets: object = 0, errors: object = 0, cpu: object = 2.5) -> bytes:
    """A heartbeat as an agent of the homelab dashboard sends it, with keys that netcli does not know."""
    when = f"2026-11-21T12:00:{second:02d}.123456+00:00"
    return (HEARTBEAT % (when, cpu, second, rx, packets, errors)).encode()


def stored(lines: Iterable[bytes], by_form: bool) -> tuple[list[bool], dict[str, str]]:
    """Which lines were new and what is in the store after each line was handed in alone, read by its form or whole."""
    with tempfile.TemporaryDirectory() as folder:
        with Writer(f"{folder}/store", "the tests", pytest.fail) as writer:
            read = writer.read if by_form else decode
            new = [one.is_new for line in lines if is_sample(line) for one in writer.append([read(line)])]
        return new, {str(path.relative_to(folder)): path.read_text() for path in sorted(Path(folder).rglob("*.jsonl"))}


def is_sample(line: bytes) -> bool:
    """Whether it is a line that is taken at all."""
    return isinstance(answered(decode, line), Sample)


def same(lines: Sequence[bytes]) -> dict[str, str]:
    """What is stored, which is the same either way."""
    whole, known = stored(lines, by_form=False), stored(lines, by_form=True)
    assert whole == known
    return known[1]


def spoken(one: Sample, rng: Random) -> bytes:
    """The sample as one of many senders would write it: keys in another order, numbers in another spelling, `start` and
    rates or not, and keys of its own."""
    values: dict[str, Any] = json.loads(encode(one))
    values["uptime"] = rng.choice([one.timestamp // 1000, one.timestamp / 1000, -1, 1e300, 0.00001])
    values["at"] = format_timestamp(one.timestamp)
    values["timestamp"] = rng.choice(
        [format_timestamp(one.timestamp), format_timestamp(one.timestamp)[:-1] + "000+00:00"]
    )
    return json.dumps(values, separators=rng.choice([(",", ":"), (",", ":"), (", ", ": ")])).encode()


@given(history=histories(days=True), rng=st.randoms(use_true_random=False), bare=st.booleans(), shuffled=st.booleans())
def test_a_known_form_changes_nothing(history: list[Sample], rng: Random, bare: bool, shuffled: bool) -> None:
    """Any history, with its resets and renames and late lines, is stored byte for byte as if every line were read
    whole, whether the sender stamps its runs or leaves that to the store."""
    if bare:
        history = [
            one._replace(
                network_rx_bytes_per_sec=None,
                network_tx_bytes_per_sec=None,
                interfaces=tuple(each._replace(start=None) for each in one.interfaces or ()),
            )
            for one in history
        ]
    if shuffled:
        rng.shuffle(history)
    same([spoken(one, rng) for one in history])


ODD = ["5.5", "007", "-1", "1e3", "5e0", "1E2", "18446744073709551615", "18446744073709551616", "9" * 19, "9" * 20]
ODD += ["9" * 4301, "1.50", "0.0001", "0.00001", "1.", ".5", "1.2.3", "123456789.123456789", "1" * 400 + ".5", "NaN"]
ODD += ["true", "null", '"5"', '""', '"2026-11-21"', '"2026-11-21T12:00:00Z"', "[]", "{}", "5,5", '5,"rx_bytes":6']
ODD += ["\0", "5 ", " 5", "-5", "-0", "-0.0", "-0.00001", "-5.50", "[-1,2.50]", "[1,[2,3]]"]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: odd[:24])
@pytest.mark.parametrize("key", ["rx", "packets", "errors", "cpu"])
@pytest.mark.parametrize("start", [b"", b'"start":"2026-11-21T11:00:00.000Z",'], ids=["bare", "stamped"])
def test_a_number_that_is_none_is_seen(key: str, odd: str, start: bytes) -> None:
    """Whatever stands where a number stood is refused or stored as if the line had been read whole."""
    forms = Forms()
    lines = [heartbeat(second, second * 1000, second).replace(b'"rx_b', start + b'"rx_b') for second in range(4)]
    assert [False, False, True, True] == [isinstance(forms.read(line), Repeat) for line in lines]
    line = heartbeat(5, **{"rx": 5000, "packets": 5, "errors": 1, key: odd})  # type: ignore[arg-type]
    line = line.replace(b'"rx_b', start + b'"rx_b')
    assert answered(decode, line) == answered(forms.read, line)
    same([*lines, line, heartbeat(6, 10**18, 10**18, 9)])


@given(
    st.lists(
        st.tuples(st.integers(0, 800), st.integers(0, 3), st.sampled_from([*b'"\\:,.{}[]0159eE-+ \t\0', 0xC3, 0xBC])),
        min_size=1,
        max_size=3,
    ),
    st.sampled_from([0, 1]),
)
def test_a_damaged_line_is_what_it_is(changes: list[tuple[int, int, int]], which: int) -> None:
    """Bytes that are changed, put in or left out are seen: a line is refused for the same reason, or read the same."""
    listed = [interface(f"eth{i}", i * 1000, speed_mbps=i * 10, start=T0) for i in range(2)]
    lines = [heartbeat(1, 1000, 10), encode(sample(1, *listed, seq=7))[:-1]]
    forms = Forms()
    for line in lines * 3:
        forms.read(line)
    damaged = bytearray(lines[which])
    for place, length, byte in changes:
        place %= len(damaged)
        damaged[place : place + length] = bytes([byte])
    assert answered(decode, bytes(damaged)) == answered(forms.read, bytes(damaged))


def answered(read: Callable[[bytes], Sample | Repeat], line: bytes) -> Sample | list[Problem]:
    """The sample in a line, or what is wrong with it."""
    try:
        return sample_of(read(line))
    except InvalidSample as error:
        return error.problems


@pytest.mark.parametrize(
    "change",
    [
        (b'"web1.lan"', b'"2026-11-21"'),
        (b'"name":"eth0"', b'"name":"2026-1"'),
        (b'"web1.lan"', b'"web1\\u002elan"'),
        (b'"agent_version"', b'"agent\\"":5,"version"'),
        (b'"agent_version"', b'"100%%"'),
        (b'"agent_version":"1.0.0"', b'"note":"1000000000003 %b %s \xe2\x82\xac"'),
        (b'"metrics":', b'"timestamp":"2026-11-21T12:00:00Z","metrics":'),
        (b'"cpu_percent"', b'"timestamp":"2026-11-21T12:00:00Z","cpu_percent"'),
        (b'"agent_version"', b'"huge":1e300,"v"'),
        (b'"tx_bytes":5', b'"tx_bytes":5,"tx_bytes":6'),
        (b'"is_up":true', b'"is_up":true,"kind":"integrated"'),
        (b'"is_up":true', b'"is_up":true,"ifindex":3,"speed_mbps":0,"start":"2026-11-21T11:00:00Z"'),
        (b'"is_up":true', b'"is_up":true,"lower":["a"],"master":"br0","more":{"deep":[{"x":1.5}]}'),
        (b'"agent_version"', b'"network_rx_bytes_per_sec":8123.40,"network_tx_bytes_per_sec":991,"v"'),
        (b'"agent_version"', b'"seq":7,"interval":10,"boot_id":"b","v"'),
        (b'"agent_version"', b'"interval":1000000000001,"v"'),
        (b'"agent_version"', b'"signal":-62.50,"none":-0,"v"'),
    ],
    ids=lambda change: repr(change[1])[:40],
)
def test_what_else_may_stand_in_a_line(change: tuple[bytes, bytes]) -> None:
    """Times for names, escapes, keys that come twice, marks and percent signs in text: stored all the same."""
    lines = [heartbeat(second, second * 1000, second).replace(*change) for second in range(8)]
    assert same(lines)


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("ifindex", ["2", "2", "2", "2", "3", "3", "3", "3"]),
        ("speed_mbps", ["100", "100", "100", "0", "0", "1000", "1000", "1000"]),
        ("start", [f'"2026-11-21T11:00:0{second // 4}Z"' for second in range(8)]),
        ("is_up", ["true", "true", "true", "true", "false", "false", "false", "false"]),
    ],
)
def test_a_number_that_is_no_measurement_makes_another_form(key: str, values: list[str]) -> None:
    """Another index, speed or start is another device or run, and never just another number."""
    listed = [heartbeat(second, second * 1000, second) for second in range(8)]
    kept = [re.sub(rb',"is_up":true', b"", line) if key == "is_up" else line for line in listed]
    same(
        [
            line.replace(b'"rx_errors"', f'"{key}":{value},"rx_errors"'.encode())
            for line, value in zip(kept, values, strict=True)
        ]
    )


def test_a_run_goes_on_in_the_same_form() -> None:
    """The stored line is the last one with other numbers, and with rates made from the counters of the uplinks."""
    forms = Forms()
    one, two, three, four = (
        sample_or_repeat for sample_or_repeat in map(forms.read, [heartbeat(s, s * 1000) for s in range(4)])
    )
    assert isinstance(three, Repeat)
    assert isinstance(four, Repeat)
    before = complete(sample_of(two), complete(sample_of(one), None))
    assert not follow(three, before)
    whole = complete(three.sample, before)
    begin(three, whole)
    assert encode(whole) == three.line
    assert follow(four, three)
    assert complete(decode(heartbeat(3, 3000)), whole) == four.sample
    assert (1000.0, 0.0) == (four.sample.network_rx_bytes_per_sec, four.sample.network_tx_bytes_per_sec)


def test_lines_of_netcli_itself_are_stored_as_they_came() -> None:
    """Runs are stamped and rates are there, so that nothing is to be added; counters may even fall, because the sender
    knows. A time or a number in another spelling is stored in the right one."""
    told = {"network_rx_bytes_per_sec": 8123.4, "network_tx_bytes_per_sec": 991.0}
    ours = [encode(sample(at, interface(rx=9000 - at, start=T0), seq=at, **told))[:-1] for at in range(8)]
    forms = Forms()
    assert [False, False] + [True] * 6 == [isinstance(forms.read(line), Repeat) for line in ours]
    assert "".join(line.decode() + "\n" for line in ours) == same(ours)["store/web1/2026-11-21.jsonl"]
    other = [ours[4].replace(b".000Z", b"Z", 1), ours[5].replace(b"8123.4", b"8123.40")]
    assert [True] * 2 == [isinstance(forms.read(line), Repeat) for line in other]
    other += [ours[6].replace(b'"seq":', b'"seq": '), ours[7]]
    same([*ours[:4], *other])


@pytest.mark.parametrize(
    ("rx", "second"), [(2999, 4), (4000, 3), (4000, 2), (1 << 63, 4)], ids=["fell", "again", "late", "fast"]
)
def test_what_does_not_follow(rx: int, second: int) -> None:
    """A counter that fell, a moment that is not later, and a rate that a float spells with an exponent go the long
    way."""
    same([*[heartbeat(s, s * 1000) for s in range(4)], heartbeat(second, rx), heartbeat(9, 1 << 63)])


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (",", ": ")])
def test_spaces_between_keys_and_values_do_not_matter(separators: tuple[str, str]) -> None:
    """Most libraries write a space after a colon; their lines have forms like those of the others."""
    forms = Forms()
    lines = [json.dumps(json.loads(heartbeat(s, s * 1000)), separators=separators).encode() for s in range(6)]
    assert [False, False, True, True, True, True] == [isinstance(forms.read(line), Repeat) for line in lines]
    same(lines)


def test_lines_that_never_repeat() -> None:
    """Another text in each line, lines of kilobytes and lines with escapes are read whole."""
    forms = Forms()
    texts = [heartbeat(s).replace(b"load", b"load%d" % s) for s in range(6)]
    long = [heartbeat(s).replace(b"1.0.0", b"x" * LONGEST) for s in range(6)]
    escaped = [heartbeat(s).replace(b"1.0.0", b"1\\u002e0") for s in range(6)]
    assert not any(isinstance(forms.read(line), Repeat) for line in [*texts, *long, *escaped])
    with pytest.raises(InvalidSample):
        forms.read(b'{"timestamp":5}')


def test_two_forms_in_turn() -> None:
    """A server that two programs speak for has two forms, and its runs go on as if there were one."""
    lines = [heartbeat(s, s * 1000).replace(b"load", b"load" if s % 2 else b"lead") for s in range(10)]
    forms = Forms()
    assert [False] * 4 + [True] * 6 == [isinstance(forms.read(line), Repeat) for line in lines]
    same(lines)


def test_so_much_is_known() -> None:
    """Lines that somebody makes up for ever fill neither the memory nor the time: to learn is paid with lines read.
    What is forgotten is learnt again."""
    forms = Forms()
    lines = [heartbeat(0).replace(b"load", b"load%d" % (number // 2)) for number in range(2000)]
    for line in lines:
        forms.read(line)
    learnt, texts = len(forms._forms), sum(map(len, forms._forms))
    assert learnt > 10
    assert PRICE * texts <= MOST_CREDIT + sum(map(len, lines)) < PRICE * (texts + 2 * texts // learnt)
    while forms._credit < MOST_CREDIT:
        forms.read(heartbeat(1))
    forms._size = MOST_TEXT
    again = [heartbeat(second).replace(b"load", b"lead") for second in range(3)]
    assert [False, False, True] == [isinstance(forms.read(line), Repeat) for line in again]
    assert 1 == len(forms._forms)


def test_a_form_is_shared() -> None:
    """Servers whose lines are alike but for their names, addresses and interfaces share a form, and do not get into
    each other's way."""
    lines = [
        encode(sample(at, interface(eth, rx=at * 1000), server=server))[:-1]
        for at in range(6)
        for server, eth in (("a", "eth0"), ("b", "enp3s0"), ("c", "wlan0"))
    ]
    forms = Forms()
    assert [False] * 2 + [True] * 16 == [isinstance(forms.read(line), Repeat) for line in lines]
    assert 1 == len(forms._forms)
    assert [6, 6, 6] == [text.count("\n") for text in same(lines).values()]


def test_a_line_without_interfaces_has_no_form() -> None:
    """There is nothing to know about it."""
    line = encode(sample(0))[:-1]
    forms = Forms()
    assert [T0] * 4 == [sample_of(forms.read(line)).timestamp for _ in range(4)]
    assert not any(isinstance(forms.read(line), Repeat) for _ in range(4))
