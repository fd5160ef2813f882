r"""The sample line, format 1: one JSON object, UTF-8, compact, keys in the order of the model. Pure.

    {"timestamp":"2026-11-21T15:39:28.075Z","server_id":"web1","hostname":"web1.lan","boot_id":"5f0c…","seq":41,
     "interval":10.0,"network_rx_bytes_per_sec":8123.4,"network_tx_bytes_per_sec":991.0,
     "network_start":"2026-11-21T15:32:38.070Z","network_rx_bytes":…,"network_tx_bytes":…,"network_rx_packets":…,
     "network_tx_packets":…,"network_interfaces":[{"name":"eth0","ifindex":2,"kind":"physical","is_up":true,
      "speed_mbps":1000,"start":"2026-11-21T15:32:38.070Z","rx_bytes":1073741824,"tx_bytes":536870912,
      "rx_packets":1000000,"tx_packets":500000,"rx_errors":0,"tx_errors":0,"rx_dropped":0,"tx_dropped":0}]}
                                                                                        (without the line breaks)

`timestamp` comes first and always has 24 characters, so lines sort as text. Keys that the model does not declare follow
those that it does. There is one way in, `decode`, and one way out, `encode`; for whatever decode takes,
decode(encode(sample)) == sample and encode(decode(line)) == line for every line that encode made.

A key that is named twice has its last value. White space, `\u` escapes and exponents are read and not kept.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Any, NamedTuple, NoReturn

import msgspec
from msgspec.structs import replace

from netstat_cli.errors import InvalidSample, Problem
from netstat_cli.line.model import (
    COUNTER_LIMIT,
    MAX_DEPTH,
    MAX_INTERFACES,
    NOTHING,
    Field,
    Head,
    Interface,
    Moment,
    Reading,
    Sample,
    Unknown,
    fields,
)
from netstat_cli.times import format_timestamp, parse_timestamp

LINE_HEAD = b'{"timestamp":"'
TIMESTAMP = slice(len(LINE_HEAD), len(LINE_HEAD) + 24)
INTERFACES_KEY = b',"network_interfaces":['

_SERVER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_NOT_IN_SERVER_ID = re.compile(r"[^A-Za-z0-9._-]+")
_NOT_ONE = Problem((), "should be a JSON object", "type_error.object")

Where = tuple[str | int, ...]


def is_server_id(text: str) -> bool:
    """Tell if the text can name a server: also safe as a folder's name."""
    return _SERVER_ID.fullmatch(text) is not None


def to_server_id(hostname: str) -> str:
    """Map a host name into the set of server ids."""
    return _NOT_IN_SERVER_ID.sub("-", hostname).lstrip("._-")[:100] or "localhost"


# Between JSON and Python's types


def to_moment(value: object) -> Moment:
    """Read a moment: RFC 3339 text, or seconds since the epoch. Raises ValueError with a sentence."""
    return Moment(parse_timestamp(value))


def _from_any(kind: type, value: object) -> object:
    if kind is Moment:
        return to_moment(value)
    raise ValueError("is not a field of the line")  # Unknown: whatever stands at such a key is an unknown key itself


_from_json: Any = lru_cache(maxsize=8192, typed=True)(_from_any)
"""Remembers, because the starts of runs come again with every sample."""


class _HasUnknownKeys(Exception):
    """An interface has keys that the model does not declare."""


@lru_cache(maxsize=8192)
def _to_json(value: object) -> object:
    if isinstance(value, Moment):
        return format_timestamp(value)
    raise _HasUnknownKeys


@cache
def _decoder(kind: Any) -> Callable[[bytes], Any]:
    """Made when it is first needed, which takes milliseconds: a sampler reads no lines."""
    return msgspec.json.Decoder(kind, dec_hook=_from_json).decode


_MEMBERS = dict[str, msgspec.Raw]
_DECODE_ANY = msgspec.json.Decoder().decode
_ENCODE = msgspec.json.Encoder(enc_hook=_to_json).encode
# MessagePack refuses integers of more than 64 bits: the quickest look at all counters at once.
_PACK = msgspec.msgpack.Encoder(enc_hook=lambda _: None).encode
_SAMPLE_KEYS = frozenset(Sample.__struct_fields__) - {"extra"}


def decode(line: bytes) -> Sample:
    """Read a line, of whatever sender. Raises InvalidSample, naming every field that is missing or wrong."""
    try:
        sample: Sample = _decoder(Sample)(line)
        members = _decoder(_MEMBERS)(line)
        _PACK(sample)
        if not members.keys() <= _SAMPLE_KEYS:
            unknown = {key: _DECODE_ANY(members[key]) for key in members if key not in _SAMPLE_KEYS}
            sample = replace(sample, extra=_unknown(unknown))
    except (msgspec.MsgspecError, UnicodeDecodeError, OverflowError, RecursionError):
        sample = sample_from(parse_json(line))
        encode(sample)
        return sample
    _check_names(sample)
    return sample


