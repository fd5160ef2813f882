r"""The sample line, format 1: one JSON object a line, UTF-8, compact, keys in this order. Pure.

    {"timestamp":"2026-11-21T15:39:28.075Z","server_id":"web1","hostname":"web1.lan","boot_id":"5f0c…","seq":41,
     "interval":10.0,"network_rx_bytes_per_sec":8123.4,"network_tx_bytes_per_sec":991.0,"network_interfaces":[
     {"name":"eth0","ifindex":2,"kind":"physical","is_up":true,"speed_mbps":1000,"start":"2026-11-21T15:32:38.070Z",
      "rx_bytes":1073741824,"tx_bytes":536870912,"rx_packets":1000000,"tx_packets":500000,
      "rx_errors":0,"tx_errors":0,"rx_dropped":0,"tx_dropped":0}]}        (without the line breaks)

Required: timestamp, server_id and, per interface, name, the four counters and is_up. What a sender did not say is left
out. Keys that netcli does not know follow the ones that it does. `timestamp` comes first and always has 24 characters,
so lines sort as text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from json.encoder import encode_basestring
from operator import itemgetter
from typing import Any, NoReturn

from netstat_cli.errors import InvalidSample, Problem
from netstat_cli.model import COUNTER_LIMIT, Interface, Sample
from netstat_cli.times import format_timestamp, parse_timestamp

MAX_NAME = 64
MAX_TEXT = 256
MAX_INTERFACES = 10_000
MAX_DEPTH = 32
COUNTERS = ("rx_bytes", "tx_bytes", "rx_packets", "tx_packets")
FAULTS = ("rx_errors", "tx_errors", "rx_dropped", "tx_dropped")
LINE_HEAD = b'{"timestamp":"'
TIMESTAMP = slice(len(LINE_HEAD), len(LINE_HEAD) + 24)

_SERVER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_NOT_IN_SERVER_ID = re.compile(r"[^A-Za-z0-9._-]+")
_RATES = ("network_rx_bytes_per_sec", "network_tx_bytes_per_sec")


def is_server_id(text: str) -> bool:
    """Whether the text can name a server: also safe as a folder's name."""
    return _SERVER_ID.fullmatch(text) is not None


def to_server_id(hostname: str) -> str:
    """A host name mapped into what a server id can be."""
    return _NOT_IN_SERVER_ID.sub("-", hostname).lstrip("._-")[:100] or "localhost"


def encode(sample: Sample) -> bytes:
    """The line of a sample, newline included. Raises InvalidSample for text or numbers that JSON cannot hold."""
    parts = [f'{{"timestamp":"{format_timestamp(sample.timestamp)}","server_id":"{sample.server_id}"']
    add = parts.append
    if sample.hostname is not None:
        add(f',"hostname":{json_text(sample.hostname)}')
    if sample.boot_id is not None:
        add(f',"boot_id":{json_text(sample.boot_id)}')
    if sample.seq is not None:
        add(f',"seq":{sample.seq}')
    if sample.interval is not None:
        add(f',"interval":{sample.interval!r}')
    if sample.network_rx_bytes_per_sec is not None:
        add(f',"network_rx_bytes_per_sec":{sample.network_rx_bytes_per_sec!r}')
    if sample.network_tx_bytes_per_sec is not None:
        add(f',"network_tx_bytes_per_sec":{sample.network_tx_bytes_per_sec!r}')
    if sample.interfaces is not None:
        add(f',"network_interfaces":[{",".join([_encode_interface(*interface) for interface in sample.interfaces])}]')
    if sample.extra:
        add(_encode_extra(sample.extra))
    add("}\n")
    try:
        return "".join(parts).encode()
    except UnicodeEncodeError:
        message = "holds half of a surrogate pair, which is not text"
        raise InvalidSample([Problem((), message, "value_error.unicode")]) from None


