"""The sample line: what is written, what is understood, and how what is wrong is told."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict, replace

from netstat_cli.errors import MOST_TOLD, InvalidSample, Problem
from netstat_cli.line.model import NOTHING, Head, Interface, Moment, Reading, Sample, Unknown, fields
from netstat_cli.line.wire import (
    decode,
    encode,
    head_of,
    is_canonical,
    is_server_id,
    names_in,
    needle,
    reading_in,
    sample_from,
    to_server_id,
)
from netstat_cli.times import LAST_MOMENT, parse_timestamp
from tests.given import T0, interface, sample

DESIGN_LINE = (
    '{"timestamp":"2026-11-21T15:39:28.075Z","server_id":"web1","hostname":"web1.lan",'
    '"boot_id":"5f0c…","seq":41,"interval":10.0,'
    '"network_rx_bytes_per_sec":8123.4,"network_tx_bytes_per_sec":991.0,'
    '"network_interfaces":['
    '{"name":"eth0","ifindex":2,"kind":"physical","is_up":true,"speed_mbps":1000,'
    '"start":"2026-11-21T15:32:38.070Z",'
    '"rx_bytes":1073741824,"tx_bytes":536870912,"rx_packets":1000000,"tx_packets":500000,'
    '"rx_errors":0,"tx_errors":0,"rx_dropped":0,"tx_dropped":0}]}'
).encode()

DESIGN_SAMPLE = Sample(
    timestamp=Moment(parse_timestamp("2026-11-21T15:39:28.075Z")),
    server_id="web1",
    hostname="web1.lan",
    boot_id="5f0c…",
    seq=41,
    interval=10.0,
    network_rx_bytes_per_sec=8123.4,
    network_tx_bytes_per_sec=991.0,
    network_interfaces=(
        Interface(
            name="eth0",
            ifindex=2,
            kind="physical",
            is_up=True,
            speed_mbps=1000,
            start=Moment(parse_timestamp("2026-11-21T15:32:38.070Z")),
            rx_bytes=1073741824,
            tx_bytes=536870912,
            rx_packets=1000000,
            tx_packets=500000,
            rx_errors=0,
            tx_errors=0,
            rx_dropped=0,
            tx_dropped=0,
        ),
    ),
)

FEWEST = {"name": "eth0", "is_up": False, "rx_bytes": 1, "tx_bytes": 2, "rx_packets": 3, "tx_packets": 4}
SMALLEST = {"timestamp": "2026-11-21T12:00:00.000Z", "server_id": "web1", "network_interfaces": [FEWEST]}


def test_the_line_of_the_design() -> None:
    """The line is compact, its keys stand in the order of the design, and nothing follows it."""
    assert DESIGN_LINE == encode(DESIGN_SAMPLE)
    assert decode(DESIGN_LINE) == DESIGN_SAMPLE


def test_what_was_not_said_is_left_out() -> None:
    """A sender needs to say no more than the required keys, and nothing is added to them."""
    line = json.dumps(SMALLEST, separators=(",", ":")).encode()
    bare = Interface(name="eth0", is_up=False, rx_bytes=1, tx_bytes=2, rx_packets=3, tx_packets=4)
    assert Sample(timestamp=Moment(T0), server_id="web1", network_interfaces=(bare,)) == decode(line)
    assert line == encode(decode(line))


def test_saying_nothing_of_interfaces_differs_from_having_none() -> None:
    """An absent or null list is None, an empty one is empty, and each stays what it is."""
    bare = {key: SMALLEST[key] for key in ("timestamp", "server_id")}
    listed = [bare, bare | {"network_interfaces": None}, bare | {"network_interfaces": []}]
    assert [None, None, ()] == [sample_from(obj).network_interfaces for obj in listed]
    assert [False, True] == [b"network_interfaces" in encode(sample_from(obj)) for obj in listed[1:]]


def test_topology_and_unknown_keys_come_last() -> None:
    """`master` and `lower` follow the counters; keys that netcli does not know are kept, behind those that it does."""
    told = interface(master="br0", lower=("a b", "ü"), extra=Unknown({"mtu": 1500, "x": {"y": [None, 1.5, "é"]}}))
    line = encode(replace(sample(0, told, server="w"), extra=Unknown({"load": [0.5], "role": "edge"})))
    assert line.endswith(
        '"tx_dropped":0,"master":"br0","lower":["a b","ü"],"mtu":1500,"x":{"y":[null,1.5,"é"]}}],'
        '"load":[0.5],"role":"edge"}'.encode()
    )
    assert decode(line).extra == Unknown({"load": [0.5], "role": "edge"})
    assert decode(line).interfaces == (told,)


@pytest.mark.parametrize("speed", [-1, 0, None])
def test_a_speed_that_is_none_is_unknown(speed: int | None) -> None:
    """Kernels and agents say -1 or 0 where they know no speed."""
    (only,) = sample_from(SMALLEST | {"network_interfaces": [FEWEST | {"speed_mbps": speed}]}).interfaces
    assert only.speed_mbps is None


# Any sample survives the line.

TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)
NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=64)
COUNTS = st.integers(0, (1 << 64) - 1)
MOMENTS = st.integers(0, LAST_MOMENT).map(Moment)
NUMBERS = st.floats(0, 1e19)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS.map("x".__add__), inner, max_size=2),
    max_leaves=4,
)
EXTRAS = st.just(NOTHING) | st.dictionaries(TEXTS.map("x".__add__), VALUES, min_size=1, max_size=2).map(Unknown)
SELDOM = [field.name for field in fields(Interface) if "column" in field.source and field.name not in dir(Reading)][4:]
INTERFACES = st.builds(
    Interface,
    name=NAMES,
    ifindex=st.none() | COUNTS,
    kind=st.none() | TEXTS,
    is_up=st.booleans(),
    speed_mbps=st.none() | st.integers(1, (1 << 64) - 1),
    start=st.none() | MOMENTS,
    **dict.fromkeys(("rx_bytes", "tx_bytes", "rx_packets", "tx_packets"), COUNTS),
    **dict.fromkeys(("rx_errors", "tx_errors", "rx_dropped", "tx_dropped"), st.none() | COUNTS),
    **dict.fromkeys(SELDOM, st.just(0) | COUNTS),
    master=st.none() | TEXTS,
    lower=st.lists(NAMES, max_size=2).map(tuple),
    extra=EXTRAS,
)
SAMPLES = st.builds(
    Sample,
    timestamp=MOMENTS,
    server_id=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", fullmatch=True),
    hostname=st.none() | TEXTS,
    boot_id=st.none() | TEXTS,
    seq=st.none() | COUNTS,
    interval=st.none() | NUMBERS,
    network_rx_bytes_per_sec=st.none() | NUMBERS,
    network_tx_bytes_per_sec=st.none() | NUMBERS,
    network_start=st.none() | MOMENTS,
    **dict.fromkeys(("network_rx_bytes", "network_tx_bytes", "network_rx_packets"), st.none() | COUNTS),
    network_interfaces=st.none() | st.lists(INTERFACES, max_size=3, unique_by=lambda one: one.name).map(tuple),
    extra=EXTRAS,
)


@given(SAMPLES)
def test_a_sample_survives_its_line(one: Sample) -> None:
    """Whatever a sample holds, names of any UTF-8 included, its line is one line and reads as the same sample."""
    line = encode(one)
    assert (0, True) == (line.count(b"\n"), line.endswith(b"}"))
    assert one == decode(line)


@given(SAMPLES)
def test_a_line_of_encode_is_canonical(one: Sample) -> None:
    """What `encode` writes is read and written again as the same bytes."""
    line = encode(one)
    assert line == encode(decode(line))
    assert is_canonical(line, decode(line))


TIME_TEXT = b'"timestamp":"2026-11-21T15:39:28.075Z",'
BOOT_TEXT = '"boot_id":"5f0c…",'.encode()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(b'","server', b'", "server', id="spaced"),
        pytest.param(b'","server', b'",\t"server', id="tab"),
        pytest.param(b"}]}", b"}]}\r", id="carriage return"),
        pytest.param(b'"web1.lan"', b'"web1\\u002elan"', id="escaped"),
        pytest.param(b"28.075Z", b"28.075+00:00", id="time with an offset"),
        pytest.param(b"28.075Z", b"28Z", id="time without decimals"),
        pytest.param(b'"2026-11-21T15:39:28.075Z"', b"1795275568.075", id="time as a number"),
        pytest.param(b'{"name":"eth0","ifindex":2', b'{"ifindex":2,"name":"eth0"', id="name not first"),
        pytest.param(b'"tx_dropped":0}', b'"tx_dropped":0,"peer":{"name":"eth1"}}', id="another name inside"),
        pytest.param(TIME_TEXT + b'"server_id":"web1",', b'"server_id":"web1",' + TIME_TEXT, id="time not first"),
        pytest.param(b"}]}", b'}],"timestamp":"2026-11-22T15:39:28.075Z"}', id="a second time"),
    ],
)
def test_a_line_spelled_otherwise_is_not_stored_as_it_came(old: bytes, new: bytes) -> None:
    """A line that a search by bytes could not read is not canonical, though it means a sample all the same."""
    line = DESIGN_LINE.replace(old, new, 1)
    assert line != DESIGN_LINE
    assert not is_canonical(line, decode(line))


@pytest.mark.parametrize(
    ("moved", "behind"),
    [
        pytest.param(BOOT_TEXT, b"}]", id="boot id after the interfaces"),
        pytest.param(b'"interval":10.0,', b"}]", id="interval after the interfaces"),
        pytest.param(b'"ifindex":2,', b'"tx_dropped":0', id="ifindex at the end"),
    ],
)
def test_a_line_with_its_keys_in_another_order_is_not_stored_as_it_came(moved: bytes, behind: bytes) -> None:
    """A search by bytes reads the head before the interfaces, and the ifindex before another key."""
    line = DESIGN_LINE.replace(moved, b"").replace(behind, behind + b"," + moved.rstrip(b","))
    assert decode(line) == DESIGN_SAMPLE
    assert not is_canonical(line, decode(line))


# What is wrong is told field by field.

MISSING = object()
INTEGER = ("should be an integer", "type_error.integer")
RANGE = ("should be 0 or more and less than 2^64", "value_error.range")
NUMBER = ("should be a number", "type_error.float")
FINITE = ("should be 0 or more, and finite", "value_error.range")
STRING = ("should be a string", "type_error.string")
BOOL = ("should be true or false", "type_error.bool")
ABSENT = ("is missing", "missing")
TIME = ("should be an RFC 3339 time or seconds since the epoch", "value_error.timestamp")
SERVER = ("should have 1 to 100 of A-Z a-z 0-9 . _ - and begin with a letter or digit", "value_error.server_id")
TEXT_LENGTH = ("should have at most 256 characters", "value_error.length")
NAME_LENGTH = ("should have 1 to 64 characters", "value_error.length")
YEARS = ("should lie between the years 1970 and 9999", "value_error.timestamp")
RFC3339 = ("should be an RFC 3339 time such as 2026-11-21T15:39:28.075Z", "value_error.timestamp")


TWICE = ("should not name an interface twice", "value_error.duplicate")
LIST = ("should be a list of interfaces or null", "type_error.list")
NAMES_LIST = ("should be a list of names", "type_error.list")


@pytest.mark.parametrize(
    ("key", "told", "values"),
    [
        ("timestamp", ABSENT, [MISSING]),
        ("timestamp", TIME, [None, True]),
        ("timestamp", RFC3339, ["soon", ""]),
        ("timestamp", YEARS, ["1900-01-01T00:00:00Z", -1]),
        ("server_id", ABSENT, [MISSING]),
        ("server_id", STRING, [None, 7]),
        ("server_id", SERVER, ["", "..", "a/b", "web1\n", "a" * 101]),
        ("hostname", STRING, [7, []]),
        ("boot_id", TEXT_LENGTH, ["b" * 257]),
        ("seq", INTEGER, [1.0, "1", True]),
        ("seq", RANGE, [-1, 1 << 64]),
        ("interval", NUMBER, ["10", True]),
        ("network_rx_bytes_per_sec", FINITE, [-0.5, 1e400, 1 << 64]),
        ("network_interfaces", LIST, [{}, "eth0", 7]),
        ("network_interfaces", TWICE, [[FEWEST, FEWEST]]),
    ],
)
def test_a_wrong_field_of_a_sample_is_named(key: str, told: tuple[str, str], values: list[object]) -> None:
    """Each field that breaks its rule is told by path, sentence and type."""
    assert [[Problem((key,), *told)]] * len(values) == [problems_of({**SMALLEST, key: value}) for value in values]


@pytest.mark.parametrize(
    ("key", "told", "values"),
    [
        ("name", ABSENT, [MISSING]),
        ("name", STRING, [None, 7]),
        ("name", NAME_LENGTH, ["", "n" * 65]),
        ("ifindex", INTEGER, ["2", 2.0]),
        ("kind", STRING, [1]),
        ("is_up", ABSENT, [MISSING]),
        ("is_up", BOOL, [None, 1, "true"]),
        ("speed_mbps", INTEGER, [1.5, True]),
        ("start", RFC3339, ["soon"]),
        ("rx_bytes", ABSENT, [MISSING]),
        ("rx_bytes", INTEGER, [None, True, 1.0, "1", []]),
        ("tx_packets", RANGE, [-1, 1 << 64, 10**4000]),
        ("rx_errors", RANGE, [-1]),
        ("tx_dropped", INTEGER, [False]),
        ("master", STRING, [3]),
        ("lower", NAMES_LIST, ["eth0", {}]),
        ("lower", NAME_LENGTH, [[3]]),
        ("lower", NAME_LENGTH, [[""]]),
    ],
)
def test_a_wrong_field_of_an_interface_is_named(key: str, told: tuple[str, str], values: list[object]) -> None:
    """The path leads through `network_interfaces` and the interface's place in it."""
    objects = [SMALLEST | {"network_interfaces": [FEWEST | {"name": "lo"}, {**FEWEST, key: one}]} for one in values]
    assert [[Problem(("network_interfaces", 1, key), *told)]] * len(values) == [problems_of(one) for one in objects]