def encode(sample: Sample) -> bytes:
    """Write the line of a sample, without a newline. Raises InvalidSample for text that JSON cannot hold."""
    try:
        if sample.extra is NOTHING:
            return _ENCODE(sample)
        return _ENCODE(replace(sample, extra=NOTHING))[:-1] + b"," + _encode_members(sample.extra.members)
    except _HasUnknownKeys:
        return _ENCODE(_in_order(sample))[:-1] + (
            b"," + _encode_members(sample.extra.members) if sample.extra.members else b"}"
        )
    except UnicodeEncodeError:
        message = "holds half of a surrogate pair, which is not text"
        raise InvalidSample([Problem((), message, "value_error.unicode")]) from None


def _encode_members(members: Mapping[str, object]) -> bytes:
    """Unknown keys and the brace after them, spelled so that no search by bytes takes anything in them for an
    interface."""
    text = _ENCODE(members)[1:]
    return text.replace(b'{"name":', b'{ "name":').replace(b'"network_interfaces":', b'"network_interfaces" :')


def _in_order(sample: Sample) -> dict[str, object]:
    """A sample of which interfaces have unknown keys, as JSON's own types."""
    listed = [
        msgspec.Raw(
            _ENCODE(replace(i, extra=NOTHING))[:-1]
            + (b"," + _encode_members(i.extra.members) if i.extra.members else b"}")
        )
        for i in sample.interfaces
    ]
    head: dict[str, object] = _DECODE_ANY(_ENCODE(replace(sample, network_interfaces=None, extra=NOTHING)))
    return {**head, "network_interfaces": listed}


# A number as the value of a key: "interval":10.0
_NUMBER = rb'":-?\d[^,}\]]*'


def is_canonical(line: bytes, sample: Sample) -> bool:
    """Tell if a line that decodes to `sample` is written as `encode` writes it. Numbers may be spelled in another way:
    1.0.0 wrote 1e-05 and 10 where this version writes 0.00001 and 10.0."""
    written = encode(sample)
    return written == line or re.sub(_NUMBER, b'":0', written) == re.sub(_NUMBER, b'":0', line)


# What a sender sent, field by field