def _encode_interface(
    name: str, ifindex: int | None, kind: str | None, is_up: bool, speed_mbps: int | None, start: int | None,
    rx_bytes: int, tx_bytes: int, rx_packets: int, tx_packets: int,
    rx_errors: int | None, tx_errors: int | None, rx_dropped: int | None, tx_dropped: int | None,
    master: str | None, lower: tuple[str, ...], extra: Mapping[str, object] | None,
) -> str:  # fmt: skip
    text = (
        f"{_encode_identity(name, ifindex, kind, is_up, speed_mbps, start)}"
        f',"rx_bytes":{rx_bytes},"tx_bytes":{tx_bytes},"rx_packets":{rx_packets},"tx_packets":{tx_packets}'
    )
    faults = (rx_errors, tx_errors, rx_dropped, tx_dropped)
    if None in faults:
        text += "".join([f',"{key}":{value}' for key, value in zip(FAULTS, faults, strict=True) if value is not None])
    else:
        text += f',"rx_errors":{rx_errors},"tx_errors":{tx_errors},"rx_dropped":{rx_dropped},"tx_dropped":{tx_dropped}'
    if master is not None:
        text += f',"master":{json_text(master)}'
    if lower:
        text += f',"lower":[{",".join(map(json_text, lower))}]'
    return text + (_encode_extra(extra) if extra else "") + "}"


@lru_cache(maxsize=4096)
def _encode_identity(
    name: str, ifindex: int | None, kind: str | None, is_up: bool, speed_mbps: int | None, start: int | None
) -> str:
    """The head of an interface, which stays the same from sample to sample."""
    text = f'{{"name":{json_text(name)}'
    text += f',"ifindex":{ifindex}' if ifindex is not None else ""
    text += f',"kind":{json_text(kind)}' if kind is not None else ""
    text += f',"is_up":{"true" if is_up else "false"}'
    text += f',"speed_mbps":{speed_mbps}' if speed_mbps is not None else ""
    return text + (f',"start":"{format_timestamp(start)}"' if start is not None else "")


def json_text(text: str) -> str:
    """The text as a JSON string, the way sample lines spell it."""
    return encode_basestring(text)


def _encode_extra(extra: Mapping[str, object]) -> str:
    """Unknown keys, spelled so that no search by bytes takes anything in them for an interface."""
    try:
        text = json.dumps(extra, ensure_ascii=False, separators=(",", ":"), allow_nan=False)[1:-1]
    except ValueError:
        raise InvalidSample([Problem((), "holds a number that JSON cannot hold", "value_error.number")]) from None
    return "," + text.replace('{"name":', '{ "name":').replace('"network_interfaces":', '"network_interfaces" :')


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def parse_json(text: bytes) -> object:
    """The value of a JSON text in UTF-8; NaN and Infinity are refused. Raises InvalidSample."""
    try:
        return _DECODER.decode(text.decode())
    except UnicodeDecodeError as error:
        message, kind = f"is not UTF-8 (byte {error.start})", "value_error.unicode"
    except RecursionError:
        message, kind = "is nested too deeply", "value_error.json"
    except ValueError as error:
        message, kind = f"is not JSON: {error}", "value_error.json"
    raise InvalidSample([Problem((), message, kind)])


def decode(line: bytes) -> Sample:
    """The sample in a line. Raises InvalidSample."""
    return sample_from(parse_json(line))


def is_canonical(line: bytes, sample: Sample) -> bool:
    """Whether a line, without its newline, that decodes to `sample` is the one that `encode` writes."""
    return encode(sample)[:-1] == line


def sample_from(obj: object) -> Sample:
    """The sample that a JSON object describes. Raises InvalidSample, naming every field that is missing or wrong."""
    problems: list[Problem] = []
    if not isinstance(obj, dict):
        raise InvalidSample([Problem((), "should be a JSON object", "type_error.object")])
    values = _read(obj, _SAMPLE_FIELDS, (), problems)
    interfaces = _interfaces(obj.get("network_interfaces"), problems)
    extra = _unknown(obj, _SAMPLE_KEYS, problems)
    if problems:
        raise InvalidSample(problems)
    return Sample._make([*values, interfaces, extra])


