"""What lines of one text have in common, learnt from one of them. Pure.

The text of a line is what is left when its values are cut out: every string in ASCII that is no key, and every plain
number. What each value means to a stored line is learnt by sending a line with marks for values through
decode and encode. A pattern made of the text then finds the values of all such lines, in less time than it takes to
read them as JSON.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple, TypeVar

from netstat_cli.errors import InvalidSample
from netstat_cli.model import Interface, Sample, counters
from netstat_cli.times import SECOND, format_timestamp, parse_timestamp
from netstat_cli.wire import COUNTERS, FAULTS, decode, encode

Values = Sequence[bytes]
Rates = tuple[()] | tuple[float, float]
"""Bytes per second received and sent, or nothing where the line has them."""
T = TypeVar("T")
Get = Callable[[Sequence[T]], tuple[T, ...]]

_TOKEN = re.compile(
    rb'"speed_mbps" ?: ?0(?![\d.])'
    rb'|"[^"\\]*+" ?:'
    rb'|(?P<string>"[ !#-\[\]-~]*+")'
    rb'|"[^"\\]*+"'
    rb"|(?:(?<=[:,\[])|(?<=[:,] ))(?P<number>-?(?!0\d)\d{1,19}+(?:\.\d++)?+)(?<!-0)"
)
_STRING = rb'("[ !#-\[\]-~]*+")'
_ANY_NUMBER = rb"(-?(?:0|[1-9]\d{0,18}+)(?:\.\d++)?+)(?<!-0)"
_NUMBER = rb"((?:0|[1-9]\d{0,18}+)(?:\.\d++)?+)"
_INTEGER = rb"(0|[1-9]\d{0,18}+)"
_SPEED = rb"([1-9]\d{0,18}+)"

_TIME = re.compile(rb'"\d{4}-[\d:.TZ+ -]*"')
_MARK = re.compile(rb'(1000000\d{6}(?:\.5)?|"2001-09-09T\d\d:\d\d:\d\d\.\d{3}Z"|"mark-\d+")')
_MARKS = 1_000_000_000_000
"""Marks are numbers of thirteen digits that nobody sends, or so many milliseconds after the epoch, or names."""
_NAME = "mark-"


class Form(NamedTuple):
    """What the lines of one text have in common, of whichever server."""

    pattern: re.Pattern[bytes]
    """Finds the values of such a line."""
    server_id: int
    """The place of the server's name among the values."""
    moment: int
    """The place of the timestamp."""
    constant: Get[bytes]
    """Gets what is no measurement, and stays the same while a server's runs go on."""
    growing: Get[bytes]
    """Gets the counters that decide about a run, interface by interface."""
    fractions: tuple[int, ...]
    """The places of the numbers that need not be integers."""
    starts: tuple[int, ...]
    """The interfaces of which the sender does not say where their runs begin, so that the store does."""
    lacks_rates: bool
    """Whether the store adds the node's rates."""
    parts: list[bytes]
    """The text of the stored line, with a gap at every other place."""
    order: Get[bytes]
    """Gets what belongs into the gaps: of the line's values, the timestamp, the rates and the starts."""

    def line(self, values: Values, moment: int, rates: Rates, starts: Values) -> bytes:
        """The line as it is stored."""
        spelled = (b"%.1f" % rates[0], b"%.1f" % rates[1]) if rates else ()
        pieces = self.parts.copy()
        pieces[1::2] = self.order((*values, stamp(moment), *spelled, *starts))
        return b"".join(pieces)


def stamp(moment: int) -> bytes:
    """A moment as it stands in a line."""
    second, millisecond = divmod(moment, SECOND)
    return b'%b.%03dZ"' % (_second(second), millisecond)


@lru_cache(maxsize=64)
def _second(second: int) -> bytes:
    return b'"' + format_timestamp(second * SECOND)[:-5].encode()


def cut(line: bytes) -> tuple[list[bytes], list[bytes]]:
    """The parts of a line's text, and the values between them. A speed of 0, which says that it is not known, is
    text."""
    spans = [match.span() for match in _TOKEN.finditer(line) if match.lastgroup]
    ends = [0, *itertools.chain(*spans), len(line)]
    pieces = [line[begin:end] for begin, end in itertools.pairwise(ends)]
    return pieces[::2], pieces[1::2]


def form_of(parts: Sequence[bytes], values: Values) -> Form | None:
    """What can be learnt from a line that was cut; None if nothing."""
    if any(rest.lstrip()[:1] not in (b",", b"}", b"]") for rest in parts[1:]):
        return None  # what was cut out is not all of a value
    try:
        return _form_of(parts, values)
    except (InvalidSample, LookupError):
        return None


