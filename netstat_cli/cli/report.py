"""netcli report"""

from __future__ import annotations

import csv
import json
import sys
from datetime import UTC, tzinfo
from typing import IO, Any, NamedTuple

import click

from netstat_cli import report
from netstat_cli.cli.options import DURATION, SERVER_ID, data_option, json_option, units_options
from netstat_cli.cli.peer import Credentials, from_option
from netstat_cli.cli.reading import open_reader
from netstat_cli.errors import NothingStored
from netstat_cli.reader import Reader
from netstat_cli.render.text import align, printable
from netstat_cli.render.units import Units, format_amount, format_rate, parse_size
from netstat_cli.times import DAY, HOUR, format_duration, format_timestamp, now

BAR_WIDTH = 16
DEFAULT_LAST = {"hour": 24 * HOUR, "day": 30 * DAY, "month": 365 * DAY, "total": 30 * DAY}
AHEAD = DAY
"""So far a report on files looks beyond now: a clock that ran years ahead for one sample must not make a row a day."""
P95_METHOD = "95th percentile of 5-minute average rates, nearest rank"


class Zone(click.ParamType):  # type: ignore[type-arg]
    """A time zone's name, UTC, or `local`."""

    name = "zone"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tzinfo | None:
        """The zone; None for this machine's."""
        if value == "local":
            return None
        if value == "UTC":
            return UTC
        from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

        try:
            return ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            self.fail(f"{value!r} is not a time zone; write for example Europe/Berlin, UTC or local", param, ctx)