def interface_from(obj: object, where: tuple[str | int, ...], problems: list[Problem]) -> Interface:
    """One entry of `network_interfaces`; what is wrong with it is added to `problems`, and then it is of no use."""
    if not isinstance(obj, dict):
        problems.append(Problem(where, "should be a JSON object", "type_error.object"))
        obj = {}
    keys = tuple(obj)
    shape = _SHAPES.get(keys)
    if shape is not None and (interface := shape.read(obj)) is not None:
        return interface
    known = len(problems)
    values = _read(obj, _INTERFACE_FIELDS, where, problems)
    values[-1] = values[-1] or ()
    if shape is None and len(problems) == known and len(_SHAPES) < MAX_SHAPES and _Shape.fits(obj):
        _SHAPES[keys] = _Shape(obj)
    return Interface._make([*values, _unknown(obj, _INTERFACE_KEYS, problems)])


class _Shape:
    """The keys of an interface in the order that a sender writes them, once seen to be right. An interface with the
    same keys and types needs only its ranges looked at; whatever is odd goes the long way, which finds the words."""

    def __init__(self, obj: dict[str, object]) -> None:
        keys = list(obj)
        nothing, empty = len(keys), len(keys) + 1
        places = [keys.index(key) if key in obj else nothing for key, _, _ in _INTERFACE_FIELDS[:-1]]
        self._types = [*map(type, obj.values())]
        self._pick = itemgetter(*places, empty, nothing)
        self._numbers = itemgetter(*[i for i, kind in enumerate(self._types) if kind is int])
        self._name, self._kind, self._speed, self._start = (
            keys.index(key) if key in obj else nothing for key in ("name", "kind", "speed_mbps", "start")
        )

    @staticmethod
    def fits(obj: dict[str, object]) -> bool:
        """Whether it has known keys only, none of them null, and none of the seldom ones."""
        return obj.keys() <= _INTERFACE_KEYS - {"master", "lower"} and None not in obj.values()

    def read(self, obj: dict[str, Any]) -> Interface | None:
        """The interface; None where the long way has to be gone."""
        values = [*obj.values(), None, ()]
        if [*map(type, values[:-2])] != self._types:
            return None
        numbers = self._numbers(values)
        if min(numbers) < 0 or max(numbers) >= COUNTER_LIMIT or not 0 < len(values[self._name]) <= MAX_NAME:
            return None
        if values[self._speed] == 0 or len(values[self._kind] or "") > MAX_TEXT:
            return None
        if (start := values[self._start]) is not None:
            try:
                values[self._start] = known_time(start)
            except ValueError:
                return None
        return Interface._make(self._pick(values))


_SHAPES: dict[tuple[str, ...], _Shape] = {}
MAX_SHAPES = 256


def _interfaces(listed: object, problems: list[Problem]) -> tuple[Interface, ...] | None:
    if listed is None:
        return None
    if not isinstance(listed, list):
        problems.append(Problem(("network_interfaces",), "should be a list of interfaces or null", "type_error.list"))
        return None
    if len(listed) > MAX_INTERFACES:
        message = f"should have at most {MAX_INTERFACES} interfaces"
        problems.append(Problem(("network_interfaces",), message, "value_error.length"))
        return None
    interfaces = tuple([interface_from(item, ("network_interfaces", i), problems) for i, item in enumerate(listed)])
    if not problems and len({interface.name for interface in interfaces}) < len(interfaces):
        problems.append(Problem(("network_interfaces",), "should not name an interface twice", "value_error.duplicate"))
    return interfaces


class _FieldError(Exception):
    """A value that breaks its field's rule: a sentence and a machine-readable type."""


_Field = tuple[str, bool, Callable[[object], object]]