def _form_of(parts: Sequence[bytes], values: Values) -> Form | None:
    marks = [_mark(place, value) for place, value in enumerate(values)]
    marked = decode(_woven(parts, marks))
    listed = marked.interfaces or ()
    growing = [_place(getattr(interface, key)) for interface in listed for key in COUNTERS]
    kinds = _kinds(values, marked)
    starts = tuple([i for i, interface in enumerate(listed) if interface.start is None])
    lacks_rates = bool(starts) and marked[6:8] == (None, None)
    stored = _MARK.split(encode(_completed(marked, len(values), starts, lacks_rates)))
    order = [_place(json.loads(mark)) for mark in stored[1::2]]
    server_id, moment = _place(marked.server_id), _place(marked.timestamp)
    added = 1 + (2 if lacks_rates else 0) + len(starts)
    if not listed or sorted(order) != sorted({*range(len(values) + added)} - {moment}):
        return None
    return Form(
        pattern=re.compile(_woven([*map(re.escape, parts)], kinds)),
        server_id=server_id,
        moment=moment,
        constant=getter([*_places(_constants(marked))]),
        growing=getter(growing),
        fractions=tuple([place for place, kind in enumerate(kinds) if kind in (_NUMBER, _ANY_NUMBER)]),
        starts=starts,
        lacks_rates=lacks_rates,
        parts=stored,
        order=getter(order),
    )


def _kinds(values: Values, marked: Sample) -> list[bytes]:
    """What may stand in the place of each value."""
    kinds = [_STRING if _is_string(value) else _ANY_NUMBER for value in values]
    for place in _places([marked.interval, marked.network_rx_bytes_per_sec, marked.network_tx_bytes_per_sec]):
        kinds[place] = _NUMBER
    for place in _places([marked.seq]):
        kinds[place] = _INTEGER
    for interface in marked.interfaces or ():
        faults = [getattr(interface, key) for key in FAULTS]
        for place in _places([interface.ifindex, *counters(interface), *faults]):
            kinds[place] = _INTEGER
        for place in _places([interface.speed_mbps]):
            kinds[place] = _SPEED
    return kinds


def _constants(sample: Sample) -> Iterable[str | float | None]:
    """What is no measurement."""
    yield from (sample.server_id, sample.hostname, sample.boot_id, sample.interval)
    for one in sample.interfaces or ():
        yield from (one.name, one.ifindex, one.kind, one.speed_mbps, one.start, one.master, *one.lower)


def _completed(marked: Sample, count: int, starts: Sequence[int], with_rates: bool) -> Sample:
    """The marked sample with marks for what comes from the store: after the `count` values of the line the timestamp,
    the rates and the starts."""
    marks = itertools.count(_MARKS + count)
    marked = marked._replace(timestamp=next(marks))
    if with_rates:
        received, sent = next(marks) + 0.5, next(marks) + 0.5
        marked = marked._replace(network_rx_bytes_per_sec=received, network_tx_bytes_per_sec=sent)
    listed = list[Interface](marked.interfaces or ())
    for place in starts:
        listed[place] = listed[place]._replace(start=next(marks))
    return marked._replace(interfaces=tuple(listed))


def _mark(place: int, value: bytes) -> bytes:
    if _TIME.fullmatch(value):
        return stamp(_MARKS + place)
    if _is_string(value):
        return b'"%b%d"' % (_NAME.encode(), place)
    return b"%d.5" % (_MARKS + place) if b"." in value else b"%d" % (_MARKS + place)


def _place(mark: str | float) -> int:
    """Which value a mark stands for. Raises LookupError if it is none."""
    try:
        if isinstance(mark, str) and mark.startswith(_NAME):
            return int(mark.removeprefix(_NAME))
        place = (parse_timestamp(mark) if isinstance(mark, str) else int(mark)) - _MARKS
    except ValueError:
        raise LookupError from None
    if place < 0:
        raise LookupError
    return place


def _places(found: Iterable[str | float | None]) -> Iterable[int]:
    """The places of those that are marks. What is not was not cut out, and so is the same wherever the text is."""
    for mark in found:
        if mark is not None:
            with contextlib.suppress(LookupError):
                yield _place(mark)


def _is_string(value: bytes) -> bool:
    return value[0] == ord('"')


def _woven(parts: Sequence[bytes], values: Values) -> bytes:
    return b"".join(itertools.chain(*itertools.zip_longest(parts, values, fillvalue=b"")))


def getter(places: Sequence[int]) -> Get[Any]:
    """Gets what stands at these places."""
    if len(places) > 1:
        return itemgetter(*places)
    return lambda values: tuple([values[place] for place in places])