def problems_of(obj: dict[str, Any]) -> list[Problem]:
    """What is wrong with the line of an object; keys that are MISSING are left out, at both levels."""

    def present(fields: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in fields.items() if value is not MISSING}

    if isinstance(listed := obj["network_interfaces"], list):
        obj = obj | {"network_interfaces": [present(one) if isinstance(one, dict) else one for one in listed]}
    text = json.dumps(present(obj)).replace("Infinity", "1e400")
    with pytest.raises(InvalidSample) as caught:
        decode(text.encode())
    return caught.value.problems


def test_everything_wrong_is_told_at_once() -> None:
    """A sender learns of all its mistakes in one answer, which also reads as a sentence."""
    with pytest.raises(InvalidSample) as caught:
        sample_from({"server_id": "", "network_interfaces": [7, FEWEST | {"rx_bytes": -1}]})
    absent = [Problem(("network_interfaces", 0, key), *ABSENT) for key in FEWEST if key not in ("name", "is_up")]
    assert caught.value.problems == [
        Problem(("timestamp",), *ABSENT),
        Problem(("server_id",), *SERVER),
        Problem(("network_interfaces", 0), "should be a JSON object", "type_error.object"),
        Problem(("network_interfaces", 0, "name"), *ABSENT),
        Problem(("network_interfaces", 0, "is_up"), *ABSENT),
        *absent,
        Problem(("network_interfaces", 1, "rx_bytes"), *RANGE),
    ]
    assert str(caught.value).startswith(f"timestamp: is missing; server_id: {SERVER[0]}; network_interfaces.0: should")


