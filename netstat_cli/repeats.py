"""Lines that differ from an earlier one of their server in nothing but numbers, which nearly all do. Pure.

Such a line is not read as JSON again. It is cut into its text and its numbers; where the text is that of an earlier
line, it is known what each number means, and the line to be stored is the last stored one with other numbers in it.
That costs a third of decoding, completing and encoding it, and gives the same bytes: what is learnt of a text is learnt
by sending a line with marked numbers through those three.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from operator import itemgetter, sub
from typing import Any, NamedTuple

from netstat_cli.errors import InvalidSample
from netstat_cli.model import Sample
from netstat_cli.times import SECOND, format_timestamp, parse_timestamp
from netstat_cli.topology import INTEGRATED, uplinks
from netstat_cli.wire import COUNTERS, FAULTS, decode, encode

LONGEST = 1 << 14
"""A longer line is a rare one, and of a machine that sends few."""
MOST_FORMS = 20_000
PLAIN_NUMBER = 1e15
"""A float from ten times this on is spelled with an exponent."""

_VALUE = re.compile(rb'": ?((?!0\d)\d{1,19}+(?:\.\d++)?+|"\d{4}-[\d:.TZ+ -]*+")')
_AFTER = (b",", b"}", b"]", b" ")
_MARK = re.compile(rb'1000000\d{6}(?:\.5)?|"2001-09-09T\d\d:\d\d:\d\d\.\d{3}Z"')
_MARKS = 1_000_000_000_000
"""Marks are numbers of thirteen digits that nobody sends, or that many milliseconds after the epoch."""


class Form(NamedTuple):
    """What the lines of one text have in common."""

    text: bytes
    numbers: int
    """How many there are."""
    fixed: dict[int, bytes]
    """Places and values of the numbers that are no measurement: an interface's index, its speed, its run's start."""
    moment: int
    """The place of the timestamp."""
    whole: Any
    """Gets those that have to be integers: first the counters that decide about a run, interface by interface."""
    growing: int
    """How many of the integers are such counters."""
    loose: tuple[tuple[int, bool], ...]
    """The places of all others, and whether a time stands there."""
    server_id: str
    is_stamped: bool
    """Whether the sender says where its runs begin, so that the store has nothing to add."""


class Trail(NamedTuple):
    """How a server's lines of one form are stored while its runs go on."""

    form: Form
    template: bytes
    order: Any
    """Gets the values for the template."""
    rates: tuple[tuple[int, ...], tuple[int, ...]] | None
    """Places of the counters that the node's rates are made from, received and sent; None where the sender has them."""
    as_it_came: bool
    """Whether the line is stored as it came, if its numbers are spelled the way sample lines spell them."""


class Repeat:
    """A sample of a known form. What it does not say itself stands in its line."""

    __slots__ = ("counters", "form", "is_plain", "line", "server_id", "timestamp", "trail", "values")

    def __init__(
        self, timestamp: int, line: bytes, form: Form, counters: list[int], values: list[Any], is_plain: bool
    ) -> None:
        self.timestamp = timestamp
        self.server_id = form.server_id
        self.line = line
        """As it came; once it is stored, as it is stored."""
        self.form = form
        self.counters = counters
        """Those that decide about a run, where that is left to the store."""
        self.values = values
        """The line's numbers and times; not needed any more once it is stored."""
        self.is_plain = is_plain
        """Whether the numbers were spelled the way sample lines spell them, without a space before."""
        self.trail: Trail | None = None
        """How the next one can be stored, once this one is."""

    @property
    def sample(self) -> Sample:
        """The whole sample."""
        return decode(self.line)


def sample_of(taken: Sample | Repeat) -> Sample:
    """The sample, read from its line if need be."""
    return taken if isinstance(taken, Sample) else taken.sample


class Forms:
    """Reads lines, and knows the forms in which they came before."""

    def __init__(self) -> None:
        self._forms: dict[bytes, Form | None] = {}
        """By their text; None for a text of which nothing can be learnt."""
        self._seen: set[int] = set()
        """The hashes of texts that came once: most of those never come again."""

    def read(self, line: bytes) -> Sample | Repeat:
        """What a line says. Raises InvalidSample."""
        if len(line) > LONGEST:
            return decode(line)
        text, numbers = _cut(line)
        form = self._forms.get(text)
        if form is not None and (repeat := _repeat(form, line, numbers)) is not None:
            return repeat
        sample = decode(line)
        if text not in self._forms:
            self._learn(text, numbers, sample)
        return sample

    def _learn(self, text: bytes, numbers: list[bytes], sample: Sample) -> None:
        if max(len(self._forms), len(self._seen)) >= MOST_FORMS:
            self._forms.clear()
            self._seen.clear()
        if hash(text) in self._seen:
            self._forms[text] = form_of(text, numbers, sample)
            self._seen.discard(hash(text))
        else:
            self._seen.add(hash(text))


