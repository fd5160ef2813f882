"""Samples whose lines differ from an earlier one in nothing but values, which nearly all do. Pure.

Such a line is not read as JSON: its form says what each value means, and the line to be stored is the text of a stored
one with other values in it. That costs a fraction of decoding, completing and encoding it, and gives the same bytes:
every run of a server begins with a line that went through those three and came out as its form would have made it.
"""

from __future__ import annotations

from functools import lru_cache
from operator import le
from typing import NamedTuple

from netstat_cli.forms import Form, Get, Rates, Values, cut, form_of, getter, stamp
from netstat_cli.model import Sample
from netstat_cli.times import SECOND, parse_timestamp
from netstat_cli.topology import INTEGRATED, uplinks
from netstat_cli.wire import COUNTERS, decode, encode, is_server_id

LONGEST = 1 << 14
"""A longer line is a rare one, and of a machine that sends few."""
MOST_TEXT = 4 << 20
"""So many bytes of texts are known; what is known of one takes some ten times as much."""
MOST_SERVERS = 20_000
PRICE = 64
"""To learn a text takes as long as to read it so many times as JSON: it is paid with as many bytes read."""
MOST_CREDIT = 2 << 20
NO_RATES = b',"network_rx_bytes_per_sec":0.0,"network_tx_bytes_per_sec":0.0'
SMALL = b"0.000", b"-0.000"
PLAIN_NUMBER = 1e15
"""A float from ten times this on is spelled with an exponent."""


class Trail(NamedTuple):
    """How a server's lines of one form are stored while its runs go on."""

    form: Form
    constant: tuple[bytes, ...]
    starts: list[bytes]
    rates: tuple[Get[int], Get[int]] | None
    """Get the counters that make the node's rates, received and sent; None where the sender has them."""
    as_it_came: bool
    """Whether the line is stored as it came, if its values are spelled the way sample lines spell them."""


class Repeat:
    """A sample of a known form. What it does not say itself stands in its line."""

    __slots__ = ("carried", "counters", "form", "is_plain", "line", "server_id", "timestamp", "trail", "values")

    def __init__(self, form: Form, line: bytes, values: Values, timestamp: int, server_id: str, is_plain: bool) -> None:
        self.form = form
        self.line = line
        """As it came; once it is stored, as it is stored."""
        self.values = values
        """Not needed any more once it is stored."""
        self.timestamp = timestamp
        self.server_id = server_id
        self.counters = [*map(int, form.growing(values))] if form.starts else []
        """Those that decide about a run, where that is left to the store."""
        self.is_plain = is_plain
        """Whether the values were spelled the way sample lines spell them."""
        self.carried = (0, 0)
        """Sums of the counters that make the node's rates."""
        self.trail: Trail | None = None
        """How the next one can be stored, once this one is."""

    @property
    def sample(self) -> Sample:
        """The whole sample. Raises InvalidSample, unless it is stored."""
        return decode(self.line)


def sample_of(taken: Sample | Repeat) -> Sample:
    """The sample, read from its line if need be. Raises InvalidSample, unless it is stored."""
    return taken if isinstance(taken, Sample) else taken.sample


class Forms:
    """Reads lines, and knows the forms in which they came before."""

    def __init__(self) -> None:
        self._last: dict[bytes, Form] = {}
        """The form of each server's last line."""
        self._newest: Form | None = None
        """The one that was looked up last: that of a server that is new, as likely as not."""
        self._forms: dict[bytes, Form | None] = {}
        """By their text; None for a text of which nothing can be learnt."""
        self._size = 0
        self._seen: set[int] = set()
        """The hashes of texts that came once: most of those never come again."""
        self._credit = MOST_CREDIT

    def read(self, line: bytes) -> Sample | Repeat:
        """What a line says. Raises InvalidSample; what is wrong with its names may come out only when it is stored."""
        if self._credit < MOST_CREDIT:
            self._credit += len(line)
        begin = line.find(b'"server_id"')
        server = line[begin : line.find(b",", begin)]
        form = self._last.get(server) or self._newest
        if form is not None and (repeat := _repeat(form, line)) is not None:
            return repeat
        if len(line) > LONGEST or b"\0" in line or b"\\" in line:
            return decode(line)
        parts, values = cut(line)
        text = b"\0".join(parts)
        form = self._forms.get(text)
        if form is not None and (repeat := _repeat(form, line)) is not None:
            if len(self._last) >= MOST_SERVERS:
                self._last.clear()
            self._last[server] = self._newest = form
            return repeat
        sample = decode(line)
        if text not in self._forms:
            self._learn(text, parts, values)
        return sample

    def _learn(self, text: bytes, parts: list[bytes], values: list[bytes]) -> None:
        if hash(text) not in self._seen:
            if len(self._seen) >= MOST_SERVERS:
                self._seen.clear()
            self._seen.add(hash(text))
        elif self._credit >= PRICE * len(text):
            self._credit -= PRICE * len(text)
            if self._size + len(text) > MOST_TEXT:
                self._last.clear()
                self._forms.clear()
                self._newest, self._size = None, 0
            self._forms[text] = form_of(parts, values)
            self._size += len(text)