def parse_json(text: bytes) -> object:
    """Read the value of a JSON text in UTF-8. Raises InvalidSample with a sentence for anything else."""
    try:
        return _DECODE_ANY(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    try:  # says more of what is wrong, and reads too large a number and half a surrogate pair, which no line can hold
        return json.JSONDecoder(parse_constant=_refuse_constant).decode(text.decode())
    except UnicodeDecodeError as error:
        message, kind = f"is not UTF-8 (byte {error.start})", "value_error.unicode"
    except RecursionError:
        message, kind = "is nested too deeply", "value_error.json"
    except ValueError as error:
        message, kind = f"is not JSON: {error}", "value_error.json"
    raise InvalidSample([Problem((), message, kind)])


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def sample_from(obj: object) -> Sample:
    """Make the sample that a JSON object describes. Raises InvalidSample, naming every field that is wrong."""
    problems: list[Problem] = []
    if not isinstance(obj, dict):
        raise InvalidSample([_NOT_ONE])
    values = _read(obj, Sample, (), problems)
    if problems:
        raise InvalidSample(problems)
    sample = Sample(**values)
    _check_names(sample)
    return sample


def _read(obj: dict[str, Any], model: type[msgspec.Struct], where: Where, problems: list[Problem]) -> dict[str, Any]:
    """The values of a model's fields and of unknown keys; what is wrong is added to `problems`."""
    values: dict[str, Any] = {}
    declared = _fields(model)
    for field in declared.values():
        value = obj.get(field.name)
        if field.name == "speed_mbps" and type(value) is int and not 0 < value < COUNTER_LIMIT:
            value = None  # 0 and -1 is how many a sender says that it does not know
        if value is None and not (field.required and field.name in obj):
            if field.required:
                problems.append(Problem((*where, field.name), "is missing", "missing"))
        elif field.name == "network_interfaces":
            values[field.name] = _interfaces(value, problems)
        else:
            values[field.name] = _value(field, value, where, problems)
    unknown = {key: value for key, value in obj.items() if key not in declared}
    try:
        values["extra"] = _unknown(unknown)
    except InvalidSample as error:
        problems.extend(error.problems)
    return values


@lru_cache(maxsize=4)
def _fields(model: type[msgspec.Struct]) -> dict[str, Field]:
    return {field.name: field for field in fields(model)}


def _value(field: Field, value: object, where: Where, problems: list[Problem]) -> object:
    try:
        converted = msgspec.convert(value, field.type, dec_hook=_from_any)
        if type(converted) is int and converted >= COUNTER_LIMIT:
            raise msgspec.ValidationError(">=")
        return converted
    except msgspec.ValidationError as error:
        problems.append(Problem((*where, field.name), *_refusal(field, value, str(error))))
        return None


# The expected type, as msgspec's messages begin with it, in a sender's words.
_TYPES = (
    ("`int", "should be an integer", "type_error.integer"),
    ("`bool", "should be true or false", "type_error.bool"),
    ("`float", "should be a number", "type_error.float"),
    ("`str", "should be a string", "type_error.string"),
    ("`array", "should be a list of names", "type_error.list"),
)


def _refusal(field: Field, value: object, message: str) -> tuple[str, str]:
    """A sentence and a machine-readable type for a value that msgspec refused with `message`."""
    expected, got, _ = message.removeprefix("Expected ").partition(", got")
    kind = next(((sentence, kind) for prefix, sentence, kind in _TYPES if expected.startswith(prefix)), None)
    if got and kind is not None and "$[" not in message:
        return kind
    if "`str`" in expected and "matching" in expected:
        return field.rule, "value_error.server_id"
    if "length" in expected or "$[" in message:
        return field.rule, "value_error.length"
    if field.type is not None and isinstance(value, (int, float)) and field.rule:
        return field.rule, "value_error.range"
    return message.partition(" - at")[0], "value_error.timestamp"


def _interfaces(listed: object, problems: list[Problem]) -> tuple[Interface, ...]:
    where = ("network_interfaces",)
    if not isinstance(listed, list):
        problems.append(Problem(where, "should be a list of interfaces or null", "type_error.list"))
        return ()
    if len(listed) > MAX_INTERFACES:
        problems.append(Problem(where, f"should have at most {MAX_INTERFACES} interfaces", "value_error.length"))
        return ()
    found = []
    for number, item in enumerate(listed):
        before = len(problems)
        if not isinstance(item, dict):
            problems.append(Problem((*where, number), "should be a JSON object", "type_error.object"))
            item = {}
        values = _read(item, Interface, (*where, number), problems)
        if len(problems) == before:
            found.append(Interface(**values))
    return tuple(found)


def _check_names(sample: Sample) -> None:
    listed = sample.network_interfaces
    if not listed:
        return
    where = ("network_interfaces",)
    if len(listed) > MAX_INTERFACES:
        message = f"should have at most {MAX_INTERFACES} interfaces"
        raise InvalidSample([Problem(where, message, "value_error.length")])
    if len({interface.name for interface in listed}) < len(listed):
        message = "should not name an interface twice"
        raise InvalidSample([Problem(where, message, "value_error.duplicate")])


def _unknown(members: dict[str, object]) -> Unknown:
    """Raises InvalidSample for what is nested so deeply that some reader of the line might not cope."""
    if not members:
        return NOTHING
    if problem := _unwritable(members, MAX_DEPTH):
        raise InvalidSample([problem])
    return Unknown(members)


def _unwritable(value: object, levels: int) -> Problem | None:
    """What no line can hold, or no reader might cope with, under an unknown key."""
    if isinstance(value, float):
        finite = math.isfinite(value)
        return None if finite else Problem((), "holds a number that is too large", "value_error.number")
    if not isinstance(value, (dict, list)):
        return None
    if levels == 0:
        return Problem((), "is nested too deeply", "value_error.json")
    for inner in value.values() if isinstance(value, dict) else value:
        if problem := _unwritable(inner, levels - 1):
            return problem
    return None


# Looking into a stored line without reading all of it


class Line(NamedTuple):
    """A stored line, without its newline, and the moment it was sampled at."""

    timestamp: int
    text: bytes


def to_line(text: bytes) -> Line:
    """Take a line with its moment. Raises ValueError if it does not begin with a timestamp."""
    if not text.startswith(LINE_HEAD):
        raise ValueError(f"not a sample line: {text[:60]!r}")
    return Line(parse_timestamp(text[TIMESTAMP].decode()), text)


def head_of(line: bytes) -> Head:
    """Read the head of a stored line. Raises ValueError for a damaged line."""
    end = line.find(INTERFACES_KEY)
    head: Head = _decoder(Head)(line if end < 0 else line[:end] + b"}")
    return head


def json_text(text: str) -> bytes:
    """Spell a text as a JSON string, as sample lines do."""
    return _ENCODE(text)


def needle(name: str) -> bytes:
    """Spell the bytes with which an interface of this name begins in every stored line that has it."""
    return b'{"name":' + json_text(name) + b","


def reading_in(line: bytes, needle: bytes) -> Reading | None:
    """Read the front of the interface that begins with the needle, if the stored line has it. The others are not read.
    Raises ValueError for a damaged line."""
    begin = line.find(needle)
    if begin < 0:
        return None
    end = line.find(b"}", begin)
    while True:  # a brace may also stand in a name or under an unknown key
        try:
            reading: Reading = _decoder(Reading)(line[begin : end + 1])
            return reading
        except msgspec.DecodeError:
            if end < 0:
                raise
            end = line.find(b"}", end + 1)


# The name of an interface where it begins in a stored line: {"name":"eth0",
_NAMES = rb'\{"name":("(?:[^"\\]|\\.)*"),'


def names_in(text: bytes) -> list[str]:
    """List the names of the interfaces in stored lines, in order, each once."""
    return [_DECODE_ANY(name) for name in dict.fromkeys(re.findall(_NAMES, text))]