class Size(click.ParamType):  # type: ignore[type-arg]
    """2TB, 500GB, 1.5TiB."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Bytes."""
        try:
            return parse_size(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Answer(NamedTuple):
    """What one server's interface, or its total, carried."""

    server_id: str
    interface: str | None
    periods: list[report.Period]
    p95: report.P95 | None
    quota: report.Quota | None

    @property
    def name(self) -> str:
        """What it is called in a heading."""
        return f"{self.server_id} {printable(self.interface) if self.interface is not None else 'all uplinks'}"


@click.command("report", short_help="Totals per hour, day or month; quota and 95th percentile.")
@click.argument("files", nargs=-1, type=click.File("rb"), metavar="[FILE|-]...")
@click.option("--iface", "patterns", multiple=True, metavar="GLOB", help="Each of these. [default: the node's uplinks]")
@click.option("--server", type=SERVER_ID, help="Which server. [default: all]")
@click.option("--by", type=click.Choice(["hour", "day", "month", "total"]), default="day", show_default=True)
@click.option("--last", type=DURATION, help="The time up to now. [default: 24h, 30d or 365d]")
@click.option("--month", "month_text", metavar="YYYY-MM", help="That month.")
@click.option(
    "--tz", "zone", type=Zone(), default="local", help="Where days begin: Europe/Berlin, UTC. [default: local]"
)
@click.option("--billing-day", type=click.IntRange(1, 28), default=1, show_default=True, help="Where months begin.")
@click.option("--quota", "limit", type=Size(), help="What a billing month may carry: used, left, forecast.")
@click.option("--top", type=click.IntRange(min=1), metavar="N", help="Only the N busiest, the busiest first.")
@click.option("--p95", "with_p95", is_flag=True, help="The 95th percentile of 5-minute rates over the whole span.")
@units_options
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV: bytes and seconds, never scaled.")
@from_option
@data_option
def command(
    files: tuple[IO[bytes], ...],
    patterns: tuple[str, ...],
    server: str | None,
    by: str,
    last: int | None,
    month_text: str | None,
    zone: tzinfo | None,
    billing_day: int,
    limit: int | None,
    top: int | None,
    with_p95: bool,
    units: str | None,
    as_json: bool,
    as_csv: bool,
    peer: str | None,
    data: str | None,
    credentials: Credentials,
) -> None:
    """Tell what was received and sent per hour, day or month: exact bytes, by the calendar of any time zone.

    Coverage is the share of the period that was sampled. Nothing of this is fixed when samples are taken: another time
    zone, billing day or set of interfaces is just another question.

    \b
      netcli report --by month --last 365d
      netcli report --month 2026-10 --top 5 --p95
      netcli report --billing-day 5 --quota 2TB
    """
    reader = open_reader(data, server, peer, credentials, files)
    at = now()
    span = _span(by, last, month_text, zone, billing_day, at, reader if files else None)
    answers = [
        _answer(reader, name, interface, by, span, zone, billing_day, limit, with_p95, at)
        for name in (sample.server_id for sample in reader.latest())
        for interface in (_named(reader, name, patterns, span) if patterns else [None])
    ]
    if not answers:
        known = sorted({one.name for sample in reader.latest() for one in sample.interfaces})
        hint = f"there are: {', '.join(known)}"
        raise NothingStored(f"no interface {', '.join(patterns)} was stored in that time", hint=hint)
    if top is not None:
        answers = [one._replace(periods=sorted(one.periods, key=lambda p: -p.total)[:top]) for one in answers]
    if as_json:
        click.echo(json.dumps([_json(one) for one in answers], indent=2))
    elif as_csv:
        _print_csv(answers)
    else:
        shown = Units[units or "SI"]
        click.echo("\n\n".join("\n".join(_text(one, shown, report.peak_step(*span), at)) for one in answers))


def _span(
    by: str,
    last: int | None,
    month_text: str | None,
    zone: tzinfo | None,
    billing_day: int,
    at: int,
    files: Reader | None,
) -> tuple[int, int]:
    if month_text is not None:
        if last is not None:
            raise click.UsageError("--last and --month are two spans; choose one")
        try:
            return report.month(month_text, zone, billing_day)
        except (ValueError, OverflowError):
            raise click.UsageError(f"{month_text!r} is not a month; write for example 2026-10") from None
    if files is not None and last is None:
        latest = files.latest()
        begin = min(at, *(files.first(one.server_id) or at for one in latest))
        end = max(one.timestamp for one in latest)
        return begin, max(begin + 1, min(end, at + AHEAD))
    return at - (last or DEFAULT_LAST[by]), at


def _named(reader: Reader, server_id: str, patterns: tuple[str, ...], span: tuple[int, int]) -> list[str | None]:
    return list(reader.interfaces(server_id, patterns, *span))


def _answer(
    reader: Reader,
    server_id: str,
    interface: str | None,
    by: str,
    span: tuple[int, int],
    zone: tzinfo | None,
    billing_day: int,
    limit: int | None,
    with_p95: bool,
    at: int,
) -> Answer:
    labels, edges = zip(*report.periods(by, *span, zone, billing_day), strict=True)
    fine = report.fine_edges(edges, report.peak_step(*span))
    found = report.summarize(labels, edges, reader.series(server_id, interface, fine))
    first = reader.first(server_id) or at
    found = [period for period in found if period.until > first and period.since < at]
    percentile = standing = None
    if with_p95:
        begin, end = span[0] // report.P95_STEP * report.P95_STEP, min(span[1], at)
        steps = list(range(begin, end + report.P95_STEP, report.P95_STEP))
        percentile = report.p95(reader.series(server_id, interface, steps)) if len(steps) > 1 else None
    if limit is not None:
        since, until = report.cycle(at, zone, billing_day)
        so_far = [since, max(at, since + 1)]
        standing = report.quota(since, until, limit, reader.series(server_id, interface, so_far), at)
    return Answer(server_id, interface, found, percentile, standing)


def _text(one: Answer, units: Units, peak_step: int, at: int) -> list[str]:
    most = max((period.total for period in one.periods), default=0)
    header = ["", "received", "sent", "total", "", "average", f"peak of {format_duration(peak_step)}", "coverage"]
    rows = [
        [
            period.label,
            format_amount(period.traffic.rx_bytes, units),
            format_amount(period.traffic.tx_bytes, units),
            format_amount(period.total, units),
            _bar(period.total, most),
            format_rate(sum(period.average) if period.average else None, units),
            format_rate(period.busiest, units),
            f"{period.coverage:.1%}",
        ]
        for period in one.periods
    ]
    lines = [one.name, "", *align([header, *rows], right=frozenset({1, 2, 3, 5, 6, 7}))]
    if not one.periods:
        lines = [one.name, "", "nothing was sampled in that time"]
    if one.p95 is not None:
        figures = f"received {format_rate(one.p95.rx, units)}, sent {format_rate(one.p95.tx, units)}"
        lines += ["", f"{P95_METHOD}: {figures} ({one.p95.known} of {one.p95.expected} sampled)"]
    if one.quota is not None:
        lines += ["", _quota_line(one.quota, units, at)]
    return lines


def _quota_line(standing: report.Quota, units: Units, at: int) -> str:
    left = f"{format_amount(standing.left, units)} left" if standing.left >= 0 else "quota exceeded"
    forecast = f"; at this pace {format_amount(standing.forecast, units)}" if standing.forecast is not None else ""
    return (
        f"billing cycle: {format_amount(standing.used, units)} of {format_amount(standing.limit, units)} used "
        f"({standing.used / max(1, standing.limit):.1%}), {left}, "
        f"{format_duration(standing.until - at)} to go{forecast}"
    )


def _bar(value: int, most: int) -> str:
    """A bar in eighths of a character."""
    eighths = round(value / most * BAR_WIDTH * 8) if most else 0
    full, rest = divmod(eighths, 8)
    return "█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else "")


def _figures(period: report.Period) -> dict[str, Any]:
    return {
        "period": period.label,
        "since": format_timestamp(period.since),
        "until": format_timestamp(period.until),
        "rx_bytes": period.traffic.rx_bytes,
        "tx_bytes": period.traffic.tx_bytes,
        "total_bytes": period.total,
        "rx_packets": period.traffic.rx_packets,
        "tx_packets": period.traffic.tx_packets,
        "coverage_ratio": round(period.coverage, 4),
        **{
            f"avg_{way}_bytes_per_sec": period.average and round(period.average[i], 2)
            for i, way in enumerate(("rx", "tx"))
        },
        **{f"peak_{way}_bytes_per_sec": period.peak and round(period.peak[i], 2) for i, way in enumerate(("rx", "tx"))},
    }


def _json(one: Answer) -> dict[str, Any]:
    described: dict[str, Any] = {
        "server_id": one.server_id,
        "interface": one.interface,
        "periods": [_figures(period) for period in one.periods],
    }
    if one.p95 is not None:
        described["p95"] = {
            "method": P95_METHOD,
            "rx_bytes_per_sec": round(one.p95.rx, 2),
            "tx_bytes_per_sec": round(one.p95.tx, 2),
            "known": one.p95.known,
            "expected": one.p95.expected,
        }
    if one.quota is not None:
        described["quota"] = {
            "since": format_timestamp(one.quota.since),
            "until": format_timestamp(one.quota.until),
            "limit_bytes": one.quota.limit,
            "used_bytes": one.quota.used,
            "left_bytes": one.quota.left,
            "forecast_bytes": one.quota.forecast,
        }
    return described


def _print_csv(answers: list[Answer]) -> None:
    writer: Any = None
    for one in answers:
        for period in one.periods:
            row = {"server_id": one.server_id, "interface": _cell(one.interface or ""), **_figures(period)}
            if writer is None:
                writer = csv.DictWriter(sys.stdout, list(row), lineterminator="\n")
                writer.writeheader()
            writer.writerow(row)


def _cell(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    shown = printable(text)
    return f"'{shown}" if shown[:1] in ("=", "+", "-", "@") else shown