def _repeat(form: Form, line: bytes) -> Repeat | None:
    """A line of the form's text, if it is one."""
    match = form.pattern.fullmatch(line)
    if match is None:
        return None
    values: Values = match.groups()
    try:
        moment = parse_timestamp(values[form.moment][1:-1].decode())
        server_id = _server_id(values[form.server_id])
    except ValueError:
        return None
    is_plain = True
    for place in form.fractions:
        if (spelled := canonical(values[place])) != values[place]:
            values, is_plain = [*values[:place], spelled, *values[place + 1 :]], False
    return Repeat(form, line, values, moment, server_id, is_plain)


@lru_cache(maxsize=MOST_SERVERS)
def _server_id(value: bytes) -> str:
    """The name of a server. Raises ValueError for what can be none."""
    name = value[1:-1].decode()
    if not is_server_id(name):
        raise ValueError
    return name


def canonical(number: bytes) -> bytes:
    """A number the way sample lines spell it. Of at most fifteen digits and neither small nor with a zero at the end it
    is already spelled so."""
    if b"." not in number or (len(number) <= 16 and number[-1] != ord("0") and not number.startswith(SMALL)):
        return number
    return repr(float(number)).encode()


def follow(cur: Repeat, prev: Sample | Repeat | None) -> bool:
    """Makes it the sample that is to be stored after the server's last one, if every run goes on from that; whether it
    does."""
    if not isinstance(prev, Repeat) or (trail := prev.trail) is None or trail.form is not cur.form:
        return False
    form = trail.form
    if cur.timestamp <= prev.timestamp or form.constant(cur.values) != trail.constant:
        return False
    rates: Rates = ()
    if form.starts:
        if not all(map(le, prev.counters, cur.counters)):
            return False
        if trail.rates is not None:
            received, sent = cur.carried = _carried(trail.rates, cur)
            before, elapsed = prev.carried, (cur.timestamp - prev.timestamp) / SECOND
            rates = (received - before[0]) / elapsed, (sent - before[1]) / elapsed
            if max(rates) >= PLAIN_NUMBER:
                return False
    if trail.as_it_came and cur.is_plain and cur.values[form.moment] == stamp(cur.timestamp):
        cur.line += b"\n"
    else:
        cur.line = form.line(cur.values, cur.timestamp, rates, trail.starts)
    cur.trail, cur.values = trail, ()
    return True


def begin(cur: Repeat, complete: Sample) -> None:
    """Makes it the complete sample as that is to be stored, and one to follow, if its form would have made the same of
    it. Raises InvalidSample for what no line can be made of."""
    form, line, listed = cur.form, encode(complete), complete.interfaces or ()
    moments = [listed[place].start or 0 for place in form.starts]
    stamps = {moment: stamp(moment) for moment in moments}
    starts = [stamps[moment] for moment in moments]
    getters: tuple[Get[int], Get[int]] | None = None
    rates: Rates = ()
    if form.lacks_rates:
        getters = _rate_getters(tuple([listed.index(interface) for interface in uplinks(listed)]))
        cur.carried = _carried(getters, cur)
        rates = complete.network_rx_bytes_per_sec or 0.0, complete.network_tx_bytes_per_sec or 0.0
    made = form.line(cur.values, cur.timestamp, rates, starts)
    if form.lacks_rates and complete.network_rx_bytes_per_sec is None:
        made = made.replace(NO_RATES, b"", 1)
    if made == line and all(interface.kind != INTEGRATED for interface in listed):
        cur.trail = Trail(form, form.constant(cur.values), starts, getters, line == cur.line + b"\n")
    cur.line, cur.values = line, ()


@lru_cache(maxsize=1024)
def _rate_getters(listed: tuple[int, ...]) -> tuple[Get[int], Get[int]]:
    places = [place * len(COUNTERS) for place in listed]
    return getter(places), getter([place + 1 for place in places])


def _carried(rates: tuple[Get[int], Get[int]], cur: Repeat) -> tuple[int, int]:
    received, sent = rates
    return sum(received(cur.counters)), sum(sent(cur.counters))