def _cut(line: bytes) -> tuple[bytes, list[bytes]]:
    """A line's text, with a gap for each number and time that is the value of a key, and those numbers and times."""
    parts = _VALUE.split(line)
    return b"\0".join(parts[::2]), parts[1::2]


def _repeat(form: Form, line: bytes, numbers: list[bytes]) -> Repeat | None:
    """A line of the form's text, if it is of the form."""
    if len(numbers) != form.numbers or [numbers[place] for place in form.fixed] != [*form.fixed.values()]:
        return None
    whole, counters, is_plain = form.whole(numbers), [], True
    try:
        moment = parse_timestamp(_time(numbers[form.moment]))
        for place, is_time in form.loose:
            if is_time:
                _time(numbers[place])
            elif (spelled := _canonical(numbers[place])) != numbers[place]:
                numbers[place], is_plain = spelled, False
        if not form.is_stamped:
            counters = [*map(int, whole)]
        elif not b"".join(whole).isdigit():
            return None
    except ValueError:
        return None
    return Repeat(moment, line, form, counters[: form.growing], numbers, is_plain and b'": ' not in line)


def _time(value: bytes) -> str:
    """The text of a time. Raises ValueError for a number."""
    if not _is_time(value):
        raise ValueError
    return value[1:-1].decode()


def _is_time(value: bytes) -> bool:
    return value[0] == ord('"')


def _canonical(number: bytes) -> bytes:
    """A number the way sample lines spell it. Raises ValueError for what is better read as JSON."""
    if _is_time(number):
        raise ValueError
    return repr(float(number)).encode() if b"." in number else number


def follow(cur: Repeat, prev: Sample | Repeat | None) -> bool:
    """Makes it the sample that is to be stored after the server's last one, if every run goes on from that; whether it
    does."""
    if not isinstance(prev, Repeat) or (trail := prev.trail) is None or trail.form is not cur.form:
        return False
    if cur.timestamp <= prev.timestamp:
        return False
    rates: list[float] = []
    if not cur.form.is_stamped:
        counted = [*map(sub, cur.counters, prev.counters)]
        if min(counted) < 0:
            return False
        if trail.rates is not None:
            elapsed = (cur.timestamp - prev.timestamp) / SECOND
            rates = [sum([counted[place] for place in places]) / elapsed for places in trail.rates]
            if max(rates) >= PLAIN_NUMBER:
                return False
    stamp = b'"%b"' % format_timestamp(cur.timestamp).encode()
    if trail.as_it_came and cur.is_plain and cur.values[cur.form.moment] == stamp:
        cur.line += b"\n"
    else:
        cur.line = trail.template % trail.order([*cur.values, stamp, *rates])
    cur.trail, cur.values = trail, []
    return True


def begin(cur: Repeat, complete: Sample) -> None:
    """Makes it the complete sample as that is to be stored, and one to follow, unless its line has more than it
    shows."""
    form = cur.form
    marked = _marked(form.text, cur.values, form.fixed)
    starts = zip(marked.interfaces or (), complete.interfaces or (), strict=True)
    marked = marked._replace(interfaces=tuple([mine._replace(start=its.start) for mine, its in starts]))
    rates = None
    if not form.is_stamped and (marked.network_rx_bytes_per_sec, marked.network_tx_bytes_per_sec) == (None, None):
        rates = _rate_places(complete)
        received, sent = (_MARKS + form.numbers + extra + 0.5 for extra in (1, 2))
        marked = marked._replace(network_rx_bytes_per_sec=received, network_tx_bytes_per_sec=sent)
    template, places = _template(encode(marked), marked.timestamp, form.numbers)
    wanted = {*range(form.numbers + (1 if rates is None else 3))} - {form.moment, *form.fixed}
    line = encode(complete)
    if sorted(places) == sorted(wanted):
        cur.trail = Trail(form, template, _getter(*places), rates, line == cur.line + b"\n")
    cur.line, cur.values = line, []


@lru_cache(maxsize=1024)
def _getter(*places: int) -> Any:
    """Servers that are alike share it."""
    return itemgetter(*places)