@pytest.mark.parametrize("name", [[], {}, [1], None, 7])
def test_a_name_of_any_kind_is_looked_at_before_it_is_compared(name: object) -> None:
    """Two names that are none are two mistakes and not a crash."""
    listed = [FEWEST | {"name": name}, FEWEST | {"name": name}]
    found = problems_of(SMALLEST | {"network_interfaces": listed})
    assert [Problem(("network_interfaces", i, "name"), *STRING) for i in range(2)] == found


def test_of_very_many_mistakes_the_first_are_named() -> None:
    """A small sample does not make a large answer."""
    found = problems_of(SMALLEST | {"network_interfaces": [7] * 100})
    assert MOST_TOLD + 1 == len(found)
    assert Problem((), f"and {700 - MOST_TOLD} fields more are wrong", "value_error.more") == found[-1]


@pytest.mark.parametrize(
    ("line", "message", "kind"),
    [
        (b"", "is not JSON: Expecting value: line 1 column 1 (char 0)", "value_error.json"),
        (b"{} {}", "is not JSON: Extra data: line 1 column 4 (char 3)", "value_error.json"),
        (b'{"timestamp":NaN}', "is not JSON: NaN is not a JSON number", "value_error.json"),
        (b"[-Infinity]", "is not JSON: -Infinity is not a JSON number", "value_error.json"),
        (b'{"a\xff":1}', "is not UTF-8 (byte 3)", "value_error.unicode"),
        (b"[" * 100_000 + b"]" * 100_000, "is nested too deeply", "value_error.json"),
        (
            b"9" * 5000,
            "is not JSON: Exceeds the limit (4300 digits) for integer string conversion: value has 5000 digits; "
            "use sys.set_int_max_str_digits() to increase the limit",
            "value_error.json",
        ),
        (b"[]", "should be a JSON object", "type_error.object"),
        (b"null", "should be a JSON object", "type_error.object"),
    ],
)
def test_what_is_no_sample_at_all_is_told_without_a_path(line: bytes, message: str, kind: str) -> None:
    """A line that is no JSON object has one problem, that of the whole."""
    with pytest.raises(InvalidSample) as caught:
        decode(line)
    assert caught.value.problems == [Problem((), message, kind)]


