"""Timestamps and durations. A moment is an int: milliseconds since the epoch, UTC.

On disk and on the wire a moment is text of exactly 24 characters (RFC 3339, UTC), which sorts as it runs:

    2026-11-21T15:39:28.075Z
"""

from __future__ import annotations

import re
import time
from bisect import bisect_left
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from itertools import pairwise

from netstat_cli.errors import UsageProblem

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
FIRST_YEAR = -62_135_596_800_000  # 0001-01-01T00:00:00.000Z: the first that can be asked for
LAST_MOMENT = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z: the last that 24 characters can hold

LONGEST_DURATION = 1000 * 365 * DAY

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = {"ms": 1, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY, "y": 365 * DAY}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdwy])")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")

# RFC 3339, 5.6: time-second = 2DIGIT ; 00-60 by the rules for leap seconds. 2016-12-31T18:59:60.5-05:00
_LEAP_SECOND = re.compile(r"(\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:)60((?:[.,Z+-].*)?)")


def now() -> int:
    """The wall clock, in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


@lru_cache(maxsize=64)
def _second_text(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


def format_timestamp(moment: int) -> str:
    """The 24 characters of a moment."""
    second, millisecond = divmod(moment, SECOND)
    return f"{_second_text(second):0>19}.{millisecond:03d}Z"


def _moment(when: datetime) -> int:
    passed = when - _EPOCH
    return passed.days * DAY + passed.seconds * SECOND + passed.microseconds // 1000


def parse_timestamp(value: object) -> int:
    """The moment that a sender means: RFC 3339 text (UTC where it names no zone) or epoch seconds. Finer than a
    millisecond is cut off (of a float it is rounded). A leap second is the first of the next day, as POSIX counts.
    Raises ValueError with a sentence for anything else."""
    if isinstance(value, str):
        try:
            moment = _read(value, UTC)
        except (ValueError, OverflowError):
            raise ValueError("should be an RFC 3339 time such as 2026-11-21T15:39:28.075Z") from None
    elif isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < LAST_MOMENT:
        moment = int(value * SECOND) if isinstance(value, int) else round(value * SECOND)
    else:
        raise ValueError("should be an RFC 3339 time or seconds since the epoch")
    if not 0 <= moment <= LAST_MOMENT:
        raise ValueError("should lie between the years 1970 and 9999")
    return moment


def _read(text: str, zone: tzinfo | None) -> int:
    """The moment of ISO 8601 text, in `zone` where it names none. Raises ValueError and OverflowError."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return _read_rare(text, zone)
    return _moment(when) if when.tzinfo else moment_of(when, zone)


def _read_rare(text: str, zone: tzinfo | None) -> int:
    """The moment of what RFC 3339 allows besides: small letters, and a leap second at the end of a UTC day. Raises
    ValueError and OverflowError."""
    usual = text.upper()
    if leap := _LEAP_SECOND.fullmatch(usual):
        moment = _read(f"{leap[1]}59{leap[2]}", zone) + SECOND
        if moment % DAY < SECOND:
            return moment
    elif usual != text:
        return _read(usual, zone)
    raise ValueError(text)


def local_time(moment: int, zone: tzinfo | None) -> datetime:
    """What the clocks of a zone (None: this machine's) show at a moment; a datetime without a tzinfo. Raises
    OverflowError and ValueError beyond the years 1 to 9999."""
    second, millisecond = divmod(moment, SECOND)
    shown = datetime.fromtimestamp(second, zone).replace(tzinfo=None, fold=0)
    return shown + timedelta(milliseconds=millisecond)


def moment_of(when: datetime, zone: tzinfo | None) -> int:
    """The moment at which the clocks of a zone (None: this machine's) show a time, given without a tzinfo.

    A time that they skip is when they are put forward over it, so that a day without a midnight begins with its first
    moment. Of a time that they show twice it is the first; but where they go back into the day before, a day begins
    for good with its second midnight. Raises OverflowError and ValueError beyond the years 1 to 9999."""
    when = when.replace(microsecond=when.microsecond // 1000 * 1000)
    if zone is UTC:
        return _moment(when.replace(tzinfo=UTC))
    early, late = sorted(round(when.replace(tzinfo=zone, fold=fold).timestamp() * SECOND) for fold in (0, 1))
    if early == late:
        return early
    if local_time(early, zone) == when:
        return late if local_time(late - 1, zone).date() < when.date() else early
    return early + bisect_left(range(early, late), when, key=lambda moment: local_time(moment, zone))


def day_of(moment: int) -> str:
    """The UTC day of a moment: 2026-11-21."""
    return _second_text(moment // DAY * (DAY // SECOND))[:10]


def day_start(day: str) -> int:
    """The first moment of a UTC day. Raises ValueError if `day` is not of the form 2026-11-21."""
    if not _DAY.fullmatch(day):
        raise ValueError(f"not a day: {day!r}")
    return _moment(datetime.fromisoformat(day).replace(tzinfo=UTC))


def parse_duration(text: str) -> int:
    """Milliseconds of `500ms`, `10s`, `1h30m`, `7d`, `2w`, `1y` (365 days); a bare number is seconds."""
    text = text.strip()
    try:
        milliseconds = round(float(text) * SECOND) if text[-1:].isdigit() else _sum_of_parts(text)
        if not 0 <= milliseconds <= LONGEST_DURATION:
            raise ValueError(text)
        return milliseconds
    except (ValueError, OverflowError):
        hint = "write for example 500ms, 10s, 5m, 1h30m, 7d or 365d"
        raise UsageProblem(f"{text!r} is not a duration", hint=hint) from None


def _sum_of_parts(text: str) -> int:
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(text)
    return round(sum(float(number) * _UNITS[unit] for number, unit in parts))


def format_duration(milliseconds: int) -> str:
    """A duration in at most two units, as people say it: 45s, 5m, 1h 30m, 12d, 1.5s."""
    if milliseconds < MINUTE:
        return f"{milliseconds / SECOND:.1f}".removesuffix(".0") + "s"
    units = [(DAY, "d"), (HOUR, "h"), (MINUTE, "m"), (SECOND, "s")]
    for (size, name), (lower, lower_name) in pairwise(units):
        if milliseconds >= size:
            whole, rest = divmod(milliseconds, size)
            return f"{whole}{name}" + (f" {rest // lower}{lower_name}" if rest >= lower else "")
    raise AssertionError(milliseconds)


def parse_when(text: str, at: int, zone: tzinfo | None) -> int:
    """The moment that `--since` or `--until` names: `now`, `-2h`, `14:30` (today), `2026-11-21`, or a full RFC 3339
    time. Where the text names no zone it is read in `zone` (None: this machine's)."""
    text = text.strip()
    if text == "now":
        return at
    if text.startswith("-"):
        return at - parse_duration(text[1:])
    try:
        if clock := _CLOCK.fullmatch(text):
            hour, minute, second = int(clock[1]), int(clock[2]), int(clock[3] or 0)
            today = local_time(at, zone)
            return moment_of(today.replace(hour=hour, minute=minute, second=second, microsecond=0), zone)
        moment = _read(text, zone)
        if not FIRST_YEAR <= moment <= LAST_MOMENT:
            raise ValueError(text)
        return moment
    except (ValueError, OverflowError):
        hint = "write for example now, -2h, 14:30, 2026-11-21 or 2026-11-21T15:39:28Z"
        raise UsageProblem(f"{text!r} is not a time", hint=hint) from None