def _rate_places(sample: Sample) -> tuple[tuple[int, ...], tuple[int, ...]]:
    listed = list(sample.interfaces or ())
    counted = [listed.index(interface) * len(COUNTERS) for interface in uplinks(listed)]
    return tuple(counted), tuple([place + 1 for place in counted])


def _template(line: bytes, moment: int, numbers: int) -> tuple[bytes, list[int]]:
    """A marked line with a gap for each mark, and which value belongs into which. After the line's own numbers come the
    timestamp and the rates, which are the only ones that are not text yet."""
    stamp = b'"%b"' % format_timestamp(moment).encode()
    places = [numbers if mark == stamp else _place(mark) for mark in _MARK.findall(line)]
    first, *others = [part.replace(b"%", b"%%") for part in _MARK.split(line)]
    gaps = [(b"%.1f" if place > numbers else b"%b") + part for place, part in zip(places, others, strict=True)]
    return first + b"".join(gaps), places


def _mark(place: int, number: bytes) -> bytes:
    if _is_time(number):
        return b'"%s"' % format_timestamp(_MARKS + place).encode()
    return b"%d.5" % (_MARKS + place) if b"." in number else b"%d" % (_MARKS + place)


def _place(mark: bytes) -> int:
    moment = parse_timestamp(_time(mark)) if _is_time(mark) else int(mark.partition(b".")[0])
    return moment - _MARKS


def form_of(text: bytes, numbers: list[bytes], sample: Sample) -> Form | None:
    """What can be learnt from a line and its sample; None if some number in it is not always what it is here."""
    if b"\\" in text or text.count(b"\0") != len(numbers):  # so that what looks like the value of a key is one
        return None
    if not all(rest[:1] in _AFTER for rest in text.split(b"\0")[1:]):  # so that it is all of the value
        return None
    try:
        marked = _marked(text, numbers, {})
        fixed = {place: numbers[place] for place in _fixed(marked)}
        marked = _marked(text, numbers, fixed) if fixed else marked
        moment = _place_of(marked.timestamp, len(numbers))
        growing = [_place_of(getattr(one, key), len(numbers)) for one in marked.interfaces or () for key in COUNTERS]
        others = [_place_of(value, len(numbers)) for value in _integers(marked)]
    except (InvalidSample, LookupError):
        return None
    if not growing or _named(marked) != _named(sample) or any(i.kind == INTEGRATED for i in sample.interfaces or ()):
        return None
    rest = {*range(len(numbers))} - {*growing, *others, moment, *fixed}
    loose = tuple([(place, _is_time(numbers[place])) for place in sorted(rest)])
    is_stamped = all(one.start is not None for one in sample.interfaces or ())
    ways = (fixed, moment, _getter(*growing, *others), len(growing), loose)
    return Form(text, len(numbers), *ways, sample.server_id, is_stamped)


def _marked(text: bytes, numbers: list[bytes], fixed: dict[int, bytes]) -> Sample:
    """The sample of a line in which every number but the fixed ones is a mark. Raises InvalidSample."""
    marks = [fixed.get(place) or _mark(place, number) for place, number in enumerate(numbers)]
    return decode(_filled(text, marks))


def _named(sample: Sample) -> list[object]:
    """What has to be text and always the same."""
    interfaces = [(one.name, one.kind, one.is_up, one.master, one.lower) for one in sample.interfaces or ()]
    return [sample.server_id, sample.hostname, sample.boot_id, interfaces]


def _filled(text: bytes, numbers: list[bytes]) -> bytes:
    """The line of a text and its numbers."""
    parts = text.split(b"\0")
    return b"".join([part + b'":' + number for part, number in zip(parts, numbers, strict=False)]) + parts[-1]


def _place_of(mark: int, numbers: int) -> int:
    """Which number a mark stands for. Raises LookupError if it is none."""
    place = mark - _MARKS
    if not 0 <= place < numbers:
        raise LookupError
    return place


def _fixed(marked: Sample) -> Iterator[int]:
    """The places of the marks that are no measurement."""
    found: list[float | None] = [marked.interval]
    for interface in marked.interfaces or ():
        found += [interface.ifindex, interface.speed_mbps, interface.start]
    yield from (int(mark) - _MARKS for mark in found if mark is not None and mark >= _MARKS)


def _integers(marked: Sample) -> list[int]:
    """The marks that have to be integers, but for the counters that decide about a run."""
    faults = [getattr(interface, key) for interface in marked.interfaces or () for key in FAULTS]
    return [mark for mark in (marked.seq, *faults) if mark is not None]