@pytest.mark.parametrize("place", ["hostname", "name", "extra"])
def test_half_a_surrogate_pair_is_not_text(place: str) -> None:
    """A machine can have names that UTF-8 cannot hold; such a sample has no line."""
    half = "\ud83d"
    whole = sample(0, interface())
    broken = {
        "hostname": sample(0, hostname=half),
        "name": sample(0, interface(half)),
        "extra": replace(whole, extra=Unknown({"x": half})),
    }[place]
    with pytest.raises(InvalidSample) as caught:
        encode(broken)
    message = "holds half of a surrogate pair, which is not text"
    assert caught.value.problems == [Problem((), message, "value_error.unicode")]


def line_with(text: str) -> bytes:
    """A line with something more at its end."""
    return json.dumps(SMALLEST)[:-1].encode() + b"," + text.encode() + b"}"


@pytest.mark.parametrize(
    ("text", "message", "kind"),
    [
        ('"load":1e400', "holds a number that is too large", "value_error.number"),
        ('"note":"\\ud83d"', "holds half of a surrogate pair, which is not text", "value_error.unicode"),
        ('"deep":' + "[" * 33 + "]" * 33, "is nested too deeply", "value_error.json"),
    ],
)
def test_what_no_line_can_hold_is_refused(text: str, message: str, kind: str) -> None:
    """Under an unknown key too there is only what can be written again."""
    with pytest.raises(InvalidSample) as caught:
        decode(line_with(text))
    assert caught.value.problems == [Problem((), message, kind)]


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        pytest.param('"a":1,"a":2', b'"a":2', id="a key named twice has its last value"),
        pytest.param('"hostname":"x","hostname":"y"', b'"hostname":"y"', id="a known one too"),
        pytest.param('"\\u0061":"\\u00e9\\/"', '"a":"é/"'.encode(), id="escapes are read"),
        pytest.param(' "a" : [ 1 ,\n2 ] ', b'"a":[1,2]', id="white space goes"),
        pytest.param('"interval":1e1', b'"interval":10.0', id="exponents are read"),
        pytest.param('"interval":60', b'"interval":60.0', id="a number of seconds may be whole"),
        pytest.param('"a":123456789012345678901234567890', b'"a":123456789012345678901234567890', id="any integer"),
        pytest.param('"extra":{"b":1}', b'"extra":{"b":1}', id="an unknown key of any name"),
        pytest.param('"seq":null', b'"server_id":"web1","network_interfaces"', id="null is not said"),
    ],
)
def test_how_json_is_spelled(text: str, stored: bytes) -> None:
    """Whatever a sender's spelling, what is written is ours, and reads as the same."""
    line = encode(decode(line_with(text)))
    assert stored in line
    assert line == encode(decode(line))


