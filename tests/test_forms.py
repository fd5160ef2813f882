"""A line cut into its text and its values, and what is learnt of that."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from netstat_cli.forms import cut, form_of, stamp
from netstat_cli.model import COUNTER_LIMIT
from netstat_cli.repeats import canonical
from netstat_cli.times import format_timestamp
from netstat_cli.wire import FAULTS, encode
from tests.given import T0, interface, sample


@pytest.mark.parametrize(
    ("line", "values"),
    [
        (b'{"a":"x","b": "y" , "c":5,"d": 2.50}', [b'"x"', b'"y"', b"5", b"2.50"]),
        (b'{"a":":","b":"c:5","":"}","k":["x","y"]}', [b'":"', b'"c:5"', b'"}"', b'"x"', b'"y"']),
        (b'{"n":[1,2.5, -3],"m":[ 1 ],"a":-5,"b":-0.5,"c":-0,"d":[-0]}', [b"1", b"2.5", b"-3", b"-5", b"-0.5"]),
        (b'{"b":true,"c":null,"d":{"e":0,"f":10}}', [b"0", b"10"]),
        (b'{"a" :"x","b": 7}', [b'"x"', b"7"]),
        ('{"ä":"x","b":"ü","c":"€5:6"}'.encode(), [b'"x"']),
        (b'{"speed_mbps":0,"x":{"speed_mbps": 0,"y":0},"speed_mbps":01}', [b"0"]),
        (b'{"speed_mbps":100,"speed_mbps":0.5}', [b"100", b"0.5"]),
        (b'{"a":12345678901234567890,"b":5e3,"c":007}', [b"1234567890123456789", b"5"]),
        (b"", []),
    ],
)
def test_values_are_what_stands_behind_a_key(line: bytes, values: list[bytes]) -> None:
    """Strings in ASCII, also in lists, and plain numbers. An unknown speed is none, and keys never are."""
    parts, found = cut(line)
    assert values == found
    assert line == b"".join(a + b for a, b in zip(parts, [*found, b""], strict=True))


def test_a_form_finds_values_and_makes_the_line() -> None:
    """Where each value goes, whatever the order of the keys; the rates and the runs' starts are put where they are
    missing."""
    listed = '{"tx_bytes": 2, "name": "%s", "rx_packets": 3, "is_up": true, "rx_bytes": %d, "tx_packets": 4}'
    line = f'{{"network_interfaces": [{listed}], "note": "a:b", "server_id": "%s", "load": 0.25, "timestamp": "%s"}}'
    form = form_of(*cut((line % ("eth0", 1, "web1", "2026-11-21T12:00:00Z")).encode()))
    assert form is not None
    match = form.pattern.fullmatch((line % ("wan", 12345, "db7", "2026-11-21 12:00:05+00:00")).encode())
    assert match is not None
    values = match.groups()
    unsaid = dict.fromkeys(("kind", "ifindex", *FAULTS))
    growing = interface("wan", 12345, 2, rx_packets=3, tx_packets=4, start=T0 - 1000, **unsaid)
    rates = {"network_rx_bytes_per_sec": 8.5, "network_tx_bytes_per_sec": 0.0}
    extra = {"note": "a:b", "load": 0.25}
    expected = sample(5, growing, server="db7", boot=None, hostname=None, interval=None, extra=extra, **rates)
    assert encode(expected) == form.line(values, T0 + 5000, (8.5, 0.0), [stamp(T0 - 1000)])
    assert ((b'"db7"', b'"wan"'), (b"12345", b"2", b"3", b"4")) == (form.constant(values), form.growing(values))


@pytest.mark.parametrize(
    "line",
    [
        b'{"a":5}',
        b'{"timestamp":5,"server_id":"a"}',
        b'{"timestamp":"2026-11-21T12:00:00Z","server_id":"a","network_interfaces":[]}',
        encode(sample(0, interface(rx=10**19))),
        encode(sample(0, interface())).replace(b'"hostname"', b'"rx":5e3,"hostname"'),
        encode(sample(0, interface())).replace(b'"hostname":', b'"hostname"  :'),
        encode(sample(0, interface())).replace(b'"hostname"', b'"x":"\xc3\xbc 1000000000005","hostname"'),
        b'"a":5,"b":6',
    ],
)
def test_of_some_lines_nothing_is_learnt(line: bytes) -> None:
    """No sample, no interfaces, counters of twenty digits, what is not all of a value, and what looks like a mark."""
    assert form_of(*cut(line.rstrip())) is None


@given(st.from_regex(rb"-?(0|[1-9]\d{0,18})(\.\d{1,20})?(?<!-0)", fullmatch=True))
@example(b"0.0001")
@example(b"0.00001")
@example(b"-0.00001")
@example(b"-0.0")
@example(b"999999999999999.9")
@example(b"9007199254740993.5")
def test_a_number_is_spelled_as_json_spells_it(number: bytes) -> None:
    """With or without looking at it: short fractions are known to be spelled right."""
    assert json.dumps(json.loads(number)).encode() == canonical(number)


@given(st.integers(0, COUNTER_LIMIT // 100_000_000))
def test_a_moment_as_it_stands_in_a_line(moment: int) -> None:
    """In quotes, with all its 24 characters."""
    assert f'"{format_timestamp(moment)}"'.encode() == stamp(moment)