def _read(
    obj: dict[str, object], fields: Iterable[_Field], where: tuple[str | int, ...], problems: list[Problem]
) -> list[object]:
    """The values of the fields, in their order; None where the sender said nothing."""
    values: list[object] = []
    for key, required, parse in fields:
        value = obj.get(key)
        if value is None and not (required and key in obj):
            if required:
                problems.append(Problem((*where, key), "is missing", "missing"))
        else:
            try:
                value = parse(value)
            except _FieldError as refused:
                problems.append(Problem((*where, key), *refused.args))
        values.append(value)
    return values


def _unknown(obj: dict[str, object], known: frozenset[str], problems: list[Problem]) -> dict[str, object] | None:
    if obj.keys() <= known:
        return None
    extra = {key: value for key, value in obj.items() if key not in known}
    if _is_deep(extra):
        problems.append(Problem((), "is nested too deeply", "value_error.json"))
    return extra


def _is_deep(value: object) -> bool:
    """Whether values lie in more than MAX_DEPTH others, so that some reader of the line might not cope."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return True


def _counter(value: object) -> int:
    if type(value) is not int:
        raise _FieldError("should be an integer", "type_error.integer")
    if not 0 <= value < COUNTER_LIMIT:
        raise _FieldError("should be 0 or more and less than 2^64", "value_error.range")
    return value


def _speed(value: object) -> int | None:
    if type(value) is not int:
        raise _FieldError("should be an integer, in Mbit/s", "type_error.integer")
    return value if 0 < value < COUNTER_LIMIT else None


def _boolean(value: object) -> bool:
    if type(value) is not bool:
        raise _FieldError("should be true or false", "type_error.bool")
    return value


def _number(value: object) -> float:
    if type(value) is not int and type(value) is not float:
        raise _FieldError("should be a number", "type_error.float")
    if not 0 <= value < COUNTER_LIMIT:
        raise _FieldError("should be 0 or more, and finite", "value_error.range")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _FieldError("should be a string", "type_error.string")
    if len(value) > MAX_TEXT:
        raise _FieldError(f"should have at most {MAX_TEXT} characters", "value_error.length")
    return value


def _name(value: object) -> str:
    if not isinstance(value, str):
        raise _FieldError("should be a string", "type_error.string")
    if not 0 < len(value) <= MAX_NAME:
        raise _FieldError(f"should have 1 to {MAX_NAME} characters", "value_error.length")
    return value


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise _FieldError("should be a list of names", "type_error.list")
    return tuple([_name(item) for item in value])


def _server_id(value: object) -> str:
    if not isinstance(value, str) or not is_server_id(value):
        message = "should have 1 to 100 of A-Z a-z 0-9 . _ - and begin with a letter or digit"
        raise _FieldError(message, "value_error.server_id")
    return value


def _timestamp(value: object) -> int:
    try:
        return known_time(value) if isinstance(value, str) else parse_timestamp(value)
    except ValueError as error:
        raise _FieldError(str(error), "value_error.timestamp") from None


known_time = lru_cache(maxsize=4096)(parse_timestamp)
"""`parse_timestamp` for the starts of runs, which come again with every sample."""


_SAMPLE_FIELDS: tuple[_Field, ...] = (
    ("timestamp", True, _timestamp),
    ("server_id", True, _server_id),
    ("hostname", False, _text),
    ("boot_id", False, _text),
    ("seq", False, _counter),
    ("interval", False, _number),
    *[(key, False, _number) for key in _RATES],
)
_SAMPLE_KEYS = frozenset(["network_interfaces", *[key for key, _, _ in _SAMPLE_FIELDS]])
_INTERFACE_FIELDS: tuple[_Field, ...] = (
    ("name", True, _name),
    ("ifindex", False, _counter),
    ("kind", False, _text),
    ("is_up", True, _boolean),
    ("speed_mbps", False, _speed),
    ("start", False, _timestamp),
    *[(key, True, _counter) for key in COUNTERS],
    *[(key, False, _counter) for key in FAULTS],
    ("master", False, _text),
    ("lower", False, _names),
)
_INTERFACE_KEYS = frozenset([key for key, _, _ in _INTERFACE_FIELDS])