def test_seldom_counters_are_left_out_while_they_are_0() -> None:
    """The eight columns of /proc/net/dev that are nearly always 0 cost nothing then."""
    told = FEWEST | dict.fromkeys(SELDOM, 0)
    assert (8, encode(sample_from(SMALLEST))) == (
        len(SELDOM),
        encode(sample_from(SMALLEST | {"network_interfaces": [told]})),
    )
    line = encode(sample(0, interface(rx_multicast=7, tx_compressed=1)))
    assert b'"tx_dropped":0,"rx_multicast":7,"tx_compressed":1}' in line


def test_every_field_says_what_it_means() -> None:
    """README's table and the API's description are made from the declarations, so each has a meaning."""
    assert [] == [field.name for model in (Sample, Interface) for field in fields(model) if not field.meaning]


# Looks at a part of a line.


@given(SAMPLES)
def test_a_part_of_a_line_reads_as_the_whole_does(one: Sample) -> None:
    """The head, any interface and the names are found without reading the rest, whatever stands around them."""
    line = encode(one)
    assert {key: getattr(one, key) for key in Head.__struct_fields__} == asdict(head_of(line))
    for interface_ in one.interfaces:
        found = reading_in(line, needle(interface_.name))
        assert {key: getattr(interface_, key) for key in Reading.__struct_fields__} == asdict(found)
    assert [interface_.name for interface_ in one.interfaces] == names_in(line)


def test_an_interface_that_a_line_does_not_have_is_none() -> None:
    """Neither a longer name nor one under an unknown key is taken for it."""
    line = encode(replace(sample(0, interface("eth01")), extra=Unknown({"x": [{"name": "eth0", "is_up": True}]})))
    assert None is reading_in(line, needle("eth0"))


@pytest.mark.parametrize("text", [b'{"name":"eth0","is_up":tr', b'{"name":"eth0","is_up":true}', b'{"name":"eth0",}'])
def test_a_damaged_interface_is_an_error(text: bytes) -> None:
    """What a crash or an editor left is not taken for counters."""
    with pytest.raises(msgspec.DecodeError):
        reading_in(text, needle("eth0"))


def test_a_host_name_becomes_a_server_id() -> None:
    """What a server id cannot hold becomes a dash; where nothing is left it is localhost."""
    expected = {"web1.lan": "web1.lan", "my host (old)": "my-host-old-", "__web__": "web__", "münchen": "m-nchen"}
    expected |= {"日本": "localhost", "": "localhost", "a" * 120: "a" * 100}
    assert expected == {hostname: to_server_id(hostname) for hostname in expected}


@given(st.text())
def test_any_host_name_becomes_a_server_id(hostname: str) -> None:
    """No host name is too odd to run under."""
    assert is_server_id(to_server_id(hostname))
